//! Comparing methods over labels and noise: a grid of cells, each with its own file.
//!
//! ```text
//! for each kind of labels × noise × method × seed:
//!     add the noise to the labels (seeded), deal the images into folds by case (seeded, the same
//!     for every method and kind of labels), predict each fold by a model of the others
//! ```
//!
//! A cell's file holds its predictions; it appears whole when the cell is done, so a bench that is
//! killed goes on with the next cell. Truth is not read here at all: it is for the evaluation of
//! the files.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use cleanslide_data::{Dataset, Error as DataError, assign_folds, independent_units};
use cleanslide_weak::noise::{NoiseError, Uniform, asymmetric, pair_flip, uniform};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use thiserror::Error;

use crate::classify::Classifier;
use crate::embed::Embeddings;
use crate::image_labels::ImageLabels;
use crate::methods::MethodSettings;
use crate::predictions::Predictions;
use crate::study::{OutOfSample, Study};

/// What can go wrong in a bench.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BenchError {
    /// The dataset, the splits or the disk.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Noise that cannot be added.
    #[error(transparent)]
    Noise(#[from] NoiseError),
    /// A training that failed, and in which cell.
    #[error("{cell}: {source}")]
    Cell {
        /// The cell.
        cell: String,
        /// The cause.
        source: crate::Error,
    },
    /// A noise that is not understood.
    #[error("`{0}` is not a noise: write none, uniform:RATE or pair:RATE")]
    NotANoise(String),
}

/// Noise that is added to labels before training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AddedNoise {
    /// The labels as they are.
    None,
    /// This share of the labels, exactly, becomes any other class.
    Uniform(f64),
    /// This share of the labels of each class, exactly, becomes the next class.
    Pair(f64),
}

impl AddedNoise {
    /// The share of labels that it makes wrong.
    pub fn rate(self) -> f64 {
        match self {
            Self::None => 0.0,
            Self::Uniform(rate) | Self::Pair(rate) => rate,
        }
    }

    /// Adds the noise to the labelled images.
    fn add(
        self,
        labels: &ImageLabels,
        classes: usize,
        seed: u64,
    ) -> Result<ImageLabels, NoiseError> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let given = labels.classes();
        let known: Vec<usize> = given.iter().copied().flatten().collect();
        let noisy = match self {
            Self::None => return Ok(labels.clone()),
            Self::Uniform(rate) => uniform(&known, classes, rate, Uniform::Anywhere, &mut rng)?,
            Self::Pair(rate) => asymmetric(&known, pair_flip(classes, rate)?.view(), &mut rng)?,
        };
        let mut noisy = noisy.labels.into_iter();
        let replaced: Vec<Option<usize>> = given
            .iter()
            .map(|class| class.and_then(|_| noisy.next()))
            .collect();
        Ok(ImageLabels::of_classes(
            labels.version,
            labels.source.clone(),
            &replaced,
            classes,
        ))
    }
}

impl fmt::Display for AddedNoise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Uniform(rate) => write!(f, "uniform:{rate}"),
            Self::Pair(rate) => write!(f, "pair:{rate}"),
        }
    }
}

impl FromStr for AddedNoise {
    type Err = BenchError;

    fn from_str(text: &str) -> Result<Self, BenchError> {
        let fail = || BenchError::NotANoise(text.to_owned());
        match text.split_once(':') {
            None if text == "none" => Ok(Self::None),
            Some((kind, rate)) => {
                let rate: f64 = rate.parse().map_err(|_| fail())?;
                match kind {
                    _ if !(0.0..=1.0).contains(&rate) => Err(fail()),
                    "uniform" => Ok(Self::Uniform(rate)),
                    "pair" => Ok(Self::Pair(rate)),
                    _ => Err(fail()),
                }
            }
            None => Err(fail()),
        }
    }
}

/// One cell of the grid.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// Name of the labels.
    pub labels: String,
    /// Noise that is added to them.
    pub noise: AddedNoise,
    /// The method.
    pub method: MethodSettings,
    /// Seed of noise, folds and training.
    pub seed: u64,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, noise {}, {}, seed {}",
            self.labels,
            self.noise,
            self.method.name(),
            self.seed
        )
    }
}

impl Cell {
    /// The cell's file in the bench's folder.
    pub fn path(&self, folder: &Path) -> PathBuf {
        let safe = |text: &str| -> String {
            text.chars()
                .map(|c| {
                    if c.is_alphanumeric() || "-.".contains(c) {
                        c
                    } else {
                        '_'
                    }
                })
                .collect()
        };
        let noise = safe(&self.noise.to_string());
        let name = format!(
            "{}__{noise}__{}__seed{}.csv",
            safe(&self.labels),
            self.method.name(),
            self.seed
        );
        folder.join("cells").join(name)
    }
}

/// What all cells share.
pub struct Bench<'a> {
    /// The dataset.
    pub dataset: &'a Dataset,
    /// Its embeddings.
    pub embeddings: &'a Embeddings,
    /// How heads are trained; the method and seed of each cell replace its own.
    pub classifier: &'a Classifier,
    /// Number of folds.
    pub folds: usize,
}

impl Bench<'_> {
    /// Predicts every embedded image by models that did not see its case, and writes the cell's
    /// file into `folder`. `labels` are the cell's, without its noise.
    ///
    /// # Errors
    /// As [`Bench::predict`], and a full disk.
    pub fn run(&self, cell: &Cell, labels: &ImageLabels, folder: &Path) -> Result<(), BenchError> {
        let predicted = self.predict(cell, labels)?;
        let predictions = Predictions {
            classes: self.dataset.classes().clone(),
            images: self
                .embeddings
                .images
                .iter()
                .map(|&image| self.dataset.images()[image].id.clone())
                .collect(),
            parts: predicted
                .folds
                .iter()
                .map(|fold| format!("fold {}", fold + 1))
                .collect(),
            probabilities: predicted.probabilities,
        };
        Ok(predictions.write(&cell.path(folder))?)
    }

    /// Predicts every embedded image, labelled or not, by models that did not see its case.
    ///
    /// # Errors
    /// Too few cases, noise that does not fit the labels, a training that fails.
    pub fn predict(&self, cell: &Cell, labels: &ImageLabels) -> Result<OutOfSample, BenchError> {
        let failed = |source| BenchError::Cell {
            cell: cell.to_string(),
            source,
        };
        let classes = self.dataset.classes().len();
        let noisy = cell.noise.add(labels, classes, cell.seed)?;
        let query_folds = self.deal(cell.seed)?;
        let study = Study::new(self.dataset, self.embeddings, &noisy, |_| true).map_err(failed)?;
        let folds: Vec<usize> = study.rows.iter().map(|&row| query_folds[row]).collect();
        let mut classifier = self.classifier.clone();
        classifier.method = cell.method.clone();
        classifier.train.seed = cell.seed;
        let features = self.embeddings.features.view();
        study
            .predict_held_out(&classifier, &folds, features, &query_folds, &|_, _| {})
            .map_err(failed)
    }

    /// The fold of each embedded image. No label has a say in it, so the folds are the same for
    /// all kinds of labels.
    fn deal(&self, seed: u64) -> Result<Vec<usize>, DataError> {
        let units = independent_units(self.dataset.images());
        let mut known: Vec<usize> = self
            .embeddings
            .images
            .iter()
            .map(|&image| units[image])
            .collect();
        let cases = known.clone();
        known.sort_unstable();
        known.dedup();
        let units: Vec<usize> = cases
            .iter()
            .map(|case| known.partition_point(|other| other < case))
            .collect();
        let unknown = vec![None; units.len()];
        assign_folds(
            &units,
            &unknown,
            self.folds,
            &mut ChaCha8Rng::seed_from_u64(seed),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_read_and_written() {
        for text in ["none", "uniform:0.25", "pair:1"] {
            assert_eq!(text.parse::<AddedNoise>().unwrap().to_string(), text);
        }
        for text in ["", "uniform", "uniform:2", "uniform:x", "flip:0.1"] {
            assert!(text.parse::<AddedNoise>().is_err(), "{text}");
        }
    }
}
