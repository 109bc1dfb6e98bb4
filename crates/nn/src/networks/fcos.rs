use std::path::PathBuf;

use burn::module::Module;
use burn::nn::Relu;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use serde::{Deserialize, Serialize};

use super::feature_pyramid::{Backbone, ExtraLevels};
use super::{EncoderConfig, EncoderName};
use crate::error::WeightsError;
use crate::layers::{Convolution, GroupNorm, Start};
use crate::operators::Activation;
use crate::weights::Weights;

/// The sizes of an [`Fcos`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FcosConfig {
    /// Which network sees the image. Default ResNet-18.
    pub encoder: EncoderName,
    /// Channels after the encoder's first convolution; all others are in proportion. Default as pretrained parameters
    /// have them; fewer are faster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder_width: Option<usize>,
    /// The side of the cells, in pixels, that the finest level divides an image into: 4, 8, 16 or 32. Default 8.
    pub finest: usize,
    /// Channels of the pyramid and of the heads. Default 128; torchvision's is 256.
    pub width: usize,
    /// Convolutions of each head before the one that answers. Default 2; torchvision's is 4.
    pub convolutions: usize,
    /// Groups of channels that are normalised together. Default 32.
    pub groups: usize,
    /// A file of parameters of the encoder that training begins with (safetensors, or a PyTorch checkpoint), with
    /// the names of torchvision, timm or efficientnet_lite_pytorch. Default random ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pretrained: Option<PathBuf>,
}

impl Default for FcosConfig {
    fn default() -> Self {
        Self {
            encoder: EncoderName::Resnet18,
            encoder_width: None,
            finest: 8,
            width: 128,
            convolutions: 2,
            groups: 32,
            pretrained: None,
        }
    }
}

/// A detector without anchors (Tian et al., arXiv 1904.01355) on a feature pyramid, as torchvision 0.24 builds it,
/// with its parameter names: each location of each level says what it is in the middle of, and how far it is to
/// the sides of that.
#[derive(Module, Debug)]
pub struct Fcos {
    backbone: Backbone,
    head: Head,
    #[module(skip)]
    strides: Vec<usize>,
}

/// What an [`Fcos`] says of each location: levels follow each other, the finest first, locations row by row.
#[derive(Debug, Clone)]
pub struct FcosOutput {
    /// Scores of each class, before the sigmoid, `[n, locations, classes]`.
    pub classes: Tensor<3>,
    /// How far it is to the left, the top, the right and the bottom of the object, in cells of the level, at least
    /// 0, `[n, locations, 4]`.
    pub distances: Tensor<3>,
    /// How near it is to the middle of the object, before the sigmoid, `[n, locations, 1]`.
    pub centredness: Tensor<3>,
}

impl FcosConfig {
    /// What height and width of images must be multiples of.
    pub fn multiple(&self) -> usize {
        EncoderConfig::MULTIPLE
    }

    /// The side of the cells of each level, in pixels. A level divides an image into ⌈height / side⌉ rows of
    /// ⌈width / side⌉ locations; the location in row r and column c is the point (c · side, r · side).
    pub fn strides(&self) -> Vec<usize> {
        Backbone::strides(self.finest, ExtraLevels::Convolutions)
    }

    /// What is wrong with the sizes, if anything.
    pub fn problem(&self) -> Option<(&'static str, String, &'static str)> {
        if !matches!(self.finest, 4 | 8 | 16 | 32) {
            let reason = "expected 4, 8, 16 or 32";
            return Some(("finest", self.finest.to_string(), reason));
        }
        for (name, width) in [
            ("width", Some(self.width)),
            ("encoder_width", self.encoder_width),
        ] {
            if width == Some(0) {
                return Some((name, "0".to_owned(), "expected at least 1"));
            }
        }
        if self.groups == 0 || !self.width.is_multiple_of(self.groups) {
            let reason = "expected a divisor of `width`";
            return Some(("groups", self.groups.to_string(), reason));
        }
        None
    }

    /// The network with random parameters, for images of so many channels.
    ///
    /// # Panics
    /// When the sizes have a [problem](Self::problem).
    pub fn init(&self, channels: usize, classes: usize, start: &mut Start) -> Fcos {
        let encoder = self.encoder.config().with_channels(channels);
        let encoder = match self.encoder_width {
            Some(width) => encoder.with_width(width),
            None => encoder,
        };
        Fcos::new(&encoder, self, classes, start)
    }
}

impl Fcos {
    /// A network around an encoder of any size; that of `config` is not looked at.
    ///
    /// # Panics
    /// When the sizes have a [problem](FcosConfig::problem).
    pub fn new(
        encoder: &EncoderConfig,
        config: &FcosConfig,
        classes: usize,
        start: &mut Start,
    ) -> Self {
        Self {
            backbone: Backbone::new(
                encoder,
                config.finest,
                config.width,
                ExtraLevels::Convolutions,
                start,
            ),
            head: Head {
                classification_head: ClassHead::new(config, classes, start),
                regression_head: BoxHead::new(config, start),
            },
            strides: config.strides(),
        }
    }

    /// The side of the cells of each level; see [`FcosConfig::strides`].
    pub fn strides(&self) -> &[usize] {
        &self.strides
    }

    /// Replaces the parameters of the encoder; a classifier in the file is left out.
    ///
    /// # Errors
    /// When the file holds another network.
    pub fn load_encoder(mut self, weights: &Weights) -> Result<Self, WeightsError> {
        self.backbone = self.backbone.load_encoder(weights)?;
        Ok(self)
    }

    /// What each location of images `[n, height, width, channels]` says.
    ///
    /// # Panics
    /// When height or width is no multiple of 32.
    pub fn forward(&self, images: Tensor<4>) -> FcosOutput {
        let levels = self.backbone.forward(images);
        let Head {
            classification_head,
            regression_head,
        } = &self.head;
        let (mut classes, mut distances, mut centredness) = (Vec::new(), Vec::new(), Vec::new());
        for level in levels {
            classes.push(locations(classification_head.forward(level.clone())));
            let [of_sides, of_centre] = regression_head.forward(level);
            distances.push(locations(of_sides));
            centredness.push(locations(of_centre));
        }
        let [classes, distances, centredness] =
            [classes, distances, centredness].map(|levels| Tensor::cat(levels, 1));
        FcosOutput {
            classes,
            distances,
            centredness,
        }
    }
}

fn locations(images: Tensor<4>) -> Tensor<3> {
    let [n, height, width, channels] = images.dims();
    images.reshape([n, height * width, channels])
}

#[derive(Module, Debug)]
struct Head {
    classification_head: ClassHead,
    regression_head: BoxHead,
}

#[derive(Module, Debug)]
struct ClassHead {
    conv: Vec<TowerLayer>,
    cls_logits: Convolution,
}

#[derive(Module, Debug)]
struct BoxHead {
    conv: Vec<TowerLayer>,
    bbox_reg: Convolution,
    bbox_ctrness: Convolution,
}

#[derive(Module, Debug)]
enum TowerLayer {
    Convolution(Convolution),
    /// With the activation that follows.
    Normalization(GroupNorm),
    /// Has a number in PyTorch's names, and nothing left to do.
    Activation(Relu),
}

/// The deviation of the first filters of heads, and the first probability of any class: torchvision's.
const DEVIATION: f32 = 0.01;
const PRIOR: f32 = 0.01;

/// The first distance to every side, in cells. torchvision's is 0, where the rectifier that follows has no gradient on
/// one side: a side may then stay at 0 for ever.
const DISTANCE: f32 = 2.0;

fn tower(config: &FcosConfig, start: &mut Start) -> Vec<TowerLayer> {
    let width = config.width;
    (0..config.convolutions)
        .flat_map(|_| {
            [
                TowerLayer::Convolution(answer(width, width, 0.0, start)),
                TowerLayer::Normalization(GroupNorm::new(width, config.groups, start)),
                TowerLayer::Activation(Relu::new()),
            ]
        })
        .collect()
}

fn answer(inputs: usize, outputs: usize, bias: f32, start: &mut Start) -> Convolution {
    Convolution::normal([inputs, outputs], 3, DEVIATION, start).with_constant_bias(bias, start)
}

fn run(tower: &[TowerLayer], images: Tensor<4>) -> Tensor<4> {
    tower.iter().fold(images, |hidden, layer| match layer {
        TowerLayer::Convolution(convolution) => convolution.forward(hidden),
        TowerLayer::Normalization(norm) => norm.forward(hidden, Activation::Relu),
        TowerLayer::Activation(_) => hidden,
    })
}

impl ClassHead {
    fn new(config: &FcosConfig, classes: usize, start: &mut Start) -> Self {
        let bias = -((1.0 - PRIOR) / PRIOR).ln();
        Self {
            conv: tower(config, start),
            cls_logits: answer(config.width, classes, bias, start),
        }
    }

    fn forward(&self, level: Tensor<4>) -> Tensor<4> {
        self.cls_logits.forward(run(&self.conv, level))
    }
}

impl BoxHead {
    fn new(config: &FcosConfig, start: &mut Start) -> Self {
        Self {
            conv: tower(config, start),
            bbox_reg: answer(config.width, 4, DISTANCE, start),
            bbox_ctrness: answer(config.width, 1, 0.0, start),
        }
    }

    fn forward(&self, level: Tensor<4>) -> [Tensor<4>; 2] {
        let hidden = run(&self.conv, level);
        [
            relu(self.bbox_reg.forward(hidden.clone())),
            self.bbox_ctrness.forward(hidden),
        ]
    }
}
