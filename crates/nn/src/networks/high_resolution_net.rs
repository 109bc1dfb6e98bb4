use burn::module::Module;
use burn::tensor::Tensor;

use super::resnet::Residual;
use crate::layers::{BatchNorm, Convolution, Start};
use crate::operators::{Activation, add, enlarge};

/// The size of a [`HighResolutionNet`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HighResolutionNetConfig {
    /// Channels of the images. Default 3.
    pub channels: usize,
    /// Channels of the two convolutions that see the image first. Default 64 and 64.
    pub stem: [usize; 2],
    /// Channels inside the bottlenecks of the first stage; they give four times as many.
    pub bottleneck_width: usize,
    /// Bottlenecks of the first stage.
    pub bottlenecks: usize,
    /// Channels of the finest branch; each coarser one has twice as many.
    pub width: usize,
    /// Modules of the second, third and fourth stage, of two, three and four branches.
    pub modules: [usize; 3],
    /// Blocks of each branch of a module.
    pub blocks: usize,
}

/// A network that keeps images of a quarter of the size from its beginning to its end, beside coarser ones that it
/// adds one after the other, and exchanges what it finds between all of them (Wang et al., arXiv 1908.07919); timm
/// 1.0.31's, without the classifier, with its parameter names.
///
/// ```text
/// stem     two 3×3 convolutions of stride 2
/// layer1   bottlenecks, as in ResNet
/// stage n  begins with a new branch, half as large and with twice as many channels as the coarsest so far; then
///          modules: basic residual blocks on each branch, after which each branch becomes the sum of all of them,
///          finer ones by 3×3 convolutions of stride 2, coarser ones by a 1×1 convolution and repeated pixels
/// ```
#[derive(Module, Debug)]
pub struct HighResolutionNet {
    conv1: Convolution,
    bn1: BatchNorm,
    conv2: Convolution,
    bn2: BatchNorm,
    layer1: Vec<Residual>,
    transition1: Vec<Option<Path>>,
    stage2: Vec<Exchange>,
    transition2: Vec<Option<Path>>,
    stage3: Vec<Exchange>,
    transition3: Vec<Option<Path>>,
    stage4: Vec<Exchange>,
}

impl HighResolutionNetConfig {
    /// HRNet-W18-Small, the first of timm's two (`hrnet_w18_small`): its finest branch has 16 channels.
    pub fn w18_small() -> Self {
        Self {
            channels: 3,
            stem: [64; 2],
            bottleneck_width: 32,
            bottlenecks: 1,
            width: 16,
            modules: [1; 3],
            blocks: 2,
        }
    }

    /// HRNet-W18.
    pub fn w18() -> Self {
        Self {
            channels: 3,
            stem: [64; 2],
            bottleneck_width: 64,
            bottlenecks: 4,
            width: 18,
            modules: [1, 4, 3],
            blocks: 4,
        }
    }

    /// HRNet-W48.
    pub fn w48() -> Self {
        Self {
            width: 48,
            ..Self::w18()
        }
    }

    /// Channels of the images at 1/4, 1/8, 1/16 and 1/32 of the size, as [`HighResolutionNet::features`] gives them.
    pub fn features(&self) -> [usize; 4] {
        [0, 1, 2, 3].map(|branch| self.width << branch)
    }

    /// The network with random parameters.
    pub fn init(&self, start: &mut Start) -> HighResolutionNet {
        let [first, second] = self.stem;
        let hidden = self.bottleneck_width;
        let outputs = 4 * hidden;
        let branches = self.features();
        let [two, three, four] = self.modules;
        HighResolutionNet {
            conv1: halving([self.channels, first], start),
            bn1: BatchNorm::new(first, start),
            conv2: halving([first, second], start),
            bn2: BatchNorm::new(second, start),
            layer1: (0..self.bottlenecks)
                .map(|block| {
                    let inputs = if block == 0 { second } else { outputs };
                    Residual::new([inputs, hidden, outputs], 1, 1, start)
                })
                .collect(),
            transition1: transition(&[outputs], &branches[..2], start),
            stage2: self.stage(&branches[..2], two, start),
            transition2: transition(&branches[..2], &branches[..3], start),
            stage3: self.stage(&branches[..3], three, start),
            transition3: transition(&branches[..3], &branches, start),
            stage4: self.stage(&branches, four, start),
        }
    }

    fn stage(&self, branches: &[usize], modules: usize, start: &mut Start) -> Vec<Exchange> {
        (0..modules)
            .map(|_| Exchange::new(branches, self.blocks, start))
            .collect()
    }
}

/// A 3×3 convolution that halves height and width.
fn halving(channels: [usize; 2], start: &mut Start) -> Convolution {
    Convolution::new(channels, 3, start).with(|options| options.stride = [2; 2])
}

/// The ways from branches of these channels to those of the next stage: a branch that keeps its channels stays as it
/// is, and a new one is made of the coarsest before.
fn transition(before: &[usize], after: &[usize], start: &mut Start) -> Vec<Option<Path>> {
    let mut ways = Vec::new();
    for (branch, &outputs) in after.iter().enumerate() {
        let way = match before.get(branch) {
            Some(&inputs) if inputs == outputs => None,
            Some(&inputs) => {
                let convolution = Convolution::new([inputs, outputs], 3, start);
                Some(Path::Step((convolution, BatchNorm::new(outputs, start))))
            }
            None => {
                let convolution = halving([before[before.len() - 1], outputs], start);
                let norm = BatchNorm::new(outputs, start);
                Some(Path::Steps(vec![(convolution, norm)]))
            }
        };
        ways.push(way);
    }
    ways
}

impl HighResolutionNet {
    /// Images `[n, height, width, channels]` to images of 1/4, 1/8, 1/16 and 1/32 of their size.
    ///
    /// # Panics
    /// When height or width is no multiple of 32.
    pub fn features(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let hidden = self
            .conv1
            .forward_normalized(images, &self.bn1, Activation::Relu);
        let hidden = self
            .conv2
            .forward_normalized(hidden, &self.bn2, Activation::Relu);
        let stages = [
            (&self.transition1, &self.stage2),
            (&self.transition2, &self.stage3),
            (&self.transition3, &self.stage4),
        ];
        let mut branches = vec![through(&self.layer1, hidden)];
        for (transition, modules) in stages {
            let coarsest = branches.len() - 1;
            branches = transition
                .iter()
                .enumerate()
                .map(|(branch, way)| match way {
                    Some(way) => {
                        way.forward(branches[branch.min(coarsest)].clone(), Activation::Relu)
                    }
                    None => branches[branch].clone(),
                })
                .collect();
            branches = modules
                .iter()
                .fold(branches, |branches, module| module.forward(branches));
        }
        branches
    }
}

fn through(blocks: &[Residual], images: Tensor<4>) -> Tensor<4> {
    blocks
        .iter()
        .fold(images, |hidden, block| block.forward(hidden))
}

/// A convolution and what normalises its results.
type Step = (Convolution, BatchNorm);

/// How a branch comes to the channels of another, and to its size if that is smaller.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a network has some dozens")]
enum Path {
    Step(Step),
    /// Each halves height and width.
    Steps(Vec<Step>),
}

impl Path {
    /// `last` is the activation of the last step; those before it have a ReLU.
    fn forward(&self, images: Tensor<4>, last: Activation) -> Tensor<4> {
        let steps = match self {
            Self::Step(step) => std::slice::from_ref(step),
            Self::Steps(steps) => steps,
        };
        let mut hidden = images;
        for (index, (convolution, norm)) in steps.iter().enumerate() {
            let activation = if index + 1 == steps.len() {
                last
            } else {
                Activation::Relu
            };
            hidden = convolution.forward_normalized(hidden, norm, activation);
        }
        hidden
    }
}

/// Blocks on each branch, and an exchange between all branches.
#[derive(Module, Debug)]
struct Exchange {
    branches: Vec<Vec<Residual>>,
    /// Of each branch, the ways to it from all of them; there is none from itself.
    fuse_layers: Vec<Vec<Option<Path>>>,
}

impl Exchange {
    fn new(channels: &[usize], blocks: usize, start: &mut Start) -> Self {
        let branches = channels
            .iter()
            .map(|&width| {
                (0..blocks)
                    .map(|_| Residual::new([width; 3], 1, 1, start))
                    .collect()
            })
            .collect();
        let mut fuse_layers = Vec::new();
        for to in 0..channels.len() {
            let ways = (0..channels.len()).map(|from| way([from, to], channels, start));
            fuse_layers.push(ways.collect());
        }
        Self {
            branches,
            fuse_layers,
        }
    }

    fn forward(&self, branches: Vec<Tensor<4>>) -> Vec<Tensor<4>> {
        let branches: Vec<Tensor<4>> = self
            .branches
            .iter()
            .zip(branches)
            .map(|(blocks, images)| through(blocks, images))
            .collect();
        let fused = self.fuse_layers.iter().enumerate().map(|(to, ways)| {
            let mut others = ways
                .iter()
                .enumerate()
                .filter_map(|(from, way)| {
                    let images = way
                        .as_ref()?
                        .forward(branches[from].clone(), Activation::Identity);
                    Some(if from > to {
                        enlarge(images, 1 << (from - to))
                    } else {
                        images
                    })
                })
                .peekable();
            let mut sum = branches[to].clone();
            while let Some(other) = others.next() {
                let activation = match others.peek() {
                    Some(_) => Activation::Identity,
                    None => Activation::Relu,
                };
                sum = add(sum, other, activation);
            }
            sum
        });
        fused.collect()
    }
}

/// The way from one branch to another in an exchange.
fn way([from, to]: [usize; 2], channels: &[usize], start: &mut Start) -> Option<Path> {
    let [inputs, outputs] = [from, to].map(|branch| channels[branch]);
    if from == to {
        return None;
    }
    if from > to {
        let convolution = Convolution::new([inputs, outputs], 1, start);
        return Some(Path::Step((convolution, BatchNorm::new(outputs, start))));
    }
    let steps = (from + 1..=to).map(|reached| {
        let width = if reached == to { outputs } else { inputs };
        (
            halving([inputs, width], start),
            BatchNorm::new(width, start),
        )
    });
    Some(Path::Steps(steps.collect()))
}
