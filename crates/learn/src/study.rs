//! The labelled, embedded images of a dataset, and predictions for them out of sample.

use cleanslide_data::{Dataset, ImageRecord, assign_folds, independent_units};
use ndarray::{Array2, ArrayView2, Axis};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::classify::{Classifier, Epoch, Examples, Fitted, History};
use crate::cross_validation::Folds;
use crate::embed::Embeddings;
use crate::error::{Error, Result};
use crate::image_labels::ImageLabels;
use crate::methods::{Context, Needs};

/// Folds within a training set, for what a method needs to know beforehand.
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
}

/// Predictions out of sample, and how the models came about.
#[derive(Debug, Clone)]
pub struct OutOfSample {
    /// Probabilities, `[items, classes]`.
    pub probabilities: Array2<f32>,
    /// The fold of each item.
    pub folds: Vec<usize>,
    /// The history of each fold's training.
    pub histories: Vec<History>,
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

    /// The same items with other labels, one class each, fully trusted.
    ///
    /// # Errors
    /// Classes that do not fit the items.
    pub fn with_given(&self, given: &[usize]) -> Result<Self> {
        let mut targets = Array2::zeros((self.len(), self.classes.len()));
        for (mut row, &class) in targets.rows_mut().into_iter().zip(given) {
            row[class] = 1.0;
        }
        let weights = vec![1.0; self.len()];
        let all: Vec<usize> = (0..self.len()).collect();
        let examples =
            Examples::new(self.examples.features.view(), targets, weights)?.subset(&all)?;
        Ok(Self {
            examples,
            given: given.to_vec(),
            ..self.clone()
        })
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
        let count = query_folds.iter().max().map_or(0, |last| last + 1);
        let mut probabilities = Array2::zeros((features.nrows(), self.classes.len()));
        let mut histories = Vec::with_capacity(count);
        for fold in 0..count {
            let training: Vec<usize> = (0..self.len())
                .filter(|&item| folds[item] != fold)
                .collect();
            let fitted = self.fit(classifier, &training, &|epoch| progress(fold, epoch))?;
            let held_out: Vec<usize> = (0..query_folds.len())
                .filter(|&query| query_folds[query] == fold)
                .collect();
            let predicted = fitted.predict(features.select(Axis(0), &held_out).view())?;
            for (&query, row) in held_out.iter().zip(predicted.rows()) {
                probabilities.row_mut(query).assign(&row);
            }
            histories.push(fitted.history);
        }
        Ok(OutOfSample {
            probabilities,
            folds: query_folds.to_vec(),
            histories,
        })
    }

    /// Trains on some of the items.
    ///
    /// # Errors
    /// A training that fails.
    pub fn fit(
        &self,
        classifier: &Classifier,
        items: &[usize],
        progress: &dyn Fn(&Epoch),
    ) -> Result<Fitted> {
        let examples = self.examples.subset(items)?;
        let needs = classifier.method.needs();
        let context = if needs == Needs::default() {
            Context::default()
        } else {
            let cases: Vec<usize> = items.iter().map(|&item| self.cases[item]).collect();
            let given: Vec<usize> = items.iter().map(|&item| self.given[item]).collect();
            let dealt = deal(&cases, &given, INNER_FOLDS, classifier.train.seed)
                .map_err(|error| Error::Folds(error.to_string()))?;
            let folds = Folds::new(&dealt, &cases)?;
            Context::estimate(
                &needs,
                &classifier.train,
                &examples,
                &self.classes,
                &folds,
                &|_, _| {},
            )?
        };
        classifier.fit(&examples, &self.classes, &context, None, progress)
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
