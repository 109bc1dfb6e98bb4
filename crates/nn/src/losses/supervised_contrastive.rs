//! Contrast of items of a class with those of others.

use burn::tensor::Tensor;

use super::similarity::{itself, pairs, unit, without};
use super::{log_sum_exp, sum_classes, weighted_mean};

/// What items without a label are for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unlabelled {
    /// Nothing.
    #[default]
    Absent,
    /// Something to differ from. Of an unlabelled item that is of the same class this is wrong.
    Negative,
}

/// The supervised contrastive loss of Khosla et al. (arXiv 2004.11362), in the form with the sum outside of the
/// logarithm: an item shall be more similar to each item of its class than to all others.
///
/// ```text
/// l_i = - 1/|P_i| * sum_{j in P_i} log( exp(s_ij / T) / sum_{k != i} exp(s_ik / T) )        s = cosine similarity
/// ```
///
/// where `P_i` are the other items of the class of `i`. Items without one have no loss. Views of an item are items.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SupervisedContrastive {
    /// What similarities are divided by, above 0. Default 0.1 (the paper's).
    pub temperature: f64,
    /// What unlabelled items are for others. Default nothing.
    pub unlabelled: Unlabelled,
}

impl Default for SupervisedContrastive {
    fn default() -> Self {
        Self {
            temperature: 0.1,
            unlabelled: Unlabelled::default(),
        }
    }
}

impl SupervisedContrastive {
    /// The loss, `[1]`, of features `[items, features]` and hard targets `[items, classes]`, rows of zeros for items
    /// without a label: the mean over the items that have a loss, by `weights` `[items]`. An item of weight 0 takes
    /// no part, nor does anyone differ from it, and its features may be infinite. Without any pair of a class
    /// the loss is 0.
    ///
    /// Memory grows with the square of the number of items: pixels have to be sampled.
    pub fn loss(&self, features: Tensor<2>, targets: Tensor<2>, weights: Tensor<1>) -> Tensor<1> {
        let mut present = weights.clone().greater_scalar(0.0);
        if self.unlabelled == Unlabelled::Absent {
            let labelled = sum_classes(targets.clone()).greater_scalar(0.0);
            present = present.bool_and(labelled);
        }
        let features = unit(without(features, present.clone().bool_not()));
        let itself = itself(features.dims()[0], &features.device());
        let others = pairs(present.clone(), present).bool_and(itself.bool_not());
        let positives = targets
            .clone()
            .matmul(targets.transpose())
            .greater_scalar(0.5);
        let positives = positives.bool_and(others.clone()).float();
        let count = positives.clone().sum_dim(1);
        let anchors = count.clone().greater_scalar(0.0).squeeze_dim::<1>(1);

        let similar = features.clone().matmul(features.transpose());
        let similar = similar.div_scalar(self.temperature);
        // Rows of items without a loss are left as they are: they must stay finite.
        let of_anchors = anchors.clone().unsqueeze_dim::<2>(1).expand(others.shape());
        let absent = others.bool_not().bool_and(of_anchors);
        let all = log_sum_exp(similar.clone().mask_fill(absent, f32::NEG_INFINITY), 1);
        let per_pair = (all - similar) * positives;
        let per_item = (per_pair.sum_dim(1) / count.clamp_min(1.0)).squeeze_dim(1);
        weighted_mean(per_item, weights * anchors.float())
    }
}
