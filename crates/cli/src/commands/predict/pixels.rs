//! Masks and objects of new images: `NAME.png`, and `NAME.geojson` of objects.

use cleanslide_data::formats::{Annotation, Shape};
use cleanslide_data::{Classes, MaskFile};
use cleanslide_image::contour::outlines;
use cleanslide_learn::segment::{
    ObjectSettings, PredictSettings, Segmenter, most_probable, objects_of_classes,
};
use image::RgbImage;
use ndarray::{Array2, Array3};

use super::networks::{Predictor, Request, Target, classes, network};
use crate::failure::Result;
use crate::network_run::{Labelled, NetworkManifest, PixelRecipe, read_config};

/// A network that gives every pixel a class.
pub struct Pixels {
    segmenter: Segmenter,
    settings: PredictSettings,
    /// How objects are told from each other, if they are.
    objects: Option<ObjectSettings>,
    classes: Classes,
}

impl Pixels {
    /// The network of a run.
    pub fn open(request: &Request, manifest: &NetworkManifest) -> Result<Self> {
        let recipe: PixelRecipe = read_config(request.run)?;
        let (bytes, file) = network(request.run, manifest)?;
        Ok(Self {
            segmenter: Segmenter::from_bytes(&bytes, &file, &request.device.open()?.device)?,
            settings: PredictSettings {
                turns: request.turns.unwrap_or(recipe.predict.turns),
                ..recipe.predict
            },
            objects: (manifest.kind == Labelled::Instances).then_some(recipe.objects),
            classes: classes(manifest)?,
        })
    }
}

impl Predictor for Pixels {
    fn what(&self) -> &'static str {
        match self.objects {
            Some(_) => "objects",
            None => "pixels",
        }
    }

    fn write(&mut self, image: &RgbImage, target: &Target, counts: &mut [u64]) -> Result<()> {
        let probabilities = self.segmenter.predict(image, &self.settings)?;
        match &self.objects {
            Some(settings) => objects(&probabilities, settings, &self.classes, target, counts),
            None => pixels(&probabilities, target, counts),
        }
    }
}

fn pixels(probabilities: &Array3<f32>, target: &Target, counts: &mut [u64]) -> Result<()> {
    let mask = most_probable(probabilities.view());
    for &class in &mask {
        counts[usize::from(class)] += 1;
    }
    MaskFile::write_classes(&target.with("png"), mask.view())?;
    Ok(())
}

fn objects(
    probabilities: &Array3<f32>,
    settings: &ObjectSettings,
    classes: &Classes,
    target: &Target,
    counts: &mut [u64],
) -> Result<()> {
    let (mask, of) = objects_of_classes(probabilities.view(), settings)?;
    for &class in &of {
        counts[class] += 1;
    }
    MaskFile::write_instances(&target.with("png"), mask.view())?;
    target.write_annotations(&annotations(&mask, &of, classes)?)
}

/// Outlines of the objects.
fn annotations(mask: &Array2<u32>, of: &[usize], classes: &Classes) -> Result<Vec<Annotation>> {
    Ok(outlines(mask.view())?
        .into_iter()
        .map(|outline| {
            let class = of[outline.label as usize - 1];
            Annotation::new(classes.name(class), Shape::Polygon(outline.polygon))
        })
        .collect())
}
