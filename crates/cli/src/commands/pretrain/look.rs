//! How well given labels are found again by embeddings that learned nothing of them.

use std::collections::BTreeMap;

use cleanslide_audit::{Metric, Neighbours, nearest_neighbours};
use cleanslide_data::{Dataset, ImageRecord, Task};
use cleanslide_eval::{LabelPairs, Weights, most_probable};
use cleanslide_learn::classify::{Classifier, Optimiser, TrainSettings};
use cleanslide_learn::embed::Embeddings;
use cleanslide_learn::error::Result;
use cleanslide_learn::image_labels::ImageLabels;
use cleanslide_learn::study::Study;
use ndarray::Array2;

use crate::arguments::LabelsArguments;
use crate::failure;

/// More images are not looked at.
const MOST: usize = 2000;

/// Neighbours that are found, and how many of other cases are asked.
const FOUND: usize = 100;
const ASKED: usize = 20;

const FOLDS: usize = 5;

const NEIGHBOURS: &str = "given labels by 20 neighbours";
const LINEAR: &str = "given labels by a linear classifier";

/// Whether a note is of given labels.
pub fn is_of_labels(note: &str) -> bool {
    [NEIGHBOURS, LINEAR].contains(&note)
}

/// What is looked at between epochs.
pub struct Look<'a> {
    dataset: &'a Dataset,
    /// Places of the images that are embedded, among those that are learned from.
    pub items: Vec<usize>,
    /// The same, among all images of the dataset.
    positions: Vec<usize>,
    labels: Option<ImageLabels>,
}

impl<'a> Look<'a> {
    /// Chooses the images evenly, of those with a label where there are labels.
    pub fn new(
        dataset: &'a Dataset,
        images: &[&ImageRecord],
        asked: &LabelsArguments,
    ) -> failure::Result<Self> {
        let labels = Self::read(dataset, asked)?;
        let all: Vec<(usize, usize)> = images
            .iter()
            .enumerate()
            .filter_map(|(item, image)| Some((item, dataset.position(&image.id)?)))
            .filter(|&(_, position)| match &labels {
                Some(labels) => labels.labels[position].is_some(),
                None => true,
            })
            .collect();
        let every = all.len().div_ceil(MOST).max(1);
        let (items, positions) = all.into_iter().step_by(every).unzip();
        Ok(Self {
            dataset,
            items,
            positions,
            labels,
        })
    }

    /// Labels that were asked for, or those that there are: of classes of images alone, by whom there is no doubt.
    fn read(dataset: &Dataset, asked: &LabelsArguments) -> failure::Result<Option<ImageLabels>> {
        let named = asked.labels.is_some() || asked.source.is_some();
        if !named && dataset.manifest().task != Task::Classification {
            return Ok(None);
        }
        let labels = ImageLabels::load(dataset, asked.labels, asked.source.as_deref());
        match labels {
            Ok(labels) => Ok(Some(labels)),
            Err(_) if !named => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The labels, if there are any.
    pub fn labels(&self) -> Option<&ImageLabels> {
        self.labels.as_ref()
    }

    /// Balanced accuracies against the given labels: by neighbours of other cases, and out of sample by a linear
    /// classifier. What cannot be measured is left out, and `warn` is told why: a look never ends a training.
    pub fn measure(&self, embeddings: Array2<f32>, warn: &dyn Fn(&str)) -> BTreeMap<String, f64> {
        let mut notes = BTreeMap::new();
        let Some(labels) = self.labels.as_ref().filter(|_| !self.items.is_empty()) else {
            return notes;
        };
        let count = embeddings.nrows();
        let embeddings = Embeddings {
            features: embeddings,
            images: self.positions.clone(),
            hashes: vec![String::new(); count],
            problems: Vec::new(),
            notices: Vec::new(),
            computed: count,
        };
        let study = match Study::new(self.dataset, &embeddings, labels, |_| true) {
            Ok(study) => study,
            Err(error) => {
                warn(&error.to_string());
                return notes;
            }
        };
        for (name, accuracy) in [
            (NEIGHBOURS, by_neighbours(&study)),
            (LINEAR, by_linear_classifier(&study)),
        ] {
            match accuracy {
                Ok(Some(accuracy)) => drop(notes.insert(name.to_owned(), accuracy)),
                Ok(None) => {}
                Err(error) => warn(&format!("{name}: {error}")),
            }
        }
        notes
    }
}

/// By the nearest neighbours of other cases, for the items that have any; `None` of too few images.
fn by_neighbours(study: &Study) -> Result<Option<f64>> {
    let found = FOUND.min(study.len().saturating_sub(1));
    if found < ASKED {
        return Ok(None);
    }
    let near = nearest_neighbours(study.features(), found, Metric::Cosine)?;
    let said = votes(&near, &study.given, &study.cases, study.classes.len());
    let items = (0..study.len()).filter_map(|item| Some((study.given[item], said[item]?)));
    let (given, said): (Vec<usize>, Vec<usize>) = items.unzip();
    if given.is_empty() {
        return Ok(None);
    }
    accuracy(&given, &said, study).map(Some)
}

/// The class of most of the nearest neighbours of other cases, the lowest of several; `None` where all are of the same case.
fn votes(
    near: &Neighbours,
    given: &[usize],
    cases: &[usize],
    classes: usize,
) -> Vec<Option<usize>> {
    let mut frequency = vec![0usize; classes];
    given.iter().for_each(|&class| frequency[class] += 1);
    let said = (0..given.len()).map(|item| {
        let mut votes = vec![0.0; classes];
        for other in near.of_other_groups(item, cases, ASKED) {
            // Every class counts as if it were as frequent as the others.
            votes[given[other]] += 1.0 / frequency[given[other]] as f64;
        }
        let most = votes.iter().copied().fold(0.0, f64::max);
        let winner = votes.iter().position(|&vote| vote == most);
        winner.filter(|_| most > 0.0)
    });
    said.collect()
}

/// Out of sample by a linear classifier; `None` of too few cases for folds.
fn by_linear_classifier(study: &Study) -> Result<Option<f64>> {
    let Ok(folds) = study.folds(FOLDS, 0) else {
        return Ok(None);
    };
    let classifier = Classifier {
        train: TrainSettings {
            optimiser: Optimiser::Lbfgs,
            l2: 0.1,
            ..TrainSettings::default()
        },
        ..Classifier::default()
    };
    let predicted = study.out_of_sample(&classifier, &folds, &|_, _| {})?;
    let said = most_probable(predicted.probabilities.view())?;
    accuracy(&study.given, &said, study).map(Some)
}

fn accuracy(given: &[usize], said: &[usize], study: &Study) -> Result<f64> {
    let pairs = LabelPairs::new(given, said, study.classes.len())?;
    Ok(pairs.confusion(Weights::Equal)?.balanced_accuracy()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_without_neighbours_of_other_cases_say_nothing() {
        // The neighbour of the first two is of their case, that of the last is not.
        let near = Neighbours {
            indices: ndarray::array![[1], [0], [1]],
            distances: Array2::zeros((3, 1)),
        };
        assert_eq!(
            votes(&near, &[1, 1, 0], &[7, 7, 8], 2),
            [None, None, Some(1)]
        );
    }
}
