use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::{BatchNorm, Start};
use crate::operators::{
    Activation, ConvolutionOptions, activated_convolution, convolution, same_padding,
    transposed_convolution,
};

/// Filters over images; PyTorch's `Conv2d`.
#[derive(Module, Debug)]
pub struct Convolution {
    pub(crate) weight: Param<Tensor<4>>,
    bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    pub(crate) options: ConvolutionOptions,
    /// The padding is worked out from the size of the images.
    #[module(skip)]
    same_padding: bool,
}

impl Convolution {
    /// Square filters of `kernel` pixels, at stride 1 with zeros around the image so that its size stays
    /// (odd kernels), without a bias.
    pub fn new([inputs, outputs]: [usize; 2], kernel: usize, start: &mut Start) -> Self {
        Self {
            weight: start.uniform([outputs, inputs, kernel, kernel], inputs * kernel * kernel),
            bias: None,
            options: ConvolutionOptions::centred(kernel),
            same_padding: false,
        }
    }

    /// The same, but with filters from a normal distribution with this deviation around 0.
    pub fn normal(
        [inputs, outputs]: [usize; 2],
        kernel: usize,
        deviation: f32,
        start: &mut Start,
    ) -> Self {
        Self {
            weight: start.normal([outputs, inputs, kernel, kernel], deviation),
            bias: None,
            options: ConvolutionOptions::centred(kernel),
            same_padding: false,
        }
    }

    /// The same with a bias that begins at this value.
    pub fn with_constant_bias(mut self, value: f32, start: &mut Start) -> Self {
        let [outputs, ..] = self.weight.dims();
        self.bias = Some(start.constant(value, outputs));
        self
    }

    /// The same with a bias.
    pub fn with_bias(mut self, start: &mut Start) -> Self {
        let [outputs, inputs, rows, columns] = self.weight.dims();
        self.bias = Some(start.uniform([outputs], inputs * rows * columns));
        self
    }

    /// The same with other options.
    pub fn with(mut self, change: impl FnOnce(&mut ConvolutionOptions)) -> Self {
        change(&mut self.options);
        self
    }

    /// The same, but with the zeros that [TensorFlow's SAME padding](same_padding) puts around images.
    pub fn with_same_padding(mut self) -> Self {
        self.same_padding = true;
        self
    }

    /// How many channels it takes, of those that are no depthwise filters.
    pub fn inputs(&self) -> usize {
        self.weight.dims()[1]
    }

    /// Images `[n, height, width, inputs]` to `[n, height', width', outputs]`.
    ///
    /// # Panics
    /// When the images have other channels.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let bias = self.bias.as_ref().map(|bias| bias.val());
        let options = self.options_for(&images);
        convolution(images, self.weight.val(), bias, options)
    }

    /// The same, normalised, and an activation. Where the running statistics normalise, the filters take that over
    /// and all is done in one pass.
    ///
    /// # Panics
    /// When the images or the norm have other channels.
    pub fn forward_normalized(
        &self,
        images: Tensor<4>,
        norm: &BatchNorm,
        activation: Activation,
    ) -> Tensor<4> {
        if images.device().is_autodiff() {
            return norm.forward(self.forward(images), activation);
        }
        let [factor, shift] = norm.running_factors();
        let [outputs, ..] = self.weight.dims();
        let filters = self.weight.val() * factor.clone().reshape([outputs, 1, 1, 1]);
        let bias = match &self.bias {
            Some(bias) => shift + bias.val() * factor,
            None => shift,
        };
        let options = self.options_for(&images);
        activated_convolution(images, filters, bias, options, activation)
    }

    fn options_for(&self, images: &Tensor<4>) -> ConvolutionOptions {
        let mut options = self.options;
        if self.same_padding {
            let ([_, height, width, _], [.., rows, columns]) = (images.dims(), self.weight.dims());
            let kernel = [rows, columns];
            options.padding = std::array::from_fn(|axis| {
                let reach = (kernel[axis] - 1) * options.dilation[axis] + 1;
                same_padding([height, width][axis], reach, options.stride[axis])
            });
        }
        options
    }
}

/// The transpose of a convolution, which makes images larger; PyTorch's `ConvTranspose2d` without padding.
#[derive(Module, Debug)]
pub struct TransposedConvolution {
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
    #[module(skip)]
    stride: [usize; 2],
}

impl TransposedConvolution {
    /// Makes images twice as high and wide, each pixel on its own.
    pub fn doubling([inputs, outputs]: [usize; 2], start: &mut Start) -> Self {
        Self {
            // PyTorch counts a filter's results here, not its inputs.
            weight: start.uniform([inputs, outputs, 2, 2], outputs * 4),
            bias: start.uniform([outputs], outputs * 4),
            stride: [2, 2],
        }
    }

    /// Images `[n, height, width, inputs]` to `[n, 2 · height, 2 · width, outputs]`.
    ///
    /// # Panics
    /// When the images have other channels.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        transposed_convolution(
            images,
            self.weight.val(),
            Some(self.bias.val()),
            self.stride,
        )
    }
}
