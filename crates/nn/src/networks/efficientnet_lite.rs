use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::Tensor;

use crate::error::WeightsError;
use crate::layers::{BatchNorm, Convolution, Start};
use crate::operators::{Activation, add};
use crate::weights::Weights;

/// The size of an [`EfficientNetLite`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EfficientNetLiteConfig {
    /// Channels of the images. Default 3.
    pub channels: usize,
    /// Channels after the first convolution. Default 32.
    pub stem: usize,
    /// The blocks.
    pub stages: Vec<Stage>,
    /// Whose network it is.
    pub origin: Origin,
    /// How many of the last features keep the size of the one before; filters are spread instead, as
    /// segmentation_models_pytorch does. Default 0.
    pub dilated: usize,
}

/// A run of equal blocks; the first has the stride and the change of channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// The number of blocks.
    pub repeats: usize,
    /// The side of the depthwise filters, 3 or 5.
    pub kernel: usize,
    /// The stride of the first block, 1 or 2.
    pub stride: usize,
    /// Hidden channels per input channel; 1 leaves the expansion out.
    pub expansion: usize,
    /// Output channels.
    pub outputs: usize,
}

/// Whose network it is: trained parameters fit only the zeros around images and the constants of batch norm that
/// they were trained with, and nothing in a file tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The original, and `tf_efficientnet_lite0` in timm: TensorFlow's SAME padding, 1e-3 is added to variances, and a
    /// new batch has a share of 0.01 in the running ones (in timm of 0.1).
    TensorFlow,
    /// `efficientnet_lite0` in timm: as many zeros on either side, and PyTorch's constants. Also
    /// `timm-tf_efficientnet_lite0` in segmentation_models_pytorch, whose parameters are nevertheless the original's.
    Timm,
}

/// EfficientNet-Lite (Tan and Le, arXiv 1905.11946; Liu, *Higher accuracy on vision models with EfficientNet-Lite*,
/// TensorFlow blog, 2020) without its head and classifier, with timm's parameter names. Unlike the EfficientNets it
/// has no squeeze-and-excitation, and ReLU6 instead of swish.
///
/// ```text
/// stem   3×3 convolution /2, batch norm, ReLU6
/// block  1×1 convolution that expands, norm, ReLU6; depthwise convolution /s, norm, ReLU6; 1×1 convolution, norm;
///        plus the input where sizes are equal (Sandler et al., MobileNetV2, arXiv 1801.04381)
/// ```
#[derive(Module, Debug)]
pub struct EfficientNetLite {
    pub(crate) conv_stem: Convolution,
    pub(crate) bn1: BatchNorm,
    pub(crate) blocks: Vec<Vec<Block>>,
    /// The feature that each stage ends in.
    #[module(skip)]
    levels: Vec<usize>,
}

impl EfficientNetLiteConfig {
    /// EfficientNet-Lite0.
    pub fn lite0(origin: Origin) -> Self {
        let stage = |repeats, kernel, stride, expansion, outputs| Stage {
            repeats,
            kernel,
            stride,
            expansion,
            outputs,
        };
        Self {
            channels: 3,
            stem: 32,
            stages: vec![
                stage(1, 3, 1, 1, 16),
                stage(2, 3, 2, 6, 24),
                stage(2, 5, 2, 6, 40),
                stage(3, 3, 2, 6, 80),
                stage(3, 5, 1, 6, 112),
                stage(4, 5, 2, 6, 192),
                stage(1, 3, 1, 6, 320),
            ],
            origin,
            dilated: 0,
        }
    }

    /// The same with so many channels after the stem, and all others in proportion, rounded as the original rounds
    /// them: to multiples of 8, and down by no more than a tenth.
    pub fn with_width(mut self, stem: usize) -> Self {
        for stage in &mut self.stages {
            let exact = stage.outputs as f64 * stem as f64 / self.stem as f64;
            let rounded = ((exact + 4.0) as usize / 8 * 8).max(8);
            let too_few = (rounded as f64) < 0.9 * exact;
            stage.outputs = if too_few { rounded + 8 } else { rounded };
        }
        self.stem = stem;
        self
    }

    /// Channels of the images that [`EfficientNetLite::features`] gives.
    pub fn features(&self) -> [usize; 5] {
        let mut features = [self.stem; 5];
        for (stage, level) in self.stages.iter().zip(self.levels()) {
            if level > 0 {
                features[level..].fill(stage.outputs);
            }
        }
        features
    }

    /// The same without the stages after so many features, 1 to 5.
    pub(super) fn with_depth(mut self, depth: usize) -> Self {
        let kept = self.levels().iter().filter(|&&level| level < depth).count();
        self.stages.truncate(kept);
        self
    }

    /// How often an image has been halved after each stage, the stem's halving apart.
    fn levels(&self) -> Vec<usize> {
        let halves = self.stages.iter().map(|stage| stage.stride / 2);
        let levels = halves.scan(0, |level, halves| {
            *level += halves;
            Some(*level)
        });
        levels.collect()
    }

    /// Channels after the last stage.
    pub(crate) fn outputs(&self) -> usize {
        self.stages.last().map_or(self.stem, |stage| stage.outputs)
    }

    /// The network with random parameters.
    ///
    /// # Panics
    /// When more than four stages have a stride of 2.
    pub fn init(&self, start: &mut Start) -> EfficientNetLite {
        let levels = self.levels();
        assert!(
            levels.iter().all(|&level| level <= 4),
            "at most four stages with a stride of 2"
        );
        let stem = Convolution::new([self.channels, self.stem], 3, start)
            .with(|options| options.stride = [2; 2]);
        let conv_stem = self.origin.pad(stem);
        let bn1 = self.origin.norm(self.stem, start);
        let mut inputs = self.stem;
        let mut blocks = Vec::new();
        for (stage, &level) in self.stages.iter().zip(&levels) {
            // Each feature that keeps its size doubles the distance between the taps of its filters.
            let dilation = 1 << (level + self.dilated).saturating_sub(4);
            let repeats = 0..stage.repeats;
            let block = |repeat| {
                let stride = if repeat == 0 { stage.stride } else { 1 };
                let block = Block::new(inputs, stride, dilation, stage, self.origin, start);
                inputs = stage.outputs;
                block
            };
            blocks.push(repeats.map(block).collect());
        }
        EfficientNetLite {
            conv_stem,
            bn1,
            blocks,
            levels,
        }
    }
}

impl Origin {
    fn pad(self, convolution: Convolution) -> Convolution {
        match self {
            Self::TensorFlow => convolution.with_same_padding(),
            Self::Timm => convolution,
        }
    }

    pub(crate) fn norm(self, channels: usize, start: &mut Start) -> BatchNorm {
        let norm = BatchNorm::new(channels, start);
        match self {
            Self::TensorFlow => norm.with_constants(1e-3, 0.01),
            Self::Timm => norm,
        }
    }
}

impl EfficientNetLite {
    /// Replaces the parameters by those of a file with the names of timm or of the package
    /// `efficientnet_lite_pytorch`; left out are a head and a classifier in the file, and the stages of Lite0 that
    /// this network lacks. `network` names the network in messages.
    ///
    /// # Errors
    /// When the file holds another network.
    pub fn load(self, weights: &Weights, network: &str) -> Result<Self, WeightsError> {
        let weights = [
            "conv_head.",
            "bn2.",
            "classifier.",
            "_conv_head.",
            "_bn1.",
            "_fc.",
        ]
        .map(str::to_owned)
        .into_iter()
        .chain(self.absent_blocks())
        .fold(weights.clone(), |weights, name| weights.without(&name));
        if weights.tensor("_conv_stem.weight").is_none() {
            return weights.load_into(self, network, str::to_owned);
        }
        let names = self.package_names();
        weights.load_into(self, network, |path| names.of(path))
    }

    /// What the names of the parameters begin with that Lite0's further stages would have.
    fn absent_blocks(&self) -> impl Iterator<Item = String> {
        let whole = EfficientNetLiteConfig::lite0(Origin::Timm).stages;
        let blocks: usize = whole.iter().map(|stage| stage.repeats).sum();
        let own: usize = self.blocks.iter().map(Vec::len).sum();
        let stages = (self.blocks.len()..whole.len()).map(|stage| format!("blocks.{stage}."));
        stages.chain((own..blocks).map(|block| format!("_blocks.{block}.")))
    }

    /// Images `[n, height, width, channels]` to images of 1/32 of their size (rounded up).
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let blocks = self.blocks.iter().flatten();
        blocks.fold(self.stem(images), |hidden, block| block.forward(hidden))
    }

    /// Images `[n, height, width, channels]` to images of 1/2, 1/4, 1/8, 1/16 and 1/32 of their size (rounded up;
    /// larger where filters are spread): the stem's, and the last of each smaller size.
    pub fn features(&self, images: Tensor<4>) -> [Tensor<4>; 5] {
        let mut hidden = self.stem(images);
        let mut features = std::array::from_fn(|_| hidden.clone());
        for (blocks, &level) in self.blocks.iter().zip(&self.levels) {
            for block in blocks {
                hidden = block.forward(hidden);
            }
            if level > 0 {
                features[level..].fill(hidden.clone());
            }
        }
        features
    }

    fn stem(&self, images: Tensor<4>) -> Tensor<4> {
        self.conv_stem
            .forward_normalized(images, &self.bn1, Activation::Relu6)
    }

    pub(crate) fn package_names(&self) -> PackageNames {
        let mut names = PackageNames::default();
        names.add("conv_stem", "_conv_stem");
        names.add("bn1", "_bn0");
        let mut number = 0;
        for (stage, blocks) in self.blocks.iter().enumerate() {
            for (repeat, block) in blocks.iter().enumerate() {
                for (layer, package) in block.package_names() {
                    names.add(
                        &format!("blocks.{stage}.{repeat}.{layer}"),
                        &format!("_blocks.{number}._{package}"),
                    );
                }
                number += 1;
            }
        }
        names
    }
}

/// What layers are called in the package `efficientnet_lite_pytorch`, by timm's names: it numbers blocks through
/// from the first to the last, and norms within a block from 0 where there is an expansion.
#[derive(Debug, Default)]
pub(crate) struct PackageNames(BTreeMap<String, String>);

impl PackageNames {
    pub(crate) fn add(&mut self, timm: &str, package: &str) {
        self.0.insert(timm.to_owned(), package.to_owned());
    }

    /// The name of a parameter.
    pub(crate) fn of(&self, path: &str) -> String {
        let renamed = path
            .rsplit_once('.')
            .and_then(|(layer, parameter)| Some(format!("{}.{parameter}", self.0.get(layer)?)));
        renamed.unwrap_or_else(|| path.to_owned())
    }
}

/// A block, in timm's two kinds, which give the same layers other names.
#[derive(Module, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "few blocks are of the smaller kind"
)]
pub(crate) enum Block {
    DepthwiseSeparable(DepthwiseSeparable),
    InvertedResidual(InvertedResidual),
}

#[derive(Module, Debug)]
pub(crate) struct DepthwiseSeparable {
    conv_dw: Convolution,
    bn1: BatchNorm,
    conv_pw: Convolution,
    bn2: BatchNorm,
    #[module(skip)]
    adds_input: bool,
}

#[derive(Module, Debug)]
pub(crate) struct InvertedResidual {
    conv_pw: Convolution,
    bn1: BatchNorm,
    conv_dw: Convolution,
    bn2: BatchNorm,
    conv_pwl: Convolution,
    bn3: BatchNorm,
    #[module(skip)]
    adds_input: bool,
}

/// The layers of a block by what they do: each a convolution and its norm.
pub(crate) struct Layers<'a> {
    pub(crate) expand: Option<(&'a Convolution, &'a BatchNorm)>,
    pub(crate) depthwise: (&'a Convolution, &'a BatchNorm),
    pub(crate) project: (&'a Convolution, &'a BatchNorm),
    /// The input is added where the block changes neither size nor channels.
    pub(crate) adds_input: bool,
}

impl Block {
    fn new(
        inputs: usize,
        stride: usize,
        dilation: usize,
        stage: &Stage,
        origin: Origin,
        start: &mut Start,
    ) -> Self {
        let hidden = inputs * stage.expansion;
        let adds_input = stride == 1 && inputs == stage.outputs;
        let depthwise = |start: &mut Start| {
            let filters = Convolution::new([1, hidden], stage.kernel, start);
            origin.pad(filters.with(|options| {
                options.depthwise = true;
                options.stride = [if dilation == 1 { stride } else { 1 }; 2];
                options.dilation = [dilation; 2];
                options.padding = [[stage.kernel / 2 * dilation; 2]; 2];
            }))
        };
        let outputs = stage.outputs;
        if stage.expansion == 1 {
            return Self::DepthwiseSeparable(DepthwiseSeparable {
                conv_dw: depthwise(start),
                bn1: origin.norm(hidden, start),
                conv_pw: Convolution::new([hidden, outputs], 1, start),
                bn2: origin.norm(outputs, start),
                adds_input,
            });
        }
        Self::InvertedResidual(InvertedResidual {
            conv_pw: Convolution::new([inputs, hidden], 1, start),
            bn1: origin.norm(hidden, start),
            conv_dw: depthwise(start),
            bn2: origin.norm(hidden, start),
            conv_pwl: Convolution::new([hidden, outputs], 1, start),
            bn3: origin.norm(outputs, start),
            adds_input,
        })
    }

    pub(crate) fn layers(&self) -> Layers<'_> {
        match self {
            Self::DepthwiseSeparable(block) => Layers {
                expand: None,
                depthwise: (&block.conv_dw, &block.bn1),
                project: (&block.conv_pw, &block.bn2),
                adds_input: block.adds_input,
            },
            Self::InvertedResidual(block) => Layers {
                expand: Some((&block.conv_pw, &block.bn1)),
                depthwise: (&block.conv_dw, &block.bn2),
                project: (&block.conv_pwl, &block.bn3),
                adds_input: block.adds_input,
            },
        }
    }

    /// timm's names of the layers and those of the package.
    fn package_names(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::DepthwiseSeparable(_) => &[
                ("conv_dw", "depthwise_conv"),
                ("bn1", "bn1"),
                ("conv_pw", "project_conv"),
                ("bn2", "bn2"),
            ],
            Self::InvertedResidual(_) => &[
                ("conv_pw", "expand_conv"),
                ("bn1", "bn0"),
                ("conv_dw", "depthwise_conv"),
                ("bn2", "bn1"),
                ("conv_pwl", "project_conv"),
                ("bn3", "bn2"),
            ],
        }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let layers = self.layers();
        let run = |(convolution, norm): (&Convolution, &BatchNorm), images, activation| {
            convolution.forward_normalized(images, norm, activation)
        };
        let mut hidden = images.clone();
        if let Some(expand) = layers.expand {
            hidden = run(expand, hidden, Activation::Relu6);
        }
        hidden = run(layers.depthwise, hidden, Activation::Relu6);
        hidden = run(layers.project, hidden, Activation::Identity);
        if layers.adds_input {
            add(hidden, images, Activation::Identity)
        } else {
            hidden
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_rounded_as_the_original_rounds_them() {
        let outputs = |stem| {
            let config = EfficientNetLiteConfig::lite0(Origin::TensorFlow).with_width(stem);
            let outputs = config.stages.iter().map(|stage| stage.outputs);
            outputs.collect::<Vec<_>>()
        };
        assert_eq!(outputs(32), [16, 24, 40, 80, 112, 192, 320]);
        assert_eq!(outputs(16), [8, 16, 24, 40, 56, 96, 160]);
        // 10 rounded to 8 would lose a fifth.
        assert_eq!(outputs(8), [8, 8, 16, 24, 32, 48, 80]);
    }
}
