use burn::tensor::Tensor;
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use cleanslide_kernels::Pooling;

use super::custom::{Kept, Operator, Values, instructions, is_cpu, unary};
use super::memory;

/// How windows are laid over an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolingOptions {
    /// Height and width of a window, in pixels.
    pub kernel: [usize; 2],
    /// Pixels from one window to the next, down and to the right.
    pub stride: [usize; 2],
    /// How far windows may reach over each edge, at most half a window; what lies there is never a maximum.
    pub padding: [usize; 2],
}

impl PoolingOptions {
    /// Square windows side by side.
    pub fn side_by_side(size: usize) -> Self {
        Self {
            kernel: [size; 2],
            stride: [size; 2],
            padding: [0; 2],
        }
    }
}

/// The maximum of each window of images `[n, height, width, channels]`.
///
/// # Panics
/// When the padding is more than half the kernel.
pub fn max_pooling(images: Tensor<4>, options: PoolingOptions) -> Tensor<4> {
    if !is_cpu(&images.device()) {
        return composed(images, options);
    }
    let [n, height, width, channels] = images.dims();
    let sizes = Pooling {
        images: n,
        size: [height, width],
        channels,
        kernel: options.kernel,
        stride: options.stride,
        padding: options.padding,
    };
    unary(Max(sizes), images)
}

/// The same, of Burn's operators.
pub(super) fn composed(images: Tensor<4>, options: PoolingOptions) -> Tensor<4> {
    let burn = MaxPoolOptions {
        kernel_size: options.kernel,
        stride: options.stride,
        padding: options.padding.map(|padding| (padding, padding)),
        dilation: [1; 2],
        ceil_mode: false,
    };
    max_pool2d(images.permute([0, 3, 1, 2]), burn).permute([0, 2, 3, 1])
}

#[derive(Debug, Clone, Copy)]
struct Max(Pooling);

impl Operator<1> for Max {
    fn forward(&self, [images]: [&[f32]; 1]) -> Values {
        let Self(sizes) = self;
        let [height, width] = sizes.result_size();
        let mut values = memory::take(sizes.result_length());
        sizes.max(instructions(), images, &mut values);
        Values {
            values,
            shape: vec![sizes.images, height, width, sizes.channels],
        }
    }

    fn backward(
        &self,
        Kept {
            inputs: [images], ..
        }: Kept<'_, 1>,
        gradient: &[f32],
        _: [bool; 1],
    ) -> [Option<Vec<f32>>; 1] {
        let mut values = memory::take(images.len());
        self.0
            .max_backward(instructions(), images, gradient, &mut values);
        [Some(values)]
    }
}
