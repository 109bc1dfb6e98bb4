//! The focal loss.

use burn::tensor::{Tensor, activation::log_softmax};

use super::{Loss, sum_classes};

/// The focal loss of Lin et al. (arXiv 1708.02002) for several classes:
///
/// ```text
/// l(p, y) = - sum_k y_k * (1 - p_k)^gamma * log p_k
/// ```
///
/// The paper's class weight alpha is left to the item weights. `gamma` 0 is the cross-entropy. It
/// lays weight on items that are hard, which wrong labels are: it is here for comparison and not
/// for its robustness.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Focal {
    /// How strongly easy items are discounted, at least 0. Default 2 (the paper's).
    pub gamma: f64,
}

impl Default for Focal {
    fn default() -> Self {
        Self { gamma: 2.0 }
    }
}

impl Loss for Focal {
    fn per_item(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        let log_p = log_softmax(logits, 1);
        // The floor keeps the gradient of the power finite at p = 1 where gamma is below 1.
        let doubt = log_p.clone().exp().neg().add_scalar(1.0).clamp_min(1e-7);
        sum_classes(targets * doubt.powf_scalar(self.gamma) * log_p).neg()
    }
}
