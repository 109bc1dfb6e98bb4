//! Boxes of objects in new images: `NAME.geojson`, and `boxes.csv` of all.

use std::path::Path;

use cleanslide_data::formats::{Annotation, Shape};
use cleanslide_data::store::write_file;
use cleanslide_data::{Classes, Detection, to_csv};
use cleanslide_learn::detect::{Detector, DetectorPredictSettings};
use image::RgbImage;

use super::networks::{Predictor, Request, Target, classes, network};
use crate::failure::Result;
use crate::network_run::{BoxRecipe, NetworkManifest, read_config};

/// A network that finds objects.
pub struct Boxes {
    detector: Detector,
    settings: DetectorPredictSettings,
    classes: Classes,
    /// Of all images so far.
    rows: Vec<[String; 7]>,
}

impl Boxes {
    /// The network of a run.
    pub fn open(request: &Request, manifest: &NetworkManifest) -> Result<Self> {
        let recipe: BoxRecipe = read_config(request.run)?;
        let (bytes, file) = network(request.run, manifest)?;
        Ok(Self {
            detector: Detector::from_bytes(&bytes, &file, &request.device.open()?.device)?,
            settings: DetectorPredictSettings {
                turns: request.turns.unwrap_or(recipe.predict.turns),
                ..recipe.predict
            },
            classes: classes(manifest)?,
            rows: Vec::new(),
        })
    }

    fn annotation(&self, found: &Detection) -> Annotation {
        Annotation {
            score: Some(found.score),
            ..Annotation::new(
                self.classes.name(found.class),
                Shape::Rectangle(found.rectangle),
            )
        }
    }

    fn row(&self, image: &str, found: &Detection) -> [String; 7] {
        let [left, top, right, bottom] =
            <[f64; 4]>::from(found.rectangle).map(|side| format!("{side:.2}"));
        [
            image.to_owned(),
            self.classes.name(found.class).to_owned(),
            format!("{:.4}", found.score),
            left,
            top,
            right,
            bottom,
        ]
    }
}

impl Predictor for Boxes {
    fn what(&self) -> &'static str {
        "objects"
    }

    fn write(&mut self, image: &RgbImage, target: &Target, counts: &mut [u64]) -> Result<()> {
        let found = self.detector.predict(image, &self.settings)?;
        for found in &found {
            counts[found.class] += 1;
            let row = self.row(&target.name, found);
            self.rows.push(row);
        }
        let annotations: Vec<Annotation> = found.iter().map(|f| self.annotation(f)).collect();
        target.write_annotations(&annotations)
    }

    fn finish(&self, folder: &Path) -> Result<()> {
        let header = ["image", "class", "score", "left", "top", "right", "bottom"];
        let bytes = to_csv(&header, self.rows.iter().cloned());
        Ok(write_file(&folder.join("boxes.csv"), &bytes)?)
    }
}
