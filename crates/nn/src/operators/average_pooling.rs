use burn::tensor::Tensor;
use burn::tensor::module::adaptive_avg_pool2d;
use cleanslide_kernels::AveragePooling;

use super::custom::{Keeps, Kept, Operator, Values, instructions, is_cpu, unary};
use super::memory;

/// The means of `windows` (down, to the right) that cover images `[n, height, width, channels]`: PyTorch's adaptive
/// average pooling, to `[n, windows[0], windows[1], channels]`. One window is the mean of an image; where the windows
/// divide the size, they lie side by side.
///
/// # Panics
/// When an image has no pixels, or there are no windows.
pub fn adaptive_average_pooling(images: Tensor<4>, windows: [usize; 2]) -> Tensor<4> {
    if !is_cpu(&images.device()) {
        return composed(images, windows);
    }
    let [n, height, width, channels] = images.dims();
    let sizes = AveragePooling {
        images: n,
        size: [height, width],
        channels,
        result_size: windows,
    };
    unary(Mean(sizes), images)
}

/// The same, of Burn's operators.
pub(super) fn composed(images: Tensor<4>, windows: [usize; 2]) -> Tensor<4> {
    adaptive_avg_pool2d(images.permute([0, 3, 1, 2]), windows).permute([0, 2, 3, 1])
}

#[derive(Debug, Clone, Copy)]
struct Mean(AveragePooling);

impl Operator<1> for Mean {
    const KEEPS: Keeps = Keeps::Nothing;

    fn forward(&self, [images]: [&[f32]; 1]) -> Values {
        let Self(sizes) = self;
        let [height, width] = sizes.result_size;
        let mut values = memory::take(sizes.result_length());
        sizes.forward(instructions(), images, &mut values);
        Values {
            values,
            shape: vec![sizes.images, height, width, sizes.channels],
        }
    }

    fn backward(&self, _: Kept<'_, 1>, gradient: &[f32], _: [bool; 1]) -> [Option<Vec<f32>>; 1] {
        let Self(sizes) = self;
        let mut values = memory::take(sizes.images_length());
        sizes.backward(instructions(), gradient, &mut values);
        [Some(values)]
    }
}
