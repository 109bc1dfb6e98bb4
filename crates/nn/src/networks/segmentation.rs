use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{UNet, UNetConfig};
use crate::layers::Start;

/// A network that gives every pixel a score per class; a recipe names it and its sizes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SegmentationConfig {
    /// A U-Net without pretrained parts.
    Unet(UNetConfig),
}

impl Default for SegmentationConfig {
    fn default() -> Self {
        Self::Unet(UNetConfig::default())
    }
}

/// A network made by a [`SegmentationConfig`].
#[derive(Module, Debug)]
pub enum SegmentationNetwork {
    /// See [`UNet`].
    Unet(UNet),
}

impl SegmentationConfig {
    /// Its name in recipes.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unet(_) => "unet",
        }
    }

    /// What height and width of images must be multiples of.
    pub fn multiple(&self) -> usize {
        match self {
            Self::Unet(config) => config.multiple(),
        }
    }

    /// The network with random parameters, for images of three channels and so many classes.
    pub fn init(&self, classes: usize, start: &mut Start) -> SegmentationNetwork {
        match self {
            Self::Unet(config) => SegmentationNetwork::Unet(config.init(3, classes, start)),
        }
    }
}

impl SegmentationNetwork {
    /// Images `[n, height, width, 3]` to scores `[n, height, width, classes]`.
    ///
    /// # Panics
    /// When height or width is no multiple of [`SegmentationConfig::multiple`].
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Unet(network) => network.forward(images),
        }
    }
}
