use burn::tensor::Tensor;
use cleanslide_kernels::enlarging;

use super::custom::{Keeps, Kept, Operator, Values, is_cpu, unary};
use super::memory;

/// Images `[n, height, width, channels]` twice as high and wide, each pixel repeated: PyTorch's nearest-neighbour
/// interpolation.
pub fn double(images: Tensor<4>) -> Tensor<4> {
    enlarge(images, 2)
}

/// The same, so many times as high and wide.
///
/// # Panics
/// When `factor` is 0.
pub fn enlarge(images: Tensor<4>, factor: usize) -> Tensor<4> {
    if !is_cpu(&images.device()) {
        return composed(images, factor);
    }
    let size = images.dims();
    unary(Enlarge { size, factor }, images)
}

/// The same, of Burn's operators.
pub(super) fn composed(images: Tensor<4>, factor: usize) -> Tensor<4> {
    let [n, height, width, channels] = images.dims();
    images
        .reshape([n * height, 1, width, 1, channels])
        .expand([n * height, factor, width, factor, channels])
        .reshape([n, factor * height, factor * width, channels])
}

#[derive(Debug, Clone, Copy)]
struct Enlarge {
    size: [usize; 4],
    factor: usize,
}

impl Operator<1> for Enlarge {
    const KEEPS: Keeps = Keeps::Nothing;

    fn forward(&self, [images]: [&[f32]; 1]) -> Values {
        let Self { size, factor } = *self;
        let [n, height, width, channels] = size;
        let mut values = memory::take(factor * factor * images.len());
        enlarging::forward(images, width * channels, channels, factor, &mut values);
        Values {
            values,
            shape: vec![n, factor * height, factor * width, channels],
        }
    }

    fn backward(&self, _: Kept<'_, 1>, gradient: &[f32], _: [bool; 1]) -> [Option<Vec<f32>>; 1] {
        let Self { size, factor } = *self;
        let [_, _, width, channels] = size;
        let mut values = memory::take(gradient.len() / (factor * factor));
        enlarging::backward(gradient, width * channels, channels, factor, &mut values);
        [Some(values)]
    }
}
