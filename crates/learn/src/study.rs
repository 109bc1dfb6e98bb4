//! The labelled, embedded images of a dataset, and predictions for them out of sample.

use std::collections::{BTreeMap, BTreeSet};

use cleanslide_data::{Dataset, ImageRecord, assign_folds, independent_units};
use ndarray::{Array2, ArrayView2, Axis};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::classify::{
    Classifier, EarlyStopping, Epoch, Examples, Fitted, History, Labels, Validation,
};
use crate::cross_validation::{Folds, predict_by_fold};
use crate::embed::Embeddings;
use crate::error::{Error, Result};
use crate::image_labels::ImageLabels;
use crate::methods::{Context, Needs};

/// Folds within a training set, for what a method needs to know beforehand and for early stopping; of fewer cases, as many as
/// there are.
const INNER_FOLDS: usize = 5;

/// Items to learn from: images with an embedding and a label.
#[derive(Debug, Clone)]
pub struct Study {
    /// For each item, the position of its image in the dataset.
    pub images: Vec<usize>,
    /// For each item, the row of its embedding.
    pub rows: Vec<usize>,
    /// Embeddings, soft labels and trust of the items.
    pub examples: Examples<'static>,
    /// The given class of each item: the likeliest of its label.
    pub given: Vec<usize>,
    /// The independent case of each item.
    pub cases: Vec<usize>,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// What is watched where training stops early; see [`Study::watching`].
    validation: Option<Validation<'static>>,
    /// The items with clean labels, of which what is held out is watched; see [`Study::watching_clean`].
    clean: Option<Examples<'static>>,
}

/// Predictions out of sample, and how the models came about.
#[derive(Debug, Clone)]
pub struct OutOfSample {
    /// Probabilities, `[items, classes]`.
    pub probabilities: Array2<f32>,
    /// The fold of each item.
    pub folds: Vec<usize>,
    /// The history of each fold's training, by fold.
    pub histories: BTreeMap<usize, History>,
}

impl Study {
    /// Collects the images that `keep` keeps and that have an embedding and a label.
    ///
    /// # Errors
    /// No such image, or labels that cannot be learned from.
    pub fn new(
        dataset: &Dataset,
        embeddings: &Embeddings,
        labels: &ImageLabels,
        keep: impl Fn(&ImageRecord) -> bool,
    ) -> Result<Self> {
        let units = independent_units(dataset.images());
        let (mut images, mut rows, mut given) = (Vec::new(), Vec::new(), Vec::new());
        let (mut targets, mut weights) = (Vec::new(), Vec::new());
        for (row, &image) in embeddings.images.iter().enumerate() {
            let Some(label) = &labels.labels[image] else {
                continue;
            };
            if keep(&dataset.images()[image]) {
                images.push(image);
                rows.push(row);
                given.push(label.class());
                targets.extend_from_slice(&label.distribution);
                weights.push(label.trust);
            }
        }
        let classes = dataset.classes().names().to_vec();
        let targets = Array2::from_shape_vec((images.len(), classes.len()), targets)
            .map_err(|error| Error::Folds(error.to_string()))?;
        let features = embeddings.features.select(Axis(0), &rows);
        let all: Vec<usize> = (0..images.len()).collect();
        let examples = Examples::new(features.view(), targets, weights)?.subset(&all)?;
        let cases = images.iter().map(|&image| units[image]).collect();
        Ok(Self {
            images,
            rows,
            examples,
            given,
            cases,
            classes,
            validation: None,
            clean: None,
        })
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// True without items; [`Study::new`] never gives that.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// Watches the items of `validation`, with labels of this kind, where training stops early.
    /// Without it a fifth of the cases that are trained on is held out, with the labels they have.
    pub fn watching(self, validation: Study, labels: Labels) -> Self {
        let examples = validation.examples;
        Self {
            validation: Some(Validation { examples, labels }),
            ..self
        }
    }

    /// Watches the clean labels of held-out items where training stops early by clean labels. `clean` has the same items.
    #[must_use]
    pub fn watching_clean(self, clean: Study) -> Self {
        let examples = clean.examples;
        Self {
            clean: Some(examples),
            ..self
        }
    }

    /// Deals the items into folds by case, stratified by given class.
    ///
    /// # Errors
    /// Fewer cases than folds.
    pub fn folds(
        &self,
        folds: usize,
        seed: u64,
    ) -> std::result::Result<Vec<usize>, cleanslide_data::Error> {
        deal(&self.cases, &self.given, folds, seed)
    }

    /// Predicts every item by a model that was trained on the other folds.
    ///
    /// # Errors
    /// As [`Study::predict_held_out`].
    pub fn out_of_sample(
        &self,
        classifier: &Classifier,
        folds: &[usize],
        progress: &(dyn Fn(usize, &Epoch) + Sync),
    ) -> Result<OutOfSample> {
        self.predict_held_out(classifier, folds, self.features(), folds, progress)
    }

    /// Predicts each of `features` `[queries, features]` by a model that was trained on the items
    /// of all folds but the query's, with whatever the method needs to know estimated anew from
    /// each model's training items.
    ///
    /// # Errors
    /// A training that fails.
    pub fn predict_held_out(
        &self,
        classifier: &Classifier,
        folds: &[usize],
        features: ArrayView2<'_, f32>,
        query_folds: &[usize],
        progress: &(dyn Fn(usize, &Epoch) + Sync),
    ) -> Result<OutOfSample> {
        let fit = |fold: usize, others: &[usize]| {
            self.fit(classifier, others, &|epoch| progress(fold, epoch))
        };
        let classes = self.classes.len();
        let (probabilities, histories) =
            predict_by_fold(folds, features, query_folds, classes, &fit)?;
        Ok(OutOfSample {
            probabilities,
            folds: query_folds.to_vec(),
            histories,
        })
    }

    /// Trains on some of the items. If the settings stop early and there is nothing to watch, a
    /// fifth of their cases is held out for it, or one of fewer than five.
    ///
    /// # Errors
    /// A training that fails, too few cases to hold any out, or early stopping on clean labels
    /// where there are none to watch.
    pub fn fit(
        &self,
        classifier: &Classifier,
        items: &[usize],
        progress: &dyn Fn(&Epoch),
    ) -> Result<Fitted> {
        let watched = match (classifier.train.early_stopping, &self.clean) {
            _ if self.validation.is_some() => None,
            (EarlyStopping::NoisyValidation { .. }, _) => Some((&self.examples, Labels::Given)),
            (EarlyStopping::CleanValidation { .. }, Some(clean)) => Some((clean, Labels::Clean)),
            _ => None,
        };
        let held_out = watched
            .map(|watched| self.hold_out(items, watched, classifier.train.seed))
            .transpose()?;
        let (items, validation) = match &held_out {
            Some((training, validation)) => (training.as_slice(), Some(validation)),
            None => (items, self.validation.as_ref()),
        };
        let examples = self.examples.subset(items)?;
        let context = self.context(classifier, items, &examples)?;
        classifier.fit(&examples, &self.classes, &context, validation, progress)
    }

    /// What the method needs to know beforehand, estimated from these items alone.
    fn context(
        &self,
        classifier: &Classifier,
        items: &[usize],
        examples: &Examples,
    ) -> Result<Context> {
        let needs = classifier.method.needs();
        if needs == Needs::default() {
            return Ok(Context::default());
        }
        let train = &classifier.train;
        let cases: Vec<usize> = items.iter().map(|&item| self.cases[item]).collect();
        let folds = Folds::new(&self.inner_folds(items, train.seed)?, &cases)?;
        Context::estimate(&needs, train, examples, &self.classes, &folds, &|_, _| {})
    }

    /// The items without those of a fifth of their cases (one of fewer than five), and these with labels to watch.
    fn hold_out(
        &self,
        items: &[usize],
        (examples, labels): (&Examples<'static>, Labels),
        seed: u64,
    ) -> Result<(Vec<usize>, Validation<'static>)> {
        let folds = self.inner_folds(items, seed)?;
        let of = |watched: bool| -> Vec<usize> {
            let pairs = items.iter().zip(&folds);
            let chosen = pairs.filter(|&(_, &fold)| (fold == 0) == watched);
            chosen.map(|(&item, _)| item).collect()
        };
        let validation = Validation {
            examples: examples.subset(&of(true))?,
            labels,
        };
        Ok((of(false), validation))
    }

    fn inner_folds(&self, items: &[usize], seed: u64) -> Result<Vec<usize>> {
        let cases: Vec<usize> = items.iter().map(|&item| self.cases[item]).collect();
        let given: Vec<usize> = items.iter().map(|&item| self.given[item]).collect();
        let known = cases.iter().collect::<BTreeSet<_>>().len();
        let folds = INNER_FOLDS.min(known).max(2);
        deal(&cases, &given, folds, seed)
            .map_err(|error| Error::Folds(format!("within each training, {error}")))
    }

    /// Embeddings of the items, `[items, features]`.
    pub fn features(&self) -> ArrayView2<'_, f32> {
        self.examples.features.view()
    }
}

/// Deals items into folds by case, stratified by class.
fn deal(
    cases: &[usize],
    given: &[usize],
    folds: usize,
    seed: u64,
) -> std::result::Result<Vec<usize>, cleanslide_data::Error> {
    // Cases are numbered over the whole dataset; the dealer wants them without gaps.
    let mut known: Vec<usize> = cases.to_vec();
    known.sort_unstable();
    known.dedup();
    let units: Vec<usize> = cases
        .iter()
        .map(|case| known.partition_point(|k| k < case))
        .collect();
    let classes: Vec<Option<usize>> = given.iter().copied().map(Some).collect();
    assign_folds(
        &units,
        &classes,
        folds,
        &mut ChaCha8Rng::seed_from_u64(seed),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two items of each case.
    fn of_cases(cases: usize) -> Study {
        let items = 2 * cases;
        let features = Array2::zeros((items, 1));
        let targets = Array2::from_shape_fn((items, 2), |(i, k)| f32::from(u8::from(i % 2 == k)));
        let examples = Examples::new(features.view(), targets, vec![1.0; items]).unwrap();
        let all: Vec<usize> = (0..items).collect();
        Study {
            examples: examples.subset(&all).unwrap(),
            given: all.iter().map(|item| item % 2).collect(),
            cases: all.iter().map(|item| item / 2).collect(),
            images: all.clone(),
            rows: all,
            classes: vec!["normal".into(), "tumour".into()],
            validation: None,
            clean: None,
        }
    }

    #[test]
    fn few_cases_have_as_many_folds_within_a_training() {
        let folds = |cases: usize| {
            let all: Vec<usize> = (0..2 * cases).collect();
            let folds = of_cases(cases).inner_folds(&all, 0);
            folds.map(|folds| folds.into_iter().collect::<BTreeSet<usize>>().len())
        };
        for (cases, expected) in [(2, 2), (3, 3), (7, 5)] {
            assert_eq!(folds(cases).unwrap(), expected);
        }
        let message = folds(1).unwrap_err().to_string();
        assert!(
            message.contains("within each training, 2 folds"),
            "{message}"
        );
    }
}
