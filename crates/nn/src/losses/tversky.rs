//! Dice, Jaccard and Tversky: how badly regions overlap.

use burn::tensor::Tensor;

/// One minus the Tversky index of soft regions, averaged over the classes that have pixels (Salehi, Erdogmus
/// and Gholipour, arXiv 1706.05721):
///
/// ```text
/// TP = Σ w p y    FP = Σ w p (1 − y)    FN = Σ w (1 − p) y         over the items, per class
/// l  = mean over the classes with Σ w y > 0 of  1 − TP / (TP + a FP + b FN)
/// ```
///
/// for probabilities p, targets y and weights w. With a = b = 1/2 this is the soft Dice loss (Milletari, Navab
/// and Ahmadi, arXiv 1606.04797), with a = b = 1 the soft Jaccard loss. A class without a weighted pixel
/// in the batch says nothing about overlap and is left out; without any such class the loss is 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tversky {
    /// The factor `a` of false positives.
    pub false_positives: f64,
    /// The factor `b` of false negatives.
    pub false_negatives: f64,
}

/// Keeps the division defined where nothing is predicted: segmentation_models_pytorch's constant.
const EPSILON: f32 = 1e-7;

impl Tversky {
    /// The soft Dice loss.
    pub const DICE: Self = Self {
        false_positives: 0.5,
        false_negatives: 0.5,
    };

    /// The soft Jaccard loss.
    pub const JACCARD: Self = Self {
        false_positives: 1.0,
        false_negatives: 1.0,
    };

    /// The loss, `[1]`, of probabilities and targets `[items, classes]`, weighted by `weights` `[items]`.
    pub fn loss(
        &self,
        probabilities: Tensor<2>,
        targets: Tensor<2>,
        weights: Tensor<1>,
    ) -> Tensor<1> {
        let weights = weights.unsqueeze_dim(1);
        let predicted = probabilities * weights.clone();
        let both = sum(predicted.clone() * targets.clone());
        let truth = sum(targets * weights);
        let false_positives = sum(predicted) - both.clone();
        let false_negatives = truth.clone() - both.clone();
        let index = both.clone()
            / (both
                + false_positives.mul_scalar(self.false_positives)
                + false_negatives.mul_scalar(self.false_negatives))
            .clamp_min(EPSILON);
        let present = truth.greater_scalar(0.0).float();
        let classes = present.clone().sum().clamp_min(1.0);
        ((index.neg().add_scalar(1.0)) * present).sum() / classes
    }
}

/// Sums over the items: `[items, classes]` to `[classes]`.
fn sum(values: Tensor<2>) -> Tensor<1> {
    values.sum_dim(0).squeeze_dim(0)
}
