//! Out-of-sample predictions by cross-validation over groups.

use std::collections::BTreeMap;

use ndarray::{Array2, Axis};
use rayon::prelude::*;

use crate::classify::{Classifier, Epoch, Examples};
use crate::error::{Error, Result};
use crate::methods::Context;

/// A partition of the examples into folds that keeps groups together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folds {
    /// The fold of each example.
    fold_of: Vec<usize>,
    /// The examples of each fold, by fold.
    members: BTreeMap<usize, Vec<usize>>,
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
        let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (item, (&fold, &group)) in fold_of.iter().zip(groups).enumerate() {
            let first = *fold_of_group.entry(group).or_insert(fold);
            if first != fold {
                let message = format!("group {group} is in the folds {first} and {fold}");
                return Err(Error::Folds(message));
            }
            members.entry(fold).or_default().push(item);
        }
        if members.len() < 2 {
            let message = format!("there are {} folds, expected at least 2", members.len());
            return Err(Error::Folds(message));
        }
        Ok(Self {
            fold_of: fold_of.to_vec(),
            members,
        })
    }

    /// Number of examples.
    pub fn items(&self) -> usize {
        self.fold_of.len()
    }

    /// Number of folds.
    pub fn count(&self) -> usize {
        self.members.len()
    }
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
    let items = examples.len();
    if folds.items() != items {
        let message = format!("they are of {} items, and there are {items}", folds.items());
        return Err(Error::Folds(message));
    }
    let predict = |(&fold, held_out): (&usize, &Vec<usize>)| {
        let training: Vec<usize> = (0..items).filter(|&i| folds.fold_of[i] != fold).collect();
        let training = examples.subset(&training)?;
        let report = |epoch: &Epoch| progress(fold, epoch);
        let fitted = classifier.fit(&training, classes, &Context::default(), None, &report)?;
        fitted.predict(examples.features.select(Axis(0), held_out).view())
    };
    let predicted: Vec<Array2<f32>> = folds
        .members
        .par_iter()
        .map(predict)
        .collect::<Result<_>>()?;
    let mut result = Array2::zeros((items, examples.class_count()));
    for (held_out, probabilities) in folds.members.values().zip(predicted) {
        for (&item, row) in held_out.iter().zip(probabilities.rows()) {
            result.row_mut(item).assign(&row);
        }
    }
    Ok(result)
}

/// The mean of [`out_of_sample`] over several seeds, which steadies it.
///
/// # Errors
/// As [`out_of_sample`]; and no seeds at all.
pub fn repeated_out_of_sample(
    classifier: &Classifier,
    examples: &Examples,
    classes: &[String],
    folds: &Folds,
    seeds: &[u64],
    progress: &(dyn Fn(usize, &Epoch) + Sync),
) -> Result<Array2<f32>> {
    if seeds.is_empty() {
        let reason = "expected at least one".to_owned();
        return Err(Error::Setting {
            name: "seeds",
            value: "empty".to_owned(),
            reason,
        });
    }
    let mut sum = Array2::<f64>::zeros((examples.len(), examples.class_count()));
    for &seed in seeds {
        let mut classifier = classifier.clone();
        classifier.train.seed = seed;
        let once = out_of_sample(&classifier, examples, classes, folds, progress)?;
        sum.zip_mut_with(&once, |sum, &p| *sum += f64::from(p));
    }
    Ok(sum.mapv(|sum| (sum / seeds.len() as f64) as f32))
}
