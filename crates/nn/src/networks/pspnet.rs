use std::path::PathBuf;

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use serde::{Deserialize, Serialize};

use super::{Encoder, EncoderConfig, EncoderName};
use crate::error::WeightsError;
use crate::layers::{AdaptiveAveragePooling, BatchNorm, Convolution, Start};
use crate::operators::{Activation, join_all, resize};
use crate::weights::Weights;

/// The encoder of a [`PspNet`] and the width of its decoder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PspNetConfig {
    /// Which network sees the image. Default ResNet-34.
    pub encoder: EncoderName,
    /// Channels after the encoder's first convolution; all others are in proportion. Default as pretrained parameters
    /// have them; fewer are faster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder_width: Option<usize>,
    /// Channels of the decoder. Default 512.
    pub width: usize,
    /// A file of parameters of the encoder that training begins with (safetensors, or a PyTorch checkpoint), with
    /// torchvision's or timm's names. Default random ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pretrained: Option<PathBuf>,
}

impl Default for PspNetConfig {
    fn default() -> Self {
        Self {
            encoder: EncoderName::Resnet34,
            encoder_width: None,
            width: 512,
            pretrained: None,
        }
    }
}

/// A pyramid scene parsing network (Zhao et al., arXiv 1612.01105) as segmentation_models_pytorch 0.5 builds it, with
/// its parameter names, but without the dropout of its decoder: training is the same as there with a dropout of 0.
/// The encoder ends at 1/8 of the size, and what it has beyond is left out.
///
/// ```text
/// encoder  features at 1/8 of the size
/// psp      their means in 1×1, 2×2, 3×3 and 6×6 windows, 1×1 convolution to a quarter of the channels, norm (but for
///          the first) and ReLU, bilinear to 1/8 of the size; all joined, then the features
/// decoder  1×1 convolution, norm and ReLU
/// head     3×3 convolution, bilinear to the full size
/// ```
/// Enlargements keep the centres of the corner pixels.
#[derive(Module, Debug)]
pub struct PspNet {
    encoder: Encoder,
    decoder: Decoder,
    segmentation_head: [Convolution; 1],
}

/// Windows of the pyramid, down and to the right.
const WINDOWS: [usize; 4] = [1, 2, 3, 6];

/// How many features of the encoder there are: the last is at 1/8 of the size.
const DEPTH: usize = 3;

impl PspNetConfig {
    /// What height and width of images must be multiples of.
    pub fn multiple(&self) -> usize {
        1 << DEPTH
    }

    /// What is wrong with the sizes, if anything.
    pub fn problem(&self) -> Option<(&'static str, usize, &'static str)> {
        if self.width == 0 {
            return Some(("width", 0, "expected at least 1"));
        }
        let features = self.encoder().features()[DEPTH - 1];
        if features == 0 || !features.is_multiple_of(WINDOWS.len()) {
            let reason = "expected one that gives a multiple of 4 channels at 1/8 of the size";
            return Some(("encoder_width", self.encoder_width?, reason));
        }
        None
    }

    fn encoder(&self) -> EncoderConfig {
        let encoder = self.encoder.config();
        match self.encoder_width {
            Some(width) => encoder.with_width(width),
            None => encoder,
        }
    }

    /// The network with random parameters, for images of so many channels.
    ///
    /// # Panics
    /// When the sizes have a [problem](Self::problem).
    pub fn init(&self, channels: usize, classes: usize, start: &mut Start) -> PspNet {
        let encoder = self.encoder().with_channels(channels);
        PspNet::new(encoder, self.width, classes, start)
    }
}

impl PspNet {
    /// A network around an encoder of any size.
    pub fn new(encoder: EncoderConfig, width: usize, classes: usize, start: &mut Start) -> Self {
        let inputs = encoder.features()[DEPTH - 1];
        let pyramid = |windows, start: &mut Start| {
            let outputs = inputs / WINDOWS.len();
            let convolution = Convolution::new([inputs, outputs], 1, start);
            // One value per image and channel has no variance in a batch of one.
            let layer = if windows == 1 {
                (convolution.with_bias(start), None)
            } else {
                (convolution, Some(BatchNorm::new(outputs, start)))
            };
            Sight {
                pool: (AdaptiveAveragePooling::new(windows), layer),
            }
        };
        Self {
            encoder: encoder.with_depth(DEPTH).init(start),
            decoder: Decoder {
                psp: Pyramid {
                    blocks: WINDOWS.map(|windows| pyramid(windows, start)).to_vec(),
                },
                conv: (
                    Convolution::new([2 * inputs, width], 1, start),
                    BatchNorm::new(width, start),
                ),
            },
            segmentation_head: [Convolution::new([width, classes], 3, start).with_bias(start)],
        }
    }

    /// Replaces the parameters of the encoder; a classifier in the file is left out, and what lies beyond 1/8 of the
    /// size.
    ///
    /// # Errors
    /// When the file holds another network.
    pub fn load_encoder(mut self, weights: &Weights) -> Result<Self, WeightsError> {
        self.encoder = self.encoder.load(weights)?;
        Ok(self)
    }

    /// Images `[n, height, width, channels]` to scores `[n, height, width, classes]`.
    ///
    /// # Panics
    /// When height or width is no multiple of 8.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let [_, height, width, _] = images.dims();
        self.scores(self.features(images), [height, width])
    }

    /// What the last layer gives scores by, at an eighth of the size: `[n, height / 8, width / 8, features]`.
    pub(super) fn features(&self, images: Tensor<4>) -> Tensor<4> {
        let [_, _, eighths, ..] = self.encoder.features(images);
        let Decoder {
            psp,
            conv: (convolution, norm),
        } = &self.decoder;
        let hidden = psp.forward(eighths);
        convolution.forward_normalized(hidden, norm, Activation::Relu)
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

#[derive(Module, Debug)]
struct Decoder {
    psp: Pyramid,
    conv: (Convolution, BatchNorm),
}

#[derive(Module, Debug)]
struct Pyramid {
    blocks: Vec<Sight>,
}

impl Pyramid {
    fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let sights = self
            .blocks
            .iter()
            .map(|sight| sight.forward(images.clone()));
        let all = sights.chain([images.clone()]).collect();
        join_all(all)
    }
}

/// The means of some windows, in the size of the image.
#[derive(Module, Debug)]
struct Sight {
    pool: (AdaptiveAveragePooling, (Convolution, Option<BatchNorm>)),
}

impl Sight {
    fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let [_, height, width, _] = images.dims();
        let (pooling, (convolution, norm)) = &self.pool;
        let means = pooling.forward(images);
        let means = match norm {
            Some(norm) => convolution.forward_normalized(means, norm, Activation::Relu),
            None => relu(convolution.forward(means)),
        };
        resize(means, [height, width], true)
    }
}
