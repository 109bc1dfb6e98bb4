//! The reverse cross-entropy.

use burn::tensor::{Tensor, activation::softmax};

use super::{Loss, sum_classes};

/// The reverse cross-entropy of Wang et al. (arXiv 1908.06112), in which prediction and target
/// change places:
///
/// ```text
/// l(p, y) = - sum_k max(p_k, 1e-7) * log max(y_k, 1e-4)
/// ```
///
/// It is defined between two distributions, so soft targets need no extension. For a hard label
/// `k` it is `9.21 * (1 - p_k)`: the mean absolute error with a longer step. The two floors are
/// those of the published code; the first one also stops the gradient below 1e-7.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ReverseCrossEntropy;

impl Loss for ReverseCrossEntropy {
    fn per_item(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        let p = softmax(logits, 1).clamp_min(1e-7);
        sum_classes(p * targets.clamp_min(1e-4).log()).neg()
    }
}
