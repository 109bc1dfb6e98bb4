use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::Start;
use crate::operators::layer_norm;

/// Normalisation of each token by its own mean and variance; PyTorch's `LayerNorm`.
#[derive(Module, Debug)]
pub struct LayerNorm {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
    #[module(skip)]
    epsilon: f64,
}

impl LayerNorm {
    /// For tokens of so many values; `epsilon` is added to their variance.
    pub fn new(values: usize, epsilon: f64, start: &mut Start) -> Self {
        Self {
            weight: start.constant(1.0, values),
            bias: start.constant(0.0, values),
            epsilon,
        }
    }

    /// Tokens `[images, tokens, values]` to the same.
    ///
    /// # Panics
    /// When tokens have another length.
    pub fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let [images, count, values] = tokens.dims();
        let rows = tokens.reshape([images * count, values]);
        layer_norm(rows, self.weight.val(), self.bias.val(), self.epsilon)
            .reshape([images, count, values])
    }
}
