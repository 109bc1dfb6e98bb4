//! Networks that find objects and draw boxes around them.

use std::path::Path;

use cleanslide_data::store::write_file;
use cleanslide_data::{Family, Object, Objects, Rectangle, Target, Trust};
use cleanslide_learn::detect::{BoxImages, Detector, Trainer};
use cleanslide_learn::training::Watch;
use image::RgbImage;
use serde::{Deserialize, Serialize};

use super::networks::{Job, Learner, Part};
use crate::failure::{Failure, Result};
use crate::network_run::{BoxRecipe, SISSI};
use crate::shape_labels::about;

/// Networks for boxes.
pub struct Boxes;

/// A predicted box on its way into labels.
#[derive(Serialize, Deserialize)]
struct Found {
    sides: Rectangle,
    class: usize,
    score: f64,
}

impl Learner for Boxes {
    type Recipe = BoxRecipe;
    type Model = Detector;

    fn with_method(recipe: BoxRecipe, name: &str) -> Result<BoxRecipe> {
        if name != SISSI {
            return Err(
                Failure::usage(format!("there is no method `{name}` for boxes")).help(format!(
                    "`{SISSI}` corrects boxes while it learns from them; without a method they are learned from as they are."
                )),
            );
        }
        let correction = recipe.correction.unwrap_or_default();
        Ok(BoxRecipe {
            correction: Some(correction),
            ..recipe
        })
    }

    fn check(job: &Job<BoxRecipe>) -> Result<()> {
        let labels = job.labels;
        if labels.family != Family::Boxes {
            return Err(Failure::input(format!(
                "`{}` gives {}; detectors learn from boxes",
                labels.source,
                labels.family.name()
            )));
        }
        let objects = labels.pieces.iter().any(|piece| match &piece.target {
            Target::Boxes(boxes) => !boxes.objects.is_empty(),
            _ => false,
        });
        if !objects {
            return Err(Failure::input(format!(
                "`{}` marked no object on any image, so there is nothing to find",
                labels.source
            )));
        }
        Ok(())
    }

    fn train(
        job: &Job<BoxRecipe>,
        part: &Part,
        seed: u64,
        folder: &Path,
        watch: &Watch,
    ) -> Result<Detector> {
        Trainer {
            images: &LabelledImages(job),
            items: &part.items,
            also: &part.also,
            validation: &part.validation,
            classes: job.dataset.classes().names(),
            settings: &job.recipe.settings(),
            seed,
            device: &job.device.device,
            folder,
        }
        .run(watch)
    }

    fn bytes(model: &Detector) -> Result<Vec<u8>> {
        Ok(model.to_bytes()?)
    }

    fn predict(job: &Job<BoxRecipe>, model: &Detector, image: usize, name: &Path) -> Result<()> {
        let pixels = job.pixels(image)?;
        let found: Vec<Found> = model
            .predict(&pixels, &job.recipe.predict)?
            .into_iter()
            .map(|found| Found {
                sides: found.rectangle,
                class: found.class,
                score: found.score,
            })
            .collect();
        let text = serde_json::to_vec(&found).map_err(|error| Failure::other(error.to_string()))?;
        Ok(write_file(&name.with_extension("json"), &text)?)
    }

    fn predicted(_: &Job<BoxRecipe>, name: &Path) -> Result<Target> {
        let path = name.with_extension("json");
        let text = std::fs::read(&path)
            .map_err(|error| cleanslide_data::Error::io("read", &path, error))?;
        let found: Vec<Found> = serde_json::from_slice(&text)
            .map_err(|error| Failure::other(format!("{}: {error}", path.display())))?;
        let object = |found: Found| -> Result<Object<Rectangle>> {
            Ok(Object {
                shape: found.sides,
                class: found.class,
                trust: Trust::new(found.score as f32)?,
            })
        };
        Ok(Target::Boxes(Objects {
            objects: found.into_iter().map(object).collect::<Result<_>>()?,
            complete: true,
        }))
    }
}

/// The boxes of a source.
struct LabelledImages<'a, 'b>(&'a Job<'b, BoxRecipe>);

impl BoxImages for LabelledImages<'_, '_> {
    type Failure = Failure;

    fn name(&self, image: usize) -> String {
        self.0.record(image).id.clone()
    }

    fn read(&self, image: usize) -> Result<(RgbImage, Objects<Rectangle>)> {
        let labelled = self.0.image(image);
        let Target::Boxes(boxes) = &labelled.piece.target else {
            return Err(about(labelled.record, "its labels are no boxes"));
        };
        let mut boxes = boxes.clone();
        for object in &mut boxes.objects {
            object.class = labelled.class(object.class);
            object.trust = Trust::new(object.trust.value() * labelled.piece.trust.value())?;
        }
        Ok((self.0.pixels(image)?, boxes))
    }
}
