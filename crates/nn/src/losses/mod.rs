//! Losses that are told how far to trust what they are told.
//!
//! Every loss compares *logits* `[items, classes]` (unnormalised scores, any real number) with soft
//! *targets* `[items, classes]` (rows of probabilities that sum to 1; a hard label is a row with a
//! single 1) and gives one number per item, `[items]`. [`weighted_mean`] then averages these with
//! one weight per item, its trust. Dense outputs are reshaped to this form: pixels are items.
//!
//! Unless its own page says otherwise, a loss `l(p, k)` that was published for a hard label `k` is
//! extended to a soft target `y` by its expectation, `sum_k y_k * l(p, k)`. The extension is linear
//! in the target, so a symmetric loss (one whose sum over all labels is constant, which is what its
//! tolerance to label noise rests on) stays symmetric.
//!
//! What an item is *not*, or may be, is said by targets of the same shape: [`Complementary`] and [`NegativeLearning`]
//! name excluded classes, [`PartialLabel`] and [`LabelSetDice`] sets of possible ones. An item of which nothing is
//! said has weight 0.
//!
//! Some losses have no targets, or no logits: [`KullbackLeibler`] and [`JensenShannon`] compare predictions,
//! [`SupervisedContrastive`] and [`PrototypeContrast`] features. Those of networks that learn without labels compare views of
//! the same items: [`NtXent`], [`InfoNce`], [`BarlowTwins`] and [`Dino`].

mod annotator_confusion;
mod barlow_twins;
mod binary_focal;
mod bootstrapping;
mod boundary;
mod complementary;
mod cross_entropy;
mod dino;
mod early_learning;
mod faster_rcnn;
mod fcos;
mod focal;
mod forward_correction;
mod generalized_cross_entropy;
mod generalized_iou;
mod info_nce;
mod jensen_shannon;
mod kullback_leibler;
mod label_set_dice;
mod mean_absolute_error;
mod negative_learning;
mod normalized_cross_entropy;
mod nt_xent;
mod partial_label;
mod prototype_contrast;
mod reverse_cross_entropy;
mod similarity;
mod smooth_l1;
mod supervised_contrastive;
mod symmetric_cross_entropy;
mod tversky;
mod weighted_mean;

pub use annotator_confusion::{annotator_log_probabilities, mean_trace};
pub use barlow_twins::BarlowTwins;
pub use binary_focal::{BinaryFocal, binary_cross_entropy};
pub use bootstrapping::{Bootstrapping, Prediction};
pub use boundary::boundary_loss;
pub use complementary::{Complementary, ComplementaryError};
pub use cross_entropy::CrossEntropy;
pub use dino::Dino;
pub use early_learning::early_learning_regularisation;
pub use faster_rcnn::{AnchorTargets, FasterRcnnLoss, RegionTargets};
pub use fcos::{FcosLoss, FcosTargets};
pub use focal::Focal;
pub use forward_correction::ForwardCorrection;
pub use generalized_cross_entropy::GeneralizedCrossEntropy;
pub use generalized_iou::generalized_iou_loss;
pub use info_nce::InfoNce;
pub use jensen_shannon::JensenShannon;
pub use kullback_leibler::{Detached, KullbackLeibler};
pub use label_set_dice::LabelSetDice;
pub use mean_absolute_error::MeanAbsoluteError;
pub use negative_learning::NegativeLearning;
pub use normalized_cross_entropy::{NceRce, NormalizedCrossEntropy};
pub use nt_xent::NtXent;
pub use partial_label::PartialLabel;
pub use prototype_contrast::{PrototypeContrast, Prototypes};
pub use reverse_cross_entropy::ReverseCrossEntropy;
pub use similarity::{standardized, unit};
pub use smooth_l1::smooth_l1;
pub use supervised_contrastive::{SupervisedContrastive, Unlabelled};
pub use symmetric_cross_entropy::SymmetricCrossEntropy;
pub use tversky::Tversky;
pub use weighted_mean::weighted_mean;

use burn::tensor::Tensor;

/// A loss with one value per item.
pub trait Loss: Send + Sync {
    /// The loss of every item, `[items]`, from logits and soft targets, both `[items, classes]`.
    ///
    /// The values and their gradients are finite for finite logits.
    fn per_item(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1>;

    /// The mean of [`Loss::per_item`] over the sum of `weights` `[items]`; see [`weighted_mean`].
    fn mean(&self, logits: Tensor<2>, targets: Tensor<2>, weights: Tensor<1>) -> Tensor<1> {
        weighted_mean(self.per_item(logits, targets), weights)
    }
}

/// Sums over the classes: `[items, classes]` to `[items]`.
fn sum_classes(values: Tensor<2>) -> Tensor<1> {
    values.sum_dim(1).squeeze_dim(1)
}

/// `log sum exp` along a dimension, which stays with length 1. Some value of each sum must be finite; the others may
/// be minus infinity, which adds nothing and has no gradient.
fn log_sum_exp<const D: usize>(values: Tensor<D>, dimension: usize) -> Tensor<D> {
    // The maximum is only there for numerical range, so no gradient runs through it.
    let largest = values.clone().detach().max_dim(dimension);
    (values - largest.clone()).exp().sum_dim(dimension).log() + largest
}
