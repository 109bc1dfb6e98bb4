//! Boundary F1 score.
//!
//! G. Csurka, D. Larlus, F. Perronnin, "What is a good evaluation measure for semantic
//! segmentation?", BMVC 2013, doi:10.5244/C.27.32:
//!
//! ```text
//! precision = share of the predicted surface no farther than the tolerance from the true one
//! recall    = share of the true surface no farther than the tolerance from the predicted one
//! F1        = 2 precision recall / (precision + recall)
//! ```
//!
//! The tolerance is included. Surfaces are those of [`SurfaceDistances`].

use serde::{Deserialize, Serialize};

use super::SurfaceDistances;
use crate::confusion::ratio;
use crate::error::{Error, Undefined};
use crate::weights::Weights;

/// Pixels of two surfaces, and how many of them are near the other; they add up over images.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct BoundaryCounts {
    /// Pixels of the true surface near the predicted one.
    pub near_truth: f64,
    /// Pixels of the true surface.
    pub truth: f64,
    /// Pixels of the predicted surface near the true one.
    pub near_predicted: f64,
    /// Pixels of the predicted surface.
    pub predicted: f64,
}

impl SurfaceDistances {
    /// The counts of the boundary F1 score with a tolerance in the unit of the spacing.
    ///
    /// # Errors
    /// A tolerance that is negative or not finite.
    pub fn boundary(&self, tolerance: f64) -> Result<BoundaryCounts, Error> {
        if !(tolerance.is_finite() && tolerance >= 0.0) {
            return Err(Error::InvalidTolerance { tolerance });
        }
        // 3 pixels of 0.1 µm are 0.30000000000000004 µm, and within 0.3 µm.
        let reach = tolerance * (1.0 + 1e-9);
        let near = |distances: &[f64]| distances.partition_point(|&d| d <= reach) as f64;
        Ok(BoundaryCounts {
            near_truth: near(&self.to_prediction),
            truth: self.to_prediction.len() as f64,
            near_predicted: near(&self.to_truth),
            predicted: self.to_truth.len() as f64,
        })
    }
}

impl BoundaryCounts {
    /// The pixels of several images.
    ///
    /// # Errors
    /// Weights that do not fit the images.
    pub fn pool(images: &[Self], weights: Weights<'_>) -> Result<Self, Error> {
        weights.check(images.len())?;
        let mut sum = BoundaryCounts::default();
        for (item, image) in images.iter().enumerate() {
            let weight = weights.of(item);
            sum.near_truth += weight * image.near_truth;
            sum.truth += weight * image.truth;
            sum.near_predicted += weight * image.near_predicted;
            sum.predicted += weight * image.predicted;
        }
        Ok(sum)
    }

    /// The boundary F1 score, from 0 to 1; 0 if one mask lacks the class.
    ///
    /// # Errors
    /// Undefined if both masks lack the class.
    pub fn f1(&self) -> Result<f64, Error> {
        if self.truth + self.predicted <= 0.0 {
            return Err(Undefined::NoSurface.into());
        }
        let precision = ratio(self.near_predicted, self.predicted).unwrap_or(0.0);
        let recall = ratio(self.near_truth, self.truth).unwrap_or(0.0);
        Ok(ratio(2.0 * precision * recall, precision + recall).unwrap_or(0.0))
    }
}
