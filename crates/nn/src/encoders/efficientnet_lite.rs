//! EfficientNet-Lite0 as a frozen encoder.
//!
//! Tan and Le, *EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks*, ICML
//! 2019 (arXiv 1905.11946); the Lite variant has no squeeze-and-excitation and ReLU6 instead of
//! swish (Liu, *Higher accuracy on vision models with EfficientNet-Lite*, TensorFlow blog, 2020).
//!
//! ```text
//! stem   3×3 convolution /2, batch norm, ReLU6                      3 → 32
//! block  [1×1 ×6, norm, ReLU6] → k×k depthwise /s, norm, ReLU6 → 1×1, norm [+ input]
//! head   1×1 convolution, batch norm, ReLU6                       320 → 1280
//! embedding = mean over positions                                  [n, 1280]
//! ```
//!
//! Convolutions pad as TensorFlow's SAME (for stride 2 the odd pixel goes right and down). Input is
//! 224 × 224, (value − 127) / 128, unless the weights file's `mean` and `std` entries say
//! otherwise. Parameters carry the names of the PyTorch package `efficientnet_lite_pytorch`.
//!
//! [`EfficientNetLite`] is the trainable network; [`EfficientNetLiteEncoder`] embeds with
//! [`inference`], which is the same function with folded batch norms.

pub mod inference;
mod kernels;

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor};
use image::RgbImage;
use ndarray::Array2;

use self::inference::{Inference, Scratch};
use super::{Encoder, embed_each};
use crate::error::{EncoderError, WeightsError};
use crate::preprocess::Preprocessing;
use crate::weights::Weights;

const NAME: &str = "efficientnet-lite0";
/// Part of the identity: raise it when embeddings change for the same weights and settings.
const VERSION: u32 = 1;
const INPUT_SIZE: u32 = 224;
const DEFAULT_MEAN: f32 = 127.0 / 255.0;
const DEFAULT_STD: f32 = 128.0 / 255.0;

/// A run of equal blocks; the first has the stride and the change of channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// The number of blocks.
    pub repeats: usize,
    /// The side of the depthwise kernel, 3 or 5.
    pub kernel: usize,
    /// The stride of the first block.
    pub stride: usize,
    /// Hidden channels per input channel; 1 leaves the expansion out.
    pub expansion: usize,
    /// Output channels.
    pub outputs: usize,
}

/// The widths of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EfficientNetLiteConfig {
    /// Channels after the stem.
    pub stem: usize,
    /// The blocks.
    pub stages: Vec<Stage>,
    /// Channels after the head: the length of the embedding.
    pub head: usize,
    /// Outputs of the classifier; `None` leaves it out.
    pub classes: Option<usize>,
}

impl EfficientNetLiteConfig {
    /// EfficientNet-Lite0.
    pub fn lite0(classes: Option<usize>) -> Self {
        let stage = |repeats, kernel, stride, expansion, outputs| Stage {
            repeats,
            kernel,
            stride,
            expansion,
            outputs,
        };
        Self {
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
            head: 1280,
            classes,
        }
    }

    /// The network with random parameters.
    pub fn init(&self, device: &Device) -> EfficientNetLite {
        let mut inputs = self.stem;
        let mut blocks = Vec::new();
        for stage in &self.stages {
            for repeat in 0..stage.repeats {
                let stride = if repeat == 0 { stage.stride } else { 1 };
                blocks.push(InvertedResidual::new(inputs, stride, stage, device));
                inputs = stage.outputs;
            }
        }
        EfficientNetLite {
            conv_stem: convolution([3, self.stem], 3, 2, 1, device),
            bn0: batch_norm(self.stem, device),
            blocks,
            conv_head: convolution([inputs, self.head], 1, 1, 1, device),
            bn1: batch_norm(self.head, device),
            fc: self
                .classes
                .map(|classes| LinearConfig::new(self.head, classes).init(device)),
        }
    }
}

fn convolution(
    channels: [usize; 2],
    kernel: usize,
    stride: usize,
    groups: usize,
    device: &Device,
) -> Conv2d {
    Conv2dConfig::new(channels, [kernel; 2])
        .with_stride([stride; 2])
        .with_groups(groups)
        .with_padding(PaddingConfig2d::Same)
        .with_bias(false)
        .init(device)
}

fn batch_norm(channels: usize, device: &Device) -> BatchNorm {
    // The original's constants; Burn's momentum weighs the new statistics, as PyTorch's does.
    BatchNormConfig::new(channels)
        .with_epsilon(1e-3)
        .with_momentum(0.01)
        .init(device)
}

fn relu6<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    tensor.clamp(0.0, 6.0)
}

/// A mobile inverted bottleneck (Sandler et al., MobileNetV2, arXiv 1801.04381).
#[derive(Module, Debug)]
pub struct InvertedResidual {
    expand_conv: Option<Conv2d>,
    bn0: Option<BatchNorm>,
    depthwise_conv: Conv2d,
    bn1: BatchNorm,
    project_conv: Conv2d,
    bn2: BatchNorm,
}

impl InvertedResidual {
    fn new(inputs: usize, stride: usize, stage: &Stage, device: &Device) -> Self {
        let hidden = inputs * stage.expansion;
        let expands = stage.expansion != 1;
        Self {
            expand_conv: expands.then(|| convolution([inputs, hidden], 1, 1, 1, device)),
            bn0: expands.then(|| batch_norm(hidden, device)),
            depthwise_conv: convolution([hidden; 2], stage.kernel, stride, hidden, device),
            bn1: batch_norm(hidden, device),
            project_conv: convolution([hidden, stage.outputs], 1, 1, 1, device),
            bn2: batch_norm(stage.outputs, device),
        }
    }

    /// [n, inputs, height, width] to [n, outputs, height / stride, width / stride], rounded up.
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let hidden = match (&self.expand_conv, &self.bn0) {
            (Some(convolution), Some(norm)) => {
                relu6(norm.forward(convolution.forward(input.clone())))
            }
            _ => input.clone(),
        };
        let hidden = relu6(self.bn1.forward(self.depthwise_conv.forward(hidden)));
        let output = self.bn2.forward(self.project_conv.forward(hidden));
        if self.has_residual() {
            output + input
        } else {
            output
        }
    }

    /// The input is added where the block changes neither size nor channels.
    fn has_residual(&self) -> bool {
        let inputs = match &self.expand_conv {
            Some(expand) => expand.weight.dims()[1],
            None => self.depthwise_conv.weight.dims()[0],
        };
        self.depthwise_conv.stride == [1, 1] && inputs == self.project_conv.weight.dims()[0]
    }
}

/// The trainable network.
#[derive(Module, Debug)]
pub struct EfficientNetLite {
    conv_stem: Conv2d,
    bn0: BatchNorm,
    blocks: Vec<InvertedResidual>,
    conv_head: Conv2d,
    bn1: BatchNorm,
    fc: Option<Linear>,
}

impl EfficientNetLite {
    /// EfficientNet-Lite0 with the parameters of a file. The classifier is optional in the file
    /// and may have any number of classes.
    ///
    /// # Errors
    /// When the file holds another network or any tensor does not fit.
    pub fn lite0(weights: &Weights, device: &Device) -> Result<Self, WeightsError> {
        let classes = weights
            .tensor("_fc.weight")
            .and_then(|tensor| tensor.shape.first().copied());
        EfficientNetLiteConfig::lite0(classes)
            .init(device)
            .load(weights, "EfficientNet-Lite0")
    }

    /// Replaces every parameter by the file's; `network` names the network in messages.
    ///
    /// # Errors
    /// When any tensor does not fit.
    pub fn load(self, weights: &Weights, network: &str) -> Result<Self, WeightsError> {
        weights.load_into(self, network, pytorch_name)
    }

    /// Images [n, 3, height, width] to embeddings [n, head].
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let mut hidden = relu6(self.bn0.forward(self.conv_stem.forward(images)));
        for block in &self.blocks {
            hidden = block.forward(hidden);
        }
        let features = relu6(self.bn1.forward(self.conv_head.forward(hidden)));
        let [images, channels, ..] = features.dims();
        features
            .reshape([images as i32, channels as i32, -1])
            .mean_dim(2)
            .squeeze_dim(2)
    }

    /// Embeddings [n, head] to logits [n, classes]; `None` without a classifier.
    pub fn classify(&self, embeddings: Tensor<2>) -> Option<Tensor<2>> {
        self.fc.as_ref().map(|fc| fc.forward(embeddings))
    }
}

/// `blocks.0.bn1.weight` is `_blocks.0._bn1.weight` in the PyTorch package: modules have a leading
/// underscore, list indices and the parameters themselves have none.
fn pytorch_name(path: &str) -> String {
    let parts: Vec<&str> = path.split('.').collect();
    let last = parts.len() - 1;
    let renamed = parts.iter().enumerate().map(|(position, part)| {
        let module = position < last && !part.starts_with(|c: char| c.is_ascii_digit());
        if module {
            format!("_{part}")
        } else {
            (*part).to_owned()
        }
    });
    renamed.collect::<Vec<_>>().join(".")
}

/// Embeds images with frozen EfficientNet-Lite0: 1280 components, each in 0..=6.
#[derive(Debug)]
pub struct EfficientNetLiteEncoder {
    network: Inference,
    preprocessing: Preprocessing,
    identity: String,
}

impl EfficientNetLiteEncoder {
    /// An encoder with the weights of a file. The file's metadata entries `mean` and `std` (one or
    /// three numbers of the scale 0..=1, separated by commas) replace the default normalisation.
    ///
    /// # Errors
    /// When the weights are of another network, or the metadata cannot be understood.
    pub fn new(weights: &Weights, central_crop: Option<u32>) -> Result<Self, EncoderError> {
        let preprocessing = Preprocessing {
            central_crop,
            size: INPUT_SIZE,
            mean: channel_values(weights, "mean", DEFAULT_MEAN)?,
            std: channel_values(weights, "std", DEFAULT_STD)?,
        };
        let network = EfficientNetLite::lite0(weights, &Device::flex())?;
        let settings = format!("{NAME} {VERSION} {} {preprocessing:?}", weights.hash());
        Ok(Self {
            network: Inference::new(&network)?,
            preprocessing,
            identity: blake3::hash(settings.as_bytes()).to_hex().to_string(),
        })
    }

    /// What is done to each image before the network.
    pub fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }
}

fn channel_values(weights: &Weights, key: &str, default: f32) -> Result<[f32; 3], WeightsError> {
    let Some(text) = weights.metadata(key) else {
        return Ok([default; 3]);
    };
    let values: Vec<f32> = text
        .split(',')
        .filter_map(|part| part.trim().parse().ok())
        .filter(|value: &f32| value.is_finite() && (key != "std" || *value > 0.0))
        .collect();
    match (values.as_slice(), text.split(',').count()) {
        (&[value], 1) => Ok([value; 3]),
        (&[red, green, blue], 3) => Ok([red, green, blue]),
        _ => Err(WeightsError::Metadata {
            file: weights.file().to_owned(),
            key: key.to_owned(),
            value: text.to_owned(),
            expected: format!(
                "one or three {} numbers separated by commas",
                if key == "std" { "positive" } else { "finite" }
            ),
        }),
    }
}

impl Encoder for EfficientNetLiteEncoder {
    fn name(&self) -> &str {
        NAME
    }

    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn dimension(&self) -> usize {
        self.network.dimension()
    }

    fn embed(&self, images: &[RgbImage]) -> Result<Array2<f32>, EncoderError> {
        let side = self.preprocessing.size as usize;
        embed_each(
            images,
            self.dimension(),
            Scratch::default,
            |scratch, index, image| {
                let input = self.preprocessing.apply(image, index)?;
                Ok(self.network.embed(&input, side, side, scratch))
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_pytorch_package() {
        assert_eq!(pytorch_name("conv_stem.weight"), "_conv_stem.weight");
        assert_eq!(
            pytorch_name("blocks.10.depthwise_conv.weight"),
            "_blocks.10._depthwise_conv.weight"
        );
        assert_eq!(
            pytorch_name("blocks.3.bn2.running_var"),
            "_blocks.3._bn2.running_var"
        );
    }
}
