//! Negative learning: what an item is not.

use burn::tensor::{Tensor, activation::log_softmax};

use super::{Loss, log_sum_exp, sum_classes};

/// The loss of a complementary label `k`, which says that an item is *not* of that class (Kim et al., "NLNL: Negative
/// learning for noisy labels", arXiv 1908.07387):
///
/// ```text
/// l(p, y) = - sum_k y_k * log(1 - p_k)
/// ```
///
/// A target is a row with a 1 at the excluded class; a row of zeros says nothing and costs nothing. Of an item with
/// several excluded classes [`PartialLabel`](super::PartialLabel) makes better use: here each is excluded
/// by itself. For patches whose pixels share a label see [`Complementary`](super::Complementary).
///
/// `1 - p_k` is summed from the other classes, so that value and gradient are right where `p_k` rounds to 1. This
/// takes memory for `items * classes * classes` numbers.
///
/// # Panics
/// When there is one class only.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct NegativeLearning;

impl Loss for NegativeLearning {
    fn per_item(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        let [items, classes] = logits.dims();
        assert!(classes > 1, "an item that is not of the only class");
        let itself = Tensor::<2>::eye(classes, &logits.device())
            .greater_scalar(0.5)
            .unsqueeze_dim::<3>(0)
            .expand([items, classes, classes]);
        let others = log_softmax(logits, 1)
            .unsqueeze_dim::<3>(2)
            .expand([items, classes, classes])
            .mask_fill(itself, f32::NEG_INFINITY);
        let log_others: Tensor<2> = log_sum_exp(others, 1).squeeze_dim(1);
        sum_classes(targets * log_others).neg()
    }
}
