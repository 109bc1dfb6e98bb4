use burn::tensor::Tensor;
use cleanslide_kernels::enlarging;

use super::custom::{Keeps, Kept, Operator, Values, is_cpu, unary};
use super::memory;

/// Images `[n, height, width, channels]` twice as high and wide, each pixel repeated: PyTorch's nearest-neighbour
/// interpolation.
pub fn double(images: Tensor<4>) -> Tensor<4> {
    if !is_cpu(&images.device()) {
        return composed(images);
    }
    unary(Double(images.dims()), images)
}

/// The same, of Burn's operators.
pub(super) fn composed(images: Tensor<4>) -> Tensor<4> {
    let [n, height, width, channels] = images.dims();
    images
        .reshape([n * height, 1, width, 1, channels])
        .expand([n * height, 2, width, 2, channels])
        .reshape([n, 2 * height, 2 * width, channels])
}

#[derive(Debug, Clone, Copy)]
struct Double([usize; 4]);

impl Operator<1> for Double {
    const KEEPS: Keeps = Keeps::Nothing;

    fn forward(&self, [images]: [&[f32]; 1]) -> Values {
        let Self([n, height, width, channels]) = *self;
        let mut values = memory::take(4 * images.len());
        enlarging::forward(images, width * channels, channels, 2, &mut values);
        Values {
            values,
            shape: vec![n, 2 * height, 2 * width, channels],
        }
    }

    fn backward(&self, _: Kept<'_, 1>, gradient: &[f32], _: [bool; 1]) -> [Option<Vec<f32>>; 1] {
        let Self([_, _, width, channels]) = *self;
        let mut values = memory::take(gradient.len() / 4);
        enlarging::backward(gradient, width * channels, channels, 2, &mut values);
        [Some(values)]
    }
}
