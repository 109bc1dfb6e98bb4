use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::module::{conv_transpose2d, conv2d};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
use cleanslide_kernels::{Activation, Convolution, Finish};

use super::custom::{Kept, Operator, Values, binary, instructions, is_cpu, ternary};
use super::memory;

/// How filters are laid over an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvolutionOptions {
    /// Pixels from one result to the next, down and to the right. Default 1.
    pub stride: [usize; 2],
    /// Pixels of zeros around the image: above and below, left and right. Default 0.
    pub padding: [[usize; 2]; 2],
    /// Pixels from one tap of the filter to the next, down and to the right. Default 1.
    pub dilation: [usize; 2],
    /// Every channel has a filter of its own. Default false.
    pub depthwise: bool,
}

impl Default for ConvolutionOptions {
    fn default() -> Self {
        Self {
            stride: [1; 2],
            padding: [[0; 2]; 2],
            dilation: [1; 2],
            depthwise: false,
        }
    }
}

impl ConvolutionOptions {
    /// Stride 1, and zeros around the image so that its size stays, for square filters of an odd side.
    pub fn centred(side: usize) -> Self {
        Self {
            padding: [[side / 2; 2]; 2],
            ..Self::default()
        }
    }
}

/// The zeros before and after an image of so many pixels that TensorFlow's SAME padding asks for: the result has
/// ⌈length / stride⌉ pixels, and of an odd number of zeros the last is after the image. `reach` is the distance from the
/// first tap of a filter to the last, both counted.
pub fn same_padding(length: usize, reach: usize, stride: usize) -> [usize; 2] {
    let padded = length.div_ceil(stride).saturating_sub(1) * stride + reach;
    let zeros = padded.saturating_sub(length);
    [zeros / 2, zeros.div_ceil(2)]
}

/// Images `[n, height, width, inputs]`, filters `[outputs, inputs, rows, columns]` (or `[channels, 1, rows,
/// columns]`, depthwise) and one bias per output to `[n, height', width', outputs]`.
///
/// # Panics
/// When sizes do not fit.
pub fn convolution(
    images: Tensor<4>,
    filters: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvolutionOptions,
) -> Tensor<4> {
    if !is_cpu(&images.device()) {
        return composed_convolution(images, filters, bias, options);
    }
    let layer = Layer::new(&images, &filters, options);
    match bias {
        Some(bias) => ternary(layer, images, filters, bias),
        None => binary(layer, images, filters),
    }
}

/// A [`convolution`] and an activation of its results while they are made, for networks that predict.
///
/// # Panics
/// When sizes do not fit, or the device records gradients: there is none of this.
pub fn activated_convolution(
    images: Tensor<4>,
    filters: Tensor<4>,
    bias: Tensor<1>,
    options: ConvolutionOptions,
    activation: Activation,
) -> Tensor<4> {
    let device = images.device();
    assert!(
        !device.is_autodiff(),
        "gradients need the sums as they were"
    );
    if !is_cpu(&device) {
        let sums = composed_convolution(images, filters, Some(bias), options);
        return match activation {
            Activation::Identity => sums,
            Activation::Relu => relu(sums),
            Activation::Relu6 => sums.clamp(0.0, 6.0),
        };
    }
    let layer = Layer {
        activation,
        ..Layer::new(&images, &filters, options)
    };
    ternary(layer, images, filters, bias)
}

/// The transpose of a convolution without padding or dilation, which makes images larger: images `[n, height,
/// width, inputs]`, filters `[inputs, outputs, rows, columns]` and one bias per output to `[n, (height − 1) ·
/// stride + rows, (width − 1) · stride + columns, outputs]`.
///
/// # Panics
/// When sizes do not fit.
pub fn transposed_convolution(
    images: Tensor<4>,
    filters: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: [usize; 2],
) -> Tensor<4> {
    let [n, height, width, inputs] = images.dims();
    let [_, outputs, rows, columns] = filters.dims();
    if !is_cpu(&images.device()) {
        return composed_transposed_convolution(images, filters, bias, stride);
    }
    // The convolution whose images' gradient this is.
    let sizes = Convolution {
        images: n,
        size: [
            (height - 1) * stride[0] + rows,
            (width - 1) * stride[1] + columns,
        ],
        inputs: outputs,
        outputs: inputs,
        kernel: [rows, columns],
        stride,
        padding: [[0; 2]; 2],
        dilation: [1; 2],
        depthwise: false,
    };
    let layer = Layer {
        sizes,
        transposed: true,
        activation: Activation::Identity,
    };
    match bias {
        Some(bias) => ternary(layer, images, filters, bias),
        None => binary(layer, images, filters),
    }
}

/// [`convolution`] of Burn's operators.
pub(super) fn composed_convolution(
    images: Tensor<4>,
    filters: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvolutionOptions,
) -> Tensor<4> {
    let [[above, below], [left, right]] = options.padding;
    let groups = if options.depthwise {
        filters.dims()[0]
    } else {
        1
    };
    let mut images = images.permute([0, 3, 1, 2]);
    let mut padding = [above, left];
    if [below, right] != padding {
        images = images.pad((left, right, above, below), 0.0);
        padding = [0, 0];
    }
    let burn = ConvOptions::new(options.stride, padding, options.dilation, groups);
    conv2d(images, filters, bias, burn).permute([0, 2, 3, 1])
}

/// [`transposed_convolution`] of Burn's operators.
pub(super) fn composed_transposed_convolution(
    images: Tensor<4>,
    filters: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: [usize; 2],
) -> Tensor<4> {
    let burn = ConvTransposeOptions::new(stride, [0, 0], [0, 0], [1, 1], 1);
    conv_transpose2d(images.permute([0, 3, 1, 2]), filters, bias, burn).permute([0, 2, 3, 1])
}

#[derive(Debug, Clone, Copy)]
struct Layer {
    sizes: Convolution,
    /// The layer makes images from results, as the gradient of the images does.
    transposed: bool,
    /// Of the results, where no gradient is asked for.
    activation: Activation,
}

impl Layer {
    fn new(images: &Tensor<4>, filters: &Tensor<4>, options: ConvolutionOptions) -> Self {
        let [n, height, width, inputs] = images.dims();
        let [outputs, _, rows, columns] = filters.dims();
        let sizes = Convolution {
            images: n,
            size: [height, width],
            inputs,
            outputs,
            kernel: [rows, columns],
            stride: options.stride,
            padding: options.padding,
            dilation: options.dilation,
            depthwise: options.depthwise,
        };
        Self {
            sizes,
            transposed: false,
            activation: Activation::Identity,
        }
    }

    fn apply(&self, images: &[f32], filters: &[f32], bias: Option<&[f32]>) -> Values {
        let sizes = &self.sizes;
        let (length, [height, width], channels) = if self.transposed {
            (sizes.images_length(), sizes.size, sizes.inputs)
        } else {
            (sizes.result_length(), sizes.result_size(), sizes.outputs)
        };
        let mut values = memory::take(length);
        if self.transposed {
            sizes.backward_images(instructions(), images, filters, bias, &mut values);
        } else {
            let finish = Finish {
                bias,
                activation: self.activation,
            };
            sizes.forward(instructions(), images, filters, finish, &mut values);
        }
        Values {
            values,
            shape: vec![sizes.images, height, width, channels],
        }
    }

    fn gradients(
        &self,
        images: &[f32],
        filters: &[f32],
        gradient: &[f32],
        needed: [bool; 2],
    ) -> [Option<Vec<f32>>; 2] {
        let sizes = &self.sizes;
        let images_gradient = needed[0].then(|| {
            let mut values = memory::take(images.len());
            if self.transposed {
                let finish = Finish::bias(None);
                sizes.forward(instructions(), gradient, filters, finish, &mut values);
            } else {
                sizes.backward_images(instructions(), gradient, filters, None, &mut values);
            }
            values
        });
        let filters_gradient = needed[1].then(|| {
            let mut values = memory::take(filters.len());
            let (images, gradient) = if self.transposed {
                (gradient, images)
            } else {
                (images, gradient)
            };
            sizes.backward_filters(instructions(), images, gradient, &mut values);
            values
        });
        [images_gradient, filters_gradient]
    }
}

impl Operator<2> for Layer {
    fn forward(&self, [images, filters]: [&[f32]; 2]) -> Values {
        self.apply(images, filters, None)
    }

    fn backward(
        &self,
        Kept {
            inputs: [images, filters],
            ..
        }: Kept<'_, 2>,
        gradient: &[f32],
        needed: [bool; 2],
    ) -> [Option<Vec<f32>>; 2] {
        self.gradients(images, filters, gradient, needed)
    }
}

impl Operator<3> for Layer {
    fn forward(&self, [images, filters, bias]: [&[f32]; 3]) -> Values {
        self.apply(images, filters, Some(bias))
    }

    fn backward(
        &self,
        Kept {
            inputs: [images, filters, bias],
            ..
        }: Kept<'_, 3>,
        gradient: &[f32],
        [images_needed, filters_needed, bias_needed]: [bool; 3],
    ) -> [Option<Vec<f32>>; 3] {
        let needed = [images_needed, filters_needed];
        let [images, filters] = self.gradients(images, filters, gradient, needed);
        let bias = bias_needed.then(|| bias_gradient(gradient, bias.len()));
        [images, filters, bias]
    }
}

fn bias_gradient(gradient: &[f32], channels: usize) -> Vec<f32> {
    let mut sums = vec![0.0; channels];
    cleanslide_kernels::normalization::sums(instructions(), gradient, &mut sums);
    sums
}
