//! Hausdorff distance, and its quantiles such as HD95.
//!
//! D. Huttenlocher, G. Klanderman, W. Rucklidge, "Comparing images using the Hausdorff distance",
//! 1993, doi:10.1109/34.232073.
//!
//! ```text
//! d(A → B) = the distances of A's surface pixels to B's surface
//! HD  = max of d(A → B) and d(B → A)
//! HD95: the 0.95 quantile, interpolated linearly as in numpy; Directions says of what
//! ```
//!
//! SimpleITK's `HausdorffDistanceImageFilter` measures between all pixels of the masks, not their
//! surfaces, which is another number.

use super::{Directions, SurfaceDistances};
use crate::bootstrap::quantile;
use crate::error::Error;

impl SurfaceDistances {
    /// Hausdorff distance, in the unit of the spacing.
    ///
    /// # Errors
    /// Undefined if a mask lacks the class.
    pub fn hausdorff(&self) -> Result<f64, Error> {
        self.hausdorff_quantile(1.0, Directions::Separate)
    }

    /// The quantile of the distances instead of their maximum: 0.95 for HD95.
    ///
    /// # Errors
    /// A probability outside 0 to 1, or undefined if a mask lacks the class.
    pub fn hausdorff_quantile(
        &self,
        probability: f64,
        directions: Directions,
    ) -> Result<f64, Error> {
        if !(0.0..=1.0).contains(&probability) {
            return Err(Error::InvalidQuantile { probability });
        }
        self.check()?;
        Ok(match directions {
            Directions::Separate => {
                let to_truth = quantile(&self.to_truth, probability);
                to_truth.max(quantile(&self.to_prediction, probability))
            }
            Directions::Together => {
                let mut all = [&self.to_truth[..], &self.to_prediction].concat();
                all.sort_unstable_by(f64::total_cmp);
                quantile(&all, probability)
            }
        })
    }
}
