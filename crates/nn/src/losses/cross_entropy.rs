//! Cross-entropy with soft targets and label smoothing.

use burn::tensor::{Tensor, activation::log_softmax};

use super::{Loss, sum_classes};

/// Cross-entropy, as PyTorch's `cross_entropy` with probabilities as targets:
///
/// ```text
/// l(p, y) = - sum_k y'_k * log p_k        y' = (1 - s) * y + s / classes
/// ```
///
/// `s` is the label smoothing of Szegedy et al. (arXiv 1512.00567).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CrossEntropy {
    /// Label smoothing `s` in [0, 1). Default 0.
    pub label_smoothing: f64,
}

impl Loss for CrossEntropy {
    fn per_item(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        let classes = targets.dims()[1] as f64;
        let targets = if self.label_smoothing == 0.0 {
            targets
        } else {
            targets
                .mul_scalar(1.0 - self.label_smoothing)
                .add_scalar(self.label_smoothing / classes)
        };
        sum_classes(targets * log_softmax(logits, 1)).neg()
    }
}
