//! Complementary labels: what an item is not, when some wrong classes are named more often than others.

use burn::tensor::{Tensor, TensorData, activation::softmax};
use ndarray::ArrayView2;
use thiserror::Error;

use super::{Loss, sum_classes};

/// Probabilities are kept this far from 0 and 1, as published.
const EPSILON: f64 = 1e-5;

/// How far the sum of a row of the transition matrix may be from 1: rounding, not a mistake.
const TOLERANCE: f64 = 1e-6;

/// The loss of complementary labels of Hägele et al. (doi:10.1038/s41598-024-75256-w, arXiv 2302.01813): the forward
/// correction of Yu et al. (arXiv 1711.09535) with the factor of the focal loss.
///
/// ```text
/// l(p, m) = - (1 - q_m)^gamma * log q_m        q_m = sum_n p'_n * Q_nm        Q_nm = P(named m | truth n)
/// ```
///
/// with `p' = clamp(p, 1e-5, 1 - 1e-5)`. A target is a row with a 1 at the class `m` that the item is said *not* to
/// be; a row of zeros says nothing and costs nothing. A class whose column of `Q` is 0 is never named; to name it all
/// the same has a large loss without a gradient.
///
/// Where every pixel of a patch has the complementary label of the patch (a diagnosis says what a slide cannot
/// contain), the pixels are the items and all have the patch's row. The published mean over the pixels of each patch
/// is then [`Loss::mean`] with weights of one over the count of the patch's pixels; with patches of one size, any
/// constant weight.
///
/// Two things to know of the published form: pixels that are right keep a loss above 0 where `Q` names several
/// classes, and where all other classes are below 1e-5 the clamp stops the gradient, so that a network which is sure
/// of the excluded class does not learn. [`NegativeLearning`](super::NegativeLearning) has neither property.
#[derive(Debug, Clone)]
pub struct Complementary {
    /// `Q`, row-major `[classes, classes]`.
    transition: Vec<f32>,
    classes: usize,
    gamma: f64,
}

/// A matrix that cannot say which classes are named as wrong ones.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ComplementaryError {
    /// It has another shape.
    #[error(
        "the transition matrix of complementary labels is {rows} by {columns}, expected as many rows as columns"
    )]
    NotSquare {
        /// Its rows.
        rows: usize,
        /// Its columns.
        columns: usize,
    },
    /// A row is no distribution.
    #[error(
        "row {class} of the transition matrix of complementary labels is {row:?}, expected numbers from 0 to 1 \
         that sum to 1"
    )]
    NotDistribution {
        /// The row.
        class: usize,
        /// What it holds.
        row: Vec<f64>,
    },
    /// A class is excluded where it is true.
    #[error(
        "the transition matrix of complementary labels says that items of class {class} are called not of it"
    )]
    Itself {
        /// The class.
        class: usize,
    },
    /// A factor of the focal loss that is none.
    #[error("gamma {0} of complementary labels, expected a number of at least 0")]
    Gamma(f64),
}

impl Complementary {
    /// The published power of the focal factor.
    pub const GAMMA: f64 = 2.0;

    /// The loss with the matrix `transition` `[classes, classes]`: in the row of a true class, how often each class
    /// is named as one that the item is not. Rows sum to 1 and the diagonal is 0. `gamma` 0 is the forward
    /// correction alone.
    ///
    /// # Errors
    /// A matrix that is not such a one, or a `gamma` below 0.
    pub fn new(transition: ArrayView2<'_, f64>, gamma: f64) -> Result<Self, ComplementaryError> {
        let (rows, columns) = transition.dim();
        if rows != columns {
            return Err(ComplementaryError::NotSquare { rows, columns });
        }
        for (class, row) in transition.rows().into_iter().enumerate() {
            let shares = row.iter().all(|share| (0.0..=1.0).contains(share));
            if !shares || (row.sum() - 1.0).abs() > TOLERANCE {
                let row = row.to_vec();
                return Err(ComplementaryError::NotDistribution { class, row });
            }
            if row[class] > 0.0 {
                return Err(ComplementaryError::Itself { class });
            }
        }
        if !(gamma >= 0.0 && gamma.is_finite()) {
            return Err(ComplementaryError::Gamma(gamma));
        }
        Ok(Self {
            transition: transition.iter().map(|&share| share as f32).collect(),
            classes: rows,
            gamma,
        })
    }
}

impl Loss for Complementary {
    fn per_item(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        let matrix = TensorData::new(self.transition.clone(), [self.classes, self.classes]);
        let matrix = Tensor::from_data(matrix, &logits.device());
        let q = softmax(logits, 1)
            .clamp(EPSILON, 1.0 - EPSILON)
            .matmul(matrix);
        // The floor keeps the power defined where rounding lifts q above 1, and its gradient where gamma is below 1.
        let doubt = q.clone().neg().add_scalar(1.0).clamp_min(1e-7);
        // This floor is for classes that are never named: 0 times infinity is not 0.
        let log_q = q.clamp_min(f32::MIN_POSITIVE).log();
        sum_classes(targets * doubt.powf_scalar(self.gamma) * log_q).neg()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn refuses_matrices_that_name_no_wrong_class() {
        let refused = |matrix: Array2<f64>| Complementary::new(matrix.view(), 2.0).unwrap_err();
        assert_eq!(
            refused(array![[0.0, 1.0]]),
            ComplementaryError::NotSquare {
                rows: 1,
                columns: 2
            }
        );
        assert_eq!(
            refused(array![[0.0, 1.0], [0.9, 0.0]]),
            ComplementaryError::NotDistribution {
                class: 1,
                row: vec![0.9, 0.0]
            }
        );
        assert_eq!(
            refused(array![[0.0, 1.0], [0.5, 0.5]]),
            ComplementaryError::Itself { class: 1 }
        );
        let two = array![[0.0, 1.0], [1.0, 0.0]];
        assert_eq!(
            Complementary::new(two.view(), -1.0).unwrap_err(),
            ComplementaryError::Gamma(-1.0)
        );
        assert!(Complementary::new(two.view(), Complementary::GAMMA).is_ok());
    }
}
