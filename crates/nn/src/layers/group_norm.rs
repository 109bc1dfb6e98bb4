use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::Start;
use crate::operators::{Activation, GroupNormalization, group_normalize};

/// Normalisation of groups of channels of each image by their own mean and variance; PyTorch's `GroupNorm`.
#[derive(Module, Debug)]
pub struct GroupNorm {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
    #[module(skip)]
    groups: usize,
    #[module(skip)]
    epsilon: f64,
}

impl GroupNorm {
    /// For so many channels in so many groups, with PyTorch's constant: 1e-5 is added to the variance.
    pub fn new(channels: usize, groups: usize, start: &mut Start) -> Self {
        Self {
            weight: start.constant(1.0, channels),
            bias: start.constant(0.0, channels),
            groups,
            epsilon: 1e-5,
        }
    }

    /// Images `[n, height, width, channels]`, normalised, and an activation.
    ///
    /// # Panics
    /// When the images have other channels, or the groups do not divide them.
    pub fn forward(&self, images: Tensor<4>, activation: Activation) -> Tensor<4> {
        let by = GroupNormalization {
            groups: self.groups,
            epsilon: self.epsilon,
            activation,
        };
        group_normalize(images, self.weight.val(), self.bias.val(), by)
    }
}
