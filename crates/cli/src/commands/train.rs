//! `cleanslide train`: a classifier in spite of wrong labels.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use clap::Args;
use cleanslide_data::store::publish_folder;
use cleanslide_data::{Dataset, VersionId};
use cleanslide_learn::classify::{Classifier, Epoch, TrainSettings};
use cleanslide_learn::image_labels::ImageLabels;
use cleanslide_learn::methods::MethodSettings;
use cleanslide_learn::predictions::Predictions;
use cleanslide_learn::study::{OutOfSample, Study};
use ndarray::{Array2, Axis, concatenate};
use serde::{Deserialize, Serialize};

use super::embed::embeddings;
use crate::arguments::{DatasetArgument, EncoderArguments};
use crate::context::{Context, command_line, now, program};
use crate::failure::{Failure, Result};
use crate::measures::{Judged, Measure, table};
use crate::output::{Show, count};
use crate::pipeline::{DEFAULT_FOLDS, may_be_learned_from, method_by_name, refuse_leaks};
use crate::progress;

/// Train a classifier in spite of wrong labels
///
/// Every labelled image is predicted once by a model that did not see its case (out of sample);
/// then a final model learns from all of them. Images for test or validation take no part. The run
/// folder appears when all is done.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cleanslide train mitoses --method elr --out runs/robust\n  \
cleanslide train mitoses --recipe recipe.toml --out runs/robust\n\n\
A recipe is a TOML file with the keys encoder, crop, labels, source, folds, [method] and [train]; \
config.toml of any run is one."
)]
pub struct Train {
    #[command(flatten)]
    dataset: DatasetArgument,
    /// Settings as a TOML file; flags override it
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// How to learn, with default settings
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
    /// Folder of the run, which must not exist
    #[arg(long, value_name = "RUN")]
    out: PathBuf,
    /// `classical` or a safetensors file of EfficientNet-Lite0
    #[arg(long, value_name = "NAME|FILE")]
    encoder: Option<String>,
    /// Use only the central square of this many pixels of each image
    #[arg(long, value_name = "PIXELS")]
    crop: Option<u32>,
    /// Stop at the first image that cannot be used, instead of leaving it out
    #[arg(long)]
    strict: bool,
}

/// Everything that decides a run, but the dataset and the seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// `classical` or a file of weights.
    pub encoder: String,
    /// Side of the central square, in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crop: Option<u32>,
    /// Label version; the latest by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<VersionId>,
    /// Whose labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Folds of the out-of-sample prediction.
    pub folds: usize,
    /// How to learn.
    pub method: MethodSettings,
    /// How heads are trained.
    pub train: TrainSettings,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            encoder: "classical".into(),
            crop: None,
            labels: None,
            source: None,
            folds: DEFAULT_FOLDS,
            method: MethodSettings::default(),
            train: TrainSettings::default(),
        }
    }
}

impl Recipe {
    /// Reads a recipe; an unknown key is an error with a suggestion.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .map_err(|error| cleanslide_data::Error::io("read", path, error))?;
        toml::from_str(&text).map_err(|error| {
            let failure = Failure::usage(format!("{}: {error}", path.display()));
            match suggestion(error.message()) {
                Some(close) => failure.help(format!("Did you mean `{close}`?")),
                None => failure,
            }
        })
    }

    /// The encoder as the flags of other commands name it.
    pub fn encoder_arguments(&self, strict: bool) -> EncoderArguments {
        EncoderArguments {
            encoder: self.encoder.clone(),
            crop: self.crop,
            strict,
        }
    }
}

/// The nearest of the names that serde lists after an unknown one.
fn suggestion(message: &str) -> Option<String> {
    let names: Vec<String> = message
        .split('`')
        .skip(1)
        .step_by(2)
        .map(String::from)
        .collect();
    let (unknown, known) = names.split_first()?;
    cleanslide_data::nearest(unknown, known).map(String::from)
}

/// `manifest.json`: what a run was made from.
#[derive(Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// The program and its version.
    pub program: String,
    /// The command line.
    pub command: String,
    /// When, in UTC.
    pub created: String,
    /// Folder of the dataset, as it was given.
    pub dataset: PathBuf,
    /// Label version.
    pub labels: VersionId,
    /// Hash of the label version's content.
    pub labels_hash: String,
    /// Whose labels.
    pub source: String,
    /// Name of the encoder.
    pub encoder: String,
    /// Its identity: weights, preprocessing and code.
    pub encoder_identity: String,
    /// Hash of `config.toml`.
    pub config_hash: String,
    /// Seed.
    pub seed: u64,
    /// Threads.
    pub threads: usize,
    /// Images learned from.
    pub images: usize,
    /// Independent cases among them.
    pub cases: usize,
}

/// One line of `metrics.jsonl`.
#[derive(Debug, Serialize, Deserialize)]
pub struct MetricsLine {
    /// `fold 1`, `fold 2`, … or `final`.
    pub part: String,
    /// What happened in the epoch.
    #[serde(flatten)]
    pub epoch: Epoch,
}

#[derive(Debug, Serialize)]
struct Summary {
    run: PathBuf,
    method: String,
    labels: String,
    source: String,
    images: usize,
    cases: usize,
    seconds: f64,
    against_given_labels: Vec<Measure>,
}

impl Train {
    pub fn run(self, context: &Context) -> Result<()> {
        let recipe = self.recipe()?;
        let dataset = context.open(&self.dataset.dataset)?;
        let (manifest, measures, seconds) =
            train(context, &dataset, &recipe, &self.out, self.strict)?;
        context.output.show(&Summary {
            run: self.out,
            method: recipe.method.name().to_owned(),
            labels: manifest.labels.to_string(),
            source: manifest.source,
            images: manifest.images,
            cases: manifest.cases,
            seconds,
            against_given_labels: measures,
        })
    }

    fn recipe(&self) -> Result<Recipe> {
        let mut recipe = match &self.recipe {
            Some(path) => Recipe::read(path)?,
            None => Recipe::default(),
        };
        if let Some(name) = &self.method {
            recipe.method = method_by_name(name)?;
        }
        if let Some(encoder) = &self.encoder {
            recipe.encoder = encoder.clone();
        }
        recipe.crop = self.crop.or(recipe.crop);
        recipe.labels = self.labels.or(recipe.labels);
        recipe.source = self.source.clone().or(recipe.source);
        recipe.folds = self.folds.unwrap_or(recipe.folds);
        Ok(recipe)
    }
}

/// Trains, and publishes the run folder.
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

    let folds = study.folds(recipe.folds, context.seed)?;
    let bar = progress::bar("training", (recipe.folds + 1) * classifier.train.epochs);
    let lines = Mutex::new(Vec::new());
    let record = |part: String, epoch: &Epoch| {
        bar.inc(1);
        if let Ok(mut lines) = lines.lock() {
            lines.push(MetricsLine {
                part,
                epoch: epoch.clone(),
            });
        }
    };
    let out_of_sample = study.out_of_sample(&classifier, &folds, &|fold, epoch| {
        record(format!("fold {}", fold + 1), epoch)
    });
    let out_of_sample = out_of_sample?;
    let all: Vec<usize> = (0..study.len()).collect();
    let fitted = study.fit(&classifier, &all, &|epoch| record("final".into(), epoch))?;
    bar.finish_and_clear();

    let predictions =
        collect_predictions(dataset, &study, &out_of_sample, &embedded, |features| {
            Ok(fitted.predict(features)?)
        })?;
    let config = toml::to_string(&Recipe {
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
        encoder: encoder.name().to_owned(),
        encoder_identity: encoder.identity(),
        config_hash: blake3::hash(config.as_bytes()).to_hex().to_string(),
        seed: context.seed,
        threads: context.threads,
        images: study.len(),
        cases,
    };
    let model = fitted.model.to_bytes()?;
    let lines = lines.into_inner().unwrap_or_default();
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

/// Out-of-sample predictions of the study, and the final model's for all other images.
fn collect_predictions(
    dataset: &Dataset,
    study: &Study,
    out_of_sample: &OutOfSample,
    embedded: &cleanslide_learn::embed::Embeddings,
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

fn write_run(
    folder: &Path,
    config: &str,
    manifest: &Manifest,
    lines: &[MetricsLine],
    model: &[u8],
    predictions: &Predictions,
) -> cleanslide_data::Result<()> {
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, bytes).map_err(|error| cleanslide_data::Error::io("write", &path, error))
    };
    let json = |result: serde_json::Result<String>| {
        result.map_err(|error| {
            cleanslide_data::Error::io("write", folder, std::io::Error::other(error))
        })
    };
    let mut metrics = String::new();
    for line in lines {
        metrics.push_str(&json(serde_json::to_string(line))?);
        metrics.push('\n');
    }
    write("config.toml", config.as_bytes())?;
    write("metrics.jsonl", metrics.as_bytes())?;
    write("model.safetensors", model)?;
    write("predictions.csv", &predictions.to_bytes())?;
    write(
        "manifest.json",
        json(serde_json::to_string_pretty(manifest))?.as_bytes(),
    )
}

/// Reads `manifest.json` and `config.toml` of a run.
pub fn read_run(run: &Path) -> Result<(Manifest, Recipe)> {
    let path = run.join("manifest.json");
    if !path.exists() {
        return Err(Failure::input(format!(
            "{} is not a run: it has no manifest.json",
            run.display()
        ))
        .help("Make one with `cleanslide train DATASET --out RUN`."));
    }
    let text = fs::read_to_string(&path)
        .map_err(|error| cleanslide_data::Error::io("read", &path, error))?;
    let manifest = serde_json::from_str(&text)
        .map_err(|error| Failure::input(format!("{}: {error}", path.display())))?;
    Ok((manifest, Recipe::read(&run.join("config.toml"))?))
}

impl Show for Summary {
    fn text(&self) -> String {
        format!(
            "{}: {} on {} of {} ({} of {}), {:.1} s\n\
             out of sample against the given labels, which may be wrong:\n{}\n\
             next: cleanslide evaluate DATASET {} --reference NAME",
            self.run.display(),
            self.method,
            count(self.images, "image"),
            count(self.cases, "case"),
            self.source,
            self.labels,
            self.seconds,
            table(&["value"], &[&self.against_given_labels]),
            self.run.display(),
        )
    }
}
