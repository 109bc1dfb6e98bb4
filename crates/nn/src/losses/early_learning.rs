//! The regularisation term of early-learning regularisation (ELR).

use burn::tensor::{Tensor, activation::softmax};

use super::sum_classes;

/// The term that early-learning regularisation adds to the cross-entropy, `[items]`, from logits
/// and the memory `t` of earlier predictions, both `[items, classes]`. Liu et al. (arXiv
/// 2007.00151):
///
/// ```text
/// r(p, t) = log(1 - sum_k t_k * p'_k)        p' = clamp(p, 1e-4, 1 - 1e-4)
/// ```
///
/// It falls as the prediction agrees with what was predicted early, before wrong labels are
/// learnt by heart. Targets have no part in it, so soft ones need no extension. The memory takes no
/// gradient and is the caller's to keep: `t <- beta * t + (1 - beta) * p' / sum p'`. As long as the
/// rows of `t` sum to at most 1, the clamp keeps the term from minus infinity.
pub fn early_learning_regularisation(logits: Tensor<2>, memory: Tensor<2>) -> Tensor<1> {
    let p = softmax(logits, 1).clamp(1e-4, 1.0 - 1e-4);
    sum_classes(memory.detach() * p).neg().add_scalar(1.0).log()
}
