//! Training of networks that give every pixel a class, or find objects.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use cleanslide_data::store::{publish_folder, write_file};
use cleanslide_data::{
    Dataset, Evidence, Family, Labels, MAX_PIXELS, MaskFile, Proportions, Scope, Split, Target,
    Trust, VersionId, assign_folds, assign_splits, mask, read_image, to_csv,
};
use cleanslide_learn::Device;
use cleanslide_learn::pixels::PixelImages;
use cleanslide_learn::segment::{
    Segmenter, Trainer, classes_of_objects, most_probable, objects_of_classes, pixel_classes,
};
use cleanslide_learn::training::{Epoch, Speed, Watch};
use image::RgbImage;
use indicatif::ProgressBar;
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;

use crate::arguments::LabelsArguments;
use crate::commands::evaluate::shapes::{Judged, cases, measures};
use crate::context::{Context, command_line, now, program};
use crate::failure::{Failure, Result};
use crate::measures::{Measure, table};
use crate::output::{Show, count};
use crate::pipeline::{may_be_learned_from, refuse_leaks};
use crate::pixel_run::{Labelled, PixelManifest, PixelRecipe, begin, finish};
use crate::progress;
use crate::run_folder::read_recipe;
use crate::shape_labels::{ShapeLabels, about, dense};

/// The name of the source whose labels a run predicts.
pub const SOURCE: &str = "predicted";

/// What is asked.
pub struct Request<'a> {
    /// A recipe.
    pub recipe: Option<&'a Path>,
    /// Label version.
    pub labels: Option<VersionId>,
    /// Whose labels.
    pub source: Option<&'a str>,
    /// Folds.
    pub folds: Option<usize>,
    /// The folder of the run.
    pub out: &'a Path,
}

#[derive(Debug, Serialize)]
struct Summary {
    run: PathBuf,
    dataset: PathBuf,
    network: &'static str,
    labels: String,
    source: String,
    images: usize,
    cases: usize,
    seconds: f64,
    /// Of predictions out of sample, where there are folds.
    against_given_labels: Option<Vec<Measure>>,
}

/// A network to train.
struct Part {
    name: String,
    items: Vec<usize>,
    validation: Vec<usize>,
    /// Images that it predicts, because it did not see them.
    held_out: Vec<usize>,
}

impl Part {
    /// Steps of its training, if it does not stop early.
    fn steps(&self, recipe: &PixelRecipe) -> usize {
        self.items.len().div_ceil(recipe.train.batch_size) * recipe.train.epochs
    }
}

/// Trains, and shows how well.
pub fn run(context: &Context, dataset: &Dataset, request: &Request) -> Result<()> {
    let start = Instant::now();
    refuse_leaks(dataset)?;
    let recipe = recipe(request)?;
    let settings = recipe.settings();
    settings.check()?;
    if recipe.folds == 0 && !recipe.whole {
        return Err(
            Failure::usage("neither folds nor a network of all images are asked for")
                .help("Give `folds` of at least 2, or leave `whole` out."),
        );
    }
    let labels = labels(dataset, &recipe)?;
    let images = LabelledImages::new(dataset, &labels, &recipe)?;
    let units = labels.cases(dataset);
    let parts = parts(dataset, &labels, &units, &recipe, context.seed)?;
    let (config, manifest) = manifest(context, dataset, &labels, &units, &recipe)?;
    begin(
        request.out,
        &manifest,
        &config,
        &split_table(&labels, &parts),
    )?;
    context.output.note(&format!(
        "training {} on {} of {} ({} of {}): {}, {}",
        recipe.network.name(),
        count(labels.images.len(), "image"),
        count(manifest.cases, "case"),
        labels.source,
        labels.version,
        parts
            .iter()
            .map(|part| part.name.as_str())
            .collect::<Vec<_>>()
            .join(", "),
        count(context.threads, "thread"),
    ));
    let bar = progress::bar(
        "training",
        parts.iter().map(|part| part.steps(&recipe)).sum(),
    );
    for part in &parts {
        train_part(context, &images, part, &recipe, request.out, &bar)?;
    }
    bar.finish_and_clear();
    publish(dataset, &labels, &parts, &images, &recipe, request.out)?;
    let measured = match recipe.folds {
        0 => None,
        _ => Some(measure(context, dataset, &labels, request.out)?),
    };
    finish(request.out, manifest.clone(), now())?;
    context.output.show(&Summary {
        run: request.out.to_owned(),
        dataset: dataset.folder().to_owned(),
        network: recipe.network.name(),
        labels: labels.version.to_string(),
        source: labels.source.clone(),
        images: labels.images.len(),
        cases: manifest.cases,
        seconds: start.elapsed().as_secs_f64(),
        against_given_labels: measured,
    })
}

fn recipe(request: &Request) -> Result<PixelRecipe> {
    // An unfinished run knows what it was begun with.
    let begun = request.out.join("config.toml");
    let mut recipe: PixelRecipe = match request.recipe {
        Some(path) => read_recipe(path)?,
        None if begun.exists() => read_recipe(&begun)?,
        None => PixelRecipe::default(),
    };
    recipe.labels = request.labels.or(recipe.labels);
    recipe.source = request.source.map(String::from).or(recipe.source);
    recipe.folds = request.folds.unwrap_or(recipe.folds);
    Ok(recipe)
}

/// The labels of the images that may be learned from.
fn labels(dataset: &Dataset, recipe: &PixelRecipe) -> Result<ShapeLabels> {
    let mut labels = ShapeLabels::load(
        dataset,
        &LabelsArguments {
            labels: recipe.labels,
            source: recipe.source.clone(),
        },
    )?;
    if Labelled::of(labels.family).is_none() {
        return Err(Failure::input(format!(
            "`{}` gives {}; networks for pixels learn from class masks or instance masks",
            labels.source,
            labels.family.name()
        )));
    }
    let kept = labels
        .images
        .into_iter()
        .zip(labels.pieces)
        .filter(|(image, _)| may_be_learned_from(image) || image.split == Some(Split::Validation));
    (labels.images, labels.pieces) = kept.unzip();
    if labels.images.is_empty() {
        return Err(Failure::input(format!(
            "`{}` labelled no image that may be learned from",
            labels.source
        ))
        .help("Images for test take no part; `cleanslide status` shows the split."));
    }
    Ok(labels)
}

fn parts(
    dataset: &Dataset,
    labels: &ShapeLabels,
    units: &[usize],
    recipe: &PixelRecipe,
    seed: u64,
) -> Result<Vec<Part>> {
    let all: Vec<usize> = (0..labels.images.len())
        .filter(|&image| may_be_learned_from(&labels.images[image]))
        .collect();
    let mut parts = Vec::new();
    if recipe.folds > 0 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let of_all: Vec<usize> = all.iter().map(|&image| units[image]).collect();
        let renumbered = dense(&of_all);
        let folds = assign_folds(&renumbered, &vec![None; all.len()], recipe.folds, &mut rng)?;
        for fold in 0..recipe.folds {
            let (mut items, mut held_out) = (Vec::new(), Vec::new());
            for (&image, &of) in all.iter().zip(&folds) {
                if of == fold {
                    held_out.push(image);
                } else {
                    items.push(image);
                }
            }
            parts.push(Part {
                name: format!("fold-{}", fold + 1),
                items,
                validation: Vec::new(),
                held_out,
            });
        }
    }
    if recipe.whole {
        parts.push(Part {
            name: "whole".into(),
            items: all,
            validation: Vec::new(),
            held_out: Vec::new(),
        });
    }
    if recipe.train.validation > 0.0 {
        for part in &mut parts {
            validate(dataset, labels, units, recipe.train.validation, seed, part)?;
        }
    }
    Ok(parts)
}

/// What each network does with each image.
fn split_table(labels: &ShapeLabels, parts: &[Part]) -> Vec<u8> {
    let names = parts.iter().map(|part| part.name.as_str());
    let header: Vec<&str> = std::iter::once("image").chain(names).collect();
    let rows = labels.images.iter().enumerate().map(|(image, record)| {
        let role = |part: &Part| {
            let has = |images: &[usize]| images.contains(&image);
            match (has(&part.items), has(&part.validation), has(&part.held_out)) {
                (true, ..) => "learns",
                (_, true, _) => "validates",
                (.., true) => "predicts",
                _ => "",
            }
        };
        let roles = parts.iter().map(|part| role(part).to_owned());
        std::iter::once(record.id.clone())
            .chain(roles)
            .collect::<Vec<_>>()
    });
    to_csv(&header, rows)
}

/// Gives a part what measures its progress: the images of the dataset's validation split, or a share of the
/// cases that it would learn from.
fn validate(
    dataset: &Dataset,
    labels: &ShapeLabels,
    units: &[usize],
    share: f64,
    seed: u64,
    part: &mut Part,
) -> Result<()> {
    let named = dataset
        .images()
        .iter()
        .any(|image| image.split == Some(Split::Validation));
    if named {
        part.validation = (0..labels.images.len())
            .filter(|&image| labels.images[image].split == Some(Split::Validation))
            .collect();
        return Ok(());
    }
    let of_items: Vec<usize> = part.items.iter().map(|&image| units[image]).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let splits = assign_splits(
        &dense(&of_items),
        &vec![None; of_items.len()],
        Proportions::new(share, 0.0)?,
        &mut rng,
    )?;
    let (mut items, mut validation) = (Vec::new(), Vec::new());
    for (&image, split) in part.items.iter().zip(splits) {
        if split == Split::Validation {
            validation.push(image);
        } else {
            items.push(image);
        }
    }
    (part.items, part.validation) = (items, validation);
    Ok(())
}

fn manifest(
    context: &Context,
    dataset: &Dataset,
    labels: &ShapeLabels,
    units: &[usize],
    recipe: &PixelRecipe,
) -> Result<(String, PixelManifest)> {
    let config = toml::to_string(&PixelRecipe {
        labels: Some(labels.version),
        source: Some(labels.source.clone()),
        ..recipe.clone()
    })
    .map_err(|error| Failure::other(error.to_string()))?;
    let kind = Labelled::of(labels.family).ok_or_else(|| Failure::other("no masks"))?;
    let manifest = PixelManifest {
        kind,
        program: program(),
        command: command_line(),
        created: now(),
        finished: None,
        dataset: dataset.folder().to_owned(),
        classes: dataset.classes().names().to_vec(),
        labels: labels.version,
        labels_hash: dataset.version(labels.version)?.hash,
        source: labels.source.clone(),
        config_hash: blake3::hash(config.as_bytes()).to_hex().to_string(),
        seed: context.seed,
        threads: context.threads,
        images: labels.images.len(),
        cases: units.iter().max().map_or(0, |last| last + 1),
    };
    Ok((config, manifest))
}

/// Trains one network, unless it is there, and predicts what it did not see.
fn train_part(
    context: &Context,
    images: &LabelledImages,
    part: &Part,
    recipe: &PixelRecipe,
    run: &Path,
    bar: &ProgressBar,
) -> Result<()> {
    let folder = run.join(&part.name);
    let model = folder.join("model.safetensors");
    let settings = recipe.settings();
    if model.exists() {
        bar.inc(part.steps(recipe) as u64);
        return Ok(());
    }
    fs::create_dir_all(&folder)
        .map_err(|error| cleanslide_data::Error::io("create", &folder, error))?;
    let tell = |epoch: &Epoch, speed: Speed| {
        let memory = speed
            .memory
            .map_or_else(String::new, |memory| format!(", {memory:.0} MiB"));
        let dice = epoch
            .validation
            .map_or_else(String::new, |dice| format!(", Dice {dice:.3}"));
        bar.set_message(format!(
            "{} loss {:.4}{dice}, {:.1} crops/s{memory}",
            part.name, epoch.loss, speed.crops_per_second
        ));
    };
    let segmenter = Trainer {
        images,
        items: &part.items,
        validation: &part.validation,
        classes: &images.classes,
        settings: &settings,
        seed: context.seed,
        device: &Device::flex(),
        folder: &folder,
    }
    .run(&Watch {
        step: &|| bar.inc(1),
        epoch: &tell,
    })?;
    for &image in &part.held_out {
        predict(&segmenter, images, image, recipe, &folder)?;
    }
    Ok(write_file(&model, &segmenter.to_bytes()?)?)
}

/// The files of a predicted image: its mask, and the classes of its objects.
fn files(folder: &Path, image: usize) -> [PathBuf; 2] {
    let predicted = folder.join("predicted");
    ["png", "json"].map(|kind| predicted.join(format!("{image:06}.{kind}")))
}

fn predict(
    segmenter: &Segmenter,
    images: &LabelledImages,
    image: usize,
    recipe: &PixelRecipe,
    folder: &Path,
) -> Result<()> {
    let (pixels, _) = images.read(image)?;
    let probabilities = segmenter.predict(&pixels, &recipe.predict)?;
    let [mask, classes] = files(folder, image);
    let of_objects = if images.labels.family == Family::Instances {
        let (objects, of) = objects_of_classes(probabilities.view(), &recipe.objects)?;
        MaskFile::write_instances(&mask, objects.view())?;
        of
    } else {
        MaskFile::write_classes(&mask, most_probable(probabilities.view()).view())?;
        Vec::new()
    };
    let text =
        serde_json::to_vec(&of_objects).map_err(|error| Failure::other(error.to_string()))?;
    Ok(write_file(&classes, &text)?)
}

/// Gathers what the parts have made.
fn publish(
    dataset: &Dataset,
    labels: &ShapeLabels,
    parts: &[Part],
    images: &LabelledImages,
    recipe: &PixelRecipe,
    run: &Path,
) -> Result<()> {
    let refused = |path: &Path, error| cleanslide_data::Error::io("read", path, error);
    let read = |path: PathBuf| fs::read(&path).map_err(|error| refused(&path, error));
    let mut metrics = String::new();
    for part in parts {
        let text = read(run.join(&part.name).join("metrics.jsonl"))?;
        for line in String::from_utf8_lossy(&text).lines() {
            // A line is an object; the part is its first entry.
            metrics.push_str(&format!("{{\"part\":\"{}\",{}\n", part.name, &line[1..]));
        }
    }
    write_file(&run.join("metrics.jsonl"), metrics.as_bytes())?;
    if recipe.whole {
        let model = read(run.join("whole/model.safetensors"))?;
        write_file(&run.join("model.safetensors"), &model)?;
    }
    let predictions = run.join("predictions");
    if recipe.folds == 0 || predictions.exists() {
        return Ok(());
    }
    let mut evidence = Vec::new();
    for part in parts {
        for &image in &part.held_out {
            let [mask, classes] = files(&run.join(&part.name), image);
            let bytes = read(mask.clone())?;
            let file = MaskFile {
                path: mask,
                hash: blake3::hash(&bytes).to_hex().to_string(),
            };
            let target = if images.labels.family == Family::Instances {
                let classes = serde_json::from_slice(&read(classes)?)
                    .map_err(|error| Failure::other(error.to_string()))?;
                Target::Instances {
                    mask: file,
                    classes,
                }
            } else {
                Target::Dense(file)
            };
            evidence.push(Evidence {
                source: SOURCE.into(),
                scope: Scope::Image(labels.images[image].id.clone()),
                target,
                trust: Trust::FULL,
            });
        }
    }
    let predicted = Labels::new(evidence, dataset.classes())?;
    publish_folder(&predictions, |folder| {
        predicted.write(folder, dataset.classes())
    })?;
    for part in parts {
        let folder = run.join(&part.name).join("predicted");
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .map_err(|error| cleanslide_data::Error::io("remove", &folder, error))?;
        }
    }
    Ok(())
}

fn measure(
    context: &Context,
    dataset: &Dataset,
    labels: &ShapeLabels,
    run: &Path,
) -> Result<Vec<Measure>> {
    let predicted = Labels::read(&run.join("predictions"), dataset.classes())?;
    let given = dataset.labels(labels.version)?;
    let found = measures(
        context,
        dataset,
        &Judged {
            judged: &predicted.of_images(SOURCE, labels.family),
            truth: &given.of_images(&labels.source, labels.family),
            cases: &cases(dataset),
            family: labels.family,
            class_agnostic: false,
            all: false,
        },
    )?;
    Ok(found.map_or_else(Vec::new, |(.., measures)| measures))
}

/// The labels of a source as classes of pixels.
pub struct LabelledImages<'a> {
    dataset: &'a Dataset,
    labels: &'a ShapeLabels,
    recipe: &'a PixelRecipe,
    classes: Vec<String>,
}

impl<'a> LabelledImages<'a> {
    fn new(dataset: &'a Dataset, labels: &'a ShapeLabels, recipe: &'a PixelRecipe) -> Result<Self> {
        let names = dataset.classes().names();
        let classes = if labels.family == Family::Instances {
            pixel_classes(names)
        } else {
            names.to_vec()
        };
        if classes.len() < 2 {
            return Err(Failure::input(
                "the masks have one class only, so there is nothing to tell apart",
            ));
        }
        Ok(Self {
            dataset,
            labels,
            recipe,
            classes,
        })
    }
}

impl PixelImages for LabelledImages<'_> {
    type Failure = Failure;

    fn count(&self) -> usize {
        self.labels.images.len()
    }

    fn name(&self, image: usize) -> String {
        self.labels.images[image].id.clone()
    }

    fn trust(&self, image: usize) -> f32 {
        self.labels.pieces[image].trust.value()
    }

    fn read(&self, image: usize) -> Result<(RgbImage, Array2<u8>)> {
        let (record, piece) = (&self.labels.images[image], &self.labels.pieces[image]);
        let pixels = read_image(&self.dataset.image_path(record), MAX_PIXELS)?.pixels;
        let classes = match &piece.target {
            Target::Instances {
                mask: file,
                classes,
            } => {
                let objects = mask::read_instance_mask(&file.path)?;
                let border = (self.classes.len() - 1) as u8;
                classes_of_objects(objects.view(), classes, border, &self.recipe.objects)
            }
            Target::Dense(file) | Target::Partial(file) => mask::read_class_mask(&file.path)?,
            _ => return Err(about(record, "its labels are no mask")),
        };
        Ok((pixels, classes))
    }
}

impl Show for Summary {
    fn text(&self) -> String {
        let mut text = format!(
            "{}: {} on {} of {} ({} of {}), {}\n",
            self.run.display(),
            self.network,
            count(self.images, "image"),
            count(self.cases, "case"),
            self.source,
            self.labels,
            duration(self.seconds),
        );
        if let Some(measures) = &self.against_given_labels {
            text.push_str(&format!(
                "out of sample against the given labels, which may be wrong:\n{}\n\
                 next: cleanslide evaluate {} {} --reference NAME",
                table(&["value"], &[measures]),
                self.dataset.display(),
                self.run.display(),
            ));
        } else {
            text.push_str(&format!(
                "next: cleanslide predict {} IMAGES --out FOLDER",
                self.run.display()
            ));
        }
        text
    }
}

fn duration(seconds: f64) -> String {
    if seconds < 120.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{:.1} min", seconds / 60.0)
    }
}
