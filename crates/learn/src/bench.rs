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

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use cleanslide_data::store::in_file_names;
use cleanslide_data::{Dataset, Error as DataError, assign_folds, independent_units};
use cleanslide_weak::noise::{
    NoiseError, Selection, Uniform, asymmetric, between, instance_dependent, mislabelling_score,
    pair_flip, uniform,
};
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use thiserror::Error;

use crate::classify::{Classifier, EarlyStopping};
use crate::embed::Embeddings;
use crate::from_pixels::FromPixels;
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
    #[error(
        "`{0}` is not a noise: write none, uniform:RATE, pair:RATE, toward:CLASS:RATE or instance:RATE, with a rate \
         from 0 to 1"
    )]
    NotANoise(String),
    /// Noise toward a class that the dataset does not have.
    #[error("there is no class `{class}` for `toward:{class}:…`: the classes are {known}")]
    NoSuchClass {
        /// The class.
        class: String,
        /// The classes that there are.
        known: String,
    },
}

/// Noise that is added to labels before training.
#[derive(Debug, Clone, PartialEq)]
pub enum AddedNoise {
    /// The labels as they are.
    None,
    /// This share of the labels, exactly, becomes any other class.
    Uniform(f64),
    /// This share of the labels of each class, exactly, becomes the next class.
    Pair(f64),
    /// This share of the labels of each other class, exactly, becomes this class.
    Toward(String, f64),
    /// This share of the labels, exactly, becomes the likeliest wrong class, more often of images that are hard: those of
    /// which a model that was trained plainly on the labels of other cases holds a wrong class likely. See
    /// [`instance_dependent`].
    Instance(f64),
}

impl AddedNoise {
    /// The share of labels that it makes wrong; of noise toward a class, of the labels of other classes.
    pub fn rate(&self) -> f64 {
        match self {
            Self::None => 0.0,
            Self::Uniform(rate)
            | Self::Pair(rate)
            | Self::Toward(_, rate)
            | Self::Instance(rate) => *rate,
        }
    }

    /// What it is, without its rate.
    pub fn kind(&self) -> String {
        match self {
            Self::None => "none".to_owned(),
            Self::Uniform(_) => "uniform".to_owned(),
            Self::Pair(_) => "pair".to_owned(),
            Self::Toward(class, _) => format!("toward:{class}"),
            Self::Instance(_) => "instance".to_owned(),
        }
    }

    /// Refuses noise toward a class that is not among these.
    ///
    /// # Errors
    /// Such noise.
    pub fn check(&self, classes: &[String]) -> Result<(), BenchError> {
        match self {
            Self::Toward(class, _) => class_number(class, classes).map(drop),
            _ => Ok(()),
        }
    }
}

fn class_number(class: &str, classes: &[String]) -> Result<usize, BenchError> {
    let found = classes.iter().position(|known| known == class);
    found.ok_or_else(|| BenchError::NoSuchClass {
        class: class.to_owned(),
        known: classes.join(", "),
    })
}

impl fmt::Display for AddedNoise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            _ => write!(f, "{}:{}", self.kind(), self.rate()),
        }
    }
}

impl FromStr for AddedNoise {
    type Err = BenchError;

    fn from_str(text: &str) -> Result<Self, BenchError> {
        let fail = || BenchError::NotANoise(text.to_owned());
        if text == "none" {
            return Ok(Self::None);
        }
        // A class may have a colon in its name.
        let (kind, rate) = text.rsplit_once(':').ok_or_else(fail)?;
        let rate: f64 = rate.parse().map_err(|_| fail())?;
        if !(0.0..=1.0).contains(&rate) {
            return Err(fail());
        }
        match (kind, kind.split_once(':')) {
            ("uniform", _) => Ok(Self::Uniform(rate)),
            ("pair", _) => Ok(Self::Pair(rate)),
            ("instance", _) => Ok(Self::Instance(rate)),
            (_, Some(("toward", class))) => Ok(Self::Toward(class.to_owned(), rate)),
            _ => Err(fail()),
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
        let noise = in_file_names(&self.noise.to_string());
        let name = format!(
            "{}__{noise}__{}__seed{}.csv",
            in_file_names(&self.labels),
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
    /// Networks that are trained on pixels, instead of heads on embeddings; the seed of each cell replaces its own.
    pub from_pixels: Option<&'a FromPixels<'a>>,
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
        let query_folds = self.deal(cell.seed)?;
        let mut classifier = self.classifier.clone();
        classifier.train.seed = cell.seed;
        let (study, folds) = self.study(cell, labels, &query_folds, &classifier)?;
        if let Some(from_pixels) = self.from_pixels {
            let from_pixels = FromPixels {
                seed: cell.seed,
                ..*from_pixels
            };
            let items = (&study, folds.as_slice());
            let images = &self.embeddings.images;
            return by_networks(&from_pixels, &cell.method, items, (images, &query_folds))
                .map_err(failed);
        }
        classifier.method = cell.method.clone();
        let features = self.embeddings.features.view();
        study
            .predict_held_out(&classifier, &folds, features, &query_folds, &|_, _| {})
            .map_err(failed)
    }

    /// What a cell learns from, and the fold of each item.
    fn study(
        &self,
        cell: &Cell,
        labels: &ImageLabels,
        query_folds: &[usize],
        classifier: &Classifier,
    ) -> Result<(Study, Vec<usize>), BenchError> {
        let of = |labels: &ImageLabels| {
            let study = Study::new(self.dataset, self.embeddings, labels, |_| true);
            study.map_err(|source| BenchError::Cell {
                cell: cell.to_string(),
                source,
            })
        };
        let clean = of(labels)?;
        let folds: Vec<usize> = clean.rows.iter().map(|&row| query_folds[row]).collect();
        let noisy = of(&self.noisy(cell, labels, &clean, &folds, classifier)?)?;
        // Embeddings are large: a second copy is kept only where it is looked at.
        let study = match classifier.train.early_stopping {
            EarlyStopping::CleanValidation { .. } => noisy.watching_clean(clean),
            EarlyStopping::None | EarlyStopping::NoisyValidation { .. } => noisy,
        };
        Ok((study, folds))
    }

    /// The labels of a cell with its noise, the same for every method. `clean` are the items of `labels` without it, in
    /// these folds.
    fn noisy(
        &self,
        cell: &Cell,
        labels: &ImageLabels,
        clean: &Study,
        folds: &[usize],
        classifier: &Classifier,
    ) -> Result<ImageLabels, BenchError> {
        let classes = self.dataset.classes().len();
        let mut rng = ChaCha8Rng::seed_from_u64(cell.seed);
        let mut given = labels.classes();
        let labelled: Vec<usize> = (0..given.len()).filter(|&at| given[at].is_some()).collect();
        let known: Vec<usize> = given.iter().copied().flatten().collect();
        let (images, noisy) = match &cell.noise {
            AddedNoise::None => return Ok(labels.clone()),
            AddedNoise::Uniform(rate) => {
                let noisy = uniform(&known, classes, *rate, Uniform::Anywhere, &mut rng)?;
                (&labelled, noisy)
            }
            AddedNoise::Pair(rate) => {
                let flips = pair_flip(classes, *rate)?;
                (&labelled, asymmetric(&known, flips.view(), &mut rng)?)
            }
            AddedNoise::Toward(class, rate) => {
                let to = class_number(class, self.dataset.classes().names())?;
                let others = (0..classes).filter(|&from| from != to);
                let flips: Vec<_> = others.map(|from| (from, to, *rate)).collect();
                let flips = between(classes, &flips)?;
                (&labelled, asymmetric(&known, flips.view(), &mut rng)?)
            }
            AddedNoise::Instance(rate) => {
                let mut plain = classifier.clone();
                plain.method = MethodSettings::default();
                plain.train.early_stopping = EarlyStopping::None;
                let said = clean
                    .out_of_sample(&plain, folds, &|_, _| {})
                    .map_err(|source| BenchError::Cell {
                        cell: cell.to_string(),
                        source,
                    })?;
                let said = said.probabilities.view();
                let difficulty = mislabelling_score(&clean.given, said)?;
                let noisy = instance_dependent(
                    &clean.given,
                    classes,
                    *rate,
                    &difficulty,
                    Some(said),
                    Selection::Weighted,
                    &mut rng,
                )?;
                (&clean.images, noisy)
            }
        };
        for (&image, class) in images.iter().zip(noisy.labels) {
            given[image] = Some(class);
        }
        Ok(labels.with_classes(&given, classes))
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

/// Predicts images, each in a fold, by networks that were trained on the pixels of the items of all other folds. What a
/// killed one has left in the folder is trained again: methods may remember what networks said.
fn by_networks(
    from_pixels: &FromPixels,
    method: &MethodSettings,
    (study, folds): (&Study, &[usize]),
    (images, query_folds): (&[usize], &[usize]),
) -> crate::error::Result<OutOfSample> {
    let folder = from_pixels.folder;
    let io = |action, error| DataError::io(action, folder, error);
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|error| io("remove", error))?;
    }
    let mut probabilities = Array2::zeros((images.len(), study.classes.len()));
    for fold in query_folds.iter().copied().collect::<BTreeSet<usize>>() {
        fs::create_dir_all(folder).map_err(|error| io("create", error))?;
        let others: Vec<usize> = (0..study.len())
            .filter(|&item| folds[item] != fold)
            .collect();
        let learned: Vec<usize> = others.iter().map(|&item| study.images[item]).collect();
        let examples = study.examples.subset(&others)?;
        let network = from_pixels.fit(method, &learned, &examples)?;
        let queries: Vec<usize> = (0..images.len())
            .filter(|&query| query_folds[query] == fold)
            .collect();
        let of_queries: Vec<usize> = queries.iter().map(|&query| images[query]).collect();
        let said = from_pixels.predict(&network, &of_queries)?;
        for (query, row) in queries.into_iter().zip(said.rows()) {
            probabilities.row_mut(query).assign(&row);
        }
        fs::remove_dir_all(folder).map_err(|error| io("remove", error))?;
    }
    Ok(OutOfSample {
        probabilities,
        folds: query_folds.to_vec(),
        histories: BTreeMap::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_read_and_written() {
        for text in [
            "none",
            "uniform:0.25",
            "pair:1",
            "instance:0.3",
            "toward:grade 3:4:0.5",
        ] {
            assert_eq!(text.parse::<AddedNoise>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "uniform",
            "uniform:2",
            "uniform:x",
            "flip:0.1",
            "toward:0.1",
        ] {
            assert!(text.parse::<AddedNoise>().is_err(), "{text}");
        }
    }
}
