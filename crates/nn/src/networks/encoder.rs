use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{ResNet, ResNetConfig};
use crate::error::WeightsError;
use crate::layers::Start;
use crate::weights::Weights;

/// An encoder, as recipes name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EncoderName {
    /// ResNet-18.
    Resnet18,
    /// ResNet-34.
    Resnet34,
    /// ResNet-50.
    Resnet50,
}

impl EncoderName {
    /// The encoder as pretrained parameters have it, for images of three channels.
    pub fn config(self) -> EncoderConfig {
        EncoderConfig::ResNet(match self {
            Self::Resnet18 => ResNetConfig::resnet18(),
            Self::Resnet34 => ResNetConfig::resnet34(),
            Self::Resnet50 => ResNetConfig::resnet50(),
        })
    }
}

/// The size of an [`Encoder`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EncoderConfig {
    /// See [`ResNet`].
    ResNet(ResNetConfig),
}

/// A network that sees images at five sizes; larger networks are built around it. Its parameters have the names
/// that they have there, so that any encoder may take the place of another.
#[derive(Module, Debug)]
pub enum Encoder {
    /// See [`ResNet`].
    ResNet(ResNet),
}

impl EncoderConfig {
    /// What height and width of images must be multiples of, so that every feature is exactly half as high and wide
    /// as the one before.
    pub const MULTIPLE: usize = 32;

    /// The same for images of so many channels.
    pub fn with_channels(mut self, channels: usize) -> Self {
        match &mut self {
            Self::ResNet(config) => config.channels = channels,
        }
        self
    }

    /// The same with so many channels after the first convolution, and all others in proportion.
    pub fn with_width(mut self, width: usize) -> Self {
        match &mut self {
            Self::ResNet(config) => config.width = width,
        }
        self
    }

    /// The same, but that many of the last features keep the size of the one before: filters are spread instead.
    pub fn with_dilated(mut self, dilated: usize) -> Self {
        match &mut self {
            Self::ResNet(config) => config.dilated = dilated,
        }
        self
    }

    /// Channels of the images that [`Encoder::features`] gives.
    pub fn features(&self) -> [usize; 5] {
        match self {
            Self::ResNet(config) => config.features(),
        }
    }

    /// The encoder with random parameters.
    pub fn init(&self, start: &mut Start) -> Encoder {
        match self {
            Self::ResNet(config) => Encoder::ResNet(config.init(start)),
        }
    }
}

impl Encoder {
    /// Replaces the parameters; a classifier in the file is left out.
    ///
    /// # Errors
    /// When the file holds another network.
    pub fn load(self, weights: &Weights) -> Result<Self, WeightsError> {
        let network = "the encoder";
        Ok(match self {
            Self::ResNet(encoder) => {
                let weights = weights.clone().without("fc.");
                Self::ResNet(weights.load_into(encoder, network, str::to_owned)?)
            }
        })
    }

    /// Images `[n, height, width, channels]` to images of 1/2, 1/4, 1/8, 1/16 and 1/32 of their size (rounded up;
    /// larger where filters are spread).
    pub fn features(&self, images: Tensor<4>) -> [Tensor<4>; 5] {
        match self {
            Self::ResNet(encoder) => encoder.features(images),
        }
    }
}
