use std::collections::BTreeSet;
use std::fmt;

use super::checkpoint::{Checkpoint, Naming};
use super::{EncoderError, Pooling};
use crate::networks::{Positions, ResNetConfig, VisionTransformerConfig};
use crate::weights::Weights;

/// Values of a token for each head of the attention, of which there is at least one, unless a card says otherwise.
const HEAD_WIDTH: usize = 64;

/// What network an encoder is, as far as names and shapes of its tensors tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// A vision transformer.
    VisionTransformer(TransformerShape),
    /// A ResNet.
    ResNet {
        /// Channels of the first stage.
        width: usize,
        /// Blocks of each stage.
        blocks: [usize; 4],
        /// Whether blocks are bottlenecks.
        bottleneck: bool,
    },
}

/// What vision transformers differ in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransformerShape {
    /// Whose names the file has.
    pub naming: Naming,
    /// Values of a token.
    pub width: usize,
    /// Blocks.
    pub depth: usize,
    /// Side of a patch, in pixels.
    pub patch: usize,
    /// Register tokens.
    pub registers: usize,
    /// Whether perceptrons are gated (SwiGLU).
    pub gated: bool,
    /// Whether blocks scale what they add.
    pub layer_scale: bool,
}

impl Shape {
    /// The shape of the encoder in a file.
    ///
    /// # Errors
    /// When a tensor is missing that tells it.
    pub(super) fn of(checkpoint: &Checkpoint) -> Result<Self, EncoderError> {
        let weights = &checkpoint.weights;
        if checkpoint.naming != Naming::Torchvision {
            return Ok(Self::VisionTransformer(TransformerShape::of(checkpoint)?));
        }
        let [width, ..] = dimensions::<4>(weights, "conv1.weight")?;
        for stage in 1..=4 {
            dimensions::<4>(weights, &format!("layer{stage}.0.conv1.weight"))?;
        }
        Ok(Self::ResNet {
            width,
            blocks: std::array::from_fn(|stage| count(weights, &format!("layer{}.", stage + 1))),
            bottleneck: weights.tensor("layer1.0.conv3.weight").is_some(),
        })
    }

    /// Whether this is a ResNet as wide as published ones, with blocks of none of them.
    pub(super) fn is_of_no_published_depth(&self) -> bool {
        matches!(
            self,
            Self::ResNet { width: 64, blocks, bottleneck } if depth(*blocks, *bottleneck).is_none()
        )
    }

    /// Components of an embedding.
    pub fn dimension(&self, pooling: Pooling) -> usize {
        match self {
            Self::VisionTransformer(shape) => match pooling {
                Pooling::ClassTokenAndMeanOfPatches => 2 * shape.width,
                _ => shape.width,
            },
            Self::ResNet {
                width, bottleneck, ..
            } => 8 * width * if *bottleneck { 4 } else { 1 },
        }
    }
}

impl TransformerShape {
    fn of(checkpoint: &Checkpoint) -> Result<Self, EncoderError> {
        let weights = &checkpoint.weights;
        let [width, _, patch, _] = dimensions::<4>(weights, "patch_embed.proj.weight")?;
        let [hidden, _] = dimensions::<2>(weights, "blocks.0.mlp.fc1.weight")?;
        let [_, inputs] = dimensions::<2>(weights, "blocks.0.mlp.fc2.weight")?;
        let registers = match weights.tensor("reg_token") {
            Some(_) => dimensions::<3>(weights, "reg_token")?[1],
            None => 0,
        };
        Ok(Self {
            naming: checkpoint.naming,
            width,
            depth: count(weights, "blocks."),
            patch,
            registers,
            gated: hidden == 2 * inputs,
            layer_scale: weights.tensor("blocks.0.ls1.gamma").is_some(),
        })
    }

    /// The network for square images of `size` pixels.
    ///
    /// # Errors
    /// When its positions are of another size, or `heads` do not divide the width.
    pub(super) fn config(
        &self,
        weights: &Weights,
        size: u32,
        heads: Option<usize>,
    ) -> Result<VisionTransformerConfig, EncoderError> {
        let [_, positions, _] = dimensions::<3>(weights, "pos_embed")?;
        let [hidden, _] = dimensions::<2>(weights, "blocks.0.mlp.fc1.weight")?;
        let file = || weights.file().to_owned();
        let Some(positions) = self.positions(positions, size as usize) else {
            return Err(EncoderError::Positions {
                file: file(),
                positions,
                size,
                patch: self.patch,
                trained: self.native_size(positions),
            });
        };
        let heads = heads.unwrap_or(self.width / HEAD_WIDTH).max(1);
        if !self.width.is_multiple_of(heads) {
            return Err(EncoderError::Heads {
                file: file(),
                heads,
                width: self.width,
            });
        }
        Ok(VisionTransformerConfig {
            channels: 3,
            size: [size as usize; 2],
            patch: self.patch,
            width: self.width,
            depth: self.depth,
            heads,
            hidden: Some(hidden),
            gated: self.gated,
            layer_scale: self.layer_scale,
            registers: self.registers,
            positions,
            epsilon: if self.naming == Naming::HuggingFaceVit {
                1e-12
            } else {
                1e-6
            },
        })
    }

    /// Which tokens have positions, if so many are for images of so many pixels.
    fn positions(&self, positions: usize, size: usize) -> Option<Positions> {
        let patches = (size / self.patch).pow(2);
        let kinds = [
            (Positions::All, 1 + self.registers),
            (Positions::WholeAndPatches, 1),
            (Positions::Patches, 0),
        ];
        let fits = |further: usize| {
            size.is_multiple_of(self.patch) && patches > 0 && patches + further == positions
        };
        let kind = kinds.into_iter().find(|(_, further)| fits(*further));
        kind.map(|(kind, _)| kind)
    }

    /// The side of the square images, in pixels, that so many positions are for.
    pub(super) fn native_size(&self, positions: usize) -> Option<u32> {
        let sides = (1..).take_while(|side| side * side <= positions);
        let sizes = sides.map(|side| side * self.patch);
        let fitting = sizes.filter(|&size| self.positions(positions, size).is_some());
        fitting.last().and_then(|size| size.try_into().ok())
    }
}

/// The number in the name of the published ResNet with these blocks: torchvision's, and timm's 26 and 200.
fn depth(blocks: [usize; 4], bottleneck: bool) -> Option<usize> {
    match (blocks, bottleneck) {
        ([2, 2, 2, 2], false) => Some(18),
        ([2, 2, 2, 2], true) => Some(26),
        ([3, 4, 6, 3], false) => Some(34),
        ([3, 4, 6, 3], true) => Some(50),
        ([3, 4, 23, 3], true) => Some(101),
        ([3, 8, 36, 3], true) => Some(152),
        ([3, 24, 36, 3], true) => Some(200),
        _ => None,
    }
}

fn joined(blocks: &[usize; 4]) -> String {
    blocks.map(|count| count.to_string()).join("-")
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::VisionTransformer(shape) => shape.fmt(f),
            Self::ResNet {
                width: 64,
                blocks,
                bottleneck,
            } => match depth(*blocks, *bottleneck) {
                Some(depth) => write!(f, "ResNet-{depth}"),
                None => write!(f, "ResNet, blocks {}", joined(blocks)),
            },
            Self::ResNet { width, blocks, .. } => {
                write!(f, "ResNet, blocks {}, {width} wide", joined(blocks))
            }
        }
    }
}

impl fmt::Display for TransformerShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            width,
            depth,
            patch,
            ..
        } = self;
        write!(f, "ViT {width} × {depth}, patch {patch}")?;
        if self.registers > 0 {
            write!(f, ", {} registers", self.registers)?;
        }
        if self.gated {
            f.write_str(", SwiGLU")?;
        }
        if self.layer_scale {
            f.write_str(", LayerScale")?;
        }
        f.write_str(match self.naming {
            Naming::HuggingFaceVit => ", names of Hugging Face's ViT",
            Naming::HuggingFaceDinov2 => ", names of Hugging Face's Dinov2",
            Naming::Timm | Naming::Torchvision => "",
        })
    }
}

/// The configuration of a ResNet for images of three channels.
pub(super) fn resnet(width: usize, blocks: [usize; 4], bottleneck: bool) -> ResNetConfig {
    ResNetConfig {
        width,
        blocks,
        bottleneck,
        ..ResNetConfig::resnet50()
    }
}

fn dimensions<const N: usize>(weights: &Weights, tensor: &str) -> Result<[usize; N], EncoderError> {
    let shape = weights.tensor(tensor).map(|tensor| tensor.shape.clone());
    let found = shape.as_deref().map(<[usize; N]>::try_from);
    match found {
        Some(Ok(shape)) if !shape.contains(&0) => Ok(shape),
        _ => Err(EncoderError::Telling {
            file: weights.file().to_owned(),
            tensor: tensor.to_owned(),
            dimensions: N,
            found: shape,
        }),
    }
}

/// How many numbers come after `before` in names.
fn count(weights: &Weights, before: &str) -> usize {
    let rests = weights.names().filter_map(|name| name.strip_prefix(before));
    let indices = rests.filter_map(|rest| rest.split('.').next()?.parse::<usize>().ok());
    indices.collect::<BTreeSet<_>>().len()
}
