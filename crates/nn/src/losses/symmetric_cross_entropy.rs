//! The symmetric cross-entropy.

use burn::tensor::Tensor;

use super::{CrossEntropy, Loss, ReverseCrossEntropy};

/// The symmetric cross-entropy of Wang et al. (arXiv 1908.06112):
///
/// ```text
/// l(p, y) = alpha * cross_entropy(p, y) + beta * reverse_cross_entropy(p, y)
/// ```
///
/// See [`CrossEntropy`] and [`ReverseCrossEntropy`]; both take soft targets as they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SymmetricCrossEntropy {
    /// The share of the cross-entropy, which learns fast and remembers noise. Default 0.1 (the
    /// paper's for ten classes).
    pub alpha: f64,
    /// The share of the reverse cross-entropy, which tolerates noise. Default 1.
    pub beta: f64,
}

impl Default for SymmetricCrossEntropy {
    fn default() -> Self {
        Self {
            alpha: 0.1,
            beta: 1.0,
        }
    }
}

impl Loss for SymmetricCrossEntropy {
    fn per_item(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        let forward = CrossEntropy::default().per_item(logits.clone(), targets.clone());
        let reverse = ReverseCrossEntropy.per_item(logits, targets);
        forward.mul_scalar(self.alpha) + reverse.mul_scalar(self.beta)
    }
}
