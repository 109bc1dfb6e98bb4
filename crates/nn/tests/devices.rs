//! Losses on a GPU against the CPU, where `losses.rs` compares them with PyTorch. Operators are compared on every
//! device in `operators/tests.rs`, networks and a step of training in `networks.rs`.

#![cfg(feature = "vulkan")]
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};
use cleanslide_nn::devices::DeviceName;
use cleanslide_nn::losses::{
    BinaryFocal, CrossEntropy, FcosLoss, FcosTargets, Focal, ForwardCorrection,
    GeneralizedCrossEntropy, Loss, MeanAbsoluteError, NceRce, SymmetricCrossEntropy, Tversky,
    early_learning_regularisation, weighted_mean,
};
use cleanslide_nn::networks::FcosOutput;
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Vulkan asks of exponentials and logarithms of values up to 10 no more than some ten units in the last place (1e-7
/// relative); losses sum a few hundred of them.
const TOLERANCE: f32 = 1e-5;

const ITEMS: usize = 70;
const CLASSES: usize = 4;

/// Where a loss is worked out, and its random inputs.
struct Inputs<'a> {
    device: &'a Device,
    rng: ChaCha8Rng,
}

impl Inputs<'_> {
    fn between<const D: usize>(&mut self, low: f32, high: f32, shape: [usize; D]) -> Tensor<D> {
        let values: Vec<f32> = (0..shape.iter().product())
            .map(|_| self.rng.random_range(low..high))
            .collect();
        Tensor::from_data(TensorData::new(values, shape), self.device)
    }

    /// What gradients are asked of.
    fn scores<const D: usize>(&mut self, shape: [usize; D]) -> Tensor<D> {
        self.between(-10.0, 10.0, shape).require_grad()
    }
}

/// Compares a loss and the gradient of its first input.
fn compare<const D: usize, const R: usize>(
    what: &str,
    shape: [usize; D],
    loss: impl Fn(Tensor<D>, &mut Inputs) -> Tensor<R>,
) {
    let run = |name: DeviceName| {
        let device = name.open().unwrap().device.autodiff();
        let mut inputs = Inputs {
            device: &device,
            rng: ChaCha8Rng::seed_from_u64(7),
        };
        let scores = inputs.scores(shape);
        let value = loss(scores.clone(), &mut inputs);
        let gradients = value.clone().sum().backward();
        let gradient = scores.grad(&gradients).unwrap();
        let values = |data: TensorData| data.iter::<f32>().collect::<Vec<_>>();
        [values(value.into_data()), values(gradient.into_data())]
    };
    let [cpu, gpu] = [run(DeviceName::Cpu), run(DeviceName::Vulkan)];
    for (cpu, gpu) in cpu.iter().zip(&gpu) {
        assert_eq!(cpu.len(), gpu.len(), "{what}");
        assert!(cpu.iter().any(|&value| value != 0.0), "{what} says nothing");
        for (cpu, gpu) in cpu.iter().zip(gpu) {
            let close = (cpu - gpu).abs() <= TOLERANCE * cpu.abs().max(1.0);
            assert!(close, "{what}: {gpu} instead of {cpu}");
        }
    }
}

fn targets(inputs: &mut Inputs) -> Tensor<2> {
    softmax(inputs.between(-3.0, 3.0, [ITEMS, CLASSES]), 1)
}

#[test]
fn losses_of_classes() {
    let mut transition = Array2::from_elem((CLASSES, CLASSES), 0.1);
    transition.diag_mut().fill(0.7);
    let losses: [(&str, Box<dyn Loss>); 7] = [
        ("cross-entropy", Box::new(CrossEntropy::default())),
        ("focal", Box::new(Focal::default())),
        ("mae", Box::new(MeanAbsoluteError)),
        ("gce", Box::new(GeneralizedCrossEntropy::default())),
        ("sce", Box::new(SymmetricCrossEntropy::default())),
        ("nce-rce", Box::new(NceRce::default())),
        (
            "forward",
            Box::new(ForwardCorrection::new(transition.view())),
        ),
    ];
    for (name, loss) in losses {
        compare(name, [ITEMS, CLASSES], |logits, inputs| {
            let targets = targets(inputs);
            let weights = inputs.between(0.0, 1.0, [ITEMS]);
            loss.mean(logits, targets, weights)
        });
    }
}

#[test]
fn losses_of_regions_and_of_memory() {
    for (name, loss) in [("dice", Tversky::DICE), ("jaccard", Tversky::JACCARD)] {
        compare(name, [ITEMS, CLASSES], |logits, inputs| {
            let targets = targets(inputs);
            let weights = inputs.between(0.0, 1.0, [ITEMS]);
            loss.loss(softmax(logits, 1), targets, weights)
        });
    }
    compare("elr", [ITEMS, CLASSES], |logits, inputs| {
        early_learning_regularisation(logits, targets(inputs).mul_scalar(0.9))
    });
}

#[test]
fn losses_of_boxes() {
    let (images, locations) = (2, 35);
    compare(
        "fcos",
        [images, locations, CLASSES + 5],
        |scores, inputs| {
            let part = |range: std::ops::Range<usize>| {
                scores.clone().slice([0..images, 0..locations, range])
            };
            let output = FcosOutput {
                classes: part(0..CLASSES),
                distances: part(CLASSES..CLASSES + 4).abs(),
                centredness: part(CLASSES + 4..CLASSES + 5),
            };
            let mut share = |width: usize| inputs.between(0.0, 1.0, [images, locations, width]);
            let targets = FcosTargets {
                classes: share(CLASSES),
                known: share(1),
                distances: share(4).mul_scalar(10.0),
                centredness: share(1),
                objects: share(1),
                total: 12.0,
            };
            let loss = FcosLoss {
                classes: BinaryFocal::default(),
                ..FcosLoss::default()
            };
            loss.parts(output, targets)
        },
    );
}

#[test]
fn ignored_items_may_be_infinite() {
    let device = DeviceName::Vulkan.open().unwrap().device;
    let values = Tensor::<1>::from_floats([1.0, f32::INFINITY, 4.0, f32::NAN], &device);
    let weights = Tensor::from_floats([1.0, 0.0, 0.5, 0.0], &device);
    let mean: f32 = weighted_mean(values, weights).into_scalar();
    assert_eq!(mean, 2.0);
}

/// Training ends when its loss is no number: a GPU must not lose that on the way.
#[test]
fn what_is_no_number_stays_none() {
    let device = DeviceName::Vulkan.open().unwrap().device;
    let logits = Tensor::<2>::from_floats([[f32::NAN, 1.0], [0.0, 1.0]], &device);
    let targets = Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 1.0]], &device);
    let weights = Tensor::ones([2], &device);
    let loss: f32 = CrossEntropy::default()
        .mean(logits, targets, weights)
        .into_scalar();
    assert!(!loss.is_finite(), "{loss}");
}
