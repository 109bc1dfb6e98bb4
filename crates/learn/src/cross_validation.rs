//! Out-of-sample predictions by cross-validation over groups.

use std::collections::{BTreeMap, BTreeSet};

use cleanslide_data::TryMap;
use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use crate::classify::{Classifier, Epoch, Examples, Fitted, History};
use crate::error::{Error, Result};
use crate::methods::Context;

/// A partition of the examples into folds that keeps groups together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folds {
    /// The fold of each example.
    fold_of: Vec<usize>,
    /// Number of folds.
    count: usize,
}

impl Folds {
    /// Folds from the fold of each example, `[items]`, and the group that must stay together
    /// (case, slide) of each, `[items]`. Numbers of folds and groups need not be consecutive.
    ///
    /// # Errors
    /// Lengths that differ, fewer than two folds, or a group in several folds.
    pub fn new(fold_of: &[usize], groups: &[usize]) -> Result<Self> {
        let (items, with_group) = (fold_of.len(), groups.len());
        if items != with_group {
            let message = format!("{items} items have a fold and {with_group} a group");
            return Err(Error::Folds(message));
        }
        let mut fold_of_group: BTreeMap<usize, usize> = BTreeMap::new();
        let mut folds = BTreeSet::new();
        for (&fold, &group) in fold_of.iter().zip(groups) {
            let first = *fold_of_group.entry(group).or_insert(fold);
            if first != fold {
                let message = format!("group {group} is in the folds {first} and {fold}");
                return Err(Error::Folds(message));
            }
            folds.insert(fold);
        }
        let count = folds.len();
        if count < 2 {
            let message = format!("there are {count} folds, expected at least 2");
            return Err(Error::Folds(message));
        }
        Ok(Self {
            fold_of: fold_of.to_vec(),
            count,
        })
    }

    /// Number of examples.
    pub fn items(&self) -> usize {
        self.fold_of.len()
    }

    /// Number of folds.
    pub fn count(&self) -> usize {
        self.count
    }
}

/// Predicts each of `features` `[queries, features]` by the model of its fold, `[queries]`. `fit`
/// is given a fold and the items, of the fold each in `fold_of` `[items]`, of all other folds.
///
/// Returns probabilities `[queries, classes]` and the history of each fold's training. Folds run
/// side by side; the result does not depend on how many threads there are.
pub(crate) fn predict_by_fold(
    fold_of: &[usize],
    features: ArrayView2<'_, f32>,
    query_folds: &[usize],
    classes: usize,
    fit: &(dyn Fn(usize, &[usize]) -> Result<Fitted> + Sync),
) -> Result<(Array2<f32>, BTreeMap<usize, History>)> {
    let mut queries_of: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (query, &fold) in query_folds.iter().enumerate() {
        queries_of.entry(fold).or_default().push(query);
    }
    let queries_of: Vec<(usize, Vec<usize>)> = queries_of.into_iter().collect();
    let predict = |(fold, queries): &(usize, Vec<usize>)| -> Result<(Array2<f32>, History)> {
        let others: Vec<usize> = (0..fold_of.len())
            .filter(|&i| fold_of[i] != *fold)
            .collect();
        let fitted = fit(*fold, &others)?;
        let predicted = fitted.predict(features.select(Axis(0), queries).view())?;
        Ok((predicted, fitted.history))
    };
    let predicted = queries_of.par_iter().try_map(predict)?;
    let mut probabilities = Array2::zeros((query_folds.len(), classes));
    let mut histories = BTreeMap::new();
    for ((fold, queries), (rows, history)) in queries_of.into_iter().zip(predicted) {
        for (query, row) in queries.into_iter().zip(rows.rows()) {
            probabilities.row_mut(query).assign(&row);
        }
        histories.insert(fold, history);
    }
    Ok((probabilities, histories))
}

/// Predicts every example by a classifier that was trained on the other folds: the only kind of
/// prediction by which labels can be judged. Every example is predicted exactly once.
///
/// Returns probabilities `[items, classes]`. The classifier's method must not need a context.
/// Folds run side by side; the result does not depend on how many threads there are. `progress` is
/// told the fold and the epoch, in no certain order of folds.
///
/// # Errors
/// Folds of another number of items, a fold without which there is nothing to learn from, and
/// what [`Classifier::fit`] refuses.
pub fn out_of_sample(
    classifier: &Classifier,
    examples: &Examples,
    classes: &[String],
    folds: &Folds,
    progress: &(dyn Fn(usize, &Epoch) + Sync),
) -> Result<Array2<f32>> {
    let (items, folds) = (examples.len(), &folds.fold_of);
    if folds.len() != items {
        let message = format!("they are of {} items, and there are {items}", folds.len());
        return Err(Error::Folds(message));
    }
    let fit = |fold: usize, others: &[usize]| {
        let training = examples.subset(others)?;
        let report = |epoch: &Epoch| progress(fold, epoch);
        classifier.fit(&training, classes, &Context::default(), None, &report)
    };
    let features = examples.features.view();
    let (probabilities, _) = predict_by_fold(folds, features, folds, classes.len(), &fit)?;
    Ok(probabilities)
}
