//! Confident learning: which labels are probably wrong, and how labels are confused.
//!
//! Northcutt, Jiang, Chuang: "Confident Learning: Estimating Uncertainty in Dataset Labels",
//! JAIR 70 (2021), [arXiv:1911.00068](https://arxiv.org/abs/1911.00068). With labels `y` and
//! out-of-sample probabilities `p` (never those of a model that was trained on the same items):
//!
//! ```text
//! t_k      = mean of p_k over the items labelled k                     (confident threshold)
//! guess(i) = argmax of p_k(i) over the k with p_k(i) ≥ t_k              (nothing if there is none)
//! C[y][j]  = number of items with label y and guess j                  (confident joint)
//! Q        = C with row y scaled to the number of items labelled y, divided by the total
//! ```
//!
//! Results equal those of cleanlab 2.9 with probabilities in 64 bits: the same items are flagged
//! and scores agree to rounding. Where cleanlab's answer depends on the order in which NumPy's
//! unstable sort leaves equal scores, the item with the lowest index comes first here.
//!
//! Probabilities are read by block in two passes (three for the filters that compare scores); memory
//! is one block, classes² counters, one byte per item and 32 bytes per estimated label error.
//! Sums are exact, so nothing depends on the size of the blocks or the number of threads.

mod filters;
mod health;
mod joint;
mod latent;
mod ranking;
mod thresholds;

use ndarray::Array2;

use crate::AuditError;
use crate::error::count_labels_of_several_classes;
use crate::probabilities::ProbabilityBlocks;

pub use filters::{Filter, FilterOptions};
pub use health::{ClassHealth, ClassOverlap, LabelHealth};
pub use joint::calibrate;
pub(crate) use joint::lowest_reaching;
pub use latent::NoiseEstimate;
pub use ranking::{Ranking, label_quality_scores, rank_issues};
pub(crate) use ranking::{normalized_entropy, subtract_thresholds};
pub(crate) use thresholds::UNITS;
pub use thresholds::confident_thresholds;

/// Probabilities this close to a threshold, or to the highest probability, count as reaching it
/// (as in cleanlab).
pub(crate) const TOLERANCE: f64 = 1e-6;

/// Labels and probabilities with the counts that all of confident learning starts from.
pub struct ConfidentLearning<'a> {
    labels: &'a [usize],
    probabilities: &'a dyn ProbabilityBlocks,
    thresholds: Vec<f64>,
    label_counts: Vec<usize>,
    confident_joint: Array2<u64>,
    calibrated_joint: Array2<u64>,
    verdicts: Vec<joint::Verdict>,
}

impl<'a> ConfidentLearning<'a> {
    /// Counts the confident joint of given labels and out-of-sample probabilities.
    ///
    /// A class without items is allowed: nothing is ever suggested to belong to it, because
    /// nothing says how confident a prediction of it should be.
    ///
    /// # Errors
    /// Lengths that differ, labels out of range, all labels equal, rows that are no
    /// probabilities, or a failure to read them.
    pub fn new(
        labels: &'a [usize],
        probabilities: &'a dyn ProbabilityBlocks,
    ) -> Result<Self, AuditError> {
        let thresholds = confident_thresholds(labels, probabilities)?;
        Self::with_thresholds(labels, probabilities, thresholds)
    }

    /// As [`ConfidentLearning::new`] with thresholds, one per class, chosen by the caller. Rows
    /// are not checked to be probabilities.
    ///
    /// # Errors
    /// As for [`ConfidentLearning::new`], or another number of thresholds than classes.
    pub fn with_thresholds(
        labels: &'a [usize],
        probabilities: &'a dyn ProbabilityBlocks,
        thresholds: Vec<f64>,
    ) -> Result<Self, AuditError> {
        let classes = probabilities.classes();
        let label_counts = count_labels_of_several_classes(labels, probabilities.items(), classes)?;
        if thresholds.len() != classes {
            return Err(AuditError::Option {
                option: "the number of thresholds",
                value: thresholds.len().to_string(),
                expected: "the number of classes",
            });
        }
        let (confident_joint, verdicts) = joint::count(labels, probabilities, &thresholds)?;
        let calibrated_joint = calibrate(&confident_joint, &label_counts);
        Ok(Self {
            labels,
            probabilities,
            thresholds,
            label_counts,
            confident_joint,
            calibrated_joint,
            verdicts,
        })
    }

    /// Per class, the mean probability of the class among the items labelled so; at least 2·10⁻⁶,
    /// and 2 (out of reach) for a class without items.
    pub fn thresholds(&self) -> &[f64] {
        &self.thresholds
    }

    /// Number of items per given label.
    pub fn label_counts(&self) -> &[usize] {
        &self.label_counts
    }

    /// Confident counts `[given, true]`; the diagonal is at least 1.
    pub fn confident_joint(&self) -> &Array2<u64> {
        &self.confident_joint
    }

    /// The confident joint `[given, true]`, scaled so that its rows sum to
    /// [`label_counts`](Self::label_counts).
    pub fn calibrated_joint(&self) -> &Array2<u64> {
        &self.calibrated_joint
    }

    /// Estimated joint distribution `[given, true]` of given and true labels; sums to 1.
    pub fn joint(&self) -> Array2<f64> {
        let total = self.calibrated_joint.sum() as f64;
        self.calibrated_joint.mapv(|count| count as f64 / total)
    }

    /// Estimated share of wrong labels: what the [joint](Self::joint) has beside its diagonal.
    pub fn noise_rate(&self) -> f64 {
        1.0 - self.joint().diag().sum()
    }

    /// Number of items that [`Filter::ConfidentLearning`] flags.
    pub fn issue_count(&self) -> usize {
        self.verdicts
            .iter()
            .filter(|verdict| verdict.is_confident_issue())
            .count()
    }
}
