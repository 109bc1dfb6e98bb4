use std::path::PathBuf;

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Encoder, EncoderConfig, EncoderName};
use crate::error::WeightsError;
use crate::layers::{AdaptiveAveragePooling, BatchNorm, Convolution, Start};
use crate::operators::{Activation, join, join_all, resize};
use crate::weights::Weights;

/// The encoder of a [`DeepLabV3Plus`] and the sizes of its decoder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeepLabV3PlusConfig {
    /// Which network sees the image. Default ResNet-34.
    pub encoder: EncoderName,
    /// Channels after the encoder's first convolution; all others are in proportion. Default as pretrained parameters
    /// have them; fewer are faster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder_width: Option<usize>,
    /// Channels of the decoder. Default 256.
    pub width: usize,
    /// Distances between the taps of the spread filters, in pixels of 1/16 of the size. Default 12, 24, 36.
    pub rates: [usize; 3],
    /// A file of parameters of the encoder that training begins with (safetensors, or a PyTorch checkpoint), with
    /// torchvision's or timm's names. Default random ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pretrained: Option<PathBuf>,
}

impl Default for DeepLabV3PlusConfig {
    fn default() -> Self {
        Self {
            encoder: EncoderName::Resnet34,
            encoder_width: None,
            width: 256,
            rates: [12, 24, 36],
            pretrained: None,
        }
    }
}

/// DeepLabV3+ (Chen et al., arXiv 1802.02611) as segmentation_models_pytorch 0.5 builds it, with its parameter names,
/// but without the dropout of its pyramid: training is the same as there with a dropout of 0.
///
/// ```text
/// encoder  features at 1/4 of the size, and at 1/16: the last stage spreads its filters instead of halving
/// aspp     at 1/16, side by side: 1×1 convolution; separable 3×3 convolutions, spread by each rate; the mean of the
///          image, 1×1 convolution; all joined, 1×1 convolution; separable 3×3 convolution
/// decoder  at 1/4: the pyramid (bilinear), joined to the features after a 1×1 convolution to 48 channels; separable
///          3×3 convolution
/// head     1×1 convolution, bilinear to the full size
/// ```
/// Norm and ReLU follow each of them but the head. Both enlargements keep the centres of the corner pixels.
#[derive(Module, Debug)]
pub struct DeepLabV3Plus {
    encoder: Encoder,
    decoder: Decoder,
    segmentation_head: [Convolution; 1],
}

/// Channels that the decoder takes from the features at 1/4.
const FINE: usize = 48;

impl DeepLabV3PlusConfig {
    /// What height and width of images must be multiples of.
    pub fn multiple(&self) -> usize {
        16
    }

    /// How many images it needs at least to learn from: the norm of the means of images sees one of each.
    pub fn least_batch(&self) -> usize {
        2
    }

    /// What is wrong with the sizes, if anything.
    pub fn problem(&self) -> Option<(&'static str, usize, &'static str)> {
        let sizes = [
            ("encoder_width", self.encoder_width.unwrap_or(1)),
            ("width", self.width),
        ];
        let rates = self.rates.map(|rate| ("rates", rate));
        let (name, _) = sizes
            .into_iter()
            .chain(rates)
            .find(|(_, size)| *size == 0)?;
        Some((name, 0, "expected at least 1"))
    }

    /// The network with random parameters, for images of so many channels.
    ///
    /// # Panics
    /// When the sizes have a [problem](Self::problem).
    pub fn init(&self, channels: usize, classes: usize, start: &mut Start) -> DeepLabV3Plus {
        let encoder = self.encoder.config().with_channels(channels);
        let encoder = match self.encoder_width {
            Some(width) => encoder.with_width(width),
            None => encoder,
        };
        DeepLabV3Plus::new(encoder, self.width, self.rates, classes, start)
    }
}

impl DeepLabV3Plus {
    /// A network around an encoder of any size, whose last stage it spreads.
    pub fn new(
        encoder: EncoderConfig,
        width: usize,
        rates: [usize; 3],
        classes: usize,
        start: &mut Start,
    ) -> Self {
        let encoder = encoder.with_dilated(1);
        let [_, fine, _, _, coarse] = encoder.features();
        Self {
            encoder: encoder.init(start),
            decoder: Decoder {
                aspp: (
                    SpatialPyramid::new([coarse, width], rates, start),
                    separable([width; 2], 1, start),
                    BatchNorm::new(width, start),
                ),
                block1: pointwise([fine, FINE], start),
                block2: (
                    separable([width + FINE, width], 1, start),
                    BatchNorm::new(width, start),
                ),
            },
            segmentation_head: [Convolution::new([width, classes], 1, start).with_bias(start)],
        }
    }

    /// Replaces the parameters of the encoder; a classifier in the file is left out.
    ///
    /// # Errors
    /// When the file holds another network.
    pub fn load_encoder(mut self, weights: &Weights) -> Result<Self, WeightsError> {
        self.encoder = self.encoder.load(weights)?;
        Ok(self)
    }

    /// Images `[n, height, width, channels]` to scores `[n, height, width, classes]`; of fewer than
    /// [`least_batch`](DeepLabV3PlusConfig::least_batch) it learns nothing from their means.
    ///
    /// # Panics
    /// When height or width is no multiple of 16.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let [_, height, width, _] = images.dims();
        self.scores(self.features(images), [height, width])
    }

    /// What the last layer gives scores by, at a quarter of the size: `[n, height / 4, width / 4, features]`.
    pub(super) fn features(&self, images: Tensor<4>) -> Tensor<4> {
        let [_, height, width, _] = images.dims();
        let [_, fine, _, _, coarse] = self.encoder.features(images);
        let Decoder {
            aspp: (pyramid, filters, norm),
            block1,
            block2: (last_filters, last_norm),
        } = &self.decoder;
        let hidden = run_separable((filters, norm), pyramid.forward(coarse));
        let hidden = resize(hidden, [height / 4, width / 4], true);
        let hidden = join(hidden, run(block1, fine));
        run_separable((last_filters, last_norm), hidden)
    }

    /// Scores `[n, height, width, classes]` by [features](Self::features) of images of this height and width.
    pub(super) fn scores(&self, features: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
        resize(self.head().forward(features), size, true)
    }

    /// The last layer.
    pub(super) fn head(&self) -> &Convolution {
        &self.segmentation_head[0]
    }
}

/// A convolution and what normalises its results.
type Layer = (Convolution, BatchNorm);

fn pointwise([inputs, outputs]: [usize; 2], start: &mut Start) -> Layer {
    (
        Convolution::new([inputs, outputs], 1, start),
        BatchNorm::new(outputs, start),
    )
}

fn run((convolution, norm): &Layer, images: Tensor<4>) -> Tensor<4> {
    convolution.forward_normalized(images, norm, Activation::Relu)
}

/// A 3×3 filter for each channel, and a 1×1 convolution.
type Separable = (Convolution, Convolution);

fn separable([inputs, outputs]: [usize; 2], rate: usize, start: &mut Start) -> Separable {
    let filters = Convolution::new([1, inputs], 3, start).with(|options| {
        options.depthwise = true;
        options.dilation = [rate; 2];
        options.padding = [[rate; 2]; 2];
    });
    (filters, Convolution::new([inputs, outputs], 1, start))
}

fn run_separable(((filters, mix), norm): (&Separable, &BatchNorm), images: Tensor<4>) -> Tensor<4> {
    mix.forward_normalized(filters.forward(images), norm, Activation::Relu)
}

#[derive(Module, Debug)]
struct Decoder {
    aspp: (SpatialPyramid, Separable, BatchNorm),
    block1: Layer,
    block2: (Separable, BatchNorm),
}

/// Atrous spatial pyramid pooling: one place seen at several distances.
#[derive(Module, Debug)]
struct SpatialPyramid {
    convs: Vec<Sight>,
    project: Layer,
}

#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a network has five")]
enum Sight {
    Pixel(Layer),
    Spread((Separable, BatchNorm)),
    Image((AdaptiveAveragePooling, Convolution, BatchNorm)),
}

impl SpatialPyramid {
    fn new([inputs, outputs]: [usize; 2], rates: [usize; 3], start: &mut Start) -> Self {
        let mut convs = vec![Sight::Pixel(pointwise([inputs, outputs], start))];
        for rate in rates {
            let filters = separable([inputs, outputs], rate, start);
            convs.push(Sight::Spread((filters, BatchNorm::new(outputs, start))));
        }
        let (convolution, norm) = pointwise([inputs, outputs], start);
        convs.push(Sight::Image((
            AdaptiveAveragePooling::new(1),
            convolution,
            norm,
        )));
        Self {
            project: pointwise([convs.len() * outputs, outputs], start),
            convs,
        }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let sights = self.convs.iter().map(|sight| sight.forward(images.clone()));
        run(&self.project, join_all(sights.collect()))
    }
}

impl Sight {
    fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Pixel(layer) => run(layer, images),
            Self::Spread((filters, norm)) => run_separable((filters, norm), images),
            Self::Image((pooling, convolution, norm)) => {
                let [_, height, width, _] = images.dims();
                let mean = pooling.forward(images);
                let mean = convolution.forward_normalized(mean, norm, Activation::Relu);
                resize(mean, [height, width], false)
            }
        }
    }
}
