//! Contrast of queries with keys.

use burn::tensor::Tensor;

use super::log_sum_exp;
use super::similarity::unit;

/// The contrastive loss InfoNCE (van den Oord et al., arXiv 1807.03748), as MoCo v3 has it (Chen et al., arXiv
/// 2104.02057): of the keys of all items of a batch, that of the same item shall be the most similar to a query.
///
/// ```text
/// l(i) = - log( exp(s(q_i, k_i) / T) / sum_j exp(s(q_i, k_j) / T) )        s = cosine similarity
/// ```
///
/// MoCo v3 multiplies it by `2 T`, so that the size of gradients does not hang on the temperature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InfoNce {
    /// What similarities are divided by, above 0. Default 0.2, MoCo v3's of vision transformers.
    pub temperature: f64,
}

impl Default for InfoNce {
    fn default() -> Self {
        Self { temperature: 0.2 }
    }
}

impl InfoNce {
    /// The mean loss, `[1]`, of queries and keys of the same items, both `[items, features]`.
    pub fn loss(&self, queries: Tensor<2>, keys: Tensor<2>) -> Tensor<1> {
        let (queries, keys) = (unit(queries), unit(keys));
        let own = (queries.clone() * keys.clone()).sum_dim(1);
        let all = queries.matmul(keys.transpose());
        let all = log_sum_exp(all.div_scalar(self.temperature), 1);
        (all - own.div_scalar(self.temperature)).mean()
    }
}
