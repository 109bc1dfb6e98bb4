//! Classes of the pixels of slides, tile by tile.
//!
//! ```text
//! OUT/request.json        what was asked; the same goes on where it stopped
//! OUT/areas.csv           how much there is of each class on each slide
//! OUT/NAME/               a slide that is done:
//!     regions.geojson     outlines of classes with their areas, in pixels of level 0, as QuPath reads them
//!     overlay.png         the slide, small, with all classes but the first in colour
//!     map.png             the class of each small square; 255 where there is no tissue
//!     tiles.csv           the tiles that were looked at, and how many pixels of their tissue are of each class
//! OUT/lock                while a process predicts here
//! OUT/.NAME/              a slide that is not: each row of tiles that is
//! ```
//!
//! Memory is that of a tile and of the map, whose squares are some microns wide.

mod map;
mod work;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use cleanslide_data::store::{publish_folder, write_file};
use cleanslide_data::to_csv;
use cleanslide_learn::segment::{PredictSettings, Segmenter};
use cleanslide_learn::views::TestAugmentation;
use cleanslide_nn::devices::DeviceName;
use cleanslide_slide::{
    OpenOptions, PlannedTile, Slide, TilePlan, TileSettings, TissueMask, TissueSettings,
};
use serde::{Deserialize, Serialize};

use self::map::ClassMap;
use self::work::{Rows, TileLine};
use super::networks::{names, network};
use crate::begun::{begin, is_begun};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::held::Held;
use crate::network_run::{Labelled, NetworkManifest, PixelRecipe, read_config, read_manifest};
use crate::output::{Show, count};
use crate::progress;
use crate::text_table::TextTable;

/// What is asked.
pub struct Request<'a> {
    /// The run.
    pub run: &'a Path,
    /// The slides: files, or folders in DICOM.
    pub slides: &'a [PathBuf],
    /// The folder to write into.
    pub out: &'a Path,
    /// Turns, if others than the run's.
    pub turns: Option<TestAugmentation>,
    /// Whether a tile that cannot be decoded ends the work.
    pub strict: bool,
    /// Where the network runs.
    pub device: DeviceName,
    /// How slides are cut and what of them is looked at.
    pub scale: Scale,
}

/// How large pixels are, and what of a slide is looked at.
#[derive(Debug, Clone, Copy, PartialEq, clap::Args)]
pub struct Scale {
    /// Slides: the size of the pixels that the network sees, in microns; by default that of the images it was trained with
    #[arg(long, value_name = "MICRONS")]
    pub microns_per_pixel: Option<f64>,
    /// Slides: the size of their pixels, where they do not say it
    #[arg(long, value_name = "MICRONS")]
    pub slide_microns_per_pixel: Option<f64>,
    /// Slides: the share of a tile that must be tissue to be looked at, and only tissue counts; 0 looks and counts everywhere
    #[arg(long, value_name = "SHARE", default_value_t = TISSUE)]
    pub tissue: f64,
}

const TISSUE: f64 = 0.05;

impl Scale {
    /// The size of the pixels that a network sees, in microns: what is asked, or that of its training.
    ///
    /// # Errors
    /// Neither is known, or there is no such share of tissue.
    pub fn pixels(&self, of_training: Option<f64>, network: impl Display) -> Result<f64> {
        let microns = self.microns_per_pixel.or(of_training).ok_or_else(|| {
            Failure::usage(format!(
                "{network} does not say how large the pixels were that it was trained with"
            ))
            .help("Give their size in microns with `--microns-per-pixel`.")
        })?;
        if !(0.0..=1.0).contains(&self.tissue) {
            return Err(Failure::usage(format!(
                "`--tissue {}` is no share from 0 to 1",
                self.tissue
            )));
        }
        Ok(microns)
    }

    /// Whether anything but the default was asked.
    pub fn is_given(&self) -> bool {
        let sizes = [self.microns_per_pixel, self.slide_microns_per_pixel];
        sizes.iter().any(Option::is_some) || self.tissue != TISSUE
    }
}

/// What decides the result, but the slides: a folder that was begun with another request is not gone on with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Asked {
    program: String,
    /// Hash of the network.
    network: String,
    classes: Vec<String>,
    predict: PredictSettings,
    microns_per_pixel: f64,
    slide_microns_per_pixel: Option<f64>,
    tissue: f64,
}

/// What is there of a class on a slide.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Area {
    slide: String,
    class: String,
    /// In square millimetres.
    area: f64,
    /// Of all that was looked at.
    share: f64,
}

#[derive(Debug, Serialize)]
struct Summary {
    folder: PathBuf,
    slides: usize,
    slides_left_out: usize,
    tiles: u64,
    left_out: u64,
    areas: Vec<Area>,
}

/// What a process does in the folder.
const PREDICTS: &str = "predicts slides";

/// Squares of the map are about so many microns wide.
const MAP: f64 = 4.0;

/// A network, and how it looks at slides.
struct Looking<'a> {
    context: &'a Context,
    request: &'a Request<'a>,
    segmenter: Segmenter,
    asked: Asked,
    /// Pixels of the network along a square of the map.
    square: usize,
}

/// Predicts slides; those that are done are kept.
pub fn run(context: &Context, request: &Request) -> Result<()> {
    let manifest = read_manifest(request.run)?;
    if manifest.kind != Labelled::Pixels {
        return Err(Failure::usage(format!(
            "{} says {} of images, and slides are predicted by networks for class masks",
            request.run.display(),
            match manifest.kind {
                Labelled::Boxes => "boxes",
                _ => "objects",
            }
        ))
        .help("Export tiles of the slide as images, and predict those."));
    }
    let names = names(request.slides, "slides")?;
    let looking = Looking::new(context, request, &manifest)?;
    // What cannot be read is said before hours of work.
    let mut readable = Vec::new();
    for (path, name) in request.slides.iter().zip(&names) {
        match looking.open(path).and_then(|slide| looking.plan(&slide)) {
            Ok(_) => readable.push((path, name)),
            Err(failure) if request.strict || names.len() == 1 => return Err(failure),
            Err(failure) => context.output.warn(&failure.warning()),
        }
    }
    if readable.is_empty() {
        return Err(Failure::input("none of the slides can be predicted"));
    }
    let held = looking.begin()?;
    let mut summary = Summary {
        folder: request.out.to_owned(),
        slides: readable.len(),
        slides_left_out: names.len() - readable.len(),
        tiles: 0,
        left_out: 0,
        areas: Vec::new(),
    };
    for (path, name) in readable {
        let lines = looking.slide(path, name)?;
        summary.tiles += lines.len() as u64;
        summary.left_out += lines.iter().filter(|line| line.pixels.is_empty()).count() as u64;
        summary.areas.extend(looking.areas(name, &lines));
    }
    let rows = summary.areas.iter().map(|area| {
        [
            area.slide.clone(),
            area.class.clone(),
            format!("{:.6}", area.area),
            format!("{:.6}", area.share),
        ]
    });
    let table = to_csv(&["slide", "class", "area_mm2", "share"], rows);
    write_file(&request.out.join("areas.csv"), &table)?;
    held.release()?;
    context.output.show(&summary)
}

impl<'a> Looking<'a> {
    fn new(
        context: &'a Context,
        request: &'a Request<'a>,
        manifest: &NetworkManifest,
    ) -> Result<Self> {
        let recipe: PixelRecipe = read_config(request.run)?;
        let (bytes, file) = network(request.run, manifest)?;
        let microns_per_pixel = request
            .scale
            .pixels(manifest.microns_per_pixel, request.run.display())?;
        let asked = Asked {
            program: crate::context::program(),
            network: blake3::hash(&bytes).to_hex().to_string(),
            classes: manifest.classes.clone(),
            predict: PredictSettings {
                turns: request.turns.unwrap_or(recipe.predict.turns),
                ..recipe.predict
            },
            microns_per_pixel,
            slide_microns_per_pixel: request.scale.slide_microns_per_pixel,
            tissue: request.scale.tissue,
        };
        Ok(Self {
            context,
            request,
            segmenter: Segmenter::from_bytes(&bytes, &file, &request.device.open()?.device)?,
            square: ((MAP / microns_per_pixel).round() as usize).max(1),
            asked,
        })
    }

    /// Makes the folder, or goes on with one that was begun with the same request.
    fn begin(&self) -> Result<Held> {
        let out = self.request.out;
        if !is_begun(out, &self.asked, "another network or other settings")? {
            begin(out, &self.asked)?;
        }
        Held::new(out, PREDICTS)
    }

    fn open(&self, path: &Path) -> Result<Slide> {
        open_slide(path, self.asked.slide_microns_per_pixel)
    }

    /// Tiles as the network sees them: whole squares of the map, and a margin that other tiles have too.
    fn plan(&self, slide: &Slide) -> Result<TilePlan> {
        let PredictSettings { tile, overlap, .. } = self.asked.predict;
        let margin = (overlap / 2) as u32;
        let inner = (tile as u32).saturating_sub(2 * margin);
        let inner = (inner / self.square as u32).max(1) * self.square as u32;
        let settings = TileSettings {
            microns_per_pixel: Some(self.asked.microns_per_pixel),
            side: inner + 2 * margin,
            margin,
        };
        Ok(TilePlan::new(slide, &settings)?)
    }

    /// A slide, unless it is done; what there is in each tile.
    fn slide(&self, path: &Path, name: &str) -> Result<Vec<TileLine>> {
        let done = self.request.out.join(name);
        let rows = Rows {
            folder: self.request.out.join(format!(".{name}")),
        };
        if done.exists() {
            return work::read_tiles(&done.join("tiles.csv"), &self.asked.classes);
        }
        let slide = self.open(path)?;
        let plan = self.plan(&slide)?;
        let tissue = TissueMask::of(&slide, &TissueSettings::default())?;
        let tiles = plan.with_tissue(&tissue, self.asked.tissue);
        if tiles.is_empty() {
            self.context.output.warn(&format!(
                "{}: no tile has a share of {} of tissue",
                path.display(),
                self.asked.tissue
            ));
        }
        let mut said = BTreeSet::new();
        let bar = progress::bar(name, tiles.len());
        let mut lines = Vec::new();
        let mut map = ClassMap::new(&plan, self.square);
        for row in tiles.chunk_by(|one, other| one.row == other.row) {
            let of_row = match rows.read(row[0].row)? {
                Some(done) => done,
                None => {
                    let mut done = work::Row::new(&plan, self.square);
                    for tile in row {
                        self.look(&slide, (&plan, &tissue), tile, &mut done, &mut said)?;
                        bar.inc(1);
                    }
                    rows.write(row[0].row, &done)?;
                    done
                }
            };
            map.put(row[0].row, of_row.classes.view());
            lines.extend(of_row.tiles);
            bar.set_position(lines.len() as u64);
        }
        bar.finish_and_clear();
        publish_folder(&done, |folder| {
            map.write(folder, &slide, &plan, &self.asked.classes)?;
            work::write_tiles(&folder.join("tiles.csv"), &self.asked.classes, &lines)
        })?;
        rows.remove()?;
        Ok(lines)
    }

    /// Looks at a tile; one that cannot be decoded is left out, and said once.
    fn look(
        &self,
        slide: &Slide,
        (plan, tissue): (&TilePlan, &TissueMask),
        tile: &PlannedTile,
        row: &mut work::Row,
        said: &mut BTreeSet<String>,
    ) -> Result<()> {
        let pixels = match plan.read(slide, tile) {
            Ok(pixels) => pixels,
            Err(error) if self.request.strict => return Err(error.into()),
            Err(error) => {
                let problem = error.to_string();
                if said.insert(problem.clone()) {
                    self.context.output.warn(&problem);
                }
                row.tiles.push(TileLine::left_out(tile));
                return Ok(());
            }
        };
        let predict = PredictSettings {
            // A tile of the plan is one of the network.
            tile: plan.side as usize,
            ..self.asked.predict.clone()
        };
        let said = self.segmenter.predict(&pixels, &predict)?;
        let everywhere = self.asked.tissue == 0.0;
        row.put(tile, plan, said.view(), self.square, |place| {
            everywhere || tissue.at(place)
        });
        Ok(())
    }

    /// How much there is of each class in the tissue.
    fn areas(&self, name: &str, lines: &[TileLine]) -> Vec<Area> {
        let sums = |class: usize| -> u64 {
            let of = lines.iter().filter_map(|line| line.pixels.get(class));
            of.sum()
        };
        let all: u64 = (0..self.asked.classes.len()).map(sums).sum();
        let of_pixel = (self.asked.microns_per_pixel / 1000.0).powi(2);
        let classes = self.asked.classes.iter().enumerate();
        classes
            .map(|(class, of)| Area {
                slide: name.to_owned(),
                class: of.clone(),
                area: sums(class) as f64 * of_pixel,
                share: sums(class) as f64 / all.max(1) as f64,
            })
            .collect()
    }
}

/// Opens a slide; what is told of the size of its pixels holds where it does not say it itself.
pub fn open_slide(path: &Path, microns_per_pixel: Option<f64>) -> Result<Slide> {
    let options = OpenOptions::default();
    let slide = Slide::open(path, &options)?;
    if slide.microns_per_pixel().is_ok() {
        return Ok(slide);
    }
    let told = OpenOptions {
        microns_per_pixel,
        ..options
    };
    Ok(Slide::open(path, &told)?)
}

impl Show for Summary {
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
        let left_out = match self.left_out {
            0 => String::new(),
            some => format!(", {} left out", count(some as usize, "damaged tile")),
        };
        let slides_left_out = match self.slides_left_out {
            0 => String::new(),
            some => format!(" ({some} left out)"),
        };
        format!(
            "{}: {}{slides_left_out}, {} with tissue{left_out}\n{}",
            self.folder.display(),
            count(self.slides, "slide"),
            count(self.tiles as usize, "tile"),
            table.text()
        )
    }
}
