//! Networks that give every pixel a class, also to tell objects from each other.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cleanslide_data::store::write_file;
use cleanslide_data::{Family, MaskFile, Target, UNLABELLED_CLASS};
use cleanslide_learn::experts::ExpertModel;
use cleanslide_learn::pixels::PixelImages;
use cleanslide_learn::segment::{
    Segmenter, Trainer, classes_of_objects, most_probable, objects_of_classes, pixel_classes,
};
use cleanslide_learn::training::Watch;
use image::RgbImage;
use ndarray::Array2;

use super::dual::{refuse_unknown_priors, train_dual, write_selection};
use super::experts::{method_by_name, train_of_experts, write_beliefs};
use super::networks::{Job, Learner, Part};
use crate::failure::{Failure, Result};
use crate::network_run::{COMPLEMENTARY, DUAL, NetworkRecipe, PixelRecipe, SISSI};
use crate::shape_labels::about;

/// Networks for class masks and instance masks.
pub struct Pixels;

/// A trained network, and what it found out about experts if there were several.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum Model {
    /// Of one source.
    Plain(Segmenter),
    /// Of several experts.
    OfExperts(ExpertModel),
}

impl Model {
    fn segmenter(&self) -> &Segmenter {
        match self {
            Self::Plain(segmenter) => segmenter,
            Self::OfExperts(model) => &model.segmenter,
        }
    }
}

impl Learner for Pixels {
    type Recipe = PixelRecipe;
    type Model = Model;

    fn with_method(recipe: PixelRecipe, name: &str) -> Result<PixelRecipe> {
        if name == SISSI {
            let correction = recipe.correction.unwrap_or_default();
            return Ok(PixelRecipe {
                correction: Some(correction),
                ..recipe
            });
        }
        if name == DUAL {
            let dual = recipe.dual.unwrap_or_default().whole();
            return Ok(PixelRecipe {
                dual: Some(dual),
                ..recipe
            });
        }
        if name == COMPLEMENTARY {
            let complementary = recipe.complementary.unwrap_or_default();
            return Ok(PixelRecipe {
                complementary: Some(complementary),
                ..recipe
            });
        }
        let mut experts = recipe.experts.clone().unwrap_or_default();
        let method = method_by_name(name)?;
        if method.name() != experts.method.name() {
            experts.method = method;
        }
        recipe.with_experts(experts)
    }

    fn check(job: &Job<PixelRecipe>) -> Result<()> {
        let labels = job.labels;
        if !matches!(labels.family, Family::Mask | Family::Instances) {
            return Err(Failure::input(format!(
                "`{}` gives {}; networks for pixels learn from class masks or instance masks",
                labels.source,
                labels.family.name()
            )));
        }
        if job.recipe.corrects_labels() && labels.family != Family::Instances {
            return Err(Failure::input(format!(
                "`{}` gives class masks, and only boxes and masks of objects are corrected while they are learned from",
                labels.source
            ))
            .help("Leave [correction] and [dual] out; a robust loss of pixels is [loss] pixels = { name = \"gce\" }."));
        }
        if job.recipe.complementary.is_some() && labels.family != Family::Mask {
            return Err(Failure::input(format!(
                "`{}` gives masks of objects, and diagnoses are learned from beside class masks",
                labels.source
            ))
            .help("Leave [complementary] out, or choose a source of class masks."));
        }
        if let Some(dual) = &job.recipe.dual {
            refuse_unknown_priors(job, dual)?;
        }
        if classes(job).len() < 2 {
            return Err(Failure::input(
                "the masks have one class only, so there is nothing to tell apart",
            ));
        }
        Ok(())
    }

    fn train(
        job: &Job<PixelRecipe>,
        part: &Part,
        seed: u64,
        folder: &Path,
        watch: &Watch,
    ) -> Result<Model> {
        if let Some(experts) = &job.recipe.experts {
            let trained = train_of_experts(job, experts, part, seed, folder, watch)?;
            return Ok(Model::OfExperts(trained));
        }
        if let Some(dual) = &job.recipe.dual {
            let trained = train_dual(job, dual, part, seed, folder, watch)?;
            return Ok(Model::Plain(trained));
        }
        let trained = Trainer {
            images: &LabelledImages(job),
            items: &part.items,
            also: &part.also,
            validation: &part.validation,
            classes: &classes(job),
            settings: &job.recipe.settings(),
            seed,
            device: &job.device.device,
            folder,
        };
        Ok(Model::Plain(trained.run(watch)?))
    }

    fn bytes(model: &Model) -> Result<Vec<u8>> {
        Ok(model.segmenter().to_bytes()?)
    }

    fn show(job: &Job<PixelRecipe>, model: &Model, part: &Part, folder: &Path) -> Result<()> {
        match model {
            Model::OfExperts(model) => write_beliefs(job, model, part, folder),
            Model::Plain(_) => write_selection(job, folder),
        }
    }

    fn predict(job: &Job<PixelRecipe>, model: &Model, image: usize, name: &Path) -> Result<()> {
        let pixels = job.pixels(image)?;
        let probabilities = model.segmenter().predict(&pixels, &job.recipe.predict)?;
        let mask = name.with_extension("png");
        let of_objects = if job.labels.family == Family::Instances {
            let (objects, of) = objects_of_classes(probabilities.view(), &job.recipe.objects)?;
            MaskFile::write_instances(&mask, objects.view())?;
            of
        } else {
            MaskFile::write_classes(&mask, most_probable(probabilities.view()).view())?;
            Vec::new()
        };
        let text =
            serde_json::to_vec(&of_objects).map_err(|error| Failure::other(error.to_string()))?;
        Ok(write_file(&name.with_extension("json"), &text)?)
    }

    fn predicted(job: &Job<PixelRecipe>, name: &Path) -> Result<Target> {
        let mask = MaskFile::at(name.with_extension("png"))?;
        if job.labels.family != Family::Instances {
            return Ok(Target::Dense(mask));
        }
        let path = name.with_extension("json");
        let text =
            fs::read(&path).map_err(|error| cleanslide_data::Error::io("read", &path, error))?;
        let classes =
            serde_json::from_slice(&text).map_err(|error| Failure::other(error.to_string()))?;
        Ok(Target::Instances { mask, classes })
    }
}

/// Names of the classes that pixels have.
pub fn classes(job: &Job<PixelRecipe>) -> Vec<String> {
    let names = job.dataset.classes().names();
    if job.labels.family == Family::Instances {
        pixel_classes(names)
    } else {
        names.to_vec()
    }
}

/// The labels of a source as classes of pixels.
struct LabelledImages<'a, 'b>(&'a Job<'b, PixelRecipe>);

impl PixelImages for LabelledImages<'_, '_> {
    type Failure = Failure;

    fn count(&self) -> usize {
        self.0.labels.images.len() + self.0.also().len()
    }

    fn name(&self, image: usize) -> String {
        self.0.record(image).id.clone()
    }

    fn trust(&self, image: usize) -> f32 {
        let Self(job) = self;
        match job.undrawn(image) {
            // Nobody drew anything here.
            Some(_) => 0.0,
            None => job.image(image).piece.trust.value(),
        }
    }

    fn trust_of_excluded(&self, image: usize) -> f32 {
        let said = self.0.diagnosed.and_then(|diagnosed| diagnosed.of(image));
        said.map_or(0.0, |said| said.trust)
    }

    fn excluded(&self, image: usize) -> BTreeSet<usize> {
        let diagnosed = self.0.diagnosed;
        let said = diagnosed.and_then(|diagnosed| diagnosed.of(image));
        said.map_or_else(BTreeSet::new, |said| said.classes.clone())
    }

    fn read(&self, image: usize) -> Result<(RgbImage, Array2<u8>)> {
        let Self(job) = self;
        if job.undrawn(image).is_some() {
            let pixels = job.pixels(image)?;
            let size = (pixels.height() as usize, pixels.width() as usize);
            return Ok((pixels, Array2::from_elem(size, UNLABELLED_CLASS)));
        }
        let labelled = job.image(image);
        let classes = match &labelled.piece.target {
            Target::Instances { .. } => {
                let (objects, of_objects) = given_objects(job, image)?;
                let border = (classes(job).len() - 1) as u8;
                classes_of_objects(objects.view(), &of_objects, border, &job.recipe.objects)
            }
            Target::Dense(file) | Target::Partial(file) => {
                file.read_classes()?.mapv(|class| match class {
                    UNLABELLED_CLASS => class,
                    class => labelled.class(usize::from(class)) as u8,
                })
            }
            _ => return Err(about(labelled.record, "its labels are no mask")),
        };
        Ok((job.pixels(image)?, classes))
    }

    fn objects(&self, image: usize) -> Result<(Array2<u32>, Vec<usize>)> {
        given_objects(self.0, image)
    }
}

/// The numbers of the objects of an image, as they were given, and the class of each.
pub fn given_objects<R>(job: &Job<R>, image: usize) -> Result<(Array2<u32>, Vec<usize>)> {
    let labelled = job.image(image);
    let Target::Instances {
        mask: file,
        classes,
    } = &labelled.piece.target
    else {
        return Err(about(labelled.record, "its labels are no mask of objects"));
    };
    let classes = classes.iter().map(|&class| labelled.class(class));
    Ok((file.read_instances()?, classes.collect()))
}
