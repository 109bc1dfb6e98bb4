use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{ResNet, ResNetConfig, VisionTransformer, VisionTransformerConfig};
use crate::encoders::Pooling;
use crate::layers::Start;

/// A network that turns images into embeddings, as recipes name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageEncoderName {
    /// ResNet-18.
    #[default]
    Resnet18,
    /// ResNet-34.
    Resnet34,
    /// ResNet-50.
    Resnet50,
    /// The small vision transformer.
    VitSmall,
}

/// The size of an [`ImageEncoder`]. Every field has a default, and unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageEncoderConfig {
    /// Which network. Default `resnet18`.
    pub name: ImageEncoderName,
    /// Channels of a residual network's first convolution, or values of a transformer's token (a multiple of 64); as
    /// published where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<usize>,
    /// The side of a transformer's patch, in pixels. Default 16.
    pub patch: usize,
}

impl Default for ImageEncoderConfig {
    fn default() -> Self {
        Self {
            name: ImageEncoderName::default(),
            width: None,
            patch: 16,
        }
    }
}

/// A network that turns images into embeddings. Parameters have torchvision's names, or timm's.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one in a training")]
pub enum ImageEncoder {
    /// See [`ResNet`]: the mean of the last features.
    ResNet(ResNet),
    /// See [`VisionTransformer`]: the token of the whole image.
    VisionTransformer(VisionTransformer),
}

/// Values of a token that one head of the attention looks at.
const HEAD: usize = 64;

impl ImageEncoderConfig {
    fn size(&self, side: usize) -> Size {
        let residual = |config: ResNetConfig| {
            let width = self.width.unwrap_or(config.width);
            Size::ResNet(ResNetConfig { width, ..config })
        };
        match self.name {
            ImageEncoderName::Resnet18 => residual(ResNetConfig::resnet18()),
            ImageEncoderName::Resnet34 => residual(ResNetConfig::resnet34()),
            ImageEncoderName::Resnet50 => residual(ResNetConfig::resnet50()),
            ImageEncoderName::VitSmall => {
                let small = VisionTransformerConfig::small();
                let width = self.width.unwrap_or(small.width);
                Size::VisionTransformer(VisionTransformerConfig {
                    size: [side; 2],
                    patch: self.patch,
                    heads: width / HEAD,
                    width,
                    ..small
                })
            }
        }
    }

    /// The side nearest to this one, and not beyond it, of images that the network can be shown: of whole patches, and at
    /// least of one.
    pub fn whole(&self, side: usize) -> usize {
        match self.size(side) {
            Size::VisionTransformer(VisionTransformerConfig { patch, .. }) if patch > 0 => {
                (side / patch).max(1) * patch
            }
            _ => side.max(1),
        }
    }

    /// Why the network cannot be made for images of this side, in pixels.
    pub fn problem(&self, side: usize) -> Option<String> {
        match self.size(side) {
            Size::ResNet(config) if config.width == 0 => Some("`width` must be at least 1".into()),
            Size::VisionTransformer(config) if config.heads == 0 || config.width % HEAD != 0 => {
                Some(format!("`width` must be a multiple of {HEAD}"))
            }
            Size::VisionTransformer(config)
                if config.patch == 0 || !side.is_multiple_of(config.patch) =>
            {
                let patch = config.patch;
                Some(format!(
                    "images of {side} pixels are no whole number of patches of {patch}"
                ))
            }
            _ => None,
        }
    }

    /// Values of an embedding.
    pub fn dimension(&self) -> usize {
        match self.size(self.patch) {
            Size::ResNet(config) => config.features()[4],
            Size::VisionTransformer(config) => config.width,
        }
    }

    /// How features become an embedding.
    pub fn pooling(&self) -> Pooling {
        match self.name {
            ImageEncoderName::VitSmall => Pooling::ClassToken,
            _ => Pooling::Average,
        }
    }

    /// The network with random parameters, for square images of this side; see [`ImageEncoderConfig::problem`].
    pub fn init(&self, side: usize, start: &mut Start) -> ImageEncoder {
        match self.size(side) {
            Size::ResNet(config) => ImageEncoder::ResNet(config.init(start)),
            Size::VisionTransformer(config) => ImageEncoder::VisionTransformer(config.init(start)),
        }
    }
}

enum Size {
    ResNet(ResNetConfig),
    VisionTransformer(VisionTransformerConfig),
}

impl ImageEncoder {
    /// Images `[n, height, width, 3]` to embeddings `[n, dimension]`.
    pub fn embed(&self, images: Tensor<4>) -> Tensor<2> {
        match self {
            Self::ResNet(encoder) => {
                let [.., last] = encoder.features(images);
                let [n, height, width, channels] = last.dims();
                last.reshape([n, height * width, channels])
                    .mean_dim(1)
                    .squeeze_dim(1)
            }
            Self::VisionTransformer(encoder) => {
                let tokens = encoder.forward(images);
                tokens.narrow(1, 0, 1).squeeze_dim(1)
            }
        }
    }
}
