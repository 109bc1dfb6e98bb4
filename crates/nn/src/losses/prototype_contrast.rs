//! Contrast of features with what right and wrong labels of each class look like on average.

use burn::tensor::{Bool, Device, Tensor};

use super::similarity::{pairs, unit, without};
use super::{log_sum_exp, sum_classes, weighted_mean};

/// The mean direction of the features of each class, as it moves with the batches.
#[derive(Debug, Clone)]
pub struct Prototypes {
    /// Moving means of features of length 1, `[classes, features]`; zeros of a class that was not seen.
    pub means: Tensor<2>,
    /// Which classes were seen, `[classes]`.
    pub seen: Tensor<1, Bool>,
}

impl Prototypes {
    /// Of no class yet.
    pub fn new(classes: usize, features: usize, device: &Device) -> Self {
        Self {
            means: Tensor::zeros([classes, features], device),
            seen: Tensor::<1>::zeros([classes], device).bool(),
        }
    }

    /// Moves the mean of each class that has items in a batch, of features `[items, features]` and targets
    /// `[items, classes]`, towards their mean by `weights` `[items]`:
    ///
    /// ```text
    /// mean <- momentum * mean + (1 - momentum) * sum_i w_i y_i z_i / sum_i w_i y_i        z_i of length 1
    /// ```
    ///
    /// A class that was not seen before starts there. An item of weight 0 takes no part and may be infinite. No
    /// gradient runs into the means.
    #[must_use]
    pub fn moved(
        self,
        momentum: f64,
        features: Tensor<2>,
        targets: Tensor<2>,
        weights: Tensor<1>,
    ) -> Self {
        let ignored = weights.clone().equal_scalar(0.0);
        let features = unit(without(features.detach(), ignored));
        let shares = (targets * weights.unsqueeze_dim(1)).transpose();
        let total = shares.clone().sum_dim(1);
        let present = total.clone().greater_scalar(0.0).squeeze_dim::<1>(1);
        let batch = shares.matmul(features) / total.clamp_min(f32::MIN_POSITIVE);

        let shape = self.means.shape();
        let rows = |classes: Tensor<1, Bool>| classes.unsqueeze_dim::<2>(1).expand(shape.clone());
        let moved =
            self.means.clone().mul_scalar(momentum) + batch.clone().mul_scalar(1.0 - momentum);
        let moved = batch.mask_where(rows(self.seen.clone()), moved);
        Self {
            means: self.means.mask_where(rows(present.clone()), moved),
            seen: self.seen.bool_or(present),
        }
    }
}

/// A loss that separates the features of right labels from those of wrong ones, as "A Dual-Network Approach with
/// Contrastive Noisy Label Learning for Immune Cell Infiltration Detection in Mouse Model" (Wang et al.) sets out to
/// do. That paper gives no formula: this one is a reconstruction.
///
/// ```text
/// clean:   l = - log( exp(s(z, P_y) / T) / sum_c ( exp(s(z, P_c) / T) + exp(s(z, N_c) / T) ) )
/// noisy:   l = max(0, s(z, P_y) - margin)        s = cosine similarity
/// ```
///
/// of items labelled `y`, with [`Prototypes`] `P` of the labels that were found right and `N` of those found wrong.
/// Prototypes of classes not yet seen are left out, and items of a class without a `P` have no loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PrototypeContrast {
    /// What similarities are divided by, above 0. Default 0.1.
    pub temperature: f64,
    /// How similar an item that is labelled wrongly may be to its class. Default 0.2.
    pub margin: f64,
}

impl Default for PrototypeContrast {
    fn default() -> Self {
        Self {
            temperature: 0.1,
            margin: 0.2,
        }
    }
}

impl PrototypeContrast {
    /// How long prototypes last, for [`Prototypes::moved`].
    pub const MOMENTUM: f64 = 0.99;

    /// The loss, `[1]`, of features `[items, features]` with hard targets `[items, classes]`: the mean by the weights
    /// `[items]` of the items as ones that are labelled right, `clean`, and as ones that are labelled wrongly,
    /// `noisy`. An item of which both are 0 takes no part, and may be infinite; one without a label, a row of zeros,
    /// has no loss. The gradient runs to the features alone.
    pub fn loss(
        &self,
        [clean, noisy]: [&Prototypes; 2],
        features: Tensor<2>,
        targets: Tensor<2>,
        [weight_clean, weight_noisy]: [Tensor<1>; 2],
    ) -> Tensor<1> {
        let ignored = (weight_clean.clone() + weight_noisy.clone()).equal_scalar(0.0);
        let features = unit(without(features, ignored));
        let directions = Tensor::cat(vec![clean.means.clone(), noisy.means.clone()], 0).detach();
        let similar = features.matmul(unit(directions).transpose());
        let own = similar.clone().narrow(1, 0, targets.dims()[1]) * targets.clone();
        let own = sum_classes(own);

        let known = (targets * clean.seen.clone().float().unsqueeze_dim(0)).sum_dim(1);
        let known = known.greater_scalar(0.0).squeeze_dim::<1>(1);
        let seen = Tensor::cat(vec![clean.seen.clone(), noisy.seen.clone()], 0);
        // Rows of items without a loss are left as they are: they must stay finite.
        let absent = pairs(known.clone(), seen.bool_not());
        let all = similar
            .div_scalar(self.temperature)
            .mask_fill(absent, f32::NEG_INFINITY);
        let of_clean =
            log_sum_exp(all, 1).squeeze_dim::<1>(1) - own.clone().div_scalar(self.temperature);
        let of_noisy = own.sub_scalar(self.margin).clamp_min(0.0);

        let known = known.float();
        let weights = vec![weight_clean * known.clone(), weight_noisy * known];
        weighted_mean(
            Tensor::cat(vec![of_clean, of_noisy], 0),
            Tensor::cat(weights, 0),
        )
    }
}
