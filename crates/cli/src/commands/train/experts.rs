//! Networks that learn from several experts, and what they find out about them.

use std::io::Cursor;
use std::path::Path;

use cleanslide_data::store::write_file;
use cleanslide_data::{Target, mask, to_csv};
use cleanslide_learn::experts::{
    Belief, ExpertImages, ExpertMask, ExpertMethod, ExpertModel, ExpertTrainer, majority,
};
use cleanslide_learn::training::Watch;
use image::{GrayImage, ImageFormat, Luma, RgbImage};
use ndarray::{ArrayView2, Axis};

use super::networks::{Job, Part};
use super::pixels::classes;
use crate::failure::{Failure, Result};
use crate::network_run::{Experts, PixelRecipe};
use crate::pipeline::method_by_name as of_classes;
use crate::shape_labels::about;

/// A method for several experts, with default settings.
pub fn method_by_name(name: &str) -> Result<ExpertMethod> {
    let known = ExpertMethod::all();
    let found = known.iter().find(|method| method.name() == name);
    found.cloned().ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(ExpertMethod::name).collect();
        let listed = format!("Of several experts, networks learn by {}.", names.join(", "));
        if of_classes(name).is_ok() {
            return Failure::usage(format!(
                "`--method {name}` is for classes of images, and these labels are masks"
            ))
            .help(format!(
                "A robust loss of pixels is in the recipe, [loss] pixels = {{ name = \"gce\" }}. {listed}"
            ));
        }
        Failure::usage(format!("there is no method `{name}` for several experts")).help(listed)
    })
}

/// Trains a network in a folder.
pub fn train_of_experts(
    job: &Job<PixelRecipe>,
    experts: &Experts,
    part: &Part,
    seed: u64,
    folder: &Path,
    watch: &Watch,
) -> Result<ExpertModel> {
    let names = job.labels.experts.iter().map(|expert| expert.name.clone());
    ExpertTrainer {
        images: &OfExperts(job),
        items: &part.items,
        validation: &part.validation,
        experts: &names.collect::<Vec<_>>(),
        classes: &classes(job),
        settings: &job.recipe.of_experts(experts),
        seed,
        device: &job.device.device,
        folder,
    }
    .run(watch)
}

/// The masks of all experts.
struct OfExperts<'a, 'b>(&'a Job<'b, PixelRecipe>);

impl ExpertImages for OfExperts<'_, '_> {
    type Failure = Failure;

    fn name(&self, image: usize) -> String {
        self.0.image(image).record.id.clone()
    }

    fn read(&self, image: usize) -> Result<(RgbImage, Vec<Option<ExpertMask>>)> {
        let Self(job) = self;
        let labelled = job.image(image);
        let masks = job.labels.experts.iter().map(|expert| {
            let Some(piece) = &expert.pieces[image] else {
                return Ok(None);
            };
            let (Target::Dense(file) | Target::Partial(file)) = &piece.target else {
                return Err(about(labelled.record, "its labels are no class mask"));
            };
            Ok(Some(ExpertMask {
                classes: mask::read_class_mask(&file.path)?,
                trust: piece.trust.value(),
            }))
        });
        Ok((labelled.pixels()?, masks.collect::<Result<_>>()?))
    }
}

/// Writes where each expert is believed: for each image a picture per expert in `believed/`, from black (not at all) to
/// white (wholly), and `experts.csv`. Images are those that the network did not see; if it saw all, these.
pub fn write_beliefs(
    job: &Job<PixelRecipe>,
    model: &ExpertModel,
    part: &Part,
    folder: &Path,
) -> Result<()> {
    let images = if part.held_out.is_empty() {
        &part.items
    } else {
        &part.held_out
    };
    let mut sums = vec![Belief::default(); model.experts().len()];
    for &image in images {
        let (pixels, masks) = OfExperts(job).read(image)?;
        let Some(believed) = model.believed(&pixels)? else {
            return Ok(());
        };
        let majority = majority(&masks, classes(job).len())
            .map_err(|error| about(job.image(image).record, error))?;
        for (expert, believed) in believed.axis_iter(Axis(0)).enumerate() {
            let name = format!(
                "{}.{}.png",
                job.image(image).record.id.replace(['/', '\\'], "_"),
                model.experts()[expert]
            );
            write_file(&folder.join("believed").join(name), &picture(believed)?)?;
            if let Some(mask) = &masks[expert] {
                let of_image = Belief::of(believed, mask.classes.view(), majority.view());
                sums[expert] = sums[expert].plus(of_image);
            }
        }
    }
    let rows = model.experts().iter().zip(&sums).map(|(name, belief)| {
        let mean = |(pixels, sum): (u64, f64)| match pixels {
            0 => String::new(),
            _ => format!("{:.4}", sum / pixels as f64),
        };
        vec![
            name.clone(),
            belief
                .mean()
                .map_or_else(String::new, |mean| format!("{mean:.4}")),
            mean(belief.with_majority),
            mean(belief.against_majority),
            belief.against_majority.0.to_string(),
            (belief.with_majority.0 + belief.against_majority.0).to_string(),
        ]
    });
    let header = [
        "expert",
        "believed",
        "believed with the majority",
        "believed against the majority",
        "pixels against the majority",
        "pixels",
    ];
    Ok(write_file(
        &folder.join("experts.csv"),
        &to_csv(&header, rows),
    )?)
}

fn picture(believed: ArrayView2<'_, f32>) -> Result<Vec<u8>> {
    let (height, width) = believed.dim();
    let grey = GrayImage::from_fn(width as u32, height as u32, |column, row| {
        let share = believed[[row as usize, column as usize]];
        Luma([(share * 255.0).round() as u8])
    });
    let mut bytes = Cursor::new(Vec::new());
    grey.write_to(&mut bytes, ImageFormat::Png)
        .map_err(|error| Failure::other(error.to_string()))?;
    Ok(bytes.into_inner())
}
