use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::layers::{FullyConnected, LayerNorm, Start};
use crate::operators::{Activation, add, attention, linear};

/// timm's constant of its transformers.
const EPSILON: f64 = 1e-6;

/// The size of a [`VisionTransformer`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisionTransformerConfig {
    /// Channels of the images. Default 3.
    pub channels: usize,
    /// Height and width of the images, in pixels: positions are learnt for these. Default 224.
    pub size: [usize; 2],
    /// Side of a patch, in pixels. Default 16.
    pub patch: usize,
    /// Values of a token.
    pub width: usize,
    /// Layers. Default 12.
    pub depth: usize,
    /// Heads of the attention.
    pub heads: usize,
}

/// The vision transformer (Dosovitskiy et al., arXiv 2010.11929) without its classifier, with timm's parameter
/// names.
#[derive(Module, Debug)]
pub struct VisionTransformer {
    cls_token: Param<Tensor<3>>,
    pos_embed: Param<Tensor<3>>,
    patch_embed: PatchEmbedding,
    blocks: Vec<Block>,
    norm: LayerNorm,
}

impl VisionTransformerConfig {
    /// ViT-S/16.
    pub fn small() -> Self {
        Self {
            channels: 3,
            size: [224; 2],
            patch: 16,
            width: 384,
            depth: 12,
            heads: 6,
        }
    }

    /// ViT-B/16.
    pub fn base() -> Self {
        Self {
            width: 768,
            heads: 12,
            ..Self::small()
        }
    }

    /// The network with random parameters.
    pub fn init(&self, start: &mut Start) -> VisionTransformer {
        let patches = self.size[0] / self.patch * (self.size[1] / self.patch);
        VisionTransformer {
            cls_token: start.uniform([1, 1, self.width], self.width),
            pos_embed: start.uniform([1, patches + 1, self.width], self.width),
            patch_embed: PatchEmbedding {
                proj: Projection::new(self, start),
            },
            blocks: (0..self.depth)
                .map(|_| Block::new(self.width, self.heads, start))
                .collect(),
            norm: LayerNorm::new(self.width, EPSILON, start),
        }
    }
}

impl VisionTransformer {
    /// Images `[n, height, width, channels]` to tokens `[n, 1 + patches, width]`: the first is that of the whole
    /// image, then one for each patch, row by row.
    ///
    /// # Panics
    /// When the images have another size than the network was made for.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<3> {
        let patches = self.patch_embed.proj.forward(images);
        let [n, ..] = patches.dims();
        let whole = self.cls_token.val().repeat_dim(0, n);
        let mut tokens = Tensor::cat(vec![whole, patches], 1) + self.pos_embed.val();
        for block in &self.blocks {
            tokens = block.forward(tokens);
        }
        self.norm.forward(tokens)
    }
}

#[derive(Module, Debug)]
struct PatchEmbedding {
    proj: Projection,
}

/// A convolution whose filters do not overlap, which is a matrix over patches.
#[derive(Module, Debug)]
struct Projection {
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
}

impl Projection {
    fn new(config: &VisionTransformerConfig, start: &mut Start) -> Self {
        let VisionTransformerConfig {
            channels,
            patch,
            width,
            ..
        } = *config;
        let inputs = channels * patch * patch;
        Self {
            weight: start.uniform([width, channels, patch, patch], inputs),
            bias: start.uniform([width], inputs),
        }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<3> {
        let [n, height, width, channels] = images.dims();
        let [outputs, _, side, _] = self.weight.dims();
        let (rows, columns) = (height / side, width / side);
        // Patches with the channels of a pixel side by side, and filters likewise.
        let patches = images
            .reshape([n * rows, side, columns, side * channels])
            .permute([0, 2, 1, 3])
            .reshape([n * rows * columns, side * side * channels]);
        let filters = self
            .weight
            .val()
            .permute([0, 2, 3, 1])
            .reshape([outputs, side * side * channels]);
        linear(patches, filters, Some(self.bias.val())).reshape([n, rows * columns, outputs])
    }
}

#[derive(Module, Debug)]
struct Block {
    norm1: LayerNorm,
    attn: SelfAttention,
    norm2: LayerNorm,
    mlp: Perceptron,
}

impl Block {
    fn new(width: usize, heads: usize, start: &mut Start) -> Self {
        Self {
            norm1: LayerNorm::new(width, EPSILON, start),
            attn: SelfAttention {
                qkv: FullyConnected::new([width, 3 * width], start),
                proj: FullyConnected::new([width, width], start),
                heads,
            },
            norm2: LayerNorm::new(width, EPSILON, start),
            mlp: Perceptron {
                fc1: FullyConnected::new([width, 4 * width], start),
                fc2: FullyConnected::new([4 * width, width], start),
            },
        }
    }

    fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let heeded = self.attn.forward(self.norm1.forward(tokens.clone()));
        let tokens = add(heeded, tokens, Activation::Identity);
        let changed = self.mlp.forward(self.norm2.forward(tokens.clone()));
        add(changed, tokens, Activation::Identity)
    }
}

#[derive(Module, Debug)]
struct SelfAttention {
    qkv: FullyConnected,
    proj: FullyConnected,
    #[module(skip)]
    heads: usize,
}

impl SelfAttention {
    fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        self.proj
            .tokens(attention(self.qkv.tokens(tokens), self.heads))
    }
}

#[derive(Module, Debug)]
struct Perceptron {
    fc1: FullyConnected,
    fc2: FullyConnected,
}

impl Perceptron {
    fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        self.fc2.tokens(self.fc1.tokens_gelu(tokens))
    }
}
