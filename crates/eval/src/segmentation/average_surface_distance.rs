//! Average symmetric surface distance (ASSD).
//!
//! ```text
//! Together: (Σ d(A → B) + Σ d(B → A)) / (|A| + |B|)
//! Separate: (mean d(A → B) + mean d(B → A)) / 2
//! ```

use super::{Directions, SurfaceDistances};
use crate::error::Error;

impl SurfaceDistances {
    /// Average distance of the surfaces in both directions, in the unit of the spacing.
    ///
    /// # Errors
    /// Undefined if a mask lacks the class.
    pub fn average(&self, directions: Directions) -> Result<f64, Error> {
        self.check()?;
        let sum = |distances: &[f64]| distances.iter().sum::<f64>();
        let sums = (sum(&self.to_truth), sum(&self.to_prediction));
        let counts = (self.to_truth.len() as f64, self.to_prediction.len() as f64);
        Ok(match directions {
            Directions::Separate => (sums.0 / counts.0 + sums.1 / counts.1) / 2.0,
            Directions::Together => (sums.0 + sums.1) / (counts.0 + counts.1),
        })
    }
}
