//! What methods are told before training.

use cleanslide_audit::{ArrayBlocks, ConfidentLearning};
use cleanslide_nn::heads::HeadKind;
use ndarray::{Array2, ArrayView2};

use super::MethodSettings;
use crate::classify::{Classifier, EarlyStopping, Epoch, Examples, TrainSettings, argmax};
use crate::cross_validation::{Folds, out_of_sample};
use crate::error::Result;

/// What some methods are told before training, all of it estimated from the given labels: never
/// from the truth. `None` or empty where it was not asked for ([`Needs`]).
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// Probabilities `[items, classes]` of the training items by heads that did not see their
    /// label, one array per kind of head that was asked for.
    pub out_of_sample: Vec<Array2<f32>>,
    /// The noise transition matrix `[classes, classes]`: `P(label j | truth i)`, rows sum to 1, among
    /// labels weighted as the training weighs them (see [`Context::estimate`]).
    pub transition: Option<Array2<f64>>,
    /// The share of wrong labels, in [0, 1].
    pub noise_rate: Option<f64>,
}

/// What a method wants to find in its [`Context`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Out-of-sample probabilities by these kinds of head.
    pub out_of_sample: Vec<HeadKind>,
    /// Passes over the items in the training of these heads; `None` as the settings say.
    pub epochs: Option<usize>,
    /// The noise transition matrix.
    pub transition: bool,
    /// The noise rate.
    pub noise_rate: bool,
}

impl Context {
    /// Estimates what `needs` names from the training examples alone: heads trained as `train`
    /// says, but with the cross-entropy and without early stopping, predict the folds that they
    /// did not see, and confident learning (Northcutt et al., arXiv 1911.00068) counts how given
    /// labels and predictions disagree. Nothing is trained if nothing is needed.
    ///
    /// The hard label of an item is the class of its greatest target; items of trust 0 are not
    /// counted. A class that no item has is taken to be labelled without error.
    ///
    /// # Errors
    /// As [`out_of_sample`], and if confident learning refuses the labels.
    pub fn estimate(
        needs: &Needs,
        train: &TrainSettings,
        examples: &Examples,
        classes: &[String],
        folds: &Folds,
        progress: &(dyn Fn(usize, &Epoch) + Sync),
    ) -> Result<Self> {
        let predict = |head: HeadKind, epochs: usize, class_balance: bool| {
            let classifier = Classifier {
                method: MethodSettings::default(),
                train: TrainSettings {
                    head,
                    epochs,
                    class_balance,
                    early_stopping: EarlyStopping::None,
                    ..train.clone()
                },
            };
            out_of_sample(&classifier, examples, classes, folds, progress)
        };
        let mut context = Self::default();
        if needs.transition || needs.noise_rate {
            let probabilities = predict(train.head, train.epochs, false)?;
            let (mut transition, rate) = noise(examples, probabilities.view())?;
            if train.class_balance {
                weigh_labels(&mut transition, &examples.class_totals());
            }
            context.transition = needs.transition.then_some(transition);
            context.noise_rate = needs.noise_rate.then_some(rate);
        }
        let epochs = needs.epochs.unwrap_or(train.epochs);
        for &head in &needs.out_of_sample {
            let probabilities = predict(head, epochs, train.class_balance)?;
            context.out_of_sample.push(probabilities);
        }
        Ok(context)
    }
}

/// The transitions `[true, given]` among labels that count inversely to the total of their class. A class without any is
/// still taken to be labelled without error.
fn weigh_labels(transition: &mut Array2<f64>, totals: &[f64]) {
    for (class, mut row) in transition.rows_mut().into_iter().enumerate() {
        for (t, total) in row.iter_mut().zip(totals) {
            *t = if *total > 0.0 { *t / total } else { 0.0 };
        }
        let sum = row.sum();
        if sum > 0.0 {
            row.mapv_inplace(|t| t / sum);
        } else {
            row[class] = 1.0;
        }
    }
}

/// Transition matrix `[true, given]` and noise rate by confident learning.
fn noise(examples: &Examples, probabilities: ArrayView2<f32>) -> Result<(Array2<f64>, f64)> {
    let trusted: Vec<usize> = (0..examples.len())
        .filter(|&item| examples.weights[item] > 0.0)
        .collect();
    let label = |&item: &usize| argmax(examples.targets.row(item).iter().copied());
    let labels: Vec<usize> = trusted.iter().map(label).collect();
    let probabilities = probabilities.select(ndarray::Axis(0), &trusted);
    let blocks = ArrayBlocks::new(probabilities.view(), 4096);
    let learning = ConfidentLearning::new(&labels, &blocks)?;
    let mut transition = learning.noise_estimate(false).noise_matrix.reversed_axes();
    for (class, mut row) in transition.rows_mut().into_iter().enumerate() {
        let total = row.sum();
        if total > 0.0 {
            row.mapv_inplace(|t| t / total);
        } else {
            row[class] = 1.0;
        }
    }
    Ok((transition, learning.noise_rate()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn balanced_labels_have_other_transitions() {
        // Of 100 items, 80 are of class 0; a fifth of each class has the other label, so 68 labels say
        // 0 and 32 say 1. Balanced, a label counts 50 / 68 or 50 / 32.
        let mut transition = array![[0.8, 0.2], [0.2, 0.8]];
        weigh_labels(&mut transition, &[68.0, 32.0]);
        let (zero, one) = (0.8 / 68.0, 0.2 / 32.0);
        assert!((transition[[0, 0]] - zero / (zero + one)).abs() < 1e-12);
        assert!(
            transition
                .rows()
                .into_iter()
                .all(|row| (row.sum() - 1.0).abs() < 1e-12)
        );
        // What the weighted labels are made of: half of them say each class, as balance means.
        let weighted_truth = |i: usize, share: f64, t: [f64; 2]| {
            share * (t[0] * 50.0 / 68.0 + t[1] * 50.0 / 32.0) * transition[[i, 1]]
        };
        let says_one = weighted_truth(0, 0.8, [0.8, 0.2]) + weighted_truth(1, 0.2, [0.2, 0.8]);
        assert!((says_one - 0.5).abs() < 1e-12);
    }

    #[test]
    fn a_class_that_no_item_has_stays_without_error_when_labels_are_balanced() {
        let mut transition = array![[0.75, 0.25, 0.0], [0.25, 0.75, 0.0], [0.0, 0.0, 1.0]];
        let before = transition.clone();
        weigh_labels(&mut transition, &[50.0, 50.0, 0.0]);
        assert_eq!(transition, before);
    }
}
