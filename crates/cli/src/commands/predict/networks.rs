//! What networks say of new images.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use cleanslide_data::formats::{Annotation, geojson};
use cleanslide_data::store::write_file_with;
use cleanslide_data::{Classes, MAX_PIXELS, read_image};
use cleanslide_learn::views::TestAugmentation;
use cleanslide_nn::devices::DeviceName;
use cleanslide_slide::{OpenOptions, Slide};
use image::RgbImage;
use serde::Serialize;

use super::boxes::Boxes;
use super::pixels::Pixels;
use super::{nothing_read, predicted};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::network_run::{Labelled, NetworkManifest, read_manifest};
use crate::new_folder::publish;
use crate::output::{Show, count, thousands};
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
    /// Where the network runs.
    pub device: DeviceName,
}

/// A trained network, and how its results are written.
pub trait Predictor {
    /// What is counted.
    fn what(&self) -> &'static str;

    /// Predicts an image and writes files with this name and endings of their own. Counts what there is of each
    /// class.
    fn write(&mut self, image: &RgbImage, name: &Target, counts: &mut [u64]) -> Result<()>;

    /// Writes what is said of all images together.
    fn finish(&self, _folder: &Path) -> Result<()> {
        Ok(())
    }
}

/// Where the results of an image go.
pub struct Target {
    folder: PathBuf,
    /// The name of its file without the ending.
    pub name: String,
}

impl Target {
    /// A file with an ending; the name may have dots of its own.
    pub fn with(&self, ending: &str) -> PathBuf {
        self.folder.join(format!("{}.{ending}", self.name))
    }

    /// Writes objects as QuPath reads them.
    pub fn write_annotations(&self, annotations: &[Annotation]) -> Result<()> {
        let path = self.with("geojson");
        Ok(write_file_with(&path, |file| {
            geojson::write(file, annotations)
        })?)
    }
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

/// Predicts, and writes the results of each image.
pub fn run(context: &Context, request: &Request) -> Result<()> {
    let manifest = read_manifest(request.run)?;
    let names = names(request.files, "images")?;
    tell_other_scale(context, request, &manifest);
    let mut predictor: Box<dyn Predictor> = match manifest.kind {
        Labelled::Boxes => Box::new(Boxes::open(request, &manifest)?),
        Labelled::Pixels | Labelled::Instances => Box::new(Pixels::open(request, &manifest)?),
    };
    let mut counts = vec![0; manifest.classes.len()];
    let bar = progress::bar("predicting", request.files.len());
    let (images, left_out) = publish(request.out, |folder| {
        let (mut images, mut left_out) = (0, 0);
        for (file, name) in request.files.iter().zip(&names) {
            match read_image(file, MAX_PIXELS) {
                Ok(image) => {
                    let target = Target {
                        folder: folder.to_owned(),
                        name: name.clone(),
                    };
                    predictor.write(&image.pixels, &target, &mut counts)?;
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
        if images == 0 {
            return Err(nothing_read(request.files.len()));
        }
        predictor.finish(folder)?;
        Ok((images, left_out))
    })?;
    bar.finish_and_clear();
    context.output.show(&Summary {
        folder: request.out.to_owned(),
        images,
        left_out,
        per_class: manifest.classes.iter().cloned().zip(counts).collect(),
        what: predictor.what(),
    })
}

/// Sizes of pixels that differ by less than this share are the same.
const SAME_SIZE: f64 = 0.1;

/// Images are taken as they are: that files say another size of their pixels than those of the training had is told.
fn tell_other_scale(context: &Context, request: &Request, manifest: &NetworkManifest) {
    let Some(trained) = manifest.microns_per_pixel else {
        return;
    };
    let other = |file: &PathBuf| {
        let ending = file.extension()?.to_ascii_lowercase();
        let said = (ending == "tif" || ending == "tiff").then(|| {
            let slide = Slide::open(file, &OpenOptions::default()).ok()?;
            slide.microns_per_pixel().ok()
        });
        let microns = said??;
        ((microns / trained - 1.0).abs() > SAME_SIZE).then_some((file.clone(), microns))
    };
    let others: Vec<(PathBuf, f64)> = request.files.iter().filter_map(other).collect();
    if let Some((file, microns)) = others.first() {
        context.output.warn(&format!(
            "{} with pixels of another size than those of the training ({trained} microns), such as {} ({microns:.3}); \
             `--microns-per-pixel {trained}` predicts them as slides, at that scale",
            count(others.len(), "image"),
            file.display()
        ));
    }
}

/// The network of all images: its file, and the name of that.
pub fn network(run: &Path, manifest: &NetworkManifest) -> Result<(Vec<u8>, String)> {
    let path = run.join("model.safetensors");
    if !path.exists() {
        let failure = Failure::input(format!("{} has no network of all images", run.display()));
        return Err(match manifest.finished {
            Some(_) => failure.help("Train with `whole = true` in the recipe."),
            None => failure.help("The run is not finished; `cleanslide train` goes on with it."),
        });
    }
    let bytes =
        std::fs::read(&path).map_err(|error| cleanslide_data::Error::io("read", &path, error))?;
    Ok((bytes, path.display().to_string()))
}

/// The classes of a run.
pub fn classes(manifest: &NetworkManifest) -> Result<Classes> {
    Ok(Classes::new(manifest.classes.clone())?)
}

/// The name of the results of each image or slide: that of its file without the ending, or of its folder. Of several of one name,
/// that of its file; of several of these, with the name of the folder around it before it.
pub fn names(inputs: &[PathBuf], what: &str) -> Result<Vec<String>> {
    let namings = [stem, file_name, in_folder];
    let times = namings.map(|naming| {
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        for input in inputs {
            *times.entry(naming(input)).or_default() += 1;
        }
        times
    });
    let mut known: BTreeMap<String, &Path> = BTreeMap::new();
    let mut names = Vec::new();
    for input in inputs {
        let mut of_input = namings.iter().zip(&times).map(|(naming, times)| {
            let name = naming(input);
            (times[&name] == 1, name)
        });
        let alone = of_input.find(|(alone, _)| *alone);
        let name = alone.map_or_else(|| in_folder(input), |(_, name)| name);
        if let Some(other) = known.insert(name.clone(), input) {
            return Err(Failure::usage(format!(
                "{} and {} are both called {name}, as their results would be",
                other.display(),
                input.display()
            ))
            .help(format!(
                "Give each of the {what} once, or their folders one by one."
            )));
        }
        names.push(name);
    }
    Ok(names)
}

/// Of files of slides and folders of DICOM and OME-Zarr, which may have an ending too.
fn stem(input: &Path) -> String {
    if !input.is_dir() {
        return text(input.file_stem());
    }
    let name = file_name(input);
    match name.strip_suffix(".zarr") {
        Some(name) => name.strip_suffix(".ome").unwrap_or(name).to_owned(),
        None => name,
    }
}

fn file_name(input: &Path) -> String {
    text(input.file_name())
}

fn in_folder(input: &Path) -> String {
    let folder = text(input.parent().and_then(Path::file_name));
    format!("{folder}-{}", stem(input))
}

fn text(name: Option<&OsStr>) -> String {
    name.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
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
