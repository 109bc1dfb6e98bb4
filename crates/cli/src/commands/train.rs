//! `cleanslide train`: a model in spite of wrong labels.

pub mod boxes;
mod corrections;
mod dual;
pub mod experts;
pub mod networks;
mod page;
pub mod pixels;

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use cleanslide_data::store::publish_folder;
use cleanslide_data::{Dataset, ImageRecord, Split, Task, VersionId};
use cleanslide_learn::classify::{Classifier, EarlyStopping, Labels, TrainSettings};
use cleanslide_learn::embed::Embeddings;
use cleanslide_learn::image_labels::ImageLabels;
use cleanslide_learn::predictions::Predictions;
use cleanslide_learn::study::{OutOfSample, Study};
use ndarray::{Array2, Axis, concatenate};
use serde::Serialize;

use super::embed::embeddings;
use crate::arguments::{DatasetArgument, DeviceArgument};
use crate::context::{Context, command_line, now, program};
use crate::corrected_labels::{across_folds, is_corrected};
use crate::failure::{Failure, Result};
use crate::measures::{Judged, Measure, table};
use crate::output::{Show, count, quoted};
use crate::pipeline::{
    may_be_learned_from, method_by_name, reference_labels, refuse_leaks, unused_validation,
};
use crate::progress;
use crate::run_folder::{
    Manifest, Recipe, RecipeFlags, fold_lines, part_lines, refuse_method, write_run,
};
use crate::truth::how_to_evaluate;

/// What `train` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cleanslide train mitoses --method elr --out runs/robust\n  \
cleanslide train mitoses --recipe recipe.toml --out runs/robust\n  \
cleanslide train nuclei --folds 5 --out runs/unet\n  \
cleanslide train cfos --method reweight --annotators anna,ben,carla --folds 5 --out runs/reweight\n  \
cleanslide train smears --method sissi --also other-cells --out runs/sissi\n  \
cleanslide train nuclei --method dual --out runs/dual\n  \
cleanslide train liver --method complementary --out runs/tumour\n\n\
A recipe is a TOML file. Of classes of images it has the keys seed, encoder, crop, labels, source, folds, \
validation_reference, [method] and [train]; of masks, instances and boxes seed, labels, source, folds, whole, [also], [experts], [network], [loss], [train], \
[augment], [predict], of class masks beside diagnoses [complementary], of instances and boxes [correction], and of instances [objects] and [dual]. config.toml of any run is one, with all defaults."
)]
pub struct Train {
    #[command(flatten)]
    dataset: DatasetArgument,
    /// Settings as a TOML file; flags override it
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// How to learn, with default settings: classes of images by any method of `bench --help`; class masks of several
    /// experts by `majority`, `staple`, `soft`, `reweight`, `confusion` or `self-consensus`; class masks beside
    /// diagnoses by `complementary`; boxes and masks of objects by `sissi`, which corrects them meanwhile; masks of
    /// objects by `dual`, two networks that filter each other's labels
    #[arg(long, value_name = "NAME")]
    method: Option<String>,
    /// Label version, such as v2; the latest by default
    #[arg(long, value_name = "VERSION")]
    labels: Option<VersionId>,
    /// Whose labels; `all` takes the votes of all annotators as soft labels
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Folds of the out-of-sample prediction
    #[arg(long)]
    folds: Option<usize>,
    /// Masks, instances and boxes: another dataset to learn from too; half of each batch is of it
    #[arg(long, value_name = "DATASET")]
    also: Option<PathBuf>,
    /// Class masks, with `--method`: the experts to learn from; all by default
    #[arg(long, value_name = "SOURCES", value_delimiter = ',')]
    annotators: Option<Vec<String>>,
    /// Folder of the run
    #[arg(long, value_name = "RUN")]
    out: PathBuf,
    /// `classical`, a file of weights, or NAME=FILE with a name that `cleanslide encoders` lists
    #[arg(long, value_name = "NAME|FILE|NAME=FILE")]
    encoder: Option<String>,
    /// Use only the central square of this many pixels of each image
    #[arg(long, value_name = "PIXELS")]
    crop: Option<u32>,
    /// Stop at the first image that cannot be used, instead of leaving it out
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    device: DeviceArgument,
}

#[derive(Debug, Serialize)]
struct Summary {
    run: PathBuf,
    method: String,
    labels: String,
    source: String,
    /// Whether a model corrected the labels, so that figures across folds are too good.
    corrected: bool,
    images: usize,
    cases: usize,
    seconds: f64,
    against_given_labels: Vec<Measure>,
    /// The command to run next.
    next: String,
    /// The command that writes the page of the run.
    or_next: String,
}

impl Train {
    pub fn run(self, context: &Context) -> Result<()> {
        refuse_method(self.recipe.as_deref(), "--method")?;
        let dataset = context.open(&self.dataset.dataset)?;
        match dataset.manifest().task {
            Task::Classification if self.also.is_some() => {
                return Err(Failure::usage(
                    "`--also` is for masks, instances and boxes, and these labels are classes of images",
                ));
            }
            Task::Classification if self.annotators.is_some() => {
                return Err(Failure::usage(
                    "`--annotators` is for class masks, and these labels are classes of images",
                )
                .help("`--source all` learns from the votes of all annotators."));
            }
            Task::Classification => self.device.refuse_gpu()?,
            Task::Segmentation => return self.network::<pixels::Pixels>(context, &dataset),
            Task::Detection => return self.network::<boxes::Boxes>(context, &dataset),
        }
        let recipe = self.recipe()?;
        let context = &context.with_seed_of_recipe(recipe.seed);
        let (manifest, measures, seconds) =
            train(context, &dataset, &recipe, &self.out, self.strict)?;
        let of_run = |verb: &str| {
            let dataset = dataset.folder().to_string_lossy();
            let run = self.out.to_string_lossy();
            format!(
                "cleanslide {verb} {} --run {}",
                quoted(&dataset),
                quoted(&run)
            )
        };
        let next = how_to_evaluate(&dataset, &self.out)?.unwrap_or_else(|| of_run("audit"));
        context.output.show(&Summary {
            next,
            or_next: format!("{} --out report.html", of_run("report")),
            run: self.out,
            method: recipe.method.name().to_owned(),
            labels: manifest.labels.to_string(),
            source: manifest.source,
            corrected: manifest.corrected,
            images: manifest.images,
            cases: manifest.cases,
            seconds,
            against_given_labels: measures,
        })
    }

    fn network<L: networks::Learner>(&self, context: &Context, dataset: &Dataset) -> Result<()> {
        let boxes = dataset.manifest().task == Task::Detection;
        let of_classes = [
            ("--encoder", self.encoder.is_some()),
            ("--crop", self.crop.is_some()),
            ("--strict", self.strict),
        ];
        if let Some((flag, _)) = of_classes.iter().find(|(_, given)| *given) {
            return Err(Failure::usage(format!(
                "`{flag}` is for classes of images, and these labels are {}",
                if boxes { "boxes" } else { "masks" }
            ))
            .help("What decides the training of a network is in its recipe."));
        }
        let request = networks::Request {
            recipe: self.recipe.as_deref(),
            labels: self.labels,
            source: self.source.as_deref(),
            folds: self.folds,
            also: self.also.as_deref(),
            method: self.method.as_deref(),
            annotators: self.annotators.as_deref(),
            out: &self.out,
            device: self.device.name(),
        };
        networks::run::<L>(context, dataset, &request)
    }

    fn recipe(&self) -> Result<Recipe> {
        let flags = RecipeFlags {
            file: self.recipe.as_deref(),
            encoder: self.encoder.as_deref(),
            crop: self.crop,
            labels: self.labels,
            source: self.source.as_deref(),
            folds: self.folds,
        };
        let mut recipe = flags.recipe()?;
        // The method of the recipe has its settings.
        if let Some(name) = &self.method
            && name != recipe.method.name()
        {
            recipe.method = method_by_name(name)?;
        }
        Ok(recipe)
    }
}

/// Trains by a recipe and the seed of the context, and publishes the run folder.
pub fn train(
    context: &Context,
    dataset: &Dataset,
    recipe: &Recipe,
    out: &Path,
    strict: bool,
) -> Result<(Manifest, Vec<Measure>, f64)> {
    if out.exists() {
        return Err(Failure::usage(format!("{} exists already", out.display()))
            .help("Choose another folder with `--out`; a run is never overwritten."));
    }
    refuse_leaks(dataset)?;
    let start = Instant::now();
    let labels = ImageLabels::load(dataset, recipe.labels, recipe.source.as_deref())?;
    let (encoder, embedded) = embeddings(context, dataset, &recipe.encoder_arguments(strict))?;
    let study = Study::new(dataset, &embedded, &labels, may_be_learned_from)?;
    let (study, validation) = with_validation(study, dataset, &embedded, &labels, recipe)?;
    let train_settings = TrainSettings {
        seed: context.seed,
        ..recipe.train.clone()
    };
    let classifier = Classifier {
        method: recipe.method.clone(),
        train: train_settings,
    };
    let cases = study
        .cases
        .iter()
        .collect::<std::collections::BTreeSet<_>>()
        .len();
    context.output.note(&format!(
        "training {} on {} of {} ({} of {}), {} folds and a final model, {}",
        recipe.method.name(),
        count(study.len(), "image"),
        count(cases, "case"),
        labels.source,
        labels.version,
        recipe.folds,
        count(context.threads, "thread"),
    ));
    tell_what_is_watched(context, validation.as_deref());

    let folds = study.folds(recipe.folds, context.seed)?;
    let bar = progress::bar("training", (recipe.folds + 1) * classifier.train.epochs);
    let out_of_sample = study.out_of_sample(&classifier, &folds, &|_, _| bar.inc(1))?;
    let all: Vec<usize> = (0..study.len()).collect();
    let fitted = study.fit(&classifier, &all, &|_| bar.inc(1))?;
    bar.finish_and_clear();
    let mut lines = fold_lines(&out_of_sample);
    lines.extend(part_lines("final", &fitted.history));

    let predictions =
        collect_predictions(dataset, &study, &out_of_sample, &embedded, |features| {
            Ok(fitted.predict(features)?)
        })?;
    let config = toml::to_string(&Recipe {
        seed: context.seed,
        labels: Some(labels.version),
        source: Some(labels.source.clone()),
        ..recipe.clone()
    })
    .map_err(|error| Failure::other(error.to_string()))?;
    let manifest = Manifest {
        program: program(),
        command: command_line(),
        created: now(),
        dataset: dataset.folder().to_owned(),
        labels: labels.version,
        labels_hash: dataset.version(labels.version)?.hash,
        source: labels.source.clone(),
        corrected: is_corrected(dataset, &labels.source),
        encoder: encoder.name().to_owned(),
        encoder_identity: encoder.identity(),
        config_hash: blake3::hash(config.as_bytes()).to_hex().to_string(),
        seed: context.seed,
        threads: context.threads,
        images: study.len(),
        cases,
        validation,
    };
    let model = fitted.model.to_bytes()?;
    publish_folder(out, |folder| {
        write_run(folder, &config, &manifest, &lines, &model, &predictions)
    })?;

    let judged = Judged {
        truth: &study.given,
        probabilities: out_of_sample.probabilities.view(),
        cases: &study.cases,
        classes: dataset.classes(),
    };
    Ok((
        manifest,
        judged.measures(context.seed)?,
        start.elapsed().as_secs_f64(),
    ))
}

/// Gives a study what it watches where training stops early, and says what that is.
pub fn with_validation(
    study: Study,
    dataset: &Dataset,
    embedded: &Embeddings,
    labels: &ImageLabels,
    recipe: &Recipe,
) -> Result<(Study, Option<String>)> {
    let in_validation = |image: &ImageRecord| image.split == Some(Split::Validation);
    let watch = |labels: &ImageLabels, kind: Labels, whose: &str| -> Result<_> {
        let watched = Study::new(dataset, embedded, labels, in_validation)?;
        let what = format!(
            "{} of the validation split with {whose}",
            count(watched.len(), "image")
        );
        Ok((watched, kind, what))
    };
    let (watched, kind, what) = match (
        recipe.train.early_stopping,
        recipe.validation_reference.as_deref(),
    ) {
        (EarlyStopping::CleanValidation { .. }, Some(name)) => watch(
            &reference_labels(dataset, name)?,
            Labels::Clean,
            &format!("the clean labels of reference `{name}`"),
        )?,
        (EarlyStopping::CleanValidation { .. }, None) => {
            return Err(Failure::usage(
                "early stopping on clean validation labels needs such labels",
            )
            .help(
                "Name a reference of the dataset as `validation_reference` in the recipe, or \
                     stop on the given labels with `noisy-validation`.",
            ));
        }
        (_, Some(name)) => return Err(unused_validation(name)),
        (EarlyStopping::None, None) => return Ok((study, None)),
        (EarlyStopping::NoisyValidation { .. }, None) => {
            let position = |image: &ImageRecord| dataset.position(&image.id);
            let labelled = |image: &ImageRecord| {
                position(image).is_some_and(|position| labels.labels[position].is_some())
            };
            let mut images = dataset.images().iter();
            if !images.any(|image| in_validation(image) && labelled(image)) {
                let what = "a fifth of the training cases, with their given labels".to_owned();
                return Ok((study, Some(what)));
            }
            watch(labels, Labels::Given, "their given labels")?
        }
    };
    Ok((study.watching(watched, kind), Some(what)))
}

/// Tells what [`with_validation`] says.
pub fn tell_what_is_watched(context: &Context, validation: Option<&str>) {
    if let Some(validation) = validation {
        let text = format!("early stopping watches {validation}");
        context.output.note(&text);
    }
}

/// Out-of-sample predictions of the study, and the final model's for all other images.
fn collect_predictions(
    dataset: &Dataset,
    study: &Study,
    out_of_sample: &OutOfSample,
    embedded: &Embeddings,
    predict: impl Fn(ndarray::ArrayView2<'_, f32>) -> Result<Array2<f32>>,
) -> Result<Predictions> {
    let learned: std::collections::BTreeSet<usize> = study.rows.iter().copied().collect();
    let rest: Vec<usize> = (0..embedded.images.len())
        .filter(|row| !learned.contains(row))
        .collect();
    let id = |image: usize| dataset.images()[image].id.clone();
    let mut images: Vec<String> = study.images.iter().map(|&image| id(image)).collect();
    let mut parts: Vec<String> = out_of_sample
        .folds
        .iter()
        .map(|fold| format!("fold {}", fold + 1))
        .collect();
    let mut probabilities = out_of_sample.probabilities.clone();
    if !rest.is_empty() {
        images.extend(rest.iter().map(|&row| id(embedded.images[row])));
        parts.resize(images.len(), "final".to_owned());
        let predicted = predict(embedded.features.select(Axis(0), &rest).view())?;
        probabilities = concatenate(Axis(0), &[probabilities.view(), predicted.view()])
            .map_err(|error| Failure::other(error.to_string()))?;
    }
    Ok(Predictions {
        classes: dataset.classes().clone(),
        images,
        parts,
        probabilities,
    })
}

impl Show for Summary {
    fn text(&self) -> String {
        format!(
            "{}: {} on {} of {} ({} of {}), {:.1} s\n\
             {}:\n{}\n\
             next: {}\n\
             page: {}",
            self.run.display(),
            self.method,
            count(self.images, "image"),
            count(self.cases, "case"),
            self.source,
            self.labels,
            self.seconds,
            across_folds(self.corrected),
            table(&["value"], &[&self.against_given_labels]),
            self.next,
            self.or_next,
        )
    }
}
