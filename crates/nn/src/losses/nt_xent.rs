//! Contrast of two views of each item.

use burn::tensor::Tensor;

use super::similarity::{itself, pairs, unit, without};
use super::{log_sum_exp, weighted_mean};

/// The normalised, temperature-scaled cross-entropy of SimCLR (Chen et al., arXiv 2002.05709), an InfoNCE loss: of
/// all other views of a batch, that of the same item shall be the most similar.
///
/// ```text
/// l(i, j) = - log( exp(s_ij / T) / sum_{k != i} exp(s_ik / T) )        s = cosine similarity
/// ```
///
/// for the views `i`, `j` of an item, in both directions, over the views `k` of all items.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NtXent {
    /// What similarities are divided by, above 0. Default 0.5.
    pub temperature: f64,
}

impl Default for NtXent {
    fn default() -> Self {
        Self { temperature: 0.5 }
    }
}

impl NtXent {
    /// The loss, `[1]`, of the features `[items, features]` of the two views of each item: the mean by `weights`
    /// `[items]`. An item of weight 0 takes no part, nor does anyone differ from it, and its features may be
    /// infinite.
    ///
    /// Memory grows with the square of the number of items: pixels have to be sampled.
    pub fn loss(&self, first: Tensor<2>, second: Tensor<2>, weights: Tensor<1>) -> Tensor<1> {
        let present = weights.clone().greater_scalar(0.0);
        let view = |features| unit(without(features, present.clone().bool_not()));
        let (first, second) = (view(first), view(second));
        let agreement = (first.clone() * second.clone()).sum_dim(1);
        let agreement = Tensor::cat(vec![agreement.clone(), agreement], 0).squeeze_dim::<1>(1);

        let views = Tensor::cat(vec![first, second], 0);
        let present = Tensor::cat(vec![present.clone(), present], 0);
        let itself = itself(views.dims()[0], &views.device());
        let similar = views.clone().matmul(views.transpose());
        // Rows of absent items are left as they are: they have no weight, and must stay finite.
        let absent = pairs(present.clone(), present.bool_not()).bool_or(itself);
        let all = similar
            .div_scalar(self.temperature)
            .mask_fill(absent, f32::NEG_INFINITY);
        let all = log_sum_exp(all, 1).squeeze_dim::<1>(1);
        let per_view = all - agreement.div_scalar(self.temperature);
        weighted_mean(per_view, Tensor::cat(vec![weights.clone(), weights], 0))
    }
}
