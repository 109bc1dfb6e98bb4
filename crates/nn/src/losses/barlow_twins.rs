//! Reduction of redundancy between two views.

use burn::tensor::Tensor;

use super::similarity::standardized;

/// The loss of Barlow Twins (Zbontar et al., arXiv 2103.03230): over a batch, each feature of one view shall agree with
/// the same feature of the other, and with no other feature.
///
/// ```text
/// C = A^T B / n        L = sum_i (1 - C_ii)^2 + weight * sum_{i != j} C_ij^2
/// ```
///
/// with the features of both views, `A` and `B`, of mean 0 and variance 1 over the `n` items (1e-5 is added to the
/// variance).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BarlowTwins {
    /// The weight of pairs of different features, at least 0. Default 0.0051.
    pub redundancy: f64,
}

impl Default for BarlowTwins {
    fn default() -> Self {
        Self { redundancy: 0.0051 }
    }
}

impl BarlowTwins {
    /// The loss, `[1]`, of the features `[items, features]` of two views of the same items.
    pub fn loss(&self, first: Tensor<2>, second: Tensor<2>) -> Tensor<1> {
        let [items, features] = first.dims();
        let (first, second) = (standardized(first), standardized(second));
        let correlation = first
            .transpose()
            .matmul(second)
            .div_scalar(items.max(1) as f64);
        let identity = Tensor::<2>::eye(features, &correlation.device());
        // 1 on the diagonal, the weight elsewhere.
        let weights = identity
            .clone()
            .mul_scalar(1.0 - self.redundancy)
            .add_scalar(self.redundancy);
        ((correlation - identity).square() * weights).sum()
    }
}
