//! The confusion matrix and what each class has of it.
//!
//! ```text
//!                 predicted 0   predicted 1
//! truth 0         n00           n01
//! truth 1         n10           n11
//!
//! sensitivity (recall) of class k   = n_kk / Σ_j n_kj
//! precision of class k              = n_kk / Σ_i n_ik
//! specificity of class k            = Σ_{i≠k, j≠k} n_ij / Σ_{i≠k, j} n_ij
//! ```

use ndarray::{Array1, Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Weighted counts of [truth, predicted]; whole numbers below 2⁵³ are exact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Vec<f64>>", into = "Vec<Vec<f64>>")]
pub struct ConfusionMatrix {
    counts: Array2<f64>,
}

/// By what the counts are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Normalise {
    /// By the number of items of each true class: rows sum to 1, the diagonal is sensitivity.
    Truth,
    /// By the number of predictions of each class: columns sum to 1, the diagonal is precision.
    Predicted,
    /// By the number of items: everything sums to 1.
    All,
}

impl ConfusionMatrix {
    /// A confusion matrix from counts of [truth, predicted].
    ///
    /// # Errors
    /// A matrix that is empty or not square, or an entry that is negative or not finite.
    pub fn new(counts: Array2<f64>) -> Result<Self, Error> {
        let (rows, columns) = counts.dim();
        if rows == 0 {
            return Err(Error::Zero { what: "classes" });
        }
        if rows != columns {
            return Err(Error::MatrixShape {
                rows,
                columns,
                classes: rows,
            });
        }
        match counts
            .indexed_iter()
            .find(|(_, count)| !count.is_finite() || **count < 0.0)
        {
            Some(((truth, predicted), &count)) => Err(Error::InvalidCount {
                truth,
                predicted,
                count,
            }),
            None => Ok(ConfusionMatrix { counts }),
        }
    }

    /// From valid counts in row-major order.
    pub(crate) fn from_cells(cells: Vec<f64>, classes: usize) -> Self {
        let counts = Array2::from_shape_fn((classes, classes), |(t, p)| cells[t * classes + p]);
        ConfusionMatrix { counts }
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.counts.nrows()
    }

    /// The counts, [truth, predicted].
    pub fn counts(&self) -> ArrayView2<'_, f64> {
        self.counts.view()
    }

    /// The summed weight of all items.
    pub fn total(&self) -> f64 {
        self.counts.sum()
    }

    /// The summed weight of the items of each true class (its support).
    pub fn truth_totals(&self) -> Array1<f64> {
        self.counts.sum_axis(Axis(1))
    }

    /// The summed weight of the items predicted as each class.
    pub fn predicted_totals(&self) -> Array1<f64> {
        self.counts.sum_axis(Axis(0))
    }

    /// The counts divided by a total; NaN where that total is zero, because a class without items
    /// has no distribution.
    pub fn normalised(&self, by: Normalise) -> Array2<f64> {
        match by {
            Normalise::Truth => &self.counts / &self.truth_totals().insert_axis(Axis(1)),
            Normalise::Predicted => &self.counts / &self.predicted_totals(),
            Normalise::All => &self.counts / self.total(),
        }
    }

    /// Adds the counts of another matrix, as of another fold or slide.
    ///
    /// # Errors
    /// Another number of classes.
    pub fn merge(&mut self, other: &ConfusionMatrix) -> Result<(), Error> {
        if self.classes() != other.classes() {
            let (rows, columns) = other.counts.dim();
            return Err(Error::MatrixShape {
                rows,
                columns,
                classes: self.classes(),
            });
        }
        self.counts += &other.counts;
        Ok(())
    }

    /// Share of the items of each class that were found (recall, true-positive rate).
    ///
    /// `None` for a class that does not occur in the truth.
    pub fn sensitivity(&self) -> Vec<Option<f64>> {
        self.diagonal_share(&self.truth_totals())
    }

    /// Share of the predictions of each class that are right (positive predictive value).
    ///
    /// `None` for a class that was never predicted.
    pub fn precision(&self) -> Vec<Option<f64>> {
        self.diagonal_share(&self.predicted_totals())
    }

    /// Share of the items *not* of a class that were not called so (true-negative rate).
    ///
    /// `None` if every item is of that class.
    pub fn specificity(&self) -> Vec<Option<f64>> {
        let total = self.total();
        let (truth, predicted) = (self.truth_totals(), self.predicted_totals());
        (0..self.classes())
            .map(|class| {
                let negatives = total - truth[class];
                let false_positives = predicted[class] - self.counts[[class, class]];
                ratio(negatives - false_positives, negatives)
            })
            .collect()
    }

    fn diagonal_share(&self, totals: &Array1<f64>) -> Vec<Option<f64>> {
        self.counts
            .diag()
            .iter()
            .zip(totals)
            .map(|(&n, &total)| ratio(n, total))
            .collect()
    }
}

/// `part / whole`, `None` if there is no whole.
pub(crate) fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

impl TryFrom<Vec<Vec<f64>>> for ConfusionMatrix {
    type Error = Error;

    fn try_from(rows: Vec<Vec<f64>>) -> Result<Self, Error> {
        let classes = rows.len();
        if let Some(row) = rows.iter().find(|row| row.len() != classes) {
            return Err(Error::MatrixShape {
                rows: classes,
                columns: row.len(),
                classes,
            });
        }
        Self::new(Array2::from_shape_fn((classes, classes), |(t, p)| {
            rows[t][p]
        }))
    }
}

impl From<ConfusionMatrix> for Vec<Vec<f64>> {
    fn from(matrix: ConfusionMatrix) -> Self {
        matrix
            .counts
            .rows()
            .into_iter()
            .map(|row| row.to_vec())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn classes_without_items_have_no_rates() {
        let matrix =
            ConfusionMatrix::new(array![[3.0, 1.0, 0.0], [2.0, 4.0, 0.0], [0.0; 3]]).unwrap();
        assert_eq!(matrix.sensitivity(), [Some(0.75), Some(4.0 / 6.0), None]);
        assert_eq!(matrix.precision(), [Some(0.6), Some(0.8), None]);
        assert_eq!(
            matrix.specificity(),
            [Some(4.0 / 6.0), Some(0.75), Some(1.0)]
        );
        let rows = matrix.normalised(Normalise::Truth);
        assert_eq!(rows[[0, 1]], 0.25);
        assert!(rows[[2, 0]].is_nan());
        assert_eq!(matrix.normalised(Normalise::Predicted)[[1, 0]], 0.4);
        assert_eq!(matrix.normalised(Normalise::All)[[1, 1]], 0.4);
    }

    #[test]
    fn merging_adds_and_checks() {
        let mut matrix = ConfusionMatrix::new(array![[1.0, 2.0], [3.0, 4.0]]).unwrap();
        matrix.merge(&matrix.clone()).unwrap();
        assert_eq!(matrix.counts(), array![[2.0, 4.0], [6.0, 8.0]]);
        let other = ConfusionMatrix::new(array![[1.0]]).unwrap();
        assert_eq!(
            matrix.merge(&other).unwrap_err().to_string(),
            "a confusion matrix of 1 x 1 does not fit 2 classes"
        );
    }

    #[test]
    fn impossible_matrices_are_errors() {
        assert!(ConfusionMatrix::new(Array2::zeros((0, 0))).is_err());
        assert!(ConfusionMatrix::new(Array2::zeros((1, 2))).is_err());
        assert_eq!(
            ConfusionMatrix::new(array![[1.0, 0.0], [-1.0, 0.0]])
                .unwrap_err()
                .to_string(),
            "the count of truth 1 and prediction 0 is -1"
        );
    }

    #[test]
    fn survives_json() {
        let matrix = ConfusionMatrix::new(array![[1.0, 2.0], [3.0, 4.0]]).unwrap();
        let json = serde_json::to_string(&matrix).unwrap();
        assert_eq!(json, "[[1.0,2.0],[3.0,4.0]]");
        assert_eq!(
            serde_json::from_str::<ConfusionMatrix>(&json).unwrap(),
            matrix
        );
        assert!(serde_json::from_str::<ConfusionMatrix>("[[1.0],[2.0,3.0]]").is_err());
    }
}
