//! Cells that `predict` found on slides.

use std::collections::BTreeMap;
use std::path::Path;

use cleanslide_data::formats::{Annotation, Shape};
use cleanslide_data::{ImageRecord, Point, Polygon, Table};
use cleanslide_eval::infiltration::{Foci, FocusSettings};
use cleanslide_image::contour::outlines;
use cleanslide_image::region::{Neighbours, components};
use cleanslide_slide::{OpenOptions, Slide};
use ndarray::Array2;

use super::Measured;
use crate::commands::predict::slides::tissue::{LOOKED_AT, RECORD, SlideRecord, TISSUE};
use crate::failure::{Failure, Result};
use crate::json_file::read_json;
use crate::progress;

/// How many objects of each class there are on each slide.
const COUNTS: &str = "counts.csv";

/// Whether a folder has what `predict` found on slides.
pub fn has_found(folder: &Path) -> bool {
    folder.join(COUNTS).is_file()
}

/// The slides of a folder, with the classes of their objects.
pub struct Found<'a> {
    folder: &'a Path,
    /// In the order of the table.
    slides: Vec<String>,
    /// In the order of the table.
    pub classes: Vec<String>,
}

impl<'a> Found<'a> {
    pub fn read(folder: &'a Path) -> Result<Self> {
        let table = Table::read(&folder.join(COUNTS))?;
        let distinct = |name: &str| -> Result<Vec<String>> {
            let column = table.column(name)?;
            let mut known: Vec<String> = Vec::new();
            for row in table.rows() {
                if !known.iter().any(|known| known == row.get(column)) {
                    known.push(row.get(column).to_owned());
                }
            }
            Ok(known)
        };
        Ok(Self {
            folder,
            slides: distinct("slide")?,
            classes: distinct("class")?,
        })
    }

    /// The slides as images, each a case of its own.
    pub fn images(&self) -> Vec<ImageRecord> {
        let slides = self.slides.iter();
        let image = |slide: &String| ImageRecord {
            id: slide.clone(),
            path: self.folder.join(slide).display().to_string(),
            slide: slide.clone(),
            case: slide.clone(),
            ..ImageRecord::default()
        };
        slides.map(image).collect()
    }

    /// The cells of a class on all slides.
    pub fn measure(
        &self,
        images: Vec<ImageRecord>,
        class: &str,
        settings: FocusSettings,
    ) -> Result<Vec<Measured>> {
        let mut cases: BTreeMap<String, usize> = BTreeMap::new();
        let bar = progress::bar("measuring", images.len());
        let measured = images.into_iter().map(|image| {
            let next = cases.len();
            let case = *cases.entry(image.case.clone()).or_insert(next);
            let measured = of_slide(&self.folder.join(&image.slide), class, settings);
            bar.inc(1);
            let (foci, annotations) = measured?;
            Ok(Measured {
                image,
                case,
                figures: foci.infiltration,
                annotations,
            })
        });
        let measured = measured.collect();
        bar.finish_and_clear();
        measured
    }
}

/// The foci of a slide, with their outlines in pixels of level 0, from where QuPath counts.
fn of_slide(
    folder: &Path,
    class: &str,
    settings: FocusSettings,
) -> Result<(Foci, Vec<Annotation>)> {
    let SlideRecord {
        microns_per_pixel,
        origin,
        ..
    } = read_json(&folder.join(RECORD)).map_err(|failure| {
        failure.help("What was found before this build has no such file: predict the slides again.")
    })?;
    let (tissue, of_mask) = tissue(&folder.join(TISSUE))?;
    // Pixels of level 0 beside each other in one of the mask.
    let downsample = of_mask / microns_per_pixel;
    let cells: Vec<[f64; 2]> = middles(&folder.join("objects.csv"), class)?
        .into_iter()
        .map(|[x, y]| [y / downsample, x / downsample])
        .collect();
    let foci = Foci::of(&cells, tissue.view(), of_mask, settings);
    let regions = components(foci.region.view(), Neighbours::Four)?.labels;
    let placed = |ring: &Vec<Point>| -> Vec<Point> {
        let points = ring.iter().map(|point| Point {
            x: point.x * downsample - origin[0] as f64,
            y: point.y * downsample - origin[1] as f64,
        });
        points.collect()
    };
    let annotations = outlines(regions.view())?.into_iter().map(|outline| {
        let Polygon { outline, holes } = outline.polygon;
        let polygon = Polygon {
            outline: placed(&outline),
            holes: holes.iter().map(placed).collect(),
        };
        Annotation::new("focus", Shape::Polygon(polygon))
    });
    let annotations = annotations.collect();
    Ok((foci, annotations))
}

/// The tissue that was looked at, and the size of a pixel of the mask in microns.
fn tissue(path: &Path) -> Result<(Array2<bool>, f64)> {
    let mask = Slide::open(path, &OpenOptions::default())?;
    let [width, height] = mask.levels()[0].size.map(|side| side as u32);
    let pixels = mask.region(0, 0, 0, [width, height])?;
    let is_tissue = |(row, column)| pixels[(column as u32, row as u32)].0[0] == LOOKED_AT;
    let tissue = Array2::from_shape_fn((height as usize, width as usize), is_tissue);
    Ok((tissue, mask.microns_per_pixel()?))
}

/// The middles (x, y) of the objects of a class, in pixels of level 0.
fn middles(path: &Path, class: &str) -> Result<Vec<[f64; 2]>> {
    let table = Table::read(path)?;
    let [of_class, x, y] = [
        table.column("class")?,
        table.column("x")?,
        table.column("y")?,
    ];
    let rows = table.rows().iter().filter(|row| row.get(of_class) == class);
    rows.map(|row| {
        let place = [x, y].map(|column| row.get(column).parse::<f64>());
        match place {
            [Ok(x), Ok(y)] => Ok([x, y]),
            _ => Err(Failure::from(table.error(row, "its x and y are no place"))),
        }
    })
    .collect()
}
