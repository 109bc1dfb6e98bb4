//! Networks against PyTorch's, on every device of the build: scores, gradients of all parameters, running statistics.
//! The goldens are narrow networks with random weights (`oracles/networks.py`).

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Tensor, TensorData};
use cleanslide_nn::devices::DeviceName;
use cleanslide_nn::layers::Start;
use cleanslide_nn::networks::{
    DeepLabV3Plus, EfficientNetLiteConfig, EncoderConfig, EncoderUNet, FasterRcnn,
    FasterRcnnConfig, Fcos, FcosConfig, HighResolutionNetConfig, HrNet, Origin, Positions, PspNet,
    ResNetConfig, Stage, UNetConfig, VisionTransformerConfig,
};
use cleanslide_nn::operators::Region;
use cleanslide_nn::weights::Weights;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Sums of thousands of products in f32, by Winograd's algorithm where channels are many, through some ten
/// normalised layers; gradients go through all of them twice and cancel in normalisations.
const FORWARD_TOLERANCE: f32 = 1e-4;
const GRADIENT_TOLERANCE: f32 = 1e-3;

struct Golden(Weights);

impl Golden {
    fn read(network: &str) -> Self {
        let path = Path::new("tests/goldens/networks").join(format!("{network}.safetensors"));
        Self(Weights::read(&path).unwrap())
    }

    /// An image tensor, channels last.
    fn images(&self, name: &str, device: &Device) -> Tensor<4> {
        let tensor = self.0.tensor(name).unwrap();
        let data = TensorData::new(tensor.values.clone(), tensor.shape.clone());
        Tensor::<4>::from_data(data, device).permute([0, 2, 3, 1])
    }
}

fn assert_close(what: &str, ours: &[f32], theirs: &[f32], tolerance: f32) {
    assert_within(what, ours, theirs, tolerance, largest(theirs));
}

fn largest(values: &[f32]) -> f32 {
    values
        .iter()
        .fold(0.0, |most: f32, value| most.max(value.abs()))
}

fn assert_within(what: &str, ours: &[f32], theirs: &[f32], tolerance: f32, scale: f32) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let worst = ours
        .iter()
        .zip(theirs)
        .fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs()));
    assert!(
        worst <= tolerance * scale,
        "{what}: {worst} of {scale} is {} and not below {tolerance}",
        worst / scale
    );
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// All tensors of a network by name, and of its gradients.
struct Tensors<'a> {
    path: Vec<String>,
    gradients: Option<&'a GradientsParams>,
    found: BTreeMap<String, Vec<f32>>,
}

impl ModuleVisitor for Tensors<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        // Which variant a layer is, is no part of a name.
        let variant = container.starts_with("Enum:");
        self.path.push(if variant { "" } else { name }.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        let tensor = match self.gradients {
            Some(gradients) => gradients.get::<D>(parameter.id),
            None => Some(parameter.val()),
        };
        if let Some(tensor) = tensor {
            let parts = self.path.iter().filter(|part| !part.is_empty());
            let name: Vec<&str> = parts.map(String::as_str).collect();
            self.found.insert(name.join("."), values(tensor));
        }
    }
}

fn tensors<M: Module>(
    module: &M,
    gradients: Option<&GradientsParams>,
) -> BTreeMap<String, Vec<f32>> {
    let mut visitor = Tensors {
        path: Vec::new(),
        gradients,
        found: BTreeMap::new(),
    };
    module.visit(&mut visitor);
    visitor.found
}

const RATE: f64 = 1e-3;
const EPSILON: f64 = 1e-8;
const DECAY: f64 = 1e-4;

/// The first step of AdamW by its definition, where the moments are the gradient and its square: all but rounding, of
/// a few operations in f32, is the rate at most.
fn assert_step(name: &str, before: &[f32], gradient: &[f32], after: &[f32]) {
    for ((&before, &gradient), &after) in before.iter().zip(gradient).zip(after) {
        let [before, gradient, after] = [before, gradient, after].map(f64::from);
        let step = gradient / (gradient.abs() + EPSILON);
        let expected = before * (1.0 - RATE * DECAY) - RATE * step;
        let tolerance = 1e-5 * RATE + 2e-7 * before.abs();
        assert!(
            (after - expected).abs() <= tolerance,
            "{name}: from {before} by {gradient} to {after} and not {expected}"
        );
    }
}

fn compare<M: Module>(
    name: &str,
    init: impl Fn(&mut Start) -> M,
    forward: impl Fn(&M, Tensor<4>) -> Tensor<4>,
) {
    for device in DeviceName::of_build() {
        compare_on(device, name, &init, &forward);
    }
}

fn compare_on<M: Module>(
    on: DeviceName,
    name: &str,
    init: &impl Fn(&mut Start) -> M,
    forward: &impl Fn(&M, Tensor<4>) -> Tensor<4>,
) {
    let device = &on.open().unwrap().device;
    let assert_close = |what: &str, ours: &[f32], theirs: &[f32], tolerance: f32| {
        assert_close(&format!("{what} on {on}"), ours, theirs, tolerance);
    };
    let golden = Golden::read(name);
    let weights = golden.0.part("weights.");
    let build = |device: &Device| {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let network = init(&mut Start::new(&mut rng, device));
        weights.load_into(network, name, str::to_owned).unwrap()
    };

    let predicted = forward(&build(device), golden.images("input", device));
    let expected = golden.images("predicted", device);
    assert_eq!(predicted.dims(), expected.dims());
    assert_close(
        "scores by running statistics",
        &values(predicted),
        &values(expected),
        FORWARD_TOLERANCE,
    );

    let device = device.clone().autodiff();
    let network = build(&device);
    let trained = forward(&network, golden.images("input", &device));
    assert_close(
        "scores by the batch's statistics",
        &values(trained.clone()),
        &values(golden.images("trained", &device)),
        FORWARD_TOLERANCE,
    );
    let gradients = (trained * golden.images("probe", &device)).sum().backward();
    let gradients = GradientsParams::from_grads(gradients, &network);
    let ours = tensors(&network, Some(&gradients));
    let theirs = golden.0.part("gradient.");
    assert_eq!(
        ours.keys().collect::<Vec<_>>(),
        theirs.names().collect::<Vec<_>>()
    );
    let theirs = |name: &String| &theirs.tensor(name).unwrap().values;
    let of_all = ours.keys().map(|name| largest(theirs(name)));
    let of_all = of_all.fold(0.0, f32::max);
    for (name, ours) in &ours {
        let theirs = theirs(name);
        // A bias that a later norm takes away again has a gradient of 0: what is left when gradients as large as
        // the others cancel.
        let scale = match largest(theirs) {
            0.0 => of_all,
            own => own,
        };
        let what = format!("gradient of {name}");
        assert_within(&what, ours, theirs, GRADIENT_TOLERANCE, scale);
    }

    let before = tensors(&network, None);
    let mut optimiser = AdamWConfig::new().with_epsilon(EPSILON as f32).init();
    let moved = tensors(&optimiser.step(RATE, network.clone(), gradients), None);
    for (name, gradient) in &ours {
        assert_step(name, &before[name], gradient, &moved[name]);
    }

    let kept = tensors(&network.valid(), None);
    let running = golden.0.part("running.");
    for name in running.names() {
        let theirs = &running.tensor(name).unwrap().values;
        assert_close(name, &kept[name], theirs, FORWARD_TOLERANCE);
    }
}

#[test]
fn unet() {
    let config = UNetConfig {
        widths: vec![4, 8, 16],
    };
    compare(
        "unet",
        |start| config.init(3, 3, start),
        |network, images| network.forward(images),
    );
}

fn narrow(config: ResNetConfig) -> ResNetConfig {
    ResNetConfig { width: 4, ..config }
}

#[test]
fn resnet_of_basic_blocks() {
    let config = ResNetConfig {
        blocks: [1, 2, 1, 1],
        ..narrow(ResNetConfig::resnet18())
    };
    compare(
        "resnet_basic",
        |start| config.init(start),
        |network, images| {
            let [.., last] = network.features(images);
            last
        },
    );
}

#[test]
fn resnet_of_dilated_bottlenecks() {
    let config = ResNetConfig {
        blocks: [1, 1, 1, 2],
        dilated: 2,
        ..narrow(ResNetConfig::resnet50())
    };
    compare(
        "resnet_bottleneck",
        |start| config.init(start),
        |network, images| {
            let [.., last] = network.features(images);
            last
        },
    );
}

#[test]
fn vision_transformer() {
    let config = VisionTransformerConfig {
        channels: 3,
        size: [16, 24],
        patch: 8,
        width: 24,
        depth: 2,
        heads: 3,
        ..VisionTransformerConfig::small()
    };
    // Its golden has images of another size.
    let interpolated = VisionTransformerConfig {
        registers: 1,
        ..config.clone()
    };
    let gated = VisionTransformerConfig {
        hidden: Some(36),
        gated: true,
        layer_scale: true,
        registers: 2,
        ..config.clone()
    };
    let without_positions = VisionTransformerConfig {
        positions: Positions::Patches,
        ..gated.clone()
    };
    for (name, config) in [
        ("vision_transformer_interpolated", interpolated),
        ("vision_transformer", config),
        ("vision_transformer_gated", gated),
        ("vision_transformer_registers", without_positions),
    ] {
        compare(
            name,
            |start| config.init(start),
            |network, images| network.forward(images).unsqueeze_dim(2),
        );
    }
}

#[test]
fn unet_around_an_encoder() {
    let encoder = EncoderConfig::ResNet(ResNetConfig {
        blocks: [1, 1, 1, 1],
        ..narrow(ResNetConfig::resnet18())
    });
    compare(
        "encoder_unet",
        |start| EncoderUNet::new(&encoder, [24, 16, 8, 8, 4], 3, start),
        |network, images| network.forward(images),
    );
}

fn narrow_efficientnet(origin: Origin) -> EfficientNetLiteConfig {
    let stage = |repeats, kernel, stride, expansion, outputs| Stage {
        repeats,
        kernel,
        stride,
        expansion,
        outputs,
    };
    EfficientNetLiteConfig {
        stem: 8,
        stages: vec![
            stage(2, 3, 1, 1, 8),
            stage(2, 3, 2, 2, 8),
            stage(1, 5, 2, 2, 8),
            stage(1, 3, 2, 2, 16),
            stage(1, 5, 1, 2, 16),
            stage(1, 5, 2, 2, 16),
            stage(1, 3, 1, 2, 24),
        ],
        ..EfficientNetLiteConfig::lite0(origin)
    }
}

#[test]
fn efficientnet_lite() {
    let config = EfficientNetLiteConfig {
        dilated: 1,
        ..narrow_efficientnet(Origin::TensorFlow)
    };
    compare(
        "efficientnet_lite",
        |start| config.init(start),
        |network, images| network.forward(images),
    );
}

#[test]
fn unet_around_an_efficientnet() {
    let encoder = EncoderConfig::EfficientNetLite(narrow_efficientnet(Origin::Timm));
    compare(
        "efficientnet_unet",
        |start| EncoderUNet::new(&encoder, [16, 16, 8, 8, 4], 2, start),
        |network, images| network.forward(images),
    );
}

#[test]
fn deeplab() {
    let encoder = EncoderConfig::ResNet(ResNetConfig {
        blocks: [1, 1, 1, 1],
        ..narrow(ResNetConfig::resnet18())
    });
    compare(
        "deeplab",
        |start| DeepLabV3Plus::new(encoder.clone(), 8, [2, 3, 5], 2, start),
        |network, images| network.forward(images),
    );
}

#[test]
fn pspnet() {
    let encoder = EncoderConfig::ResNet(ResNetConfig {
        blocks: [1, 2, 1, 1],
        ..narrow(ResNetConfig::resnet18())
    });
    compare(
        "pspnet",
        |start| PspNet::new(encoder.clone(), 12, 2, start),
        |network, images| network.forward(images),
    );
}

#[test]
fn hrnet() {
    let backbone = HighResolutionNetConfig {
        channels: 3,
        stem: [4, 64],
        bottleneck_width: 2,
        bottlenecks: 2,
        width: 2,
        modules: [1, 2, 1],
        blocks: 1,
    };
    compare(
        "hrnet",
        |start| HrNet::new(&backbone, 2, start),
        |network, images| network.forward(images),
    );
}

#[test]
fn fcos() {
    let encoder = EncoderConfig::ResNet(ResNetConfig {
        blocks: [1, 1, 1, 1],
        ..narrow(ResNetConfig::resnet18())
    });
    let config = FcosConfig {
        width: 8,
        groups: 4,
        ..FcosConfig::default()
    };
    compare(
        "fcos",
        |start| Fcos::new(&encoder, &config, 3, start),
        |network, images| {
            let output = network.forward(images);
            let all = vec![output.classes, output.distances, output.centredness];
            Tensor::cat(all, 2).unsqueeze_dim(2)
        },
    );
}

fn narrow_faster_rcnn(frozen_norms: bool, classes: usize, start: &mut Start) -> FasterRcnn {
    let encoder = EncoderConfig::ResNet(ResNetConfig {
        blocks: [1, 1, 1, 1],
        ..narrow(ResNetConfig::resnet18())
    });
    let config = FasterRcnnConfig {
        frozen_norms,
        width: 8,
        hidden: 16,
        ..FasterRcnnConfig::default()
    };
    FasterRcnn::new(&encoder, &config, classes, start)
}

/// What anchors say, and what three regions of each image say.
fn say_of_regions(network: &FasterRcnn, images: Tensor<4>) -> Tensor<4> {
    let [n, ..] = images.dims();
    let boxes = [
        [2.0, 3.0, 40.0, 30.0],
        [10.0, -8.0, 60.0, 70.0],
        [0.0, 0.0, 64.0, 96.0],
    ];
    let regions: Vec<Region> = (0..n)
        .flat_map(|image| {
            boxes.map(|[left, top, right, bottom]| Region {
                image,
                left,
                top,
                right,
                bottom,
            })
        })
        .collect();
    let proposed = network.propose(images);
    let output = network.classify(&proposed.levels, &regions);
    let row = |values: usize| [n, values / n];
    let of_anchors = [proposed.objectness, proposed.offsets].map(|said| {
        let values = said.shape().num_elements();
        said.reshape(row(values))
    });
    let of_classes = output.classes.reshape(row(3 * n * 4));
    let of_offsets = output.offsets.reshape(row(3 * n * 16));
    let [objectness, offsets] = of_anchors;
    let all = Tensor::cat(vec![objectness, offsets, of_classes, of_offsets], 1);
    all.unsqueeze_dims(&[1, 1])
}

#[test]
fn faster_rcnn() {
    compare(
        "faster_rcnn",
        |start| narrow_faster_rcnn(false, 3, start),
        say_of_regions,
    );
}

#[test]
fn frozen_norms_keep_what_they_begin_with() {
    let golden = Golden::read("faster_rcnn");
    let device = Device::flex().autodiff();
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let network = narrow_faster_rcnn(true, 3, &mut Start::new(&mut rng, &device));
    let network = network.load_encoder(&golden.0.part("weights.")).unwrap();
    let before = tensors(&network, None);
    let said = say_of_regions(&network, golden.images("input", &device));
    assert_close(
        "scores by running statistics, while gradients are recorded",
        &values(said.clone()),
        &values(golden.images("predicted", &device)),
        FORWARD_TOLERANCE,
    );
    let gradients = GradientsParams::from_grads(said.sum().backward(), &network);
    let learning = tensors(&network, Some(&gradients));
    let is_norm = |name: &str| name.contains(".bn") || name.contains("downsample.1");
    for name in golden.0.part("gradient.").names() {
        assert_eq!(learning.contains_key(name), !is_norm(name), "{name}");
    }
    assert_eq!(tensors(&network.valid(), None), before);
}

#[test]
fn detectors_of_older_torchvision_and_of_other_classes_are_read() {
    let device = Device::flex();
    let build = |classes: usize, seed: u64| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        narrow_faster_rcnn(false, classes, &mut Start::new(&mut rng, &device))
    };
    let older = |name: &str| {
        let name = name.replace("rpn.head.conv.0.0.", "rpn.head.conv.");
        (0..4).fold(name, |name, block| {
            name.replace(&format!("_blocks.{block}.0."), &format!("_blocks.{block}."))
        })
    };
    let network = build(3, 1);
    let bytes = Weights::to_bytes(&network, BTreeMap::new(), older).unwrap();
    let file = Weights::from_bytes(&bytes, "older").unwrap();
    assert!(file.tensor("backbone.fpn.inner_blocks.3.weight").is_some());
    assert!(file.tensor("rpn.head.conv.weight").is_some());

    let expected = tensors(&network, None);
    let same = build(3, 2).load_encoder(&file).unwrap();
    assert_eq!(tensors(&same, None), expected);

    let own = tensors(&build(5, 2), None);
    let other = build(5, 2).load_encoder(&file).unwrap();
    for (name, found) in tensors(&other, None) {
        let of_classes = name.starts_with("roi_heads.box_predictor.");
        let expected = if of_classes { &own } else { &expected };
        assert_eq!(&found, &expected[&name], "{name}");
    }

    let message = build(3, 2).load_encoder(&file.without("rpn.")).unwrap_err();
    assert!(
        message.to_string().contains("the proposal network"),
        "{message}"
    );
}
