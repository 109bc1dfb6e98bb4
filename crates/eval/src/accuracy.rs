//! Accuracy and balanced accuracy.
//!
//! K. H. Brodersen et al., "The balanced accuracy and its posterior distribution", ICPR 2010,
//! doi:10.1109/ICPR.2010.764.
//!
//! ```text
//! accuracy          = Σ_k n_kk / Σ_ij n_ij
//! balanced accuracy = mean of the sensitivity over the classes that occur in the truth
//! ```

use crate::confusion::ConfusionMatrix;
use crate::error::{Error, Undefined};

impl ConfusionMatrix {
    /// Share of the items that were predicted right.
    ///
    /// # Errors
    /// Undefined without items.
    pub fn accuracy(&self) -> Result<f64, Error> {
        let total = self.total();
        if total > 0.0 {
            Ok(self.counts().diag().sum() / total)
        } else {
            Err(Undefined::NoItems.into())
        }
    }

    /// Mean sensitivity over the classes that occur in the truth, as scikit-learn's
    /// `balanced_accuracy_score`.
    ///
    /// A class that was predicted but does not occur in the truth is not averaged.
    ///
    /// # Errors
    /// Undefined without items.
    pub fn balanced_accuracy(&self) -> Result<f64, Error> {
        let (mut sum, mut classes) = (0.0, 0usize);
        for sensitivity in self.sensitivity().into_iter().flatten() {
            sum += sensitivity;
            classes += 1;
        }
        if classes > 0 {
            Ok(sum / classes as f64)
        } else {
            Err(Undefined::NoItems.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn absent_classes_do_not_pull_the_mean_down() {
        let matrix =
            ConfusionMatrix::new(array![[9.0, 1.0, 0.0], [0.0, 1.0, 1.0], [0.0; 3]]).unwrap();
        assert_eq!(matrix.balanced_accuracy(), Ok(0.7));
        assert_eq!(matrix.accuracy(), Ok(10.0 / 12.0));
    }

    #[test]
    fn no_items_is_undefined() {
        let matrix = ConfusionMatrix::new(array![[0.0]]).unwrap();
        assert_eq!(matrix.accuracy(), Err(Undefined::NoItems.into()));
        assert_eq!(matrix.balanced_accuracy(), Err(Undefined::NoItems.into()));
    }
}
