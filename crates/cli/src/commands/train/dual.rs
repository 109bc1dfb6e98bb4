//! Two networks that filter each other's labels of objects.

use std::path::Path;

use cleanslide_data::store::write_file;
use cleanslide_data::to_csv;
use cleanslide_learn::dual::{
    AreaUnit, DualSettings, DualTrainer, JudgedObject, ObjectImages, SelectionCycle, State,
};
use cleanslide_learn::segment::Segmenter;
use cleanslide_learn::training::{Epoch, Watch};
use cleanslide_report::learning_curves::LearningCurves;
use cleanslide_report::plots::Line;
use image::RgbImage;
use ndarray::Array2;

use super::networks::{Job, Part};
use super::page::mean_notes;
use super::pixels::given_objects;
use crate::failure::{Failure, Result};
use crate::network_run::PixelRecipe;
use crate::shape_labels::about;

use crate::commands::evaluate::selection::TABLE as SELECTION;

/// Trains networks in a folder.
pub fn train_dual(
    job: &Job<PixelRecipe>,
    dual: &DualSettings,
    part: &Part,
    seed: u64,
    folder: &Path,
    watch: &Watch,
) -> Result<Segmenter> {
    DualTrainer {
        images: &GivenObjects(job),
        items: &part.items,
        also: &part.also,
        validation: &part.validation,
        classes: job.dataset.classes().names(),
        settings: &job.recipe.of_two(dual),
        seed,
        device: &job.device.device,
        folder,
    }
    .run(watch)
}

/// Refuses ranges of classes that there are none of, and of areas in microns where the size of pixels is not known.
pub fn refuse_unknown_priors(job: &Job<PixelRecipe>, dual: &DualSettings) -> Result<()> {
    let names = job.dataset.classes().names();
    for prior in (dual.selection.iter()).flat_map(|selection| &selection.priors) {
        if !names.contains(&prior.class) {
            return Err(Failure::usage(format!(
                "the recipe knows the {} of the class `{}`, and the dataset has no such class",
                prior.feature, prior.class
            ))
            .help(format!("Its classes are {}.", names.join(", "))));
        }
        let mut images = job.labels.images.iter();
        let unknown = images.find(|image| image.microns_per_pixel.is_none());
        if let (AreaUnit::Microns, Some(image)) = (prior.unit, unknown) {
            return Err(about(
                image,
                format!(
                    "nobody knows how large its pixels are, and the recipe knows the {} of `{}` in microns",
                    prior.feature, prior.class
                ),
            )
            .help(
                "Fill in the column `microns_per_pixel` of the dataset's images.csv, or give the range in pixels \
                 (`unit = \"pixels\"`).",
            ));
        }
    }
    Ok(())
}

/// The labels of a source as objects.
struct GivenObjects<'a, 'b>(&'a Job<'b, PixelRecipe>);

impl ObjectImages for GivenObjects<'_, '_> {
    type Failure = Failure;

    fn name(&self, image: usize) -> String {
        self.0.record(image).id.clone()
    }

    fn trust(&self, image: usize) -> f32 {
        self.0.image(image).piece.trust.value()
    }

    fn microns_per_pixel(&self, image: usize) -> Option<f64> {
        self.0.record(image).microns_per_pixel
    }

    fn pixels(&self, image: usize) -> Result<RgbImage> {
        self.0.pixels(image)
    }

    fn objects(&self, image: usize) -> Result<(Array2<u32>, Vec<usize>)> {
        given_objects(self.0, image)
    }
}

/// Writes `selection.csv` into the folder of a training: what was decided about each given object in the end, and why.
pub fn write_selection(job: &Job<PixelRecipe>, folder: &Path) -> Result<()> {
    let Some(&last) = SelectionCycle::epochs(folder)?.last() else {
        return Ok(());
    };
    let cycle = SelectionCycle::read(folder, last)?;
    let row = |image: &str, object: &JudgedObject| -> Vec<String> {
        let number = |value: f64| format!("{value:.4}");
        let maybe = |value: Option<f64>| value.map_or_else(String::new, number);
        vec![
            image.to_owned(),
            object.number.to_string(),
            job.dataset.classes().name(object.class),
            object.area.to_string(),
            object.state.name().to_owned(),
            if object.removed { "yes" } else { "no" }.to_owned(),
            number(object.probability),
            number(object.score),
            number(object.agreement),
            maybe(object.likeness),
            maybe(object.border),
        ]
    };
    let images = cycle.images.iter();
    let rows = images.flat_map(|image| image.objects.iter().map(|of| row(&image.image, of)));
    let header = [
        "image",
        "object",
        "class",
        "pixels",
        "state",
        "removed",
        "probability",
        "score",
        "agreement",
        "likeness",
        "border",
    ];
    Ok(write_file(&folder.join(SELECTION), &to_csv(&header, rows))?)
}

/// How many labels were kept, doubted, dropped and redrawn when, the mean of all networks; `None` where nothing was noted.
pub fn selection_curves(parts: &[Vec<Epoch>]) -> Option<LearningCurves> {
    let names = State::ALL.map(State::name).into_iter().chain(["found"]);
    let lines = names.map(|name| Line {
        name: name.to_owned(),
        points: mean_notes(parts, name),
    });
    let lines: Vec<Line> = lines.filter(|line| !line.points.is_empty()).collect();
    (!lines.is_empty()).then(|| LearningCurves {
        title: "What was decided about the labels".into(),
        quantity: "objects".into(),
        lines,
    })
}
