use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use cleanslide_kernels::Attention;

use super::custom::{Kept, Operator, Values, instructions, is_cpu, unary};
use super::memory;

/// Every token heeds every other, head by head: queries, keys and values `[images, tokens, 3 · heads · width]`, as a
/// linear layer gives them, to `[images, tokens, heads · width]`, which is `softmax(q kᵀ / √width) v`.
///
/// # Panics
/// When the last dimension is no multiple of three times the heads.
pub fn attention(inputs: Tensor<3>, heads: usize) -> Tensor<3> {
    let [images, tokens, values] = inputs.dims();
    assert!(
        heads > 0 && values.is_multiple_of(3 * heads),
        "queries, keys and values of {heads} heads in {values} values"
    );
    let sizes = Attention {
        images,
        tokens,
        heads,
        width: values / (3 * heads),
    };
    if is_cpu(&inputs.device()) {
        return unary(Heads(sizes), inputs);
    }
    composed(inputs, sizes)
}

/// The same, of Burn's operators.
pub(super) fn composed(inputs: Tensor<3>, sizes: Attention) -> Tensor<3> {
    let Attention {
        images,
        tokens,
        heads,
        width,
    } = sizes;
    let parts = inputs.reshape([images, tokens, 3, heads, width]);
    let part = |index: usize| -> Tensor<4> {
        let part = parts
            .clone()
            .slice([0..images, 0..tokens, index..index + 1]);
        part.reshape([images, tokens, heads, width])
            .permute([0, 2, 1, 3])
    };
    let scores = part(0).matmul(part(1).transpose());
    let chances = softmax(scores.div_scalar((width as f64).sqrt()), 3);
    let result = chances.matmul(part(2)).permute([0, 2, 1, 3]);
    result.reshape([images, tokens, heads * width])
}

#[derive(Debug, Clone, Copy)]
struct Heads(Attention);

impl Operator<1> for Heads {
    fn forward(&self, [inputs]: [&[f32]; 1]) -> Values {
        let Self(sizes) = self;
        let mut values = memory::take(sizes.result_length());
        sizes.forward(instructions(), inputs, &mut values);
        Values {
            values,
            shape: vec![sizes.images, sizes.tokens, sizes.heads * sizes.width],
        }
    }

    fn backward(
        &self,
        Kept {
            inputs: [inputs], ..
        }: Kept<'_, 1>,
        gradient: &[f32],
        _: [bool; 1],
    ) -> [Option<Vec<f32>>; 1] {
        let mut values = memory::take(inputs.len());
        self.0
            .backward(instructions(), inputs, gradient, &mut values);
        [Some(values)]
    }
}
