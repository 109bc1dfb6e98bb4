//! Average precision of instances as StarDist and the Data Science Bowl 2018 define it.
//!
//! U. Schmidt et al., "Cell Detection with Star-Convex Polygons", arXiv:1806.03535; J. Caicedo et al.
//! 2019, doi:10.1038/s41592-019-0612-7:
//!
//! ```text
//! AP(t) = TP / (TP + FP + FN), TP = matched pairs with IoU ≥ t
//! ```
//!
//! It is not the area under a precision-recall curve (that is
//! [`detection`](crate::detection)), and needs no scores. Pooled over images it is StarDist's
//! `accuracy` of a data set; the Bowl averages it over t = 0.5, 0.55, …, 0.95 and then over images.
//! StarDist compares IoU in 32 bits; the threshold is included in both.

use crate::error::Error;
use crate::matching::{Assignment, MatchCounts, Overlaps, match_objects};

/// The counts of one image at each IoU threshold, matched as [`Assignment::Optimal`].
///
/// # Errors
/// A threshold that is not above 0 and at most 1.
pub fn instance_counts(overlaps: &Overlaps, thresholds: &[f64]) -> Result<Vec<MatchCounts>, Error> {
    let pairs = overlaps.pairs();
    thresholds
        .iter()
        .map(|&threshold| {
            let matching =
                match_objects(overlaps.counts(), &pairs, threshold, Assignment::Optimal)?;
            Ok(MatchCounts::from(&matching))
        })
        .collect()
}

impl MatchCounts {
    /// Average precision of instances: hits over all that was true or found.
    ///
    /// # Errors
    /// Undefined if there is nothing to find and nothing was found (StarDist: 0).
    pub fn average_precision(&self) -> Result<f64, Error> {
        let wrong = self.false_positives + self.false_negatives;
        self.rate(self.true_positives, self.true_positives + wrong)
    }
}
