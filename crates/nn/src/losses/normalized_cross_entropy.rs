//! The normalised cross-entropy, and its sum with the reverse cross-entropy.

use burn::tensor::{Tensor, activation::log_softmax};

use super::{Loss, ReverseCrossEntropy, sum_classes};

/// The normalised cross-entropy of Ma et al. (arXiv 2006.13554):
///
/// ```text
/// l(p, y) = sum_k y_k * log p_k / sum_j log p_j        in [0, 1]
/// ```
///
/// Normalised, a loss is symmetric and tolerates noise, but learns little alone ("active" loss).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct NormalizedCrossEntropy;

impl Loss for NormalizedCrossEntropy {
    fn per_item(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        let log_p = log_softmax(logits, 1);
        // The divisor is never near 0: at most -classes * log(classes), at uniform p.
        sum_classes(targets * log_p.clone()) / sum_classes(log_p)
    }
}

/// The active-passive loss NCE + RCE of Ma et al. (arXiv 2006.13554):
///
/// ```text
/// l(p, y) = alpha * normalized_cross_entropy(p, y) + beta * reverse_cross_entropy(p, y)
/// ```
///
/// See [`NormalizedCrossEntropy`] and [`ReverseCrossEntropy`]; soft targets as there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NceRce {
    /// The share of the active loss. Default 1 (the paper's for ten classes).
    pub alpha: f64,
    /// The share of the passive loss. Default 1 (the paper's for ten classes).
    pub beta: f64,
}

impl Default for NceRce {
    fn default() -> Self {
        Self {
            alpha: 1.0,
            beta: 1.0,
        }
    }
}

impl Loss for NceRce {
    fn per_item(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        let active = NormalizedCrossEntropy.per_item(logits.clone(), targets.clone());
        let passive = ReverseCrossEntropy.per_item(logits, targets);
        active.mul_scalar(self.alpha) + passive.mul_scalar(self.beta)
    }
}
