//! Hits, false alarms and misses of objects, and the rates that they make.
//!
//! ```text
//! precision = TP / (TP + FP)
//! recall    = TP / (TP + FN)
//! F1        = 2 TP / (2 TP + FP + FN)
//! ```

use serde::{Deserialize, Serialize};

use super::Matching;
use crate::confusion::ratio;
use crate::error::{Error, Undefined};
use crate::weights::Weights;

/// How the objects of an image, or of many, were found: all that its rates need.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct MatchCounts {
    /// Matched pairs.
    pub true_positives: f64,
    /// Found objects that match nothing.
    pub false_positives: f64,
    /// True objects that nothing matches.
    pub false_negatives: f64,
    /// The sum of the IoU of the matched pairs.
    pub summed_iou: f64,
}

impl From<&Matching> for MatchCounts {
    fn from(matching: &Matching) -> Self {
        MatchCounts {
            true_positives: matching.pairs.len() as f64,
            false_positives: matching.surplus.len() as f64,
            false_negatives: matching.missed.len() as f64,
            summed_iou: matching.summed_iou(),
        }
    }
}

impl MatchCounts {
    /// The counts of several images as of one.
    ///
    /// # Errors
    /// Weights that do not fit the images.
    pub fn pool(images: &[MatchCounts], weights: Weights<'_>) -> Result<MatchCounts, Error> {
        weights.check(images.len())?;
        let mut sum = MatchCounts::default();
        for (item, image) in images.iter().enumerate() {
            let weight = weights.of(item);
            sum.true_positives += weight * image.true_positives;
            sum.false_positives += weight * image.false_positives;
            sum.false_negatives += weight * image.false_negatives;
            sum.summed_iou += weight * image.summed_iou;
        }
        Ok(sum)
    }

    /// Share of the found objects that are right.
    ///
    /// # Errors
    /// Undefined if nothing was found.
    pub fn precision(&self) -> Result<f64, Error> {
        self.rate(
            self.true_positives,
            self.true_positives + self.false_positives,
        )
    }

    /// Share of the true objects that were found.
    ///
    /// # Errors
    /// Undefined if there are no true objects.
    pub fn recall(&self) -> Result<f64, Error> {
        self.rate(
            self.true_positives,
            self.true_positives + self.false_negatives,
        )
    }

    /// Harmonic mean of precision and recall.
    ///
    /// # Errors
    /// Undefined if there is nothing to find and nothing was found (StarDist: 0).
    pub fn f1(&self) -> Result<f64, Error> {
        self.rate(
            2.0 * self.true_positives,
            2.0 * self.true_positives + self.false_positives + self.false_negatives,
        )
    }

    pub(crate) fn rate(&self, part: f64, whole: f64) -> Result<f64, Error> {
        ratio(part, whole).ok_or_else(|| Undefined::NoObjects.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_pool_by_weight() {
        let image = |tp, fp, missed| MatchCounts {
            true_positives: tp,
            false_positives: fp,
            false_negatives: missed,
            summed_iou: 0.5 * tp,
        };
        let images = [image(2.0, 1.0, 0.0), image(1.0, 0.0, 3.0)];
        let pooled = MatchCounts::pool(&images, Weights::Counts(&[2, 1])).unwrap();
        assert_eq!(
            pooled,
            MatchCounts {
                summed_iou: 2.5,
                ..image(5.0, 2.0, 3.0)
            }
        );
        assert_eq!(pooled.precision(), Ok(5.0 / 7.0));
        assert_eq!(pooled.recall(), Ok(5.0 / 8.0));
        assert_eq!(pooled.f1(), Ok(10.0 / 15.0));
        assert!(MatchCounts::pool(&images, Weights::Counts(&[2])).is_err());
    }

    #[test]
    fn no_objects_have_no_rates() {
        let nothing = MatchCounts::default();
        assert_eq!(nothing.f1(), Err(Undefined::NoObjects.into()));
        let missed = MatchCounts {
            false_negatives: 1.0,
            ..nothing
        };
        assert!(missed.precision().is_err());
        assert_eq!((missed.recall(), missed.f1()), (Ok(0.0), Ok(0.0)));
    }
}
