//! How well given labels are found again by embeddings that learned nothing of them.

use std::collections::BTreeMap;

use cleanslide_audit::{Metric, nearest_neighbours};
use cleanslide_data::{Dataset, ImageRecord, Task};
use cleanslide_eval::{LabelPairs, Weights};
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
    /// classifier.
    pub fn measure(&self, embeddings: Array2<f32>) -> Result<BTreeMap<String, f64>> {
        let mut notes = BTreeMap::new();
        let Some(labels) = &self.labels else {
            return Ok(notes);
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
        let study = Study::new(self.dataset, &embeddings, labels, |_| true)?;
        if let Some(said) = by_neighbours(&study)? {
            notes.insert(NEIGHBOURS.to_owned(), accuracy(&study, &said)?);
        }
        let classifier = Classifier {
            train: TrainSettings {
                optimiser: Optimiser::Lbfgs,
                l2: 0.1,
                ..TrainSettings::default()
            },
            ..Classifier::default()
        };
        // Of too few cases there are no folds, and no such note.
        if let Ok(folds) = study.folds(FOLDS, 0) {
            let predicted = study.out_of_sample(&classifier, &folds, &|_, _| {})?;
            let rows = predicted.probabilities.rows().into_iter();
            let said: Vec<usize> = rows
                .map(|row| {
                    let greatest = row.iter().copied().fold(f32::MIN, f32::max);
                    row.iter().position(|&p| p == greatest).unwrap_or(0)
                })
                .collect();
            notes.insert(LINEAR.to_owned(), accuracy(&study, &said)?);
        }
        Ok(notes)
    }
}

/// The class of most of the nearest neighbours of other cases, the lowest of several; `None` of too few images.
fn by_neighbours(study: &Study) -> Result<Option<Vec<usize>>> {
    let found = FOUND.min(study.len().saturating_sub(1));
    if found < ASKED {
        return Ok(None);
    }
    let near = nearest_neighbours(study.features(), found, Metric::Cosine)?;
    let mut frequency = vec![0usize; study.classes.len()];
    study.given.iter().for_each(|&class| frequency[class] += 1);
    let said = (0..study.len()).map(|item| {
        let mut votes = vec![0.0; study.classes.len()];
        for other in near.of_other_groups(item, &study.cases, ASKED) {
            // Every class counts as if it were as frequent as the others.
            let given = study.given[other];
            votes[given] += 1.0 / frequency[given] as f64;
        }
        let most = votes.iter().copied().fold(0.0, f64::max);
        votes.iter().position(|&vote| vote == most).unwrap_or(0)
    });
    Ok(Some(said.collect()))
}

fn accuracy(study: &Study, said: &[usize]) -> Result<f64> {
    let pairs = LabelPairs::new(&study.given, said, study.classes.len())?;
    Ok(pairs.confusion(Weights::Equal)?.balanced_accuracy()?)
}
