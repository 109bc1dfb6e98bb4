use std::path::Path;

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{
    DeepLabV3Plus, DeepLabV3PlusConfig, EncoderUNet, EncoderUNetConfig, HrNet, HrNetConfig, PspNet,
    PspNetConfig, UNet, UNetConfig,
};
use crate::error::WeightsError;
use crate::layers::{Convolution, Start};
use crate::weights::Weights;

/// A network that gives every pixel a score per class; a recipe names it and its sizes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SegmentationConfig {
    /// A U-Net without pretrained parts.
    Unet(UNetConfig),
    /// A U-Net around an encoder whose parameters may be pretrained.
    EncoderUnet(EncoderUNetConfig),
    /// See [`HrNet`].
    Hrnet(HrNetConfig),
    /// See [`DeepLabV3Plus`].
    #[serde(rename = "deeplabv3-plus")]
    DeepLabV3Plus(DeepLabV3PlusConfig),
    /// See [`PspNet`].
    Pspnet(PspNetConfig),
}

impl Default for SegmentationConfig {
    fn default() -> Self {
        Self::Unet(UNetConfig::default())
    }
}

/// A network made by a [`SegmentationConfig`].
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum SegmentationNetwork {
    /// See [`UNet`].
    Unet(UNet),
    /// See [`EncoderUNet`].
    EncoderUnet(EncoderUNet),
    /// See [`HrNet`].
    Hrnet(HrNet),
    /// See [`DeepLabV3Plus`].
    DeepLabV3Plus(DeepLabV3Plus),
    /// See [`PspNet`].
    Pspnet(PspNet),
}

impl SegmentationConfig {
    /// Its name in recipes.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unet(_) => "unet",
            Self::EncoderUnet(_) => "encoder-unet",
            Self::Hrnet(_) => "hrnet",
            Self::DeepLabV3Plus(_) => "deeplabv3-plus",
            Self::Pspnet(_) => "pspnet",
        }
    }

    /// What height and width of images must be multiples of.
    pub fn multiple(&self) -> usize {
        match self {
            Self::Unet(config) => config.multiple(),
            Self::EncoderUnet(config) => config.multiple(),
            Self::Hrnet(config) => config.multiple(),
            Self::DeepLabV3Plus(config) => config.multiple(),
            Self::Pspnet(config) => config.multiple(),
        }
    }

    /// How many images it needs at least to learn from.
    pub fn least_batch(&self) -> usize {
        match self {
            Self::DeepLabV3Plus(config) => config.least_batch(),
            Self::Unet(_) | Self::EncoderUnet(_) | Self::Hrnet(_) | Self::Pspnet(_) => 1,
        }
    }

    /// What is wrong with the sizes, if anything.
    pub fn problem(&self) -> Option<(&'static str, usize, &'static str)> {
        match self {
            Self::Unet(_) | Self::EncoderUnet(_) | Self::Hrnet(_) => None,
            Self::DeepLabV3Plus(config) => config.problem(),
            Self::Pspnet(config) => config.problem(),
        }
    }

    /// A file of parameters of its encoder that training begins with.
    pub fn pretrained(&self) -> Option<&Path> {
        match self {
            Self::Unet(_) => None,
            Self::EncoderUnet(config) => config.pretrained.as_deref(),
            Self::Hrnet(config) => config.pretrained.as_deref(),
            Self::DeepLabV3Plus(config) => config.pretrained.as_deref(),
            Self::Pspnet(config) => config.pretrained.as_deref(),
        }
    }

    /// The network with random parameters, for images of three channels and so many classes.
    ///
    /// # Panics
    /// When the sizes have a [problem](Self::problem).
    pub fn init(&self, classes: usize, start: &mut Start) -> SegmentationNetwork {
        match self {
            Self::Unet(config) => SegmentationNetwork::Unet(config.init(3, classes, start)),
            Self::EncoderUnet(config) => {
                SegmentationNetwork::EncoderUnet(config.init(3, classes, start))
            }
            Self::Hrnet(config) => SegmentationNetwork::Hrnet(config.init(3, classes, start)),
            Self::DeepLabV3Plus(config) => {
                SegmentationNetwork::DeepLabV3Plus(config.init(3, classes, start))
            }
            Self::Pspnet(config) => SegmentationNetwork::Pspnet(config.init(3, classes, start)),
        }
    }
}

impl SegmentationNetwork {
    /// Replaces the parameters of the encoder, if there is one.
    ///
    /// # Errors
    /// When the file holds another network.
    pub fn load_encoder(self, weights: &Weights) -> Result<Self, WeightsError> {
        Ok(match self {
            Self::Unet(network) => Self::Unet(network),
            Self::EncoderUnet(network) => Self::EncoderUnet(network.load_encoder(weights)?),
            Self::Hrnet(network) => Self::Hrnet(network.load_encoder(weights)?),
            Self::DeepLabV3Plus(network) => Self::DeepLabV3Plus(network.load_encoder(weights)?),
            Self::Pspnet(network) => Self::Pspnet(network.load_encoder(weights)?),
        })
    }

    /// Images `[n, height, width, 3]` to scores `[n, height, width, classes]`.
    ///
    /// # Panics
    /// When height or width is no multiple of [`SegmentationConfig::multiple`].
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Unet(network) => network.forward(images),
            Self::EncoderUnet(network) => network.forward(images),
            Self::Hrnet(network) => network.forward(images),
            Self::DeepLabV3Plus(network) => network.forward(images),
            Self::Pspnet(network) => network.forward(images),
        }
    }

    /// What the last layer gives scores by: images `[n, height, width, 3]` to `[n, rows, columns, features]`, where
    /// rows and columns are those of the image, or a quarter or an eighth of them, as the network has it.
    ///
    /// # Panics
    /// When height or width is no multiple of [`SegmentationConfig::multiple`].
    pub fn features(&self, images: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Unet(network) => network.features(images),
            Self::EncoderUnet(network) => network.features(images),
            Self::Hrnet(network) => network.features(images),
            Self::DeepLabV3Plus(network) => network.features(images),
            Self::Pspnet(network) => network.features(images),
        }
    }

    /// Scores `[n, height, width, classes]` by [`SegmentationNetwork::features`] of images of this height and width.
    pub fn scores(&self, features: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
        match self {
            Self::Unet(network) => network.head().forward(features),
            Self::EncoderUnet(network) => network.head().forward(features),
            Self::Hrnet(network) => network.scores(features, size),
            Self::DeepLabV3Plus(network) => network.scores(features, size),
            Self::Pspnet(network) => network.scores(features, size),
        }
    }

    /// How many features the last layer gives scores by.
    pub fn feature_count(&self) -> usize {
        self.head().inputs()
    }

    fn head(&self) -> &Convolution {
        match self {
            Self::Unet(network) => network.head(),
            Self::EncoderUnet(network) => network.head(),
            Self::Hrnet(network) => network.head(),
            Self::DeepLabV3Plus(network) => network.head(),
            Self::Pspnet(network) => network.head(),
        }
    }
}
