//! The mean absolute error between probabilities and targets.

use burn::tensor::{Tensor, activation::softmax};

use super::{Loss, sum_classes};

/// The mean absolute error of Ghosh et al. (arXiv 1712.09482), halved as is usual:
///
/// ```text
/// l(p, y) = 1 - sum_k y_k * p_k        = 1/2 * |p - y|_1 for a hard label
/// ```
///
/// It is symmetric and so tolerates uniform noise, but its gradient vanishes on items whose label
/// the network finds unlikely: it learns slowly and may leave classes out.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct MeanAbsoluteError;

impl Loss for MeanAbsoluteError {
    fn per_item(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        sum_classes(targets * softmax(logits, 1))
            .neg()
            .add_scalar(1.0)
    }
}
