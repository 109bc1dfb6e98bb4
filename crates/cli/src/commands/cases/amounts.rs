//! How much there is of each class in each case, by what was predicted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cleanslide_data::{Dataset, Family, Table, TryMap};
use rayon::prelude::*;
use serde::Serialize;

use crate::commands::evaluate::shape_measures::class_mask;
use crate::commands::train::networks::SOURCE;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::network_run::{is_network_run, predictions_of_run};
use crate::output::count;

/// What areas are measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Unit {
    /// Where all know how large their pixels are.
    #[serde(rename = "mm²")]
    SquareMillimetres,
    /// Where some do not.
    #[serde(rename = "pixels")]
    Pixels,
}

impl Unit {
    /// What the names of columns end with.
    pub fn column(self) -> &'static str {
        match self {
            Self::SquareMillimetres => "_mm2",
            Self::Pixels => "_pixels",
        }
    }
}

/// What was found in a case.
#[derive(Debug, Clone, Default)]
pub struct OfCase {
    /// How much there is of each class.
    pub classes: Vec<f64>,
    /// The images of the dataset that are of it, by their place.
    pub images: Vec<usize>,
    /// The folders of its predicted slides.
    pub slides: Vec<PathBuf>,
}

/// What was found in all cases.
pub struct Amounts {
    /// What it is measured in.
    pub unit: Unit,
    /// By the name of the case.
    pub cases: BTreeMap<String, OfCase>,
}

impl Amounts {
    /// Reads what a run predicted of a dataset, or what was predicted of slides.
    pub fn read(context: &Context, dataset: &Dataset, found: &Path) -> Result<Self> {
        if found.join("areas.csv").is_file() {
            return Self::of_slides(context, dataset, found);
        }
        if found.join("counts.csv").is_file() {
            return Err(Failure::input(format!(
                "{} counts objects, and cases are called by areas of classes",
                found.display()
            ))
            .help("Predict the slides with a network for class masks."));
        }
        if is_network_run(found) {
            return Self::of_run(dataset, found);
        }
        Err(Failure::input(format!(
            "{} is no run of a network and no folder of predicted slides",
            found.display()
        ))
        .help("Make one with `cleanslide train`, or with `cleanslide predict RUN SLIDES --out FOLDER`."))
    }

    /// Reads what a run predicted of a dataset.
    pub fn of_run(dataset: &Dataset, run: &Path) -> Result<Self> {
        let predictions = predictions_of_run(dataset, run)?;
        let masks = predictions.of_images(SOURCE, Family::Mask);
        if masks.is_empty() {
            return Err(Failure::input(format!(
                "{} predicts no class masks, and cases are called by areas of classes",
                run.display()
            )));
        }
        let classes = dataset.classes().len();
        let images: Vec<(usize, &_)> = masks
            .iter()
            .filter_map(|(id, piece)| Some((dataset.position(id)?, *piece)))
            .collect();
        let sizes: Vec<Option<f64>> = images
            .iter()
            .map(|&(image, _)| dataset.images()[image].microns_per_pixel)
            .collect();
        let unit = match sizes.iter().all(Option::is_some) {
            true => Unit::SquareMillimetres,
            false => Unit::Pixels,
        };
        let counted = images.par_iter().try_map(|(_, piece)| {
            let mut counts = vec![0.0; classes];
            for &class in &class_mask(&piece.target)? {
                if let Some(count) = counts.get_mut(usize::from(class)) {
                    *count += 1.0;
                }
            }
            Ok::<_, Failure>(counts)
        })?;
        let mut found = Self {
            unit,
            cases: BTreeMap::new(),
        };
        for ((&(image, _), counts), size) in images.iter().zip(counted).zip(sizes) {
            let of_pixel = match (unit, size) {
                (Unit::SquareMillimetres, Some(microns)) => (microns / 1000.0).powi(2),
                _ => 1.0,
            };
            let of_case = found.case(dataset, image);
            of_case.images.push(image);
            for (sum, count) in of_case.classes.iter_mut().zip(counts) {
                *sum += count * of_pixel;
            }
        }
        Ok(found)
    }

    fn of_slides(context: &Context, dataset: &Dataset, folder: &Path) -> Result<Self> {
        let table = Table::read(&folder.join("areas.csv"))?;
        let columns = ["slide", "class", "area_mm2"].map(|name| table.column(name));
        let [slide, class, area] = columns;
        let (slide, class, area) = (slide?, class?, area?);
        let mut found = Self {
            unit: Unit::SquareMillimetres,
            cases: BTreeMap::new(),
        };
        let mut unknown: Vec<&str> = Vec::new();
        for row in table.rows() {
            let name = row.get(slide);
            let images = images_of_slide(dataset, name);
            let Some(&first) = images.first() else {
                if !unknown.contains(&name) {
                    unknown.push(name);
                }
                continue;
            };
            let class = dataset
                .classes()
                .index(row.get(class))
                .map_err(|error| table.error(row, error.to_string()))?;
            let value: f64 = row
                .get(area)
                .parse()
                .map_err(|_| table.error(row, format!("`{}` is no area", row.get(area))))?;
            let of_case = found.case(dataset, first);
            of_case.classes[class] += value;
            let path = folder.join(name);
            if !of_case.slides.contains(&path) {
                of_case.slides.push(path);
                of_case.images.extend(images);
            }
        }
        if let Some(first) = unknown.first() {
            let message = format!(
                "{} of {} that the dataset does not know; the first is {first}",
                count(unknown.len(), "slide"),
                folder.display()
            );
            if found.cases.is_empty() {
                return Err(Failure::input(message).help(
                    "The column `slide` of images.csv must have the names of the slides' files, without endings.",
                ));
            }
            context.output.warn(&format!("left out: {message}"));
        }
        Ok(found)
    }

    /// The name of the case of an image; one of which no case is known is a case of its own.
    pub fn case_of(dataset: &Dataset, image: usize) -> String {
        let record = &dataset.images()[image];
        let names = [&record.case, &record.slide, &record.id].into_iter();
        let known = names.into_iter().find(|name| !name.is_empty());
        known.cloned().unwrap_or_default()
    }

    fn case(&mut self, dataset: &Dataset, image: usize) -> &mut OfCase {
        let of_case = self.cases.entry(Self::case_of(dataset, image)).or_default();
        of_case.classes.resize(dataset.classes().len(), 0.0);
        of_case
    }
}

/// The images of the dataset that are of a slide: by their column, or by the name of their file.
fn images_of_slide(dataset: &Dataset, slide: &str) -> Vec<usize> {
    let images = dataset.images().iter().enumerate();
    images
        .filter(|(_, image)| {
            image.slide == slide
                || Path::new(&image.path)
                    .file_stem()
                    .is_some_and(|stem| stem == slide)
        })
        .map(|(place, _)| place)
        .collect()
}
