//! The strength of the penalty, chosen by the given labels themselves.
//!
//! Labels are judged by predictions that generalise, and with many features and few or noisy labels
//! that depends on the L2 penalty more than on anything else. It is chosen without any truth: the
//! penalty whose models best predict the given labels of the cases that they did not see. That these
//! labels are noisy adds the same noise to all candidates.

use ndarray::Array2;

use crate::classify::Classifier;
use crate::error::Result;
use crate::study::{OutOfSample, Study};

/// Candidates from hardly any penalty to one under which only the strongest trends survive.
pub const PENALTIES: [f64; 6] = [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0];

/// Predictions out of sample, and the penalty with which they were made.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// The factor `l2` of [`crate::classify::TrainSettings`].
    pub l2: f64,
    /// The mean cross-entropy of the predictions with the given labels, weighted by trust, in nats.
    pub cross_entropy: f64,
    /// The predictions.
    pub predicted: OutOfSample,
}

/// Predicts every item by a model that was trained on the other folds, with that of [`PENALTIES`]
/// which gives the least cross-entropy with the given labels; of equals the strongest.
///
/// One penalty is chosen for all folds, so an item has a say of one in all items in its own penalty.
///
/// `progress` is called after every candidate.
///
/// # Errors
/// A training that fails.
pub fn out_of_sample_with_chosen_penalty(
    study: &Study,
    classifier: &Classifier,
    folds: &[usize],
    progress: &dyn Fn(),
) -> Result<Chosen> {
    let attempt = |l2: f64| -> Result<Chosen> {
        let mut classifier = classifier.clone();
        classifier.train.l2 = l2;
        let predicted = study.out_of_sample(&classifier, folds, &|_, _| {})?;
        progress();
        let cross_entropy = cross_entropy(study, &predicted.probabilities);
        Ok(Chosen {
            l2,
            cross_entropy,
            predicted,
        })
    };
    let [first, others @ ..] = PENALTIES;
    let mut best = attempt(first)?;
    for l2 in others {
        let next = attempt(l2)?;
        if next.cross_entropy <= best.cross_entropy {
            best = next;
        }
    }
    Ok(best)
}

/// Mean cross-entropy with the given labels, weighted by trust.
fn cross_entropy(study: &Study, probabilities: &Array2<f32>) -> f64 {
    let examples = &study.examples;
    let rows = examples.targets.rows().into_iter();
    let (mut sum, mut total) = (0.0, 0.0);
    for ((targets, predicted), &weight) in rows.zip(probabilities.rows()).zip(&examples.weights) {
        let surprise: f64 = targets
            .iter()
            .zip(predicted)
            .filter(|(target, _)| **target > 0.0)
            .map(|(&target, &p)| -f64::from(target) * f64::from(p.max(f32::MIN_POSITIVE)).ln())
            .sum();
        sum += f64::from(weight) * surprise;
        total += f64::from(weight);
    }
    sum / total
}
