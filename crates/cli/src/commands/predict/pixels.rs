//! Masks and objects of new images.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use cleanslide_data::formats::{Annotation, Shape, geojson};
use cleanslide_data::store::write_file;
use cleanslide_data::{Classes, MAX_PIXELS, MaskFile, read_image};
use cleanslide_image::contour::outlines;
use cleanslide_learn::Device;
use cleanslide_learn::segment::{
    ObjectSettings, PredictSettings, Segmenter, most_probable, objects_of_classes,
};
use cleanslide_learn::views::TestAugmentation;
use ndarray::{Array2, Array3};
use serde::Serialize;

use super::{nothing_read, predicted};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::new_folder::publish;
use crate::output::{Show, thousands};
use crate::pixel_run::{Labelled, read_pixel_run};
use crate::progress;
use crate::text_table::TextTable;

/// What is asked.
pub struct Request<'a> {
    /// The run.
    pub run: &'a Path,
    /// The images.
    pub files: &'a [PathBuf],
    /// The folder to write into.
    pub out: &'a Path,
    /// Turns, if others than the run's.
    pub turns: Option<TestAugmentation>,
    /// Whether a bad image ends the work.
    pub strict: bool,
}

#[derive(Debug, Serialize)]
struct Summary {
    folder: PathBuf,
    images: usize,
    left_out: usize,
    /// Objects, or pixels, of each class.
    per_class: Vec<(String, u64)>,
    #[serde(skip)]
    what: &'static str,
}

/// Predicts, and writes a mask for each image: `NAME.png`, and `NAME.geojson` of objects.
pub fn run(context: &Context, request: &Request) -> Result<()> {
    let (manifest, recipe) = read_pixel_run(request.run)?;
    let path = request.run.join("model.safetensors");
    if !path.exists() {
        let failure = Failure::input(format!(
            "{} has no network of all images",
            request.run.display()
        ));
        return Err(match manifest.finished {
            Some(_) => failure.help("Train with `whole = true` in the recipe."),
            None => failure.help("The run is not finished; `cleanslide train` goes on with it."),
        });
    }
    let bytes =
        std::fs::read(&path).map_err(|error| cleanslide_data::Error::io("read", &path, error))?;
    let segmenter = Segmenter::from_bytes(&bytes, &path.display().to_string(), &Device::flex())?;
    let classes = Classes::new(manifest.classes.clone())?;
    let settings = PredictSettings {
        turns: request.turns.unwrap_or(recipe.predict.turns),
        ..recipe.predict.clone()
    };
    let names = names(request.files)?;
    let mut counts = vec![0; classes.len()];
    let bar = progress::bar("predicting", request.files.len());
    let (images, left_out) = publish(request.out, |folder| {
        let (mut images, mut left_out) = (0, 0);
        for (file, name) in request.files.iter().zip(&names) {
            match read_image(file, MAX_PIXELS) {
                Ok(image) => {
                    let probabilities = segmenter.predict(&image.pixels, &settings)?;
                    let target = folder.join(name);
                    match manifest.kind {
                        Labelled::Pixels => pixels(&probabilities, &target, &mut counts)?,
                        Labelled::Instances => objects(
                            &probabilities,
                            &recipe.objects,
                            &classes,
                            &target,
                            &mut counts,
                        )?,
                    }
                    images += 1;
                }
                Err(error) if request.strict => return Err(error.into()),
                Err(error) => {
                    left_out += 1;
                    context.output.warn(&error.to_string());
                }
            }
            bar.inc(1);
        }
        match images {
            0 => Err(nothing_read(request.files.len())),
            _ => Ok((images, left_out)),
        }
    })?;
    bar.finish_and_clear();
    context.output.show(&Summary {
        folder: request.out.to_owned(),
        images,
        left_out,
        per_class: classes.names().iter().cloned().zip(counts).collect(),
        what: match manifest.kind {
            Labelled::Pixels => "pixels",
            Labelled::Instances => "objects",
        },
    })
}

/// The name of each image's results: that of its file.
fn names(files: &[PathBuf]) -> Result<Vec<String>> {
    let mut known = BTreeSet::new();
    files
        .iter()
        .map(|file| {
            let name = file
                .file_stem()
                .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            if known.insert(name.clone()) {
                return Ok(name);
            }
            Err(
                Failure::usage(format!("two images are called {name}, as results would be"))
                    .help("Predict their folders one by one, with a folder of results each."),
            )
        })
        .collect()
}

fn pixels(probabilities: &Array3<f32>, target: &Path, counts: &mut [u64]) -> Result<()> {
    let mask = most_probable(probabilities.view());
    for &class in &mask {
        counts[usize::from(class)] += 1;
    }
    MaskFile::write_classes(&with(target, "png"), mask.view())?;
    Ok(())
}

fn objects(
    probabilities: &Array3<f32>,
    settings: &ObjectSettings,
    classes: &Classes,
    target: &Path,
    counts: &mut [u64],
) -> Result<()> {
    let (mask, of) = objects_of_classes(probabilities.view(), settings)?;
    for &class in &of {
        counts[class] += 1;
    }
    MaskFile::write_instances(&with(target, "png"), mask.view())?;
    write_file(&with(target, "geojson"), &annotations(&mask, &of, classes)?)?;
    Ok(())
}

/// Outlines of the objects, as QuPath reads them.
fn annotations(mask: &Array2<u32>, of: &[usize], classes: &Classes) -> Result<Vec<u8>> {
    let annotations: Vec<Annotation> = outlines(mask.view())?
        .into_iter()
        .map(|outline| {
            let class = of[outline.label as usize - 1];
            Annotation::new(classes.name(class), Shape::Polygon(outline.polygon))
        })
        .collect();
    let mut bytes = Vec::new();
    geojson::write(&mut bytes, &annotations).map_err(|error| Failure::other(error.to_string()))?;
    Ok(bytes)
}

/// A path with an ending; the name may have dots of its own.
fn with(target: &Path, ending: &str) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

impl Show for Summary {
    fn text(&self) -> String {
        let mut table = TextTable::new(&["predicted class", self.what]);
        for (class, number) in &self.per_class {
            table.row([class.clone(), thousands(*number as usize)]);
        }
        predicted(&self.folder, self.images, self.left_out, &table)
    }
}
