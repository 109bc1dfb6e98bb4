//! Losses of scores that each say yes or no.

use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;

/// The cross-entropy of targets y in [0, 1] and of probabilities σ(x), one for each score x, without exponentials
/// that overflow:
///
/// ```text
/// l(x, y) = max(x, 0) − x y + log(1 + exp(−|x|))
/// ```
pub fn binary_cross_entropy<const D: usize>(scores: Tensor<D>, targets: Tensor<D>) -> Tensor<D> {
    let rest = scores.clone().abs().neg().exp().log1p();
    scores.clone().clamp_min(0.0) - scores * targets + rest
}

/// The focal loss of detectors (Lin et al., arXiv 1708.02002): for q = p where y = 1 and 1 − p where y = 0,
///
/// ```text
/// l(p, y) = − a (1 − q)^gamma log q,   a = alpha where y = 1 and 1 − alpha where y = 0
/// ```
///
/// so that the many places where nothing is, and where that is plain, do not outweigh the rest. Targets between 0
/// and 1 weigh both, as torchvision's do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BinaryFocal {
    /// The weight of what is there. Default 0.25.
    pub alpha: f64,
    /// How strongly what is plain is discounted, at least 0. Default 2.
    pub gamma: f64,
}

impl Default for BinaryFocal {
    fn default() -> Self {
        Self {
            alpha: 0.25,
            gamma: 2.0,
        }
    }
}

impl BinaryFocal {
    /// The loss of each score, by targets of the same shape.
    pub fn per_score<const D: usize>(&self, scores: Tensor<D>, targets: Tensor<D>) -> Tensor<D> {
        let probabilities = sigmoid(scores.clone());
        let cross_entropy = binary_cross_entropy(scores, targets.clone());
        // 1 − q, linear in the target.
        let wrong = probabilities.clone() + targets.clone()
            - (probabilities * targets.clone()).mul_scalar(2.0);
        let weight = targets
            .mul_scalar(2.0 * self.alpha - 1.0)
            .add_scalar(1.0 - self.alpha);
        // The floor keeps the gradient of the power finite where gamma is below 1.
        weight * wrong.clamp_min(1e-7).powf_scalar(self.gamma) * cross_entropy
    }
}
