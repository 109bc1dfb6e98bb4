use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{EfficientNetLite, EfficientNetLiteConfig, Origin, ResNet, ResNetConfig};
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
    /// EfficientNet-Lite0 as [TensorFlow](Origin::TensorFlow) has it.
    EfficientnetLite0,
    /// EfficientNet-Lite0 as [timm](Origin::Timm) has it.
    TimmEfficientnetLite0,
}

impl EncoderName {
    /// The encoder as pretrained parameters have it, for images of three channels.
    pub fn config(self) -> EncoderConfig {
        let lite0 = |origin| EncoderConfig::EfficientNetLite(EfficientNetLiteConfig::lite0(origin));
        match self {
            Self::Resnet18 => EncoderConfig::ResNet(ResNetConfig::resnet18()),
            Self::Resnet34 => EncoderConfig::ResNet(ResNetConfig::resnet34()),
            Self::Resnet50 => EncoderConfig::ResNet(ResNetConfig::resnet50()),
            Self::EfficientnetLite0 => lite0(Origin::TensorFlow),
            Self::TimmEfficientnetLite0 => lite0(Origin::Timm),
        }
    }
}

/// The size of an [`Encoder`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EncoderConfig {
    /// See [`ResNet`].
    ResNet(ResNetConfig),
    /// See [`EfficientNetLite`].
    EfficientNetLite(EfficientNetLiteConfig),
}

/// A network that sees images at five sizes; larger networks are built around it. Its parameters have the names
/// that they have there, so that any encoder may take the place of another.
#[derive(Module, Debug)]
pub enum Encoder {
    /// See [`ResNet`].
    ResNet(ResNet),
    /// See [`EfficientNetLite`].
    EfficientNetLite(EfficientNetLite),
}

impl EncoderConfig {
    /// What height and width of images must be multiples of, so that every feature is exactly half as high and wide
    /// as the one before.
    pub const MULTIPLE: usize = 32;

    /// The same for images of so many channels.
    pub fn with_channels(mut self, channels: usize) -> Self {
        match &mut self {
            Self::ResNet(config) => config.channels = channels,
            Self::EfficientNetLite(config) => config.channels = channels,
        }
        self
    }

    /// The same with so many channels after the first convolution, and all others in proportion.
    pub fn with_width(self, width: usize) -> Self {
        match self {
            Self::ResNet(config) => Self::ResNet(ResNetConfig { width, ..config }),
            Self::EfficientNetLite(config) => Self::EfficientNetLite(config.with_width(width)),
        }
    }

    /// The same, but that many of the last features keep the size of the one before: filters are spread instead.
    pub fn with_dilated(mut self, dilated: usize) -> Self {
        match &mut self {
            Self::ResNet(config) => config.dilated = dilated,
            Self::EfficientNetLite(config) => config.dilated = dilated,
        }
        self
    }

    /// The same without what comes after so many features, 1 to 5: those after are the last that there is.
    ///
    /// # Panics
    /// When there are none.
    pub fn with_depth(self, depth: usize) -> Self {
        match self {
            Self::ResNet(mut config) => {
                config.blocks[depth - 1..].fill(0);
                Self::ResNet(config)
            }
            Self::EfficientNetLite(config) => Self::EfficientNetLite(config.with_depth(depth)),
        }
    }

    /// Channels of the images that [`Encoder::features`] gives.
    pub fn features(&self) -> [usize; 5] {
        match self {
            Self::ResNet(config) => config.features(),
            Self::EfficientNetLite(config) => config.features(),
        }
    }

    /// The encoder with random parameters.
    pub fn init(&self, start: &mut Start) -> Encoder {
        match self {
            Self::ResNet(config) => Encoder::ResNet(config.init(start)),
            Self::EfficientNetLite(config) => Encoder::EfficientNetLite(config.init(start)),
        }
    }
}

impl Encoder {
    /// Replaces the parameters; left out are a classifier in the file, and what comes after the
    /// [depth](EncoderConfig::with_depth) of this encoder.
    ///
    /// # Errors
    /// When the file holds another network.
    pub fn load(self, weights: &Weights) -> Result<Self, WeightsError> {
        let network = "the encoder";
        Ok(match self {
            Self::ResNet(encoder) => {
                let beyond = encoder.absent_stages();
                let weights = beyond.fold(weights.clone().without("fc."), Weights::without);
                Self::ResNet(weights.load_into(encoder, network, str::to_owned)?)
            }
            Self::EfficientNetLite(encoder) => {
                Self::EfficientNetLite(encoder.load(weights, network)?)
            }
        })
    }

    /// Images `[n, height, width, channels]` to images of 1/2, 1/4, 1/8, 1/16 and 1/32 of their size (rounded up;
    /// larger where filters are spread).
    pub fn features(&self, images: Tensor<4>) -> [Tensor<4>; 5] {
        match self {
            Self::ResNet(encoder) => encoder.features(images),
            Self::EfficientNetLite(encoder) => encoder.features(images),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_after_the_depth_is_the_last_that_there_is() {
        for (encoder, features) in [
            (EncoderName::Resnet18, [64, 64, 128, 128, 128]),
            (EncoderName::EfficientnetLite0, [32, 24, 40, 40, 40]),
        ] {
            assert_eq!(encoder.config().with_depth(3).features(), features);
        }
    }

    #[test]
    fn recipes_name_encoders() {
        for (encoder, name) in [
            (EncoderName::Resnet18, "resnet18"),
            (EncoderName::Resnet34, "resnet34"),
            (EncoderName::Resnet50, "resnet50"),
            (EncoderName::EfficientnetLite0, "efficientnet-lite0"),
            (
                EncoderName::TimmEfficientnetLite0,
                "timm-efficientnet-lite0",
            ),
        ] {
            assert_eq!(serde_json::to_value(encoder).unwrap(), name);
        }
    }
}
