//! The Dice loss of regions of which some pixels are only known to be of one of a set of classes.

use burn::tensor::Tensor;

/// The Dice loss with label sets of Fidon et al. (arXiv 2107.03846), averaged over all classes:
///
/// ```text
/// l = 1 - 1/classes * sum_k  2 * sum_i w_i p'_ik y_ik / (sum_i w_i p'_ik^2 + sum_i w_i y_ik^2 + 1e-5)
/// ```
///
/// Targets are rows with values above 0 at the classes that are possible, as those of
/// [`PartialLabel`](super::PartialLabel), which is the same for single items. An empty row stands for an item
/// without a label, and counts nothing. A class to which no item belongs adds 1 to the sum and no gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelSetDice {
    /// Leaf-Dice: `p' = p`, and `y` is 1 at the class of an item that has one class only, 0 elsewhere. So items of
    /// whom more is unknown keep the classes they are not said to be of small, those of their set included.
    Leaf,
    /// Marginalised Dice: over the set of an item, `p'` is the mean of its probabilities and `y` is one over the
    /// number of classes. Which class of the set it is, makes no difference.
    Marginalised,
}

/// Keeps the division defined where nothing is predicted, as published.
const EPSILON: f64 = 1e-5;

impl LabelSetDice {
    /// The loss, `[1]`, of probabilities and sets `[items, classes]`, weighted by `weights` `[items]`.
    pub fn loss(
        self,
        probabilities: Tensor<2>,
        targets: Tensor<2>,
        weights: Tensor<1>,
    ) -> Tensor<1> {
        let possible = targets.greater_scalar(0.0).float();
        let size = possible.clone().sum_dim(1);
        let labelled = size.clone().greater_scalar(0.0).float();
        let weights = weights.unsqueeze_dim::<2>(1) * labelled;
        let (predicted, targets) = match self {
            Self::Leaf => {
                let single = size.equal_scalar(1.0).float();
                (probabilities, possible * single)
            }
            Self::Marginalised => {
                let targets = possible.clone() / size.clamp_min(1.0);
                let mean = (probabilities.clone() * targets.clone()).sum_dim(1);
                let elsewhere = possible.clone().neg().add_scalar(1.0);
                (probabilities * elsewhere + possible * mean, targets)
            }
        };
        let sum = |values: Tensor<2>| (values * weights.clone()).sum_dim(0);
        let both = sum(predicted.clone() * targets.clone()).mul_scalar(2.0);
        let squares = sum(predicted.square()) + sum(targets.square());
        (both / squares.add_scalar(EPSILON))
            .mean()
            .neg()
            .add_scalar(1.0)
    }
}
