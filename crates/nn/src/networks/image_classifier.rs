//! Classes of images from their pixels.

use burn::module::Module;
use burn::tensor::Tensor;

use super::{ImageEncoder, ImageEncoderConfig};
use crate::layers::{FullyConnected, Start};

/// An encoder and a linear layer on its embeddings, which learn together.
#[derive(Module, Debug)]
pub struct ImageClassifier {
    encoder: ImageEncoder,
    last: FullyConnected,
}

impl ImageClassifier {
    /// The network with random parameters, for square images of this side; see [`ImageEncoderConfig::problem`].
    pub fn new(
        config: &ImageEncoderConfig,
        side: usize,
        classes: usize,
        start: &mut Start,
    ) -> Self {
        Self {
            encoder: config.init(side, start),
            last: FullyConnected::new([config.dimension(), classes], start),
        }
    }

    /// Images `[n, height, width, 3]` to logits `[n, classes]`.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.last.forward(self.encoder.embed(images))
    }
}
