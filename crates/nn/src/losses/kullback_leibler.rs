//! The Kullback–Leibler divergence: how far one prediction is from another.

use burn::tensor::{Tensor, activation::log_softmax};

use super::sum_classes;

/// Which side of a comparison of two predictions takes no gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Detached {
    /// Neither: both move towards each other.
    Neither,
    /// The first, which then teaches the second.
    #[default]
    First,
    /// The second.
    Second,
}

/// The divergence `KL(p ‖ q)` of two predictions of the same items:
///
/// ```text
/// l = sum_k p_k * (log p_k - log q_k)        p = softmax(a / T)        q = softmax(b / T)
/// ```
///
/// It is not negative, and 0 where the predictions are equal. It is not symmetric: `q` must be large wherever `p`
/// is. With a temperature `T` gradients are about `T^2` times smaller; who distils as Hinton et al. (arXiv
/// 1503.02531) multiplies by that.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KullbackLeibler {
    /// What logits are divided by, above 0: the higher, the more the smaller probabilities count. Default 1.
    pub temperature: f64,
    /// Which side takes no gradient. Default the first.
    pub detached: Detached,
}

impl Default for KullbackLeibler {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            detached: Detached::default(),
        }
    }
}

impl KullbackLeibler {
    /// The divergence of each item, `[items]`, from logits `[items, classes]`: of `p`, which is `first`, from `q`.
    pub fn per_item(&self, first: Tensor<2>, second: Tensor<2>) -> Tensor<1> {
        let (first, second) = match self.detached {
            Detached::Neither => (first, second),
            Detached::First => (first.detach(), second),
            Detached::Second => (first, second.detach()),
        };
        let log = |logits: Tensor<2>| log_softmax(logits.div_scalar(self.temperature), 1);
        divergence(log(first), log(second))
    }
}

/// `KL(p ‖ q)` of log-probabilities.
pub(super) fn divergence(log_p: Tensor<2>, log_q: Tensor<2>) -> Tensor<1> {
    sum_classes(log_p.clone().exp() * (log_p - log_q))
}
