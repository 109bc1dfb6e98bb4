//! Partial labels: each item is of one of a set of classes.

use burn::tensor::{Tensor, activation::log_softmax};

use super::{Loss, log_sum_exp};

/// The loss of an item that is said to be of one of the classes of a set `S` (Jin and Ghahramani, "Learning with
/// multiple labels", NIPS 2002; the marginalised cross-entropy of Fidon et al., arXiv 2107.03846, but for their
/// constant log |S|):
///
/// ```text
/// l(p, S) = - log sum_{k in S} p_k
/// ```
///
/// A target is the item's set: a row with values above 0 at the classes that are possible. Which of them it is, the
/// network may decide. A set of one class gives the cross-entropy, a set of all but one
/// [`NegativeLearning`](super::NegativeLearning). A set of all classes says nothing; neither does an empty row,
/// which stands for an item without a label: value and gradient are exactly 0.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PartialLabel;

impl Loss for PartialLabel {
    fn per_item(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        let excluded = targets.clone().lower_equal_scalar(0.0);
        let labelled = targets
            .greater_scalar(0.0)
            .any_dim(1)
            .expand(excluded.shape());
        let log_p = log_softmax(logits, 1);
        let possible = log_p
            .clone()
            .mask_fill(excluded.bool_and(labelled), f32::NEG_INFINITY);
        // The first sum is 0 but for rounding, which it takes away from the second.
        (log_sum_exp(log_p, 1) - log_sum_exp(possible, 1)).squeeze_dim(1)
    }
}
