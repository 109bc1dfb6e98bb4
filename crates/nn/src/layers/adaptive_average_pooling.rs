use burn::module::Module;
use burn::tensor::Tensor;

use crate::operators::adaptive_average_pooling;

/// Means of windows that cover an image; PyTorch's `AdaptiveAvgPool2d`. It has no parameters, but a number in the
/// names of those that follow it.
#[derive(Module, Debug)]
pub struct AdaptiveAveragePooling {
    #[module(skip)]
    windows: usize,
}

impl AdaptiveAveragePooling {
    /// So many windows down, and as many to the right.
    pub fn new(windows: usize) -> Self {
        Self { windows }
    }

    /// Images `[n, height, width, channels]` to `[n, windows, windows, channels]`.
    ///
    /// # Panics
    /// When an image has no pixels, or there are no windows.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        adaptive_average_pooling(images, [self.windows; 2])
    }
}
