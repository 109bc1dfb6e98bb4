//! Convolution of images with filters, forward and backward.
//!
//! Images are `[images, height, width, channels]`; filters are as PyTorch stores them,
//! `[outputs, inputs, height, width]`, and `[channels, 1, height, width]` where each channel has a
//! filter of its own (`depthwise`).
//!
//! Five algorithms, chosen by the sizes alone:
//! - [`Algorithm::Winograd`] for 3×3 filters at stride 1 and many channels: F(4×4, 3×3), a quarter
//!   of the multiplications (Lavin and Gray, *Fast Algorithms for Convolutional Neural Networks*,
//!   arXiv 1509.09308). Its rounding error is larger than that of direct sums;
//!   `tests/convolution.rs` argues by how much.
//! - [`Algorithm::Direct`] for everything else: sums over the taps of the filter, register tile by
//!   register tile, without an unfolded copy of the images.
//! - [`Algorithm::FewInputs`] for images of at most four channels.
//! - [`Algorithm::Depthwise`] where each channel stays by itself.
//! - [`Algorithm::Unfolded`] for fewer results than channels: deep layers of few and small images.

mod depthwise;
mod direct;
mod few_inputs;
mod filters;
mod finish;
mod gather;
mod unfolded;
mod winograd;

pub use finish::Finish;

use crate::Instructions;

/// The sizes of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Convolution {
    /// The number of images.
    pub images: usize,
    /// Height and width of an image, in pixels.
    pub size: [usize; 2],
    /// Channels of the images.
    pub inputs: usize,
    /// Channels of the result.
    pub outputs: usize,
    /// Height and width of a filter, in pixels.
    pub kernel: [usize; 2],
    /// Pixels from one result to the next, down and to the right.
    pub stride: [usize; 2],
    /// Pixels of zeros around the image: above and below, left and right.
    pub padding: [[usize; 2]; 2],
    /// Pixels from one tap of the filter to the next, down and to the right.
    pub dilation: [usize; 2],
    /// Every channel has a filter of its own; `inputs` and `outputs` are equal.
    pub depthwise: bool,
}

/// How a convolution is worked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Products of transformed tiles of 6×6 pixels.
    Winograd,
    /// Sums over the taps of the filter.
    Direct,
    /// Sums over the taps of the filter, neighbouring results or taps side by side.
    FewInputs,
    /// Sums over the taps of each channel's own filter.
    Depthwise,
    /// One product of matrices, of the images unfolded.
    Unfolded,
}

impl Convolution {
    /// Height and width of the result, in pixels.
    pub fn result_size(&self) -> [usize; 2] {
        std::array::from_fn(|axis| {
            let padded = self.size[axis] + self.padding[axis].iter().sum::<usize>();
            let reach = (self.kernel[axis] - 1) * self.dilation[axis] + 1;
            (padded + self.stride[axis]).saturating_sub(reach) / self.stride[axis]
        })
    }

    /// How many values the images have.
    pub fn images_length(&self) -> usize {
        self.images * self.size[0] * self.size[1] * self.inputs
    }

    /// How many values the result has.
    pub fn result_length(&self) -> usize {
        self.results() * self.outputs
    }

    /// How many results there are, each of all outputs.
    fn results(&self) -> usize {
        let [height, width] = self.result_size();
        self.images * height * width
    }

    /// How many values the filters have.
    pub fn filters_length(&self) -> usize {
        let inputs = if self.depthwise { 1 } else { self.inputs };
        self.outputs * inputs * self.kernel[0] * self.kernel[1]
    }

    /// Multiplications and additions of a forward pass by definition; each gradient needs as many.
    pub fn operations(&self) -> usize {
        let per_result = self.filters_length() / self.outputs;
        2 * self.result_length() * per_result
    }

    /// The algorithm for these sizes.
    pub fn algorithm(&self) -> Algorithm {
        if self.depthwise {
            return Algorithm::Depthwise;
        }
        if (1..=4).contains(&self.inputs) {
            return Algorithm::FewInputs;
        }
        if (1..=self.inputs.min(self.outputs)).contains(&self.results()) {
            return Algorithm::Unfolded;
        }
        let three_by_three =
            self.kernel == [3, 3] && self.stride == [1, 1] && self.dilation == [1, 1];
        // Backward, the padding of the images' gradient is 2 less that of the images.
        let padded = self
            .padding
            .as_flattened()
            .iter()
            .all(|&padding| padding <= 2);
        if three_by_three && padded && self.inputs.min(self.outputs) >= 16 {
            Algorithm::Winograd
        } else {
            Algorithm::Direct
        }
    }

    /// `result[n, y, x, o] = activation(bias[o] + Σ images[n, y·s + i·d − p, x·s + j·d − p, c] filters[o, c, i, j])`.
    ///
    /// # Panics
    /// When a slice has another length than the sizes ask for.
    pub fn forward(
        &self,
        instructions: Instructions,
        images: &[f32],
        filters: &[f32],
        finish: Finish<'_>,
        result: &mut [f32],
    ) {
        self.check(images.len(), filters.len(), result.len());
        if let Some(bias) = finish.bias {
            assert_eq!(bias.len(), self.outputs, "one bias per output channel");
        }
        match self.algorithm() {
            Algorithm::Winograd => {
                winograd::forward(self, instructions, images, filters, finish, result);
            }
            Algorithm::Direct => {
                direct::forward(self, instructions, images, filters, finish, result);
            }
            Algorithm::FewInputs => {
                few_inputs::forward(self, instructions, images, filters, finish, result);
            }
            Algorithm::Depthwise => {
                depthwise::forward(self, instructions, images, filters, finish, result);
            }
            Algorithm::Unfolded => {
                unfolded::forward(self, instructions, images, filters, finish, result);
            }
        }
    }

    /// The gradient of the images from the gradient of the result. As a forward pass this is the
    /// transposed convolution; `bias` is then one value per channel of the images.
    ///
    /// # Panics
    /// When a slice has another length than the sizes ask for.
    pub fn backward_images(
        &self,
        instructions: Instructions,
        result_gradient: &[f32],
        filters: &[f32],
        bias: Option<&[f32]>,
        images_gradient: &mut [f32],
    ) {
        self.check(images_gradient.len(), filters.len(), result_gradient.len());
        if let Some(bias) = bias {
            assert_eq!(
                bias.len(),
                self.inputs,
                "one bias per channel of the images"
            );
        }
        let backward = match self.algorithm() {
            Algorithm::Winograd => winograd::backward_images,
            Algorithm::Direct => direct::backward_images,
            Algorithm::FewInputs => few_inputs::backward_images,
            Algorithm::Depthwise => depthwise::backward_images,
            Algorithm::Unfolded => unfolded::backward_images,
        };
        backward(
            self,
            instructions,
            result_gradient,
            filters,
            bias,
            images_gradient,
        );
    }

    /// The gradient of the filters from the gradient of the result.
    ///
    /// # Panics
    /// When a slice has another length than the sizes ask for.
    pub fn backward_filters(
        &self,
        instructions: Instructions,
        images: &[f32],
        result_gradient: &[f32],
        filters_gradient: &mut [f32],
    ) {
        self.check(images.len(), filters_gradient.len(), result_gradient.len());
        if result_gradient.is_empty() {
            filters_gradient.fill(0.0);
            return;
        }
        let backward = match self.algorithm() {
            Algorithm::Winograd => winograd::backward_filters,
            Algorithm::Direct => direct::backward_filters,
            Algorithm::FewInputs => few_inputs::backward_filters,
            Algorithm::Depthwise => depthwise::backward_filters,
            Algorithm::Unfolded => unfolded::backward_filters,
        };
        backward(
            self,
            instructions,
            images,
            result_gradient,
            filters_gradient,
        );
    }

    fn check(&self, images: usize, filters: usize, result: usize) {
        assert!(
            self.stride
                .iter()
                .chain(&self.dilation)
                .chain(&self.kernel)
                .all(|&size| size > 0),
            "stride, dilation and kernel are at least 1: {self:?}"
        );
        assert!(
            !self.depthwise || self.inputs == self.outputs,
            "a depthwise convolution has as many outputs as inputs: {self:?}"
        );
        assert_eq!(
            images,
            self.images_length(),
            "length of the images of {self:?}"
        );
        assert_eq!(
            filters,
            self.filters_length(),
            "length of the filters of {self:?}"
        );
        assert_eq!(
            result,
            self.result_length(),
            "length of the result of {self:?}"
        );
    }
}
