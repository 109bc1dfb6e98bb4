use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::layers::{BatchNorm, Convolution, Start, TransposedConvolution};
use crate::operators::{Activation, PoolingOptions, join, max_pooling};

/// The widths of a [`UNet`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UNetConfig {
    /// Channels of each level, the finest first; every level halves height and width. Default 32, 64, 128, 256.
    pub widths: Vec<usize>,
}

impl Default for UNetConfig {
    fn default() -> Self {
        Self {
            widths: vec![32, 64, 128, 256],
        }
    }
}

/// U-Net (Ronneberger, Fischer and Brox, arXiv 1505.04597) as it is built today: convolutions keep the size
/// of their images and are followed by batch normalisation.
///
/// ```text
/// block  3×3 convolution, norm, ReLU, twice
/// down   a block on each level, 2×2 max pooling between them
/// up     2×2 transposed convolution, joined to the block of the same size (that one first), a block
/// head   1×1 convolution
/// ```
#[derive(Module, Debug)]
pub struct UNet {
    encoder: Vec<Block>,
    up: Vec<TransposedConvolution>,
    decoder: Vec<Block>,
    head: Convolution,
}

impl UNetConfig {
    /// The factor that height and width of images must be multiples of.
    pub fn multiple(&self) -> usize {
        1 << self.widths.len().saturating_sub(1)
    }

    /// The network with random parameters, for images of so many channels.
    pub fn init(&self, channels: usize, classes: usize, start: &mut Start) -> UNet {
        let mut inputs = channels;
        let mut encoder = Vec::new();
        for &width in &self.widths {
            encoder.push(Block::new([inputs, width], start));
            inputs = width;
        }
        let (mut up, mut decoder) = (Vec::new(), Vec::new());
        for &width in self.widths.iter().rev().skip(1) {
            up.push(TransposedConvolution::doubling([inputs, width], start));
            decoder.push(Block::new([2 * width, width], start));
            inputs = width;
        }
        UNet {
            encoder,
            up,
            decoder,
            head: Convolution::new([inputs, classes], 1, start).with_bias(start),
        }
    }
}

impl UNet {
    /// Images `[n, height, width, channels]` to scores `[n, height, width, classes]`.
    ///
    /// # Panics
    /// When height or width is no multiple of [`UNetConfig::multiple`].
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        self.head.forward(self.features(images))
    }

    /// What the last layer gives scores by, `[n, height, width, features]`.
    pub(super) fn features(&self, images: Tensor<4>) -> Tensor<4> {
        let mut levels = Vec::new();
        let mut hidden = images;
        for block in &self.encoder {
            if !levels.is_empty() {
                hidden = max_pooling(hidden, PoolingOptions::side_by_side(2));
            }
            hidden = block.forward(hidden);
            levels.push(hidden.clone());
        }
        levels.pop();
        for ((up, block), level) in self
            .up
            .iter()
            .zip(&self.decoder)
            .zip(levels.into_iter().rev())
        {
            hidden = block.forward(join(level, up.forward(hidden)));
        }
        hidden
    }

    /// The last layer.
    pub(super) fn head(&self) -> &Convolution {
        &self.head
    }
}

#[derive(Module, Debug)]
struct Block {
    conv1: Convolution,
    bn1: BatchNorm,
    conv2: Convolution,
    bn2: BatchNorm,
}

impl Block {
    fn new([inputs, outputs]: [usize; 2], start: &mut Start) -> Self {
        Self {
            conv1: Convolution::new([inputs, outputs], 3, start),
            bn1: BatchNorm::new(outputs, start),
            conv2: Convolution::new([outputs, outputs], 3, start),
            bn2: BatchNorm::new(outputs, start),
        }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let hidden = self
            .conv1
            .forward_normalized(images, &self.bn1, Activation::Relu);
        self.conv2
            .forward_normalized(hidden, &self.bn2, Activation::Relu)
    }
}
