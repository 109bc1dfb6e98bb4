//! F1 score: harmonic mean of precision and sensitivity.
//!
//! C. J. van Rijsbergen, "Information Retrieval", 2nd edition, 1979.
//!
//! ```text
//! F1_k     = 2 n_kk / (truth_k + predicted_k)
//! macro    = mean over classes
//! weighted = mean over classes, weighted by truth_k
//! ```
//!
//! A class that occurs neither in the truth nor in the prediction is 0/0; [`ZeroDivision`] says
//! what happens to it. The macro average is the mean of the classes' F1, not the F1 of mean
//! precision and sensitivity (Opitz and Burst, arXiv:1911.03347).

use crate::confusion::{ConfusionMatrix, ratio};
use crate::error::{Error, Undefined};

/// What an average does with a class that occurs neither in the truth nor in the prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ZeroDivision {
    /// Leave it out, as scikit-learn does when no list of labels is passed.
    #[default]
    Skip,
    /// Count it as 0.
    Zero,
    /// Count it as 1.
    One,
}

impl ZeroDivision {
    /// The mean over classes; `None` if none is left.
    pub(crate) fn mean(self, classes: Vec<Option<f64>>) -> Option<f64> {
        let values: Vec<f64> = classes
            .into_iter()
            .filter_map(|value| match (value, self) {
                (Some(value), _) => Some(value),
                (None, ZeroDivision::Skip) => None,
                (None, ZeroDivision::Zero) => Some(0.0),
                (None, ZeroDivision::One) => Some(1.0),
            })
            .collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }
}

impl ConfusionMatrix {
    /// F1 of each class; `None` for a class in neither the truth nor the prediction.
    pub fn f1(&self) -> Vec<Option<f64>> {
        let (truth, predicted) = (self.truth_totals(), self.predicted_totals());
        let both = self.counts().diag().to_owned();
        (0..self.classes())
            .map(|class| ratio(2.0 * both[class], truth[class] + predicted[class]))
            .collect()
    }

    /// Mean F1 over classes.
    ///
    /// # Errors
    /// Undefined if there is no class to average.
    pub fn macro_f1(&self, zero_division: ZeroDivision) -> Result<f64, Error> {
        zero_division
            .mean(self.f1())
            .ok_or_else(|| Undefined::NoClass.into())
    }

    /// Mean F1 over classes, weighted by the number of their items in the truth.
    ///
    /// A class without items has weight zero, so no rule for the empty case is needed.
    ///
    /// # Errors
    /// Undefined without items.
    pub fn weighted_f1(&self) -> Result<f64, Error> {
        let total = self.total();
        if total <= 0.0 {
            return Err(Undefined::NoItems.into());
        }
        let sum: f64 = self
            .f1()
            .into_iter()
            .zip(self.truth_totals())
            .map(|(f1, truth)| f1.unwrap_or(0.0) * truth)
            .sum();
        Ok(sum / total)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn the_empty_class_follows_the_rule() {
        let matrix =
            ConfusionMatrix::new(array![[2.0, 0.0, 0.0], [2.0, 2.0, 0.0], [0.0; 3]]).unwrap();
        let (first, second) = (4.0 / 6.0, 4.0 / 6.0);
        assert_eq!(matrix.f1(), [Some(first), Some(second), None]);
        let average = |rule| matrix.macro_f1(rule).unwrap();
        assert_eq!(average(ZeroDivision::Skip), (first + second) / 2.0);
        assert_eq!(average(ZeroDivision::Zero), (first + second) / 3.0);
        assert_eq!(average(ZeroDivision::One), (first + second + 1.0) / 3.0);
    }

    #[test]
    fn a_missed_class_counts_as_zero() {
        let matrix = ConfusionMatrix::new(array![[2.0, 0.0], [2.0, 0.0]]).unwrap();
        assert_eq!(matrix.f1()[1], Some(0.0));
    }

    #[test]
    fn no_items_is_undefined() {
        let matrix = ConfusionMatrix::new(array![[0.0]]).unwrap();
        assert_eq!(
            matrix.macro_f1(ZeroDivision::Skip),
            Err(Undefined::NoClass.into())
        );
        assert_eq!(matrix.weighted_f1(), Err(Undefined::NoItems.into()));
    }
}
