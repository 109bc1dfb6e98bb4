//! The folder of a run: the recipe it followed, what it was made from, how training went.

use std::fs;
use std::path::{Path, PathBuf};

use cleanslide_data::VersionId;
use cleanslide_learn::classify::{Epoch, History, TrainSettings};
use cleanslide_learn::experts::ExpertMethod;
use cleanslide_learn::methods::MethodSettings;
use cleanslide_learn::predictions::Predictions;
use cleanslide_learn::pretrain::Objective;
use cleanslide_learn::study::OutOfSample;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::arguments::EncoderArguments;
use crate::failure::{Failure, Result};
use crate::network_run::{COMPLEMENTARY, DUAL, SISSI};
use crate::pipeline::DEFAULT_FOLDS;

/// Everything that decides a run, but the dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// Seed of folds and training, unless `--seed` says another. Default 0.
    pub seed: u64,
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
    /// Clean labels of the validation images, for early stopping that names them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_reference: Option<String>,
    /// How to learn.
    pub method: MethodSettings,
    /// How heads are trained.
    pub train: TrainSettings,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            seed: 0,
            encoder: "classical".into(),
            crop: None,
            labels: None,
            source: None,
            folds: DEFAULT_FOLDS,
            validation_reference: None,
            method: MethodSettings::default(),
            train: TrainSettings::default(),
        }
    }
}

/// A recipe, and the flags that override what it says.
#[derive(Debug, Clone, Copy, Default)]
pub struct RecipeFlags<'a> {
    /// A TOML file; all defaults without one.
    pub file: Option<&'a Path>,
    /// The encoder.
    pub encoder: Option<&'a str>,
    /// Side of the central square, in pixels.
    pub crop: Option<u32>,
    /// Label version.
    pub labels: Option<VersionId>,
    /// Whose labels.
    pub source: Option<&'a str>,
    /// Folds.
    pub folds: Option<usize>,
}

impl RecipeFlags<'_> {
    /// What they say together.
    pub fn recipe(&self) -> Result<Recipe> {
        let recipe = match self.file {
            Some(path) => Recipe::read(path)?,
            None => Recipe::default(),
        };
        Ok(Recipe {
            encoder: self.encoder.map_or(recipe.encoder, String::from),
            crop: self.crop.or(recipe.crop),
            labels: self.labels.or(recipe.labels),
            source: self.source.map(String::from).or(recipe.source),
            folds: self.folds.unwrap_or(recipe.folds),
            ..recipe
        })
    }
}

impl Recipe {
    /// Reads a recipe; an unknown key is an error with a suggestion. Its seed may also stand in the table `train`.
    pub fn read(path: &Path) -> Result<Self> {
        let mut recipe: Self = read_recipe(path)?;
        let of_train = std::mem::take(&mut recipe.train.seed);
        if recipe.seed != 0 && of_train != 0 && of_train != recipe.seed {
            return Err(Failure::usage(format!(
                "{}: `seed` is {} and {of_train} in [train]",
                path.display(),
                recipe.seed
            ))
            .help("There is one seed, of folds and training: leave that in [train] out."));
        }
        if recipe.seed == 0 {
            recipe.seed = of_train;
        }
        Ok(recipe)
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

/// Refuses the name of a method where a recipe is expected; `flag` takes it.
pub fn refuse_method(recipe: Option<&Path>, flag: &str) -> Result<()> {
    let Some(path) = recipe else {
        return Ok(());
    };
    let name = path.to_string_lossy();
    let of_classes = MethodSettings::all();
    let of_experts = ExpertMethod::all();
    let mut names = of_classes.iter().map(MethodSettings::name);
    let known = names.any(|method| method == name)
        || of_experts.iter().any(|method| method.name() == name)
        || Objective::NAMES.contains(&name.as_ref())
        || [SISSI, COMPLEMENTARY, DUAL].contains(&name.as_ref());
    if !known || path.exists() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "`--recipe` takes a file, and there is none called {name}"
    ))
    .help(format!(
        "`{name}` is a method: did you mean `{flag} {name}`?"
    )))
}

/// Reads a TOML file; an unknown key is an error with a suggestion.
pub fn read_recipe<Recipe: DeserializeOwned>(path: &Path) -> Result<Recipe> {
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
    /// Whether a model corrected them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub corrected: bool,
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
    /// What was watched for early stopping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<String>,
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

/// The epochs of all folds, fold by fold.
pub fn fold_lines(predicted: &OutOfSample) -> Vec<MetricsLine> {
    let folds = predicted.histories.iter();
    folds
        .flat_map(|(fold, history)| part_lines(&format!("fold {}", fold + 1), history))
        .collect()
}

/// The epochs of one training.
pub fn part_lines(part: &str, history: &History) -> Vec<MetricsLine> {
    let line = |epoch: &Epoch| MetricsLine {
        part: part.to_owned(),
        epoch: epoch.clone(),
    };
    history.epochs.iter().map(line).collect()
}

/// Writes everything but the report into the folder of a run.
pub fn write_run(
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

/// Reads `metrics.jsonl` of a run.
pub fn read_metrics(run: &Path) -> Result<Vec<MetricsLine>> {
    let path = run.join("metrics.jsonl");
    let text = fs::read_to_string(&path)
        .map_err(|error| cleanslide_data::Error::io("read", &path, error))?;
    text.lines()
        .enumerate()
        .map(|(number, line)| {
            serde_json::from_str(line).map_err(|error| {
                Failure::input(format!("{}, line {}: {error}", path.display(), number + 1))
            })
        })
        .collect()
}
