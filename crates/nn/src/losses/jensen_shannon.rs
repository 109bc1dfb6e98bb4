//! The Jensen–Shannon divergence: how much several predictions of the same items disagree.

use burn::tensor::{Tensor, activation::log_softmax};

use super::kullback_leibler::divergence;
use super::log_sum_exp;

/// The Jensen–Shannon divergence of two or more predictions `p_m` of the same items, for example of an image in
/// several sizes (ADELE, Liu et al., arXiv 2110.03740):
///
/// ```text
/// l = sum_m w_m * KL(p_m ‖ mean)        mean_k = sum_m w_m * p_mk        sum_m w_m = 1
/// ```
///
/// It lies between 0, where all predictions are equal, and the entropy of the weights.
///
/// All predictions move towards their mean. One that shall not is detached by the caller. Whether the mean is a
/// constant makes no difference: the gradient through it is the sum of the changes of its probabilities, which is 0.
#[derive(Debug, Clone, PartialEq)]
pub struct JensenShannon {
    weights: Vec<f64>,
}

impl JensenShannon {
    /// With a weight for each prediction; they are divided by their sum.
    ///
    /// # Panics
    /// When there are fewer than two weights, or one is not above 0.
    pub fn weighted(weights: &[f64]) -> Self {
        let positive = weights
            .iter()
            .all(|&weight| weight > 0.0 && weight.is_finite());
        assert!(
            weights.len() > 1 && positive,
            "weights of predictions that are compared: {weights:?}"
        );
        let sum: f64 = weights.iter().sum();
        Self {
            weights: weights.iter().map(|weight| weight / sum).collect(),
        }
    }

    /// Of so many predictions, which weigh the same.
    ///
    /// # Panics
    /// When they are fewer than two.
    pub fn equal(predictions: usize) -> Self {
        Self::weighted(&vec![1.0; predictions])
    }

    /// The divergence of each item, `[items]`, from the logits `[items, classes]` of each prediction.
    ///
    /// # Panics
    /// When there are not as many predictions as weights.
    pub fn per_item(&self, logits: &[Tensor<2>]) -> Tensor<1> {
        let predictions: Vec<Tensor<2>> = logits
            .iter()
            .map(|logits| log_softmax(logits.clone(), 1))
            .collect();
        let mean = self.log_mean(&predictions).detach();
        let mut sum = Tensor::zeros([mean.dims()[0]], &mean.device());
        for (prediction, &weight) in predictions.into_iter().zip(&self.weights) {
            sum = sum + divergence(prediction, mean.clone()).mul_scalar(weight);
        }
        sum
    }

    /// 1 for each item, `[items]`, of which the mean of the predictions gives some class a probability of at least
    /// `threshold`, 0 for the others; without a gradient. Times the items' weights, it limits the loss to items that
    /// the predictions are sure of. (ADELE's threshold is 0.8. Its published code decides so for whole
    /// images, by their surest pixel.)
    ///
    /// # Panics
    /// When there are not as many predictions as weights.
    pub fn confident(&self, logits: &[Tensor<2>], threshold: f64) -> Tensor<1> {
        let predictions: Vec<Tensor<2>> = logits
            .iter()
            .map(|logits| log_softmax(logits.clone().detach(), 1))
            .collect();
        let mean = self.log_mean(&predictions).exp();
        let sure = mean.max_dim(1).greater_equal_scalar(threshold);
        sure.float().squeeze_dim(1)
    }

    fn log_mean(&self, predictions: &[Tensor<2>]) -> Tensor<2> {
        assert_eq!(
            predictions.len(),
            self.weights.len(),
            "predictions and their weights"
        );
        let weighted = predictions
            .iter()
            .zip(&self.weights)
            .map(|(prediction, weight)| prediction.clone().add_scalar(weight.ln()))
            .collect();
        log_sum_exp(Tensor::stack::<3>(weighted, 0), 0).squeeze_dim(0)
    }
}
