use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::silu;

use crate::layers::{FullyConnected, LayerNorm, Start};
use crate::operators::{Activation, add, attention, bicubic, linear};

/// What layer scales begin with, as DINOv2's.
const LAYER_SCALE: f32 = 1e-5;

/// Which tokens have a position of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Positions {
    /// All: that of the whole image, registers, patches. timm's own.
    All,
    /// That of the whole image and patches; registers come between them afterwards. DINOv2's own.
    WholeAndPatches,
    /// Patches alone; timm's `no_embed_class`.
    Patches,
}

/// The size of a [`VisionTransformer`].
#[derive(Debug, Clone, PartialEq)]
pub struct VisionTransformerConfig {
    /// Channels of the images. Default 3.
    pub channels: usize,
    /// Height and width of the images, in pixels: positions are learnt for these, and for others interpolated. Default
    /// 224.
    pub size: [usize; 2],
    /// Side of a patch, in pixels. Default 16.
    pub patch: usize,
    /// Values of a token.
    pub width: usize,
    /// Layers. Default 12.
    pub depth: usize,
    /// Heads of the attention.
    pub heads: usize,
    /// Values that the perceptron of a block has in between. Default four times the width.
    pub hidden: Option<usize>,
    /// One half of them, after SiLU, is a factor of the other (SwiGLU), instead of GELU on all. Default false.
    pub gated: bool,
    /// What a block adds is scaled, value by value (Touvron et al., arXiv 2103.17239). Default false.
    pub layer_scale: bool,
    /// Tokens that belong neither to the whole image nor to a patch (Darcet et al., arXiv 2309.16588). Default 0.
    pub registers: usize,
    /// Which tokens have a position. Default all.
    pub positions: Positions,
    /// Added to variances in normalisations. Default 1e-6, as in timm; 1e-12 in Hugging Face's ViT.
    pub epsilon: f64,
}

/// The vision transformer (Dosovitskiy et al., arXiv 2010.11929) without its classifier, with timm's parameter
/// names.
#[derive(Module, Debug)]
pub struct VisionTransformer {
    cls_token: Param<Tensor<3>>,
    reg_token: Option<Param<Tensor<3>>>,
    pos_embed: Param<Tensor<3>>,
    patch_embed: PatchEmbedding,
    blocks: Vec<Block>,
    norm: LayerNorm,
    #[module(skip)]
    positions: Positions,
    /// Rows and columns of patches that have a position.
    #[module(skip)]
    grid: [usize; 2],
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
            hidden: None,
            gated: false,
            layer_scale: false,
            registers: 0,
            positions: Positions::All,
            epsilon: 1e-6,
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

    /// Tokens before those of patches.
    pub fn prefix(&self) -> usize {
        1 + self.registers
    }

    fn grid(&self) -> [usize; 2] {
        self.size.map(|side| side / self.patch)
    }

    /// Tokens that have a position.
    pub fn positioned(&self) -> usize {
        let patches: usize = self.grid().iter().product();
        match self.positions {
            Positions::All => self.prefix() + patches,
            Positions::WholeAndPatches => 1 + patches,
            Positions::Patches => patches,
        }
    }

    /// The network with random parameters.
    pub fn init(&self, start: &mut Start) -> VisionTransformer {
        let (width, registers) = (self.width, self.registers);
        VisionTransformer {
            cls_token: start.uniform([1, 1, width], width),
            reg_token: (registers > 0).then(|| start.uniform([1, registers, width], width)),
            pos_embed: start.uniform([1, self.positioned(), width], width),
            patch_embed: PatchEmbedding {
                proj: Projection::new(self, start),
            },
            blocks: (0..self.depth).map(|_| Block::new(self, start)).collect(),
            norm: LayerNorm::new(width, self.epsilon, start),
            positions: self.positions,
            grid: self.grid(),
        }
    }
}

impl VisionTransformer {
    /// Images `[n, height, width, channels]` to tokens `[n, 1 + registers + patches, width]`: the first is that of the
    /// whole image, the last are those of patches, row by row.
    ///
    /// # Panics
    /// When a side of the images is no whole number of patches.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<3> {
        let grid = self.patch_embed.proj.grid(&images);
        let patches = self.patch_embed.proj.forward(images);
        let mut tokens = self.with_positions(patches, grid);
        for block in &self.blocks {
            tokens = block.forward(tokens);
        }
        self.norm.forward(tokens)
    }

    fn with_positions(&self, patches: Tensor<3>, grid: [usize; 2]) -> Tensor<3> {
        let [n, ..] = patches.dims();
        let mut whole = self.cls_token.val();
        let mut positions = self.positions_on(grid);
        let registers = self.reg_token.iter().map(Param::val);
        let each = |token: Tensor<3>| token.repeat_dim(0, n);
        if self.positions == Positions::All {
            let before = std::iter::once(whole).chain(registers).map(each);
            return Tensor::cat(before.chain([patches]).collect(), 1) + positions;
        }
        if self.positions == Positions::WholeAndPatches {
            whole = whole + positions.clone().slice_dim(1, 0..1);
            positions = positions.slice_dim(1, 1..);
        }
        let before = std::iter::once(whole).chain(registers).map(each);
        Tensor::cat(before.chain([patches + positions]).collect(), 1)
    }

    /// Positions for so many rows and columns of patches: those of patches are interpolated where they are for others.
    fn positions_on(&self, grid: [usize; 2]) -> Tensor<3> {
        let positions = self.pos_embed.val();
        if grid == self.grid {
            return positions;
        }
        let [_, positioned, width] = positions.dims();
        let [rows, columns] = self.grid;
        let others = positioned - rows * columns;
        let of_patches = positions
            .clone()
            .slice_dim(1, others..)
            .reshape([1, rows, columns, width]);
        let of_patches = bicubic(of_patches, grid).reshape([1, grid[0] * grid[1], width]);
        if others == 0 {
            return of_patches;
        }
        Tensor::cat(vec![positions.slice_dim(1, 0..others), of_patches], 1)
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

    /// Rows and columns of the patches of images.
    fn grid(&self, images: &Tensor<4>) -> [usize; 2] {
        let [_, height, width, _] = images.dims();
        let [_, _, side, _] = self.weight.dims();
        [height / side, width / side]
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<3> {
        let [rows, columns] = self.grid(&images);
        let [n, _, _, channels] = images.dims();
        let [outputs, _, side, _] = self.weight.dims();
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
    ls1: Option<LayerScale>,
    norm2: LayerNorm,
    mlp: Perceptron,
    ls2: Option<LayerScale>,
}

impl Block {
    fn new(config: &VisionTransformerConfig, start: &mut Start) -> Self {
        let VisionTransformerConfig {
            width,
            heads,
            gated,
            epsilon,
            ..
        } = *config;
        let hidden = config.hidden.unwrap_or(4 * width);
        let outputs = if gated { hidden / 2 } else { hidden };
        let scale = |start: &mut Start| {
            config.layer_scale.then(|| LayerScale {
                gamma: start.constant(LAYER_SCALE, width),
            })
        };
        Self {
            norm1: LayerNorm::new(width, epsilon, start),
            attn: SelfAttention {
                qkv: FullyConnected::new([width, 3 * width], start),
                proj: FullyConnected::new([width, width], start),
                heads,
            },
            ls1: scale(start),
            norm2: LayerNorm::new(width, epsilon, start),
            mlp: Perceptron {
                fc1: FullyConnected::new([width, hidden], start),
                fc2: FullyConnected::new([outputs, width], start),
                gated,
            },
            ls2: scale(start),
        }
    }

    fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let heeded = self.attn.forward(self.norm1.forward(tokens.clone()));
        let tokens = add(scaled(&self.ls1, heeded), tokens, Activation::Identity);
        let changed = self.mlp.forward(self.norm2.forward(tokens.clone()));
        add(scaled(&self.ls2, changed), tokens, Activation::Identity)
    }
}

#[derive(Module, Debug)]
struct LayerScale {
    gamma: Param<Tensor<1>>,
}

fn scaled(scale: &Option<LayerScale>, tokens: Tensor<3>) -> Tensor<3> {
    match scale {
        Some(scale) => tokens * scale.gamma.val().unsqueeze(),
        None => tokens,
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
    #[module(skip)]
    gated: bool,
}

impl Perceptron {
    fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let hidden = if self.gated {
            let [gate, values] = halves(self.fc1.tokens(tokens));
            silu(gate) * values
        } else {
            self.fc1.tokens_gelu(tokens)
        };
        self.fc2.tokens(hidden)
    }
}

fn halves(tokens: Tensor<3>) -> [Tensor<3>; 2] {
    let [.., values] = tokens.dims();
    let first = tokens.clone().slice_dim(2, 0..values / 2);
    [first, tokens.slice_dim(2, values / 2..)]
}
