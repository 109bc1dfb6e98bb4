use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use super::{Encoder, EncoderConfig};
use crate::error::WeightsError;
use crate::layers::{Convolution, Start};
use crate::operators::{Activation, PoolingOptions, add, double, max_pooling};
use crate::weights::Weights;

/// An encoder with a feature pyramid on top, as torchvision's detectors have it, with its parameter names.
#[derive(Module, Debug)]
pub struct Backbone {
    body: Encoder,
    fpn: FeaturePyramid,
}

/// A feature pyramid (Lin et al., arXiv 1612.03144): coarse levels, which know what there is, are added to finer ones,
/// which know where.
#[derive(Module, Debug)]
pub struct FeaturePyramid {
    inner_blocks: Vec<[Convolution; 1]>,
    layer_blocks: Vec<[Convolution; 1]>,
    /// None where the extra level has no parameters.
    extra_blocks: Option<CoarserLevels>,
}

/// The levels of a pyramid beyond those of its encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtraLevels {
    /// Two, each by a convolution of stride 2 (Lin et al., arXiv 1708.02002): torchvision's `LastLevelP6P7`.
    Convolutions,
    /// One, of every second location of the coarsest: torchvision's `LastLevelMaxPool`.
    EverySecond,
}

impl ExtraLevels {
    fn count(self) -> usize {
        match self {
            Self::Convolutions => 2,
            Self::EverySecond => 1,
        }
    }
}

#[derive(Module, Debug)]
struct CoarserLevels {
    p6: Convolution,
    p7: Convolution,
}

impl Backbone {
    /// The side of the cells of each level, in pixels of the image, the finest first.
    ///
    /// # Panics
    /// When `finest` is not 4, 8, 16 or 32.
    pub fn strides(finest: usize, extra: ExtraLevels) -> Vec<usize> {
        assert!(
            matches!(finest, 4 | 8 | 16 | 32),
            "a finest stride of {finest}"
        );
        let levels = std::iter::successors(Some(finest), |stride| Some(2 * stride));
        levels
            .take_while(|&stride| stride <= EncoderConfig::MULTIPLE << extra.count())
            .collect()
    }

    /// With random parameters; all levels have `width` channels.
    ///
    /// # Panics
    /// When `finest` is not 4, 8, 16 or 32.
    pub fn new(
        encoder: &EncoderConfig,
        finest: usize,
        width: usize,
        extra: ExtraLevels,
        start: &mut Start,
    ) -> Self {
        let body = encoder.init(start);
        let levels = Self::strides(finest, extra).len() - extra.count();
        let inputs = &encoder.features()[5 - levels..];
        let mut layer = |inputs: usize, kernel: usize| {
            [Convolution::new([inputs, width], kernel, start).with_bias(start)]
        };
        let inner_blocks = inputs.iter().map(|&inputs| layer(inputs, 1)).collect();
        let layer_blocks = inputs.iter().map(|_| layer(width, 3)).collect();
        let mut halving = || {
            let [convolution] = layer(width, 3);
            convolution.with(|options| options.stride = [2; 2])
        };
        let extra_blocks = match extra {
            ExtraLevels::Convolutions => Some(CoarserLevels {
                p6: halving(),
                p7: halving(),
            }),
            ExtraLevels::EverySecond => None,
        };
        Self {
            body,
            fpn: FeaturePyramid {
                inner_blocks,
                layer_blocks,
                extra_blocks,
            },
        }
    }

    /// Replaces the parameters of the encoder; a classifier in the file is left out.
    ///
    /// # Errors
    /// When the file holds another network.
    pub fn load_encoder(mut self, weights: &Weights) -> Result<Self, WeightsError> {
        self.body = self.body.load(weights)?;
        Ok(self)
    }

    /// Images `[n, height, width, channels]` to the levels of the pyramid, the finest first.
    ///
    /// # Panics
    /// When height or width is no multiple of 32.
    pub fn forward(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let mut features = self.body.features(images).to_vec();
        self.fpn
            .forward(features.split_off(5 - self.fpn.inner_blocks.len()))
    }
}

impl FeaturePyramid {
    fn forward(&self, features: Vec<Tensor<4>>) -> Vec<Tensor<4>> {
        let mut levels = Vec::new();
        let mut above: Option<Tensor<4>> = None;
        let blocks = self.inner_blocks.iter().zip(&self.layer_blocks);
        for (features, (inner, layer)) in features.into_iter().zip(blocks).rev() {
            let mut hidden = inner[0].forward(features);
            if let Some(above) = above {
                hidden = add(hidden, double(above), Activation::Identity);
            }
            levels.push(layer[0].forward(hidden.clone()));
            above = Some(hidden);
        }
        levels.reverse();
        if let Some(coarsest) = levels.last().cloned() {
            match &self.extra_blocks {
                Some(CoarserLevels { p6, p7 }) => {
                    let sixth = p6.forward(coarsest);
                    let seventh = p7.forward(relu(sixth.clone()));
                    levels.extend([sixth, seventh]);
                }
                None => {
                    let every_second = PoolingOptions {
                        kernel: [1; 2],
                        stride: [2; 2],
                        padding: [0; 2],
                    };
                    levels.push(max_pooling(coarsest, every_second));
                }
            }
        }
        levels
    }
}
