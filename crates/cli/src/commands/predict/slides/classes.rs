//! Classes of the pixels of slides.

use std::path::Path;

use cleanslide_data::mask::read_class_mask;
use cleanslide_data::store::write_file;
use cleanslide_data::{MaskFile, UNLABELLED_CLASS, to_csv};
use cleanslide_learn::segment::{PredictSettings, Segmenter, most_probable};
use cleanslide_report::number::Format;
use cleanslide_report::table::{Cell, Column, Table};
use cleanslide_slide::{Slide, TilePlan};
use image::RgbImage;
use ndarray::{Array2, Array3, ArrayView3, Axis, s};
use serde::Serialize;

use super::colours::of_pixels;
use super::map::ClassMap;
use super::work::{Rows, TileLine};
use super::{Asked, Done, Finder, Looking, Predicts, Request, Tile, left_out, page};
use crate::commands::predict::networks::network;
use crate::context::Context;
use crate::failure::Result;
use crate::network_run::{NetworkManifest, PixelRecipe, read_config};
use crate::output::Show;
use crate::text_table::TextTable;

/// Squares of the map are about so many microns wide.
const MAP: f64 = 4.0;

/// A network that gives every pixel a class.
struct Classes<'a> {
    segmenter: Segmenter,
    predict: &'a PredictSettings,
    names: &'a [String],
    /// Pixels of the network along a square of the map.
    square: usize,
}

/// What there is of a class on a slide.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Area {
    slide: String,
    class: String,
    /// In square millimetres.
    area: f64,
    /// Of all that was looked at.
    share: f64,
    /// Tiles of the slide that could not be decoded, and are in no figure.
    left_out_tiles: usize,
}

#[derive(Debug, Serialize)]
struct Summary<'a> {
    folder: &'a Path,
    slides: usize,
    slides_left_out: usize,
    tiles: u64,
    left_out: u64,
    areas: Vec<Area>,
    #[serde(skip)]
    text: String,
}

/// Predicts slides; those that are done are kept.
pub fn run(context: &Context, request: &Request, manifest: &NetworkManifest) -> Result<()> {
    let recipe: PixelRecipe = read_config(request.run)?;
    let (bytes, file) = network(request.run, manifest)?;
    let predict = PredictSettings {
        turns: request.turns.unwrap_or(recipe.predict.turns),
        ..recipe.predict
    };
    let asked = Asked::new(
        request,
        manifest,
        &bytes,
        Predicts::Classes(predict.clone()),
    )?;
    let finder = Classes {
        segmenter: Segmenter::from_bytes(&bytes, &file, &request.device.open()?.device)?,
        predict: &predict,
        names: &asked.classes,
        square: ((MAP / asked.microns_per_pixel).round() as usize).max(1),
    };
    let looking = Looking {
        context,
        request,
        asked: &asked,
        finder: &finder,
    };
    let done = looking.all()?;
    let of = |slides: &[(String, Vec<TileLine>)]| -> Vec<Area> {
        let slides = slides.iter();
        slides
            .flat_map(|(name, lines)| areas(&asked, name, lines))
            .collect()
    };
    let in_folder = of(&done.in_folder);
    let rows = in_folder.iter().map(|area| {
        [
            area.slide.clone(),
            area.class.clone(),
            format!("{:.6}", area.area),
            format!("{:.6}", area.share),
            area.left_out_tiles.to_string(),
        ]
    });
    let table = to_csv(
        &["slide", "class", "area_mm2", "share", "left_out_tiles"],
        rows,
    );
    write_file(&request.out.join("areas.csv"), &table)?;
    page::write(request.out, shown(request, &asked, &done, &in_folder))?;
    let summary = Summary {
        folder: request.out,
        slides: done.slides.len(),
        slides_left_out: done.left_out,
        tiles: done.tiles(),
        left_out: done.damaged(),
        areas: of(&done.slides),
        text: done.text(),
    };
    done.held.release()?;
    context.output.show(&summary)
}

/// What the page shows.
fn shown<'a>(
    request: &'a Request,
    asked: &Asked,
    done: &'a Done,
    areas: &[Area],
) -> page::Shown<'a> {
    let row = |area: &Area| {
        vec![
            Cell::text(&area.slide),
            Cell::text(&area.class),
            Cell::Number(area.area),
            Cell::Number(area.share),
        ]
    };
    let colours = asked.classes.iter().enumerate().skip(1);
    let of_slides = areas.chunks(asked.classes.len().max(1));
    page::Shown {
        run: request.run,
        slides: &done.in_folder,
        amounts: Table {
            title: "Areas".to_owned(),
            caption: "Of the tissue that was looked at.".to_owned(),
            columns: vec![
                Column::text("slide"),
                Column::text("class"),
                Column::number("area, mm²", Format::Decimal(3)),
                Column::number("share", Format::Percent(1)),
            ],
            rows: areas.iter().map(row).collect(),
            footnote: String::new(),
        },
        colours: colours
            .map(|(class, name)| (of_pixels(class), name.clone()))
            .collect(),
        words: of_slides
            .map(|areas| {
                let all: f64 = areas.iter().map(|area| area.area).sum();
                format!("{all:.2} mm² looked at")
            })
            .collect(),
    }
}

/// How much there is of each class in the tissue.
fn areas(asked: &Asked, name: &str, lines: &[TileLine]) -> Vec<Area> {
    let sums = |class: usize| -> u64 {
        let of = lines.iter().filter_map(|line| line.counts.get(class));
        of.sum()
    };
    let all: u64 = (0..asked.classes.len()).map(sums).sum();
    let of_pixel = (asked.microns_per_pixel / 1000.0).powi(2);
    let classes = asked.classes.iter().enumerate();
    classes
        .map(|(class, of)| Area {
            slide: name.to_owned(),
            class: of.clone(),
            area: sums(class) as f64 * of_pixel,
            share: sums(class) as f64 / all.max(1) as f64,
            left_out_tiles: left_out(lines),
        })
        .collect()
}

impl Finder for Classes<'_> {
    /// The class of each square of the map, `[squares of a tile, squares of a row]`.
    type Found = Array2<u8>;

    /// Whole squares of the map, and a margin that other tiles have too.
    fn tiles(&self) -> (u32, u32) {
        let PredictSettings { tile, overlap, .. } = *self.predict;
        let margin = (overlap / 2) as u32;
        let inner = (tile as u32).saturating_sub(2 * margin);
        let inner = (inner / self.square as u32).max(1) * self.square as u32;
        (inner + 2 * margin, margin)
    }

    fn columns(&self) -> Vec<String> {
        self.names.to_vec()
    }

    fn nothing(&self, plan: &TilePlan) -> Array2<u8> {
        let squares = plan.inner() as usize / self.square;
        let columns = squares * plan.columns as usize;
        Array2::from_elem((squares, columns), UNLABELLED_CLASS)
    }

    /// Pixels of each class, as far as their squares are in the tissue.
    fn look(&self, tile: &Tile, pixels: &RgbImage, found: &mut Array2<u8>) -> Result<Vec<u64>> {
        let (margin, inner) = (tile.plan.margin as usize, tile.plan.inner() as usize);
        let predict = PredictSettings {
            // A tile of the plan is one of the network.
            tile: tile.plan.side as usize,
            ..self.predict.clone()
        };
        let said = self.segmenter.predict(pixels, &predict)?;
        let inside = margin..margin + inner;
        let said = said.slice(s![.., inside.clone(), inside]);
        let mut squares = most_probable(sums(said, self.square).view());
        for ((row, column), class) in squares.indexed_iter_mut() {
            let middle = |place: usize| margin as f64 + (place as f64 + 0.5) * self.square as f64;
            if !tile.counts([middle(column), middle(row)]) {
                *class = UNLABELLED_CLASS;
            }
        }
        let mut counts = vec![0; said.len_of(Axis(0))];
        for ((row, column), &class) in most_probable(said).indexed_iter() {
            if squares[[row / self.square, column / self.square]] != UNLABELLED_CLASS {
                counts[usize::from(class)] += 1;
            }
        }
        let width = squares.ncols();
        let first = tile.tile.column as usize * width;
        found
            .slice_mut(s![.., first..first + width])
            .assign(&squares);
        Ok(counts)
    }

    fn keep(&self, file: &Path, found: &Array2<u8>) -> Result<()> {
        MaskFile::write_classes(&file.with_extension("png"), found.view())?;
        Ok(())
    }

    fn kept(&self, file: &Path) -> Result<Array2<u8>> {
        Ok(read_class_mask(&file.with_extension("png"))?)
    }

    fn publish(
        &self,
        folder: &Path,
        slide: &Slide,
        plan: &TilePlan,
        rows: &Rows<Self>,
    ) -> Result<Vec<TileLine>> {
        let mut map = ClassMap::new(plan, self.square);
        for &row in &rows.numbers {
            map.put(row, rows.found(row)?.view());
        }
        map.write(folder, slide, plan, self.names)?;
        rows.all_lines()
    }
}

/// The sums of squares of values `[classes, height, width]`.
fn sums(values: ArrayView3<'_, f32>, square: usize) -> Array3<f32> {
    let (classes, height, width) = values.dim();
    let size = (classes, height / square, width / square);
    Array3::from_shape_fn(size, |(class, row, column)| {
        let [row, column] = [row * square, column * square];
        values
            .slice(s![class, row..row + square, column..column + square])
            .sum()
    })
}

impl Show for Summary<'_> {
    fn text(&self) -> String {
        let mut table = TextTable::new(&["slide", "class", "area, mm²", "share"]);
        for area in &self.areas {
            table.row([
                area.slide.clone(),
                area.class.clone(),
                format!("{:.3}", area.area),
                format!("{:.1} %", 100.0 * area.share),
            ]);
        }
        format!("{}: {}\n{}", self.folder.display(), self.text, table.text())
    }
}
