//! Panoptic quality of instances.
//!
//! A. Kirillov, K. He, R. Girshick, C. Rother, P. Dollár, "Panoptic Segmentation", arXiv:1801.00868:
//!
//! ```text
//! TP = pairs with IoU > 0.5, which are one-to-one by themselves
//! PQ = Σ_TP IoU / (TP + FP/2 + FN/2) = SQ · RQ
//! SQ = Σ_TP IoU / TP     (segmentation quality)
//! RQ = TP / (TP + FP/2 + FN/2)     (recognition quality, the F1 of instances)
//! ```
//!
//! 0.5 itself does not match, as in the paper; with StarDist it does. For several classes of
//! instances, take the counts of each class (masks with only its instances) and average the PQ.

use crate::error::Error;
use crate::matching::{MatchCounts, Overlaps};

/// The counts of panoptic quality of one image.
pub fn panoptic_counts(overlaps: &Overlaps) -> MatchCounts {
    let (mut hits, mut summed_iou) = (0.0, 0.0);
    for overlap in &overlaps.shared {
        let union = overlaps.union(overlap);
        if 2 * overlap.pixels > union {
            hits += 1.0;
            summed_iou += overlap.pixels as f64 / union as f64;
        }
    }
    let (truth, predicted) = overlaps.counts();
    MatchCounts {
        true_positives: hits,
        false_positives: predicted as f64 - hits,
        false_negatives: truth as f64 - hits,
        summed_iou,
    }
}

impl MatchCounts {
    /// Panoptic quality: summed IoU over the mean number of true and found objects.
    ///
    /// # Errors
    /// Undefined if there is nothing to find and nothing was found (StarDist: 0).
    pub fn panoptic_quality(&self) -> Result<f64, Error> {
        let wrong = self.false_positives + self.false_negatives;
        self.rate(self.summed_iou, self.true_positives + 0.5 * wrong)
    }

    /// Segmentation quality: the mean IoU of the matched pairs.
    ///
    /// # Errors
    /// Undefined if nothing matches.
    pub fn segmentation_quality(&self) -> Result<f64, Error> {
        self.rate(self.summed_iou, self.true_positives)
    }

    /// Recognition quality: the F1 score of objects.
    ///
    /// # Errors
    /// Undefined if there is nothing to find and nothing was found.
    pub fn recognition_quality(&self) -> Result<f64, Error> {
        self.f1()
    }
}
