use std::path::PathBuf;

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use serde::{Deserialize, Serialize};

use super::feature_pyramid::{Backbone, ExtraLevels};
use super::{EncoderConfig, EncoderName};
use crate::error::WeightsError;
use crate::layers::{Convolution, FullyConnected, Start};
use crate::operators::{Region, RoiAlignOptions, multi_scale_roi_align};
use crate::weights::Weights;

/// The sizes of a [`FasterRcnn`], and how it chooses from its own proposals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FasterRcnnConfig {
    /// Which network sees the image. Default ResNet-18; torchvision's is ResNet-50.
    pub encoder: EncoderName,
    /// Channels after the encoder's first convolution; all others are in proportion. Default as pretrained parameters
    /// have them; fewer are faster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder_width: Option<usize>,
    /// Whether the encoder's batch normalisations keep the statistics and factors that they begin with, as
    /// torchvision has it: those of a batch of a few images are bad ones. Only for pretrained encoders. Default false.
    pub frozen_norms: bool,
    /// The side of the cells, in pixels, that the finest level divides an image into: 4, 8, 16 or 32. Default 4.
    pub finest: usize,
    /// Channels of the pyramid. Default 128; torchvision's is 256.
    pub width: usize,
    /// Values that the head knows of a region. Default 256; torchvision's is 1024.
    pub hidden: usize,
    /// The side of the anchors of the finest level, in pixels; those of each further level are twice as large.
    /// Default 16, since cells are small: levels then have 16, 32, 64, 128 and 256. torchvision's is 32.
    pub anchor_size: usize,
    /// Heights of the anchors over their widths; their areas are the same. Default 0.5, 1 and 2.
    pub anchor_ratios: Vec<f64>,
    /// Which anchors the first part learns from. Default: objects from an overlap of 0.7, background below 0.3, 256
    /// anchors per image, half of them objects.
    pub anchor_samples: SamplingSettings,
    /// Which boxes the second part learns from. Default: objects from an overlap of 0.5, background below it, 128 boxes
    /// per image (torchvision has 512), a quarter of them objects.
    pub box_samples: SamplingSettings,
    /// What the first part hands to the second in training.
    pub train_proposals: ProposalSettings,
    /// What the first part hands to the second in prediction.
    pub predict_proposals: ProposalSettings,
    /// A file of parameters that training begins with (safetensors, or a PyTorch checkpoint): of the encoder, with
    /// torchvision's or timm's names, or of a whole detector, such as torchvision's of COCO. Default random ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pretrained: Option<PathBuf>,
}

/// Which boxes are learned from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamplingSettings {
    /// A box that overlaps an object by as much or more is that object (intersection over union).
    pub object: f64,
    /// A box that overlaps every object by less is background. What lies between is not learned from.
    pub background: f64,
    /// The most boxes of an image.
    pub samples: usize,
    /// The largest share of them that are objects.
    pub objects: f64,
}

/// Which proposals are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProposalSettings {
    /// The most anchors of each level, those with the highest scores. Default 2000; torchvision predicts with 1000.
    pub candidates: usize,
    /// Of proposals of a level that overlap by more, the one with the highest score stays. Default 0.7.
    pub suppression: f64,
    /// The most proposals of an image that stay: also the most objects of one class that are found in an image or
    /// tile. Default 2000; torchvision predicts with 1000.
    pub kept: usize,
}

impl Default for ProposalSettings {
    fn default() -> Self {
        Self {
            candidates: 2000,
            suppression: 0.7,
            kept: 2000,
        }
    }
}

impl Default for FasterRcnnConfig {
    fn default() -> Self {
        Self {
            encoder: EncoderName::Resnet18,
            encoder_width: None,
            frozen_norms: false,
            finest: 4,
            width: 128,
            hidden: 256,
            anchor_size: 16,
            anchor_ratios: vec![0.5, 1.0, 2.0],
            anchor_samples: SamplingSettings {
                object: 0.7,
                background: 0.3,
                samples: 256,
                objects: 0.5,
            },
            box_samples: SamplingSettings {
                object: 0.5,
                background: 0.5,
                samples: 128,
                objects: 0.25,
            },
            train_proposals: ProposalSettings::default(),
            predict_proposals: ProposalSettings::default(),
            pretrained: None,
        }
    }
}

/// A detector in two parts (Ren et al., arXiv 1506.01497) on a feature pyramid (Lin et al., arXiv 1612.03144), as
/// torchvision 0.24 builds it, with its parameter names: the first part says of anchors, boxes of some sizes and
/// shapes at every location, whether they are objects and how to move their sides; the second looks at the features
/// of the boxes so proposed, says what they are and moves their sides once more.
///
/// Proposals are chosen between the parts, by whoever calls them: see [`propose`](Self::propose) and
/// [`classify`](Self::classify).
#[derive(Module, Debug)]
pub struct FasterRcnn {
    backbone: Backbone,
    rpn: ProposalNetwork,
    roi_heads: RegionHeads,
    #[module(skip)]
    config: FasterRcnnConfig,
    #[module(skip)]
    classes: usize,
}

/// What the first part says.
#[derive(Debug, Clone)]
pub struct FasterRcnnProposals {
    /// The features of the levels, the finest first.
    pub levels: Vec<Tensor<4>>,
    /// Scores of each anchor, before the sigmoid, `[n, anchors, 1]`: levels follow each other, locations row by row,
    /// the anchors of a location in the order of their ratios.
    pub objectness: Tensor<3>,
    /// How to move and scale each anchor, `[n, anchors, 4]`: to the right and down, in widths and heights of the
    /// anchor, and the logarithms of what width and height are multiplied by.
    pub offsets: Tensor<3>,
}

/// What the second part says.
#[derive(Debug, Clone)]
pub struct FasterRcnnOutput {
    /// Scores of the background and of each class, before the softmax, `[regions, 1 + classes]`.
    pub classes: Tensor<2>,
    /// How to move and scale each region if it is of a class (of the background: anything), `[regions, 1 + classes,
    /// 4]`: ten times the first two, five times the last two numbers of anchors.
    pub offsets: Tensor<3>,
}

impl FasterRcnnConfig {
    /// What height and width of images must be multiples of.
    pub fn multiple(&self) -> usize {
        EncoderConfig::MULTIPLE
    }

    /// The side of the cells of each level, in pixels. A level divides an image into ⌈height / side⌉ rows of
    /// ⌈width / side⌉ locations.
    pub fn strides(&self) -> Vec<usize> {
        Backbone::strides(self.finest, ExtraLevels::EverySecond)
    }

    /// What is wrong with the sizes, if anything.
    pub fn problem(&self) -> Option<(&'static str, String, &'static str)> {
        let wrong = |name, value: String, reason| Some((name, value, reason));
        if !matches!(self.finest, 4 | 8 | 16 | 32) {
            let reason = "expected 4, 8, 16 or 32";
            return wrong("finest", self.finest.to_string(), reason);
        }
        for (name, value) in [
            ("width", self.width),
            ("encoder_width", self.encoder_width.unwrap_or(1)),
            ("hidden", self.hidden),
            ("anchor_size", self.anchor_size),
            ("anchor_samples.samples", self.anchor_samples.samples),
            ("box_samples.samples", self.box_samples.samples),
            (
                "train_proposals.candidates",
                self.train_proposals.candidates,
            ),
            ("train_proposals.kept", self.train_proposals.kept),
            (
                "predict_proposals.candidates",
                self.predict_proposals.candidates,
            ),
            ("predict_proposals.kept", self.predict_proposals.kept),
        ] {
            if value == 0 {
                return wrong(name, value.to_string(), "expected at least 1");
            }
        }
        let ratio = |ratio: &f64| (0.05..=20.0).contains(ratio);
        if self.anchor_ratios.is_empty() || !self.anchor_ratios.iter().all(ratio) {
            let reason = "expected one or more numbers from 0.05 to 20";
            return wrong("anchor_ratios", format!("{:?}", self.anchor_ratios), reason);
        }
        for (name, suppression) in [
            (
                "train_proposals.suppression",
                self.train_proposals.suppression,
            ),
            (
                "predict_proposals.suppression",
                self.predict_proposals.suppression,
            ),
        ] {
            if !(0.0..1.0).contains(&suppression) {
                let reason = "expected at least 0 and less than 1";
                return wrong(name, suppression.to_string(), reason);
            }
        }
        for (name, sampling) in [
            ("anchor_samples", self.anchor_samples),
            ("box_samples", self.box_samples),
        ] {
            let SamplingSettings {
                object,
                background,
                objects,
                ..
            } = sampling;
            if !(background > 0.0 && background <= object && object <= 1.0) {
                let reason = "expected 0 < background ≤ object ≤ 1";
                return wrong(name, format!("{background} and {object}"), reason);
            }
            if !(0.0..=1.0).contains(&objects) {
                let reason = "expected a share of objects from 0 to 1";
                return wrong(name, objects.to_string(), reason);
            }
        }
        if self.frozen_norms && self.pretrained.is_none() {
            let reason = "only what is `pretrained` has statistics to keep";
            return wrong("frozen_norms", true.to_string(), reason);
        }
        None
    }

    /// The network with random parameters, for images of so many channels.
    ///
    /// # Panics
    /// When the sizes have a [problem](Self::problem).
    pub fn init(&self, channels: usize, classes: usize, start: &mut Start) -> FasterRcnn {
        let encoder = self.encoder.config().with_channels(channels);
        let encoder = match self.encoder_width {
            Some(width) => encoder.with_width(width),
            None => encoder,
        };
        FasterRcnn::new(&encoder, self, classes, start)
    }
}

impl FasterRcnn {
    /// A network around an encoder of any size; that of `config` is not looked at.
    ///
    /// # Panics
    /// When the sizes have a [problem](FasterRcnnConfig::problem).
    pub fn new(
        encoder: &EncoderConfig,
        config: &FasterRcnnConfig,
        classes: usize,
        start: &mut Start,
    ) -> Self {
        let backbone = start.with_frozen_norms(config.frozen_norms, |start| {
            let extra = ExtraLevels::EverySecond;
            Backbone::new(encoder, config.finest, config.width, extra, start)
        });
        Self {
            backbone,
            rpn: ProposalNetwork {
                head: ProposalHead::new(config, start),
            },
            roi_heads: RegionHeads {
                box_head: BoxHead::new(config, start),
                box_predictor: BoxPredictor::new(config, classes, start),
            },
            config: config.clone(),
            classes,
        }
    }

    /// How it was made.
    pub fn config(&self) -> &FasterRcnnConfig {
        &self.config
    }

    /// How many classes of objects it tells apart.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Replaces the parameters of the encoder; a classifier in the file is left out. If the file holds a whole
    /// detector of torchvision, all is replaced but for what depends on the classes, unless there are as many. Masks
    /// and key points are left out.
    ///
    /// torchvision predicts with its own file of COCO (2019) without the 1e-5 that batch normalisation adds to
    /// variances; here it is added, as in all other files.
    ///
    /// # Errors
    /// When the file holds another network.
    pub fn load_encoder(mut self, weights: &Weights) -> Result<Self, WeightsError> {
        if !weights.names().any(|name| name.starts_with("backbone.")) {
            self.backbone = self.backbone.load_encoder(weights)?;
            return Ok(self);
        }
        let heads = weights.part("roi_heads.");
        self.backbone = load(self.backbone, &weights.part("backbone."), "the backbone")?;
        self.rpn = load(self.rpn, &weights.part("rpn."), "the proposal network")?;
        let RegionHeads {
            box_head,
            box_predictor,
        } = self.roi_heads;
        let scores = heads.tensor("box_predictor.cls_score.bias");
        let same_classes = scores.is_some_and(|scores| scores.shape == [1 + self.classes]);
        self.roi_heads = RegionHeads {
            box_head: load(box_head, &heads.part("box_head."), "the head of boxes")?,
            box_predictor: match same_classes {
                true => load(
                    box_predictor,
                    &heads.part("box_predictor."),
                    "the predictor",
                )?,
                false => box_predictor,
            },
        };
        Ok(self)
    }

    /// The features of images `[n, height, width, channels]`, and what each anchor says.
    ///
    /// # Panics
    /// When height or width is no multiple of 32.
    pub fn propose(&self, images: Tensor<4>) -> FasterRcnnProposals {
        let levels = self.backbone.forward(images);
        let answers = levels
            .iter()
            .map(|level| self.rpn.head.forward(level.clone()));
        let (objectness, offsets) = answers.map(|[scores, offsets]| (scores, offsets)).unzip();
        FasterRcnnProposals {
            levels,
            objectness: Tensor::cat(objectness, 1),
            offsets: Tensor::cat(offsets, 1),
        }
    }

    /// What regions of the images are, by the features that [`propose`](Self::propose) gave.
    ///
    /// # Panics
    /// When there are no regions, or they are not in the order of their images.
    pub fn classify(&self, levels: &[Tensor<4>], regions: &[Region]) -> FasterRcnnOutput {
        // The coarsest level has anchors, but regions are not looked up in it.
        let strides = self.config.strides();
        let looked_up = strides.len() - 1;
        let options = RoiAlignOptions::default();
        let (levels, strides) = (&levels[..looked_up], &strides[..looked_up]);
        let pooled = multi_scale_roi_align(levels, strides, regions, options);
        let RegionHeads {
            box_head,
            box_predictor,
        } = &self.roi_heads;
        let hidden = box_head.forward(pooled);
        let offsets = box_predictor.bbox_pred.forward(hidden.clone());
        FasterRcnnOutput {
            classes: box_predictor.cls_score.forward(hidden),
            offsets: offsets.reshape([regions.len(), 1 + self.classes, 4]),
        }
    }
}

/// Reads a part of a detector, also from a file of torchvision before 0.13, where what is now a list of layers was one
/// layer: `conv.0.0.weight` is `conv.weight` there.
fn load<M: Module>(part: M, weights: &Weights, what: &str) -> Result<M, WeightsError> {
    let name = |path: &str| {
        let (layer, parameter) = path.rsplit_once('.').unwrap_or_default();
        std::iter::successors(Some(layer), |layer| layer.strip_suffix(".0"))
            .map(|layer| format!("{layer}.{parameter}"))
            .find(|name| weights.tensor(name).is_some())
            .unwrap_or_else(|| path.to_owned())
    };
    weights.load_into(part, what, name)
}

#[derive(Module, Debug)]
struct ProposalNetwork {
    head: ProposalHead,
}

#[derive(Module, Debug)]
struct ProposalHead {
    conv: [[Convolution; 1]; 1],
    cls_logits: Convolution,
    bbox_pred: Convolution,
}

impl ProposalHead {
    fn new(config: &FasterRcnnConfig, start: &mut Start) -> Self {
        let anchors = config.anchor_ratios.len();
        let mut layer = |outputs: usize, kernel: usize| {
            // torchvision's deviation of the first filters.
            Convolution::normal([config.width, outputs], kernel, 0.01, start)
                .with_constant_bias(0.0, start)
        };
        Self {
            conv: [[layer(config.width, 3)]],
            cls_logits: layer(anchors, 1),
            bbox_pred: layer(4 * anchors, 1),
        }
    }

    /// Objectness and offsets of the anchors of a level, `[n, anchors, 1]` and `[n, anchors, 4]`.
    fn forward(&self, level: Tensor<4>) -> [Tensor<3>; 2] {
        let [n, height, width, _] = level.dims();
        let [[convolution]] = &self.conv;
        let hidden = relu(convolution.forward(level));
        let anchors = |answers: Tensor<4>, values: usize| {
            let [.., channels] = answers.dims();
            answers.reshape([n, height * width * channels / values, values])
        };
        [
            anchors(self.cls_logits.forward(hidden.clone()), 1),
            anchors(self.bbox_pred.forward(hidden), 4),
        ]
    }
}

#[derive(Module, Debug)]
struct RegionHeads {
    box_head: BoxHead,
    box_predictor: BoxPredictor,
}

#[derive(Module, Debug)]
struct BoxHead {
    fc6: FullyConnected,
    fc7: FullyConnected,
}

impl BoxHead {
    fn new(config: &FasterRcnnConfig, start: &mut Start) -> Self {
        let [rows, columns] = RoiAlignOptions::default().bins;
        Self {
            fc6: FullyConnected::new([config.width * rows * columns, config.hidden], start),
            fc7: FullyConnected::new([config.hidden; 2], start),
        }
    }

    fn forward(&self, pooled: Tensor<4>) -> Tensor<2> {
        let [regions, rows, columns, channels] = pooled.dims();
        // PyTorch's matrix takes channels first.
        let pooled = pooled.permute([0, 3, 1, 2]);
        let values = pooled.reshape([regions, channels * rows * columns]);
        relu(self.fc7.forward(relu(self.fc6.forward(values))))
    }
}

#[derive(Module, Debug)]
struct BoxPredictor {
    cls_score: FullyConnected,
    bbox_pred: FullyConnected,
}

impl BoxPredictor {
    fn new(config: &FasterRcnnConfig, classes: usize, start: &mut Start) -> Self {
        let outputs = 1 + classes;
        Self {
            cls_score: FullyConnected::new([config.hidden, outputs], start),
            bbox_pred: FullyConnected::new([config.hidden, 4 * outputs], start),
        }
    }
}
