use burn::module::Module;
use burn::tensor::Tensor;

use crate::layers::{BatchNorm, Convolution, Start};
use crate::operators::{Activation, PoolingOptions, add, max_pooling};

/// The size of a [`ResNet`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResNetConfig {
    /// Channels of the images. Default 3.
    pub channels: usize,
    /// Channels of the first convolution and of the first stage; each further stage has twice as many.
    /// Default 64.
    pub width: usize,
    /// Blocks of each of the four stages; a stage without any is left out.
    pub blocks: [usize; 4],
    /// Blocks are 1×1, 3×3 and 1×1 convolutions with four times the stage's channels, not two 3×3 ones.
    pub bottleneck: bool,
    /// How many of the last stages keep the size of their images and spread all their 3×3 filters instead, as
    /// segmentation_models_pytorch does. Default 0.
    pub dilated: usize,
}

/// Residual networks (He et al., arXiv 1512.03385) without their classifier, with torchvision's parameter
/// names; as there, a bottleneck has its stride in the 3×3 convolution.
#[derive(Module, Debug)]
pub struct ResNet {
    conv1: Convolution,
    bn1: BatchNorm,
    layer1: Vec<Residual>,
    layer2: Vec<Residual>,
    layer3: Vec<Residual>,
    layer4: Vec<Residual>,
}

impl ResNetConfig {
    /// ResNet-18.
    pub fn resnet18() -> Self {
        Self::basic([2, 2, 2, 2])
    }

    /// ResNet-34.
    pub fn resnet34() -> Self {
        Self::basic([3, 4, 6, 3])
    }

    /// ResNet-50.
    pub fn resnet50() -> Self {
        Self {
            bottleneck: true,
            ..Self::resnet34()
        }
    }

    fn basic(blocks: [usize; 4]) -> Self {
        Self {
            channels: 3,
            width: 64,
            blocks,
            bottleneck: false,
            dilated: 0,
        }
    }

    /// Channels of the images at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size, as [`ResNet::features`] gives them.
    pub fn features(&self) -> [usize; 5] {
        let mut features = [self.width; 5];
        for (stage, &blocks) in self.blocks.iter().enumerate() {
            // A stage without blocks leaves its images as they are.
            if blocks > 0 {
                features[stage + 1..].fill(self.outputs(stage));
            }
        }
        features
    }

    fn outputs(&self, stage: usize) -> usize {
        (self.width << stage) * if self.bottleneck { 4 } else { 1 }
    }

    /// The network with random parameters.
    pub fn init(&self, start: &mut Start) -> ResNet {
        ResNet {
            conv1: Convolution::new([self.channels, self.width], 7, start)
                .with(|options| options.stride = [2; 2]),
            bn1: BatchNorm::new(self.width, start),
            layer1: self.stage(0, start),
            layer2: self.stage(1, start),
            layer3: self.stage(2, start),
            layer4: self.stage(3, start),
        }
    }

    fn stage(&self, stage: usize, start: &mut Start) -> Vec<Residual> {
        let outputs = self.outputs(stage);
        let first_dilated = 4 - self.dilated;
        // Each stage that keeps its size doubles the distance between the taps of its filters.
        let dilation = 1 << (stage + 1).saturating_sub(first_dilated);
        let halves = stage > 0 && stage < first_dilated;
        (0..self.blocks[stage])
            .map(|block| {
                let inputs = match (block, stage) {
                    (0, 0) => self.width,
                    (0, _) => self.outputs(stage - 1),
                    _ => outputs,
                };
                let stride = if halves && block == 0 { 2 } else { 1 };
                let hidden = self.width << stage;
                Residual::new([inputs, hidden, outputs], stride, dilation, start)
            })
            .collect()
    }
}

impl ResNet {
    /// What the names of the parameters begin with that stages without blocks would have.
    pub(super) fn absent_stages(&self) -> impl Iterator<Item = &'static str> {
        let stages = [
            ("layer1.", self.layer1.is_empty()),
            ("layer2.", self.layer2.is_empty()),
            ("layer3.", self.layer3.is_empty()),
            ("layer4.", self.layer4.is_empty()),
        ];
        let absent = stages.into_iter().filter(|(_, empty)| *empty);
        absent.map(|(name, _)| name)
    }

    /// Images `[n, height, width, channels]` to images of 1/2, 1/4, 1/8, 1/16 and 1/32 of their size
    /// (rounded up; larger where stages are dilated).
    pub fn features(&self, images: Tensor<4>) -> [Tensor<4>; 5] {
        let first = self
            .conv1
            .forward_normalized(images, &self.bn1, Activation::Relu);
        let pooling = PoolingOptions {
            kernel: [3; 2],
            stride: [2; 2],
            padding: [1; 2],
        };
        let stage = |images: Tensor<4>, blocks: &[Residual]| {
            blocks
                .iter()
                .fold(images, |hidden, block| block.forward(hidden))
        };
        let quarter = stage(max_pooling(first.clone(), pooling), &self.layer1);
        let eighth = stage(quarter.clone(), &self.layer2);
        let sixteenth = stage(eighth.clone(), &self.layer3);
        let last = stage(sixteenth.clone(), &self.layer4);
        [first, quarter, eighth, sixteenth, last]
    }
}

/// Convolutions whose result is added to their images.
#[derive(Module, Debug)]
pub(super) struct Residual {
    conv1: Convolution,
    bn1: BatchNorm,
    conv2: Convolution,
    bn2: BatchNorm,
    conv3: Option<Convolution>,
    bn3: Option<BatchNorm>,
    downsample: Option<(Convolution, BatchNorm)>,
}

impl Residual {
    /// Two 3×3 convolutions, or a bottleneck where a block has more outputs than it has in between.
    pub(super) fn new(
        [inputs, hidden, outputs]: [usize; 3],
        stride: usize,
        dilation: usize,
        start: &mut Start,
    ) -> Self {
        let bottleneck = hidden != outputs;
        let wide = |channels, stride, start: &mut Start| {
            Convolution::new(channels, 3, start).with(|options| {
                options.stride = [stride; 2];
                options.dilation = [dilation; 2];
                options.padding = [[dilation; 2]; 2];
            })
        };
        let (conv1, conv2) = if bottleneck {
            (
                Convolution::new([inputs, hidden], 1, start),
                wide([hidden, hidden], stride, start),
            )
        } else {
            (
                wide([inputs, hidden], stride, start),
                wide([hidden, outputs], 1, start),
            )
        };
        let changes = stride != 1 || inputs != outputs;
        Self {
            conv1,
            bn1: BatchNorm::new(hidden, start),
            conv2,
            bn2: BatchNorm::new(hidden, start),
            conv3: bottleneck.then(|| Convolution::new([hidden, outputs], 1, start)),
            bn3: bottleneck.then(|| BatchNorm::new(outputs, start)),
            downsample: changes.then(|| {
                let convolution = Convolution::new([inputs, outputs], 1, start)
                    .with(|options| options.stride = [stride; 2]);
                (convolution, BatchNorm::new(outputs, start))
            }),
        }
    }

    pub(super) fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let hidden = self
            .conv1
            .forward_normalized(images.clone(), &self.bn1, Activation::Relu);
        let second = |activation| self.conv2.forward_normalized(hidden, &self.bn2, activation);
        let hidden = match (&self.conv3, &self.bn3) {
            (Some(convolution), Some(norm)) => {
                let hidden = second(Activation::Relu);
                convolution.forward_normalized(hidden, norm, Activation::Identity)
            }
            _ => second(Activation::Identity),
        };
        let images = match &self.downsample {
            Some((convolution, norm)) => {
                convolution.forward_normalized(images, norm, Activation::Identity)
            }
            None => images,
        };
        add(hidden, images, Activation::Relu)
    }
}
