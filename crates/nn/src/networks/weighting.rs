use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Encoder, EncoderConfig, EncoderName};
use crate::layers::{Convolution, Start};
use crate::operators::resize;

/// The encoder of a [`WeightingNetwork`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WeightingNetworkConfig {
    /// Which network sees the image. Default ResNet-18, the paper's.
    pub encoder: EncoderName,
    /// Channels after the encoder's first convolution; all others are in proportion. Default as pretrained parameters
    /// have them; fewer are faster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder_width: Option<usize>,
}

impl Default for WeightingNetworkConfig {
    fn default() -> Self {
        Self {
            encoder: EncoderName::Resnet18,
            encoder_width: None,
        }
    }
}

/// The weighting network of Xiao et al. (arXiv 2104.02602): an encoder whose classifier looks at every place of its
/// last features, and whose scores are enlarged to the size of the image (bilinear). What the scores are of, such as
/// experts who may be right there, is the caller's.
///
/// The paper has no layer from the encoder's features to as many scores as there are experts; here it is the
/// classifier of the encoder, as a 1×1 convolution.
#[derive(Module, Debug)]
pub struct WeightingNetwork {
    encoder: Encoder,
    classifier: Convolution,
}

impl WeightingNetworkConfig {
    /// What height and width of images must be multiples of.
    pub const MULTIPLE: usize = EncoderConfig::MULTIPLE;

    /// The network with random parameters, for images of three channels.
    pub fn init(&self, outputs: usize, start: &mut Start) -> WeightingNetwork {
        let encoder = match self.encoder_width {
            Some(width) => self.encoder.config().with_width(width),
            None => self.encoder.config(),
        };
        let [.., features] = encoder.features();
        WeightingNetwork {
            encoder: encoder.init(start),
            classifier: Convolution::new([features, outputs], 1, start).with_bias(start),
        }
    }
}

impl WeightingNetwork {
    /// Images `[n, height, width, 3]` to scores `[n, height, width, outputs]`.
    ///
    /// # Panics
    /// When height or width is no multiple of 32.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let [_, height, width, _] = images.dims();
        let [.., last] = self.encoder.features(images);
        resize(self.classifier.forward(last), [height, width], false)
    }
}
