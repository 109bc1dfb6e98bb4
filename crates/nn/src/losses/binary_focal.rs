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
    let size = scores.clone().abs();
    let rest = size.clone().neg().exp().log1p();
    // Not the larger of the score and 0, whose gradient at 0 is not the mean of those on both sides.
    let positive = (scores.clone() + size).div_scalar(2.0);
    positive - scores * targets + rest
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

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn the_gradient_is_the_probability_less_the_target() {
        let device = Device::flex().autodiff();
        let at = [-2.0f32, 0.0, 3.0];
        for target in [0.0f32, 0.25, 1.0] {
            let scores = Tensor::<1>::from_floats(at, &device).require_grad();
            let targets = Tensor::from_floats([target; 3], &device);
            let gradients = binary_cross_entropy(scores.clone(), targets).backward();
            let gradient: Vec<f32> = scores
                .grad(&gradients)
                .map(|gradient| gradient.into_data().iter::<f32>().collect())
                .unwrap_or_default();
            assert_eq!(gradient.len(), at.len());
            for (score, gradient) in at.iter().zip(gradient) {
                let expected = 1.0 / (1.0 + (-score).exp()) - target;
                assert!((gradient - expected).abs() < 1e-6, "{gradient} {expected}");
            }
        }
    }
}
