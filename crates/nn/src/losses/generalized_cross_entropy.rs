//! The generalised cross-entropy.

use burn::tensor::{Tensor, activation::log_softmax};

use super::{Loss, sum_classes};

/// The generalised cross-entropy of Zhang and Sabuncu (arXiv 1805.07836), between the
/// cross-entropy (`q` to 0) and the mean absolute error (`q` = 1):
///
/// ```text
/// l(p, y) = sum_k y_k * (1 - p_k^q) / q
/// ```
///
/// Its gradient is the cross-entropy's times `p_k^q`: labels that the network finds unlikely weigh
/// less. The power is computed as `exp(q * log p)`, so that it needs no clamp at small `p`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GeneralizedCrossEntropy {
    /// Robustness in (0, 1]. Default 0.7 (the paper's).
    pub q: f64,
}

impl Default for GeneralizedCrossEntropy {
    fn default() -> Self {
        Self { q: 0.7 }
    }
}

impl Loss for GeneralizedCrossEntropy {
    fn per_item(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        let powers = log_softmax(logits, 1).mul_scalar(self.q).exp();
        sum_classes(targets * powers.neg().add_scalar(1.0)).div_scalar(self.q)
    }
}
