use std::path::PathBuf;

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Encoder, EncoderConfig, EncoderName};
use crate::error::WeightsError;
use crate::layers::{BatchNorm, Convolution, Start};
use crate::operators::{Activation, double, join};
use crate::weights::Weights;

/// The encoder of an [`EncoderUNet`] and the widths of its decoder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EncoderUNetConfig {
    /// Which network sees the image. Default ResNet-34.
    pub encoder: EncoderName,
    /// Channels of the decoder's blocks, the coarsest first. Default 256, 128, 64, 32, 16.
    pub widths: [usize; 5],
    /// A file of parameters of the encoder that training begins with (safetensors, or a PyTorch checkpoint), with
    /// the names of torchvision, timm or efficientnet_lite_pytorch. Default random ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pretrained: Option<PathBuf>,
}

impl Default for EncoderUNetConfig {
    fn default() -> Self {
        Self {
            encoder: EncoderName::Resnet34,
            widths: [256, 128, 64, 32, 16],
            pretrained: None,
        }
    }
}

/// A U-Net around an encoder, as segmentation_models_pytorch 0.5 builds it, with its parameter names.
///
/// ```text
/// encoder  features at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size
/// decoder  five times: twice as large, joined to the features of that size (those last), 3×3 convolution, norm and
///          ReLU twice; the last block, at the full size, is joined to nothing
/// head     3×3 convolution
/// ```
#[derive(Module, Debug)]
pub struct EncoderUNet {
    encoder: Encoder,
    decoder: Decoder,
    segmentation_head: [Convolution; 1],
}

impl EncoderUNetConfig {
    /// What height and width of images must be multiples of.
    pub fn multiple(&self) -> usize {
        EncoderConfig::MULTIPLE
    }

    /// The network with random parameters, for images of so many channels.
    pub fn init(&self, channels: usize, classes: usize, start: &mut Start) -> EncoderUNet {
        let encoder = self.encoder.config().with_channels(channels);
        EncoderUNet::new(&encoder, self.widths, classes, start)
    }
}

impl EncoderUNet {
    /// A network around an encoder of any size.
    pub fn new(
        encoder: &EncoderConfig,
        widths: [usize; 5],
        classes: usize,
        start: &mut Start,
    ) -> Self {
        let features = encoder.features();
        let network = encoder.init(start);
        let mut inputs = features[4];
        let mut blocks = Vec::new();
        for (block, width) in widths.into_iter().enumerate() {
            let joined = 3_usize
                .checked_sub(block)
                .map_or(0, |level| features[level]);
            blocks.push(Block::new([inputs + joined, width], start));
            inputs = width;
        }
        Self {
            encoder: network,
            decoder: Decoder { blocks },
            segmentation_head: [Convolution::new([inputs, classes], 3, start).with_bias(start)],
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

    /// Images `[n, height, width, channels]` to scores `[n, height, width, classes]`.
    ///
    /// # Panics
    /// When height or width is no multiple of 32.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        self.head().forward(self.features(images))
    }

    /// What the last layer gives scores by, `[n, height, width, features]`.
    pub(super) fn features(&self, images: Tensor<4>) -> Tensor<4> {
        let [halves, quarters, eighths, sixteenths, mut hidden] = self.encoder.features(images);
        let levels = [
            Some(sixteenths),
            Some(eighths),
            Some(quarters),
            Some(halves),
            None,
        ];
        for (block, level) in self.decoder.blocks.iter().zip(levels) {
            hidden = double(hidden);
            if let Some(level) = level {
                hidden = join(hidden, level);
            }
            hidden = block.forward(hidden);
        }
        hidden
    }

    /// The last layer.
    pub(super) fn head(&self) -> &Convolution {
        &self.segmentation_head[0]
    }
}

#[derive(Module, Debug)]
struct Decoder {
    blocks: Vec<Block>,
}

#[derive(Module, Debug)]
struct Block {
    conv1: (Convolution, BatchNorm),
    conv2: (Convolution, BatchNorm),
}

impl Block {
    fn new([inputs, outputs]: [usize; 2], start: &mut Start) -> Self {
        let mut layer = |inputs| {
            (
                Convolution::new([inputs, outputs], 3, start),
                BatchNorm::new(outputs, start),
            )
        };
        Self {
            conv1: layer(inputs),
            conv2: layer(outputs),
        }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        [&self.conv1, &self.conv2]
            .into_iter()
            .fold(images, |hidden, (convolution, norm)| {
                convolution.forward_normalized(hidden, norm, Activation::Relu)
            })
    }
}
