//! Targets, losses and decoding against torchvision (`oracles/detection.py`), and a detector that learns.

use std::path::Path;
use std::sync::Mutex;

use burn::tensor::{Device, Tensor, TensorData};
use cleanslide_data::{Detection, Object, Objects, Rectangle, Trust};
use cleanslide_image::transform::Turn;
use cleanslide_nn::losses::FcosLoss;
use cleanslide_nn::networks::{DetectionConfig, FasterRcnnConfig, FcosConfig, FcosOutput};
use cleanslide_nn::weights::Weights;
use image::{Rgb, RgbImage};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::predict::{suppressed, upright};
use super::*;
use crate::augment::AugmentSettings;
use crate::error::{Error, Result};
use crate::training::{TrainSettings, Watch};

/// Sums of some hundred logarithms in f32.
const TOLERANCE: f32 = 1e-5;

const SIZE: [usize; 2] = [128, 96];

fn golden() -> Weights {
    Weights::read(Path::new("tests/goldens/detection.safetensors")).unwrap()
}

fn values(golden: &Weights, name: &str) -> Vec<f32> {
    golden.tensor(name).unwrap().values.clone()
}

fn tensor(golden: &Weights, name: &str, device: &Device) -> Tensor<3> {
    let tensor = golden.tensor(name).unwrap();
    let data = TensorData::new(tensor.values.clone(), tensor.shape.clone());
    Tensor::from_data(data, device)
}

fn rectangle(of: &[f32]) -> Rectangle {
    let [left, top, right, bottom] = [of[0], of[1], of[2], of[3]].map(f64::from);
    Rectangle::new(left, top, right, bottom).unwrap()
}

fn object(shape: Rectangle, class: usize) -> Object<Rectangle> {
    Object {
        shape,
        class,
        trust: Trust::FULL,
    }
}

fn assert_close(what: &str, ours: &[f32], theirs: &[f32]) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let scale = theirs.iter().fold(0.0f32, |most, v| most.max(v.abs()));
    for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        let close = (ours - theirs).abs() <= TOLERANCE * scale;
        assert!(close, "{what} {index}: {ours} instead of {theirs}");
    }
}

fn config() -> FcosConfig {
    FcosConfig {
        encoder_width: Some(16),
        width: 32,
        groups: 4,
        convolutions: 1,
        ..FcosConfig::default()
    }
}

fn gradient(of: &Tensor<3>, gradients: &burn::tensor::Gradients) -> Vec<f32> {
    let gradient = of.grad(gradients).unwrap();
    gradient.into_data().iter::<f32>().collect()
}

#[test]
fn losses_and_gradients_equal_torchvision_s() {
    let golden = golden();
    let strides = config().strides();
    let device = Device::flex().autodiff();
    let crops = (0..2).map(|image| {
        let boxes = values(&golden, &format!("boxes.{image}"));
        let labels = values(&golden, &format!("labels.{image}"));
        let objects: Vec<Object<Rectangle>> = boxes
            .chunks_exact(4)
            .zip(&labels)
            .map(|(of, &label)| object(rectangle(of), label as usize))
            .collect();
        let unlabelled = Unlabelled::Within(Vec::new());
        CropTargets::new(&objects, &unlabelled, SIZE, &strides, 3, |_| true)
    });
    let targets = CropTargets::batch(crops.collect(), 3, &device);
    let answers = ["classes", "sides", "centredness"]
        .map(|name| tensor(&golden, name, &device).require_grad());
    let [classes, distances, centredness] = answers.clone();
    let output = FcosOutput {
        classes,
        distances,
        centredness,
    };
    let parts = FcosLoss::default().parts(output, targets);
    let found: Vec<f32> = parts.clone().into_data().iter::<f32>().collect();
    assert_close("losses", &found, &values(&golden, "losses"));
    let gradients = parts.sum().backward();
    for (answer, name) in answers.iter().zip(["classes", "sides", "centredness"]) {
        let name = format!("gradient.{name}");
        assert_close(
            &name,
            &gradient(answer, &gradients),
            &values(&golden, &name),
        );
    }
}

#[test]
fn decoded_boxes_equal_torchvision_s() {
    let golden = golden();
    let device = Device::flex();
    let strides = config().strides();
    for image in 0..2 {
        let part = |name: &str| tensor(&golden, name, &device).slice(image..image + 1);
        let output = FcosOutput {
            classes: part("classes"),
            distances: part("sides"),
            centredness: part("centredness"),
        };
        let settings = DetectorPredictSettings {
            exclusive: false,
            ..DetectorPredictSettings::default()
        };
        let found = fcos::decode(output, &strides, SIZE, settings.score).unwrap();
        let found = suppressed(&found, &settings).unwrap();
        let expected = values(&golden, &format!("found.{image}"));
        assert_eq!(found.len(), expected.len() / 6);
        for (ours, theirs) in found.iter().zip(expected.chunks_exact(6)) {
            let at = ours.rectangle;
            let ours = [
                at.left,
                at.top,
                at.right,
                at.bottom,
                ours.class as f64,
                ours.score,
            ];
            for (ours, &theirs) in ours.into_iter().zip(theirs) {
                // Coordinates up to 128 and scores in f32.
                assert!((ours - f64::from(theirs)).abs() < 2e-5, "{ours} {theirs}");
            }
        }
    }
}

#[test]
fn what_nobody_knows_is_not_background() {
    let strides = config().strides();
    let known = |unlabelled: Unlabelled| {
        let objects = [object(rectangle(&[40.0, 40.0, 72.0, 72.0]), 0)];
        CropTargets::new(&objects, &unlabelled, SIZE, &strides, 1, |place| {
            place.x < 90.0
        })
        .known
    };
    // The location in the middle of the object, and three of nothing: in the first row.
    let places = [7 * 12 + 7, 0, 5, 11];
    let at = |known: Vec<f32>| places.map(|place| known[place]);
    let none = Unlabelled::Within(Vec::new());
    assert_eq!(at(known(none)), [1.0, 1.0, 1.0, 1.0]);
    let within = Unlabelled::Within(vec![rectangle(&[32.0, 0.0, 48.0, 8.0])]);
    assert_eq!(at(known(within)), [1.0, 1.0, 0.0, 1.0]);
    assert_eq!(at(known(Unlabelled::Everywhere)), [1.0, 0.0, 0.0, 0.0]);
    // Beyond the image is its mirror image, of which nothing is said.
    let narrow = CropTargets::new(
        &[],
        &Unlabelled::Within(Vec::new()),
        SIZE,
        &strides,
        1,
        |place| place.x < 88.0,
    );
    assert_eq!((narrow.known[10], narrow.known[11]), (1.0, 0.0));
}

/// Dark and bright discs of different sizes on grey.
pub(super) struct Discs;

impl BoxImages for Discs {
    type Failure = Error;

    fn read(&self, image: usize) -> Result<(RgbImage, Objects<Rectangle>)> {
        let mut rng = ChaCha8Rng::seed_from_u64(image as u64);
        let mut picture = RgbImage::from_fn(96, 80, |_, _| Rgb([rng.random_range(110..150); 3]));
        let mut objects: Vec<Object<Rectangle>> = Vec::new();
        while objects.len() < 5 {
            let radius = rng.random_range(7.0..13.0f64);
            let x = rng.random_range(radius..96.0 - radius);
            let y = rng.random_range(radius..80.0 - radius);
            let shape = Rectangle::new(x - radius, y - radius, x + radius, y + radius)?;
            if objects
                .iter()
                .any(|other| other.shape.overlap(&shape) > 0.0)
            {
                continue;
            }
            let class = rng.random_range(0..2);
            for (column, row, pixel) in picture.enumerate_pixels_mut() {
                let (dx, dy) = (f64::from(column) + 0.5 - x, f64::from(row) + 0.5 - y);
                if dx * dx + dy * dy < radius * radius {
                    *pixel = Rgb([if class == 0 { 40 } else { 220 }; 3]);
                }
            }
            objects.push(object(shape, class));
        }
        Ok((
            picture,
            Objects {
                objects,
                complete: true,
            },
        ))
    }
}

pub(super) fn small() -> DetectorSettings {
    DetectorSettings {
        network: DetectionConfig::Fcos(config()),
        train: TrainSettings {
            epochs: 20,
            batch_size: 4,
            crop: 64,
            learning_rate: 4e-3,
            validation: 0.2,
            checkpoint_every: 2,
            ..TrainSettings::default()
        },
        augment: AugmentSettings::default(),
        ..DetectorSettings::default()
    }
}

fn train(settings: &DetectorSettings, folder: &Path, watch: &Watch) -> Result<Detector> {
    train_on(&Device::flex(), settings, folder, watch)
}

fn train_on(
    device: &Device,
    settings: &DetectorSettings,
    folder: &Path,
    watch: &Watch,
) -> Result<Detector> {
    Trainer {
        images: &Discs,
        items: &(0..32).collect::<Vec<_>>(),
        also: &[],
        validation: &[100, 101, 102, 103],
        classes: &["dark".to_owned(), "bright".to_owned()],
        settings,
        seed: 5,
        device,
        folder,
    }
    .run(watch)
}

pub(super) fn small_faster_rcnn() -> DetectorSettings {
    let network = FasterRcnnConfig {
        encoder_width: Some(16),
        finest: 8,
        width: 32,
        hidden: 64,
        ..FasterRcnnConfig::default()
    };
    DetectorSettings {
        network: DetectionConfig::FasterRcnn(network),
        // Its second part learns from boxes that the first has learnt to propose: that takes longer.
        train: TrainSettings {
            epochs: 30,
            learning_rate: 1e-3,
            // The last steps alone differ from rounding to rounding.
            average: 0.95,
            ..small().train
        },
        // A narrow network is sure of parts of discs too, which overlap them by a fifth; discs do not overlap at all.
        predict: DetectorPredictSettings {
            suppression: 0.1,
            ..DetectorPredictSettings::default()
        },
        ..small()
    }
}

#[test]
fn fcos_finds_discs_in_every_view() {
    discs_are_found_in_every_view(&small());
}

#[test]
fn faster_rcnn_finds_discs_in_every_view() {
    discs_are_found_in_every_view(&small_faster_rcnn());
}

fn discs_are_found_in_every_view(settings: &DetectorSettings) {
    let folder = tempfile::tempdir().unwrap();
    let progress = Mutex::new(Vec::new());
    let watch = Watch {
        step: &|| (),
        epoch: &|epoch, _| progress.lock().unwrap().push(epoch.validation.unwrap()),
    };
    let detector = train(settings, folder.path(), &watch).unwrap();
    let progress = progress.into_inner().unwrap();
    let best = progress.iter().copied().fold(0.0, f64::max);
    assert!(best > 0.9, "AP50 {progress:?}");

    let bytes = detector.to_bytes().unwrap();
    let read = Detector::from_bytes(&bytes, "model", &Device::flex()).unwrap();
    let whole = DetectorPredictSettings {
        score: 0.4,
        ..settings.predict.clone()
    };
    let views = DetectorPredictSettings {
        turns: crate::views::TestAugmentation::All,
        scales: vec![1.0, 1.25],
        ..whole.clone()
    };
    let tiled = DetectorPredictSettings {
        tile: 64,
        overlap: 28,
        ..whole.clone()
    };
    for settings in [whole, views, tiled] {
        let (mut found, mut right) = (0, 0);
        for image in 200..206 {
            let (picture, labels) = Discs.read(image).unwrap();
            let boxes = read.predict(&picture, &settings).unwrap();
            assert_eq!(boxes, detector.predict(&picture, &settings).unwrap());
            found += boxes.len();
            right += labels
                .objects
                .iter()
                .filter(|object| boxes.iter().any(|found| same(found, object)))
                .count();
        }
        assert!(
            right >= 27 && found <= 33,
            "{right} of 30, {found} found, AP50 {progress:?}, {settings:?}"
        );
    }
}

#[test]
fn boxes_of_views_come_back_to_the_pixel() {
    // Not a square, and sides that halve and double without a rest.
    let truth = rectangle(&[12.0, 4.0, 40.0, 16.0]);
    let image = RgbImage::from_fn(64, 40, |x, y| {
        let inside = (12..40).contains(&x) && (4..16).contains(&y);
        Rgb([if inside { 200 } else { 0 }; 3])
    });
    for scale in [0.5, 1.0, 2.0] {
        let scaled = crate::views::scaled(&image, scale);
        let pixels = crate::views::array(&scaled).unwrap();
        let size = (pixels.dim().0, pixels.dim().1);
        for turn in Turn::ALL {
            let view = turn.colour(pixels.view());
            // Resizing blurs borders: a pixel is inside if more than half of it is.
            let inside = view.indexed_iter().filter(|(_, value)| **value > 100);
            let (rows, columns): (Vec<usize>, Vec<usize>) =
                inside.map(|((row, column, _), _)| (row, column)).unzip();
            let sides = |of: &[usize]| {
                let least = of.iter().min().unwrap();
                (*least as f64, *of.iter().max().unwrap() as f64 + 1.0)
            };
            let ((top, bottom), (left, right)) = (sides(&rows), sides(&columns));
            let found = Rectangle::new(left, top, right, bottom).unwrap();
            let back = upright(found, turn, size, [1.0 / scale; 2]);
            assert_eq!(back, truth, "{turn:?} at {scale}");
        }
    }
}

#[test]
#[cfg(feature = "vulkan")]
fn a_gpu_learns_what_the_processor_learns() {
    use cleanslide_nn::devices::DeviceName;

    let mut settings = small();
    settings.train.epochs = 2;
    settings.train.clip = 1.0;
    let run = |device: DeviceName| {
        let folder = tempfile::tempdir().unwrap();
        let losses = Mutex::new(Vec::new());
        let watch = Watch {
            step: &|| (),
            epoch: &|epoch, _| losses.lock().unwrap().push(epoch.loss),
        };
        let device = device.open().unwrap().device;
        let detector = train_on(&device, &settings, folder.path(), &watch).unwrap();
        (losses.into_inner().unwrap(), detector.to_bytes().unwrap())
    };
    let (expected, bytes) = run(DeviceName::Cpu);
    let (found, _) = run(DeviceName::Vulkan);
    assert_eq!(found.len(), expected.len());
    // Adam's first steps have the length of the learning rate, whatever that of the gradient: where it is hardly
    // more than rounding, parameters go another way, which changes the loss little, but more than rounding.
    for (ours, theirs) in found.iter().zip(&expected) {
        let close = (ours - theirs).abs() < 1e-2 * theirs;
        assert!(close, "{found:?} instead of {expected:?}");
    }

    let (picture, _) = Discs.read(200).unwrap();
    let most = DetectorPredictSettings {
        score: 0.0,
        tile: 64,
        overlap: 28,
        ..DetectorPredictSettings::default()
    };
    let [expected, found] = [DeviceName::Cpu, DeviceName::Vulkan].map(|device| {
        let device = device.open().unwrap().device;
        let detector = Detector::from_bytes(&bytes, "model", &device).unwrap();
        detector.predict(&picture, &most).unwrap()
    });
    assert_eq!(found.len(), expected.len());
    for of_cpu in &expected {
        let close = |of_gpu: &&Detection| {
            of_gpu.class == of_cpu.class
                && (of_gpu.score - of_cpu.score).abs() < 1e-4
                && of_gpu.rectangle.iou(&of_cpu.rectangle) > 0.999
        };
        assert!(found.iter().any(|of_gpu| close(&of_gpu)), "{of_cpu:?}");
    }
}

fn same(found: &Detection, object: &Object<Rectangle>) -> bool {
    found.class == object.class && found.rectangle.iou(&object.shape) > 0.6
}

#[test]
fn an_interrupted_training_ends_in_the_same_bytes() {
    let mut settings = small_faster_rcnn();
    settings.train.epochs = 2;
    settings.train.checkpoint_every = 1;
    let quiet = Watch {
        step: &|| (),
        epoch: &|_, _| (),
    };
    let folder = tempfile::tempdir().unwrap();
    let whole = train(&settings, folder.path(), &quiet).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let stop = Watch {
        step: &|| (),
        epoch: &|epoch, _| assert!(epoch.epoch < 2, "interrupted"),
    };
    let interrupted = std::panic::AssertUnwindSafe(|| train(&settings, folder.path(), &stop));
    assert!(std::panic::catch_unwind(interrupted).is_err());
    assert!(folder.path().join("checkpoints").is_dir());
    let resumed = train(&settings, folder.path(), &quiet).unwrap();
    assert_eq!(resumed.to_bytes().unwrap(), whole.to_bytes().unwrap());
}

#[test]
fn settings_that_boxes_have_no_use_for_are_refused() {
    let message = |settings: DetectorSettings| settings.check().unwrap_err().to_string();
    let mixed = DetectorSettings {
        augment: AugmentSettings {
            mix_up: 0.5,
            ..AugmentSettings::default()
        },
        ..small()
    };
    assert!(message(mixed).contains("images with boxes are not mixed"));
    let groups = DetectorSettings {
        network: DetectionConfig::Fcos(FcosConfig {
            groups: 7,
            ..FcosConfig::default()
        }),
        ..small()
    };
    assert!(message(groups).contains("a divisor of `width`"));
    let focal = DetectorSettings {
        loss: DetectorLossSettings {
            gamma: 1.0,
            ..DetectorLossSettings::default()
        },
        ..small_faster_rcnn()
    };
    assert!(message(focal).contains("Faster R-CNN has no such losses"));
    let frozen = DetectorSettings {
        network: DetectionConfig::FasterRcnn(FasterRcnnConfig {
            frozen_norms: true,
            ..FasterRcnnConfig::default()
        }),
        ..small()
    };
    assert!(message(frozen).contains("only what is `pretrained`"));
}
