use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::Start;
use crate::operators::{linear, linear_gelu};

/// A matrix and a bias; PyTorch's `Linear`, with its layout `[outputs, inputs]`.
#[derive(Module, Debug)]
pub struct FullyConnected {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl FullyConnected {
    /// From so many inputs to so many outputs.
    pub fn new([inputs, outputs]: [usize; 2], start: &mut Start) -> Self {
        Self {
            weight: start.uniform([outputs, inputs], inputs),
            bias: start.uniform([outputs], inputs),
        }
    }

    /// Rows `[n, inputs]` to `[n, outputs]`.
    ///
    /// # Panics
    /// When rows have another length.
    pub fn forward(&self, rows: Tensor<2>) -> Tensor<2> {
        linear(rows, self.weight.val(), Some(self.bias.val()))
    }

    /// Tokens `[images, tokens, inputs]` to `[images, tokens, outputs]`.
    ///
    /// # Panics
    /// When tokens have another length.
    pub fn tokens(&self, tokens: Tensor<3>) -> Tensor<3> {
        self.of_tokens(tokens, |rows| self.forward(rows))
    }

    /// The same, then [`crate::operators::gelu`].
    ///
    /// # Panics
    /// When tokens have another length.
    pub fn tokens_gelu(&self, tokens: Tensor<3>) -> Tensor<3> {
        self.of_tokens(tokens, |rows| {
            linear_gelu(rows, self.weight.val(), self.bias.val())
        })
    }

    fn of_tokens(
        &self,
        tokens: Tensor<3>,
        forward: impl FnOnce(Tensor<2>) -> Tensor<2>,
    ) -> Tensor<3> {
        let [images, count, inputs] = tokens.dims();
        let [outputs] = self.bias.dims();
        forward(tokens.reshape([images * count, inputs])).reshape([images, count, outputs])
    }
}
