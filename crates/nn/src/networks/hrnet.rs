use std::path::PathBuf;

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{HighResolutionNet, HighResolutionNetConfig};
use crate::error::WeightsError;
use crate::layers::{BatchNorm, Convolution, Start};
use crate::operators::{Activation, join_all, resize};
use crate::weights::Weights;

/// The size of an [`HrNet`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HrNetConfig {
    /// Which of the published networks sees the image. Default W18.
    pub size: HrNetSize,
    /// A file of parameters of that network that training begins with (safetensors, or a PyTorch checkpoint), with
    /// timm's names. Default random ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pretrained: Option<PathBuf>,
}

/// The published sizes; the number is that of the channels of the finest branch, but for the small one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HrNetSize {
    /// HRNet-W18-Small (timm's `hrnet_w18_small`), 16 channels: a fifth of the work of W18.
    W18Small,
    /// HRNet-W18.
    #[default]
    W18,
    /// HRNet-W48: five times the work of W18.
    W48,
}

impl HrNetSize {
    fn config(self) -> HighResolutionNetConfig {
        match self {
            Self::W18Small => HighResolutionNetConfig::w18_small(),
            Self::W18 => HighResolutionNetConfig::w18(),
            Self::W48 => HighResolutionNetConfig::w48(),
        }
    }
}

/// HRNetV2 (Wang et al., arXiv 1908.07919): a [`HighResolutionNet`] and a head that sees all its branches. The head
/// and the names of its parameters are mmsegmentation's `FCNHead`; its dropout is left out. (In mmsegmentation's own
/// backbone coarser branches come back bilinearly; here, as in timm's, by repeated pixels.)
///
/// ```text
/// backbone     images at 1/4, 1/8, 1/16 and 1/32 of the size
/// decode_head  all of them at 1/4 (bilinear), joined, 1×1 convolution, norm and ReLU, 1×1 convolution to classes
/// scores       at the full size (bilinear)
/// ```
#[derive(Module, Debug)]
pub struct HrNet {
    backbone: HighResolutionNet,
    decode_head: Head,
}

#[derive(Module, Debug)]
struct Head {
    convs: [Layer; 1],
    conv_seg: Convolution,
}

#[derive(Module, Debug)]
struct Layer {
    conv: Convolution,
    bn: BatchNorm,
}

impl HrNetConfig {
    /// What height and width of images must be multiples of.
    pub fn multiple(&self) -> usize {
        32
    }

    /// The network with random parameters, for images of so many channels.
    pub fn init(&self, channels: usize, classes: usize, start: &mut Start) -> HrNet {
        let backbone = HighResolutionNetConfig {
            channels,
            ..self.size.config()
        };
        HrNet::new(&backbone, classes, start)
    }
}

/// What timm's networks classify images with.
const CLASSIFIER: [&str; 4] = [
    "incre_modules.",
    "downsamp_modules.",
    "final_layer.",
    "classifier.",
];

impl HrNet {
    /// A network around a backbone of any size.
    pub fn new(backbone: &HighResolutionNetConfig, classes: usize, start: &mut Start) -> Self {
        let width = backbone.features().iter().sum();
        Self {
            backbone: backbone.init(start),
            decode_head: Head {
                convs: [Layer {
                    conv: Convolution::new([width; 2], 1, start),
                    bn: BatchNorm::new(width, start),
                }],
                conv_seg: Convolution::new([width, classes], 1, start).with_bias(start),
            },
        }
    }

    /// Replaces the parameters of the backbone; what classifies images in the file is left out.
    ///
    /// # Errors
    /// When the file holds another network.
    pub fn load_encoder(mut self, weights: &Weights) -> Result<Self, WeightsError> {
        let weights = CLASSIFIER
            .into_iter()
            .fold(weights.clone(), Weights::without);
        self.backbone = weights.load_into(self.backbone, "the encoder", str::to_owned)?;
        Ok(self)
    }

    /// Images `[n, height, width, channels]` to scores `[n, height, width, classes]`.
    ///
    /// # Panics
    /// When height or width is no multiple of 32.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let [_, height, width, _] = images.dims();
        self.scores(self.features(images), [height, width])
    }

    /// What the last layer gives scores by, at a quarter of the size: `[n, height / 4, width / 4, features]`.
    pub(super) fn features(&self, images: Tensor<4>) -> Tensor<4> {
        let [layer] = &self.decode_head.convs;
        let branches = self.backbone.features(images);
        let [_, rows, columns, _] = branches[0].dims();
        let resized = branches
            .into_iter()
            .map(|branch| resize(branch, [rows, columns], false));
        let joined = join_all(resized.collect());
        layer
            .bn
            .forward(layer.conv.forward(joined), Activation::Relu)
    }

    /// Scores `[n, height, width, classes]` by [features](Self::features) of images of this height and width.
    pub(super) fn scores(&self, features: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
        resize(self.head().forward(features), size, false)
    }

    /// The last layer.
    pub(super) fn head(&self) -> &Convolution {
        &self.decode_head.conv_seg
    }
}
