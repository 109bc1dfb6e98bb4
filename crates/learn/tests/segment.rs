//! Networks for pixels: they learn, go on after an interruption to the same bytes, and say what is wrong.
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::cell::Cell;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::Device;
use cleanslide_learn::Error;
use cleanslide_learn::augment::AugmentSettings;
use cleanslide_learn::pixels::PixelImages;
use cleanslide_learn::segment::{
    LossSettings, PredictSettings, SegmentSettings, Segmenter, Trainer,
};
#[cfg(feature = "vulkan")]
use cleanslide_learn::training::Epoch;
use cleanslide_learn::training::{
    Checkpoints, Optimiser, Schedule, SgdSettings, TrainSettings, Watch,
};
use cleanslide_nn::devices::DeviceName;
use cleanslide_nn::networks::{
    DeepLabV3PlusConfig, EncoderName, HrNetConfig, HrNetSize, PspNetConfig, SegmentationConfig,
    UNetConfig,
};
use image::{Rgb, RgbImage};
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Bright discs on a dark, noisy ground; some images can no longer be read after so many reads.
struct Discs {
    reads_left: AtomicUsize,
}

impl Discs {
    fn all() -> Self {
        Self::failing_after(usize::MAX)
    }

    fn failing_after(reads: usize) -> Self {
        Self {
            reads_left: AtomicUsize::new(reads),
        }
    }
}

impl PixelImages for Discs {
    type Failure = Error;

    fn count(&self) -> usize {
        8
    }

    fn name(&self, image: usize) -> String {
        format!("disc-{image}")
    }

    fn read(&self, image: usize) -> Result<(RgbImage, Array2<u8>), Error> {
        if self.reads_left.fetch_sub(1, Ordering::Relaxed) == 0 {
            let path = Path::new("gone.png");
            let error = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(cleanslide_data::Error::io("read", path, error).into());
        }
        let mut rng = ChaCha8Rng::seed_from_u64(image as u64);
        let (x, y) = (rng.random_range(8..40), rng.random_range(8..40));
        let radius: i32 = rng.random_range(5..11);
        let inside = |row: usize, column: usize| {
            (row as i32 - y).pow(2) + (column as i32 - x).pow(2) <= radius.pow(2)
        };
        let mask = Array2::from_shape_fn((48, 48), |(row, column)| u8::from(inside(row, column)));
        let pixels = RgbImage::from_fn(48, 48, |x, y| {
            let level = if inside(y as usize, x as usize) {
                150
            } else {
                90
            };
            Rgb(std::array::from_fn(|_| level + rng.random_range(0..60)))
        });
        Ok((pixels, mask))
    }
}

fn settings() -> SegmentSettings {
    SegmentSettings {
        network: SegmentationConfig::Unet(UNetConfig {
            widths: vec![8, 16],
        }),
        train: TrainSettings {
            epochs: 6,
            batch_size: 2,
            crop: 32,
            learning_rate: 0.01,
            checkpoint_every: 1,
            ..TrainSettings::default()
        },
        ..SegmentSettings::default()
    }
}

struct Run<'a> {
    images: &'a Discs,
    settings: &'a SegmentSettings,
    seed: u64,
    folder: &'a Path,
    validation: &'a [usize],
}

impl Run<'_> {
    fn train(&self) -> Result<Segmenter, Error> {
        self.train_on(DeviceName::Cpu)
    }

    fn train_on(&self, device: DeviceName) -> Result<Segmenter, Error> {
        Trainer {
            images: self.images,
            items: &[0, 1, 2, 3, 4],
            also: &[],
            validation: self.validation,
            classes: &["background".to_owned(), "disc".to_owned()],
            settings: self.settings,
            seed: self.seed,
            device: &device.open().unwrap().device,
            folder: self.folder,
        }
        .run(&Watch {
            step: &|| {},
            epoch: &|_, _| {},
        })
    }
}

/// The share of the pixels of an image that are predicted as they are.
fn accuracy(segmenter: &Segmenter, item: usize) -> f64 {
    let (image, mask) = Discs::all().read(item).unwrap();
    let probabilities = segmenter
        .predict(&image, &PredictSettings::default())
        .unwrap();
    let right = mask
        .indexed_iter()
        .filter(|((row, column), class)| {
            (probabilities[[1, *row, *column]] > 0.5) == (**class == 1)
        })
        .count();
    right as f64 / mask.len() as f64
}

#[test]
fn discs_are_learnt() {
    let folder = tempfile::tempdir().unwrap();
    let segmenter = Run {
        images: &Discs::all(),
        settings: &settings(),
        seed: 1,
        folder: folder.path(),
        validation: &[],
    }
    .train()
    .unwrap();
    for item in [6, 7] {
        assert!(
            accuracy(&segmenter, item) > 0.95,
            "{}",
            accuracy(&segmenter, item)
        );
    }
}

/// Everything that has a state: an average, momentum, a best epoch, a plateau, gathered gradients.
fn everything() -> SegmentSettings {
    let mut settings = settings();
    settings.train = TrainSettings {
        average: 0.9,
        accumulate: 2,
        clip: 1.0,
        optimiser: Optimiser::Sgd(SgdSettings::default()),
        schedule: Schedule::Plateau {
            factor: 0.5,
            patience: 1,
        },
        validation: 0.2,
        patience: 5,
        ..settings.train
    };
    settings.augment = AugmentSettings {
        elastic: 2.0,
        rotate: 20.0,
        noise: 0.05,
        mix_up: 0.4,
        ..AugmentSettings::default()
    };
    settings.loss = LossSettings {
        boundary: 0.01,
        ..LossSettings::default()
    };
    settings
}

#[test]
fn an_interrupted_training_ends_in_the_same_bytes() {
    // Training images are decoded once, those of the validation once an epoch: each run below ends in an
    // epoch of its own.
    for (settings, validation, reads) in [
        (settings(), vec![5], 5 + 2),
        (everything(), vec![5, 6], 5 + 2 * 3),
    ] {
        let whole = tempfile::tempdir().unwrap();
        let run = |images: &Discs, folder: &Path| {
            Run {
                images,
                settings: &settings,
                seed: 5,
                folder,
                validation: &validation,
            }
            .train()
        };
        let expected = run(&Discs::all(), whole.path())
            .unwrap()
            .to_bytes()
            .unwrap();
        let parted = tempfile::tempdir().unwrap();
        let mut failures = 0;
        let segmenter = loop {
            match run(&Discs::failing_after(reads), parted.path()) {
                Ok(segmenter) => break segmenter,
                Err(error) => {
                    assert!(error.to_string().contains("gone.png"), "{error}");
                    failures += 1;
                }
            }
        };
        assert!(failures >= 1);
        assert_eq!(segmenter.to_bytes().unwrap(), expected);
        let metrics =
            |folder: &Path| std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
        assert_eq!(metrics(parted.path()), metrics(whole.path()));
        // Another call is done at once, without an image.
        let again = run(&Discs::failing_after(0), parted.path()).unwrap();
        assert_eq!(again.to_bytes().unwrap(), expected);
        Checkpoints::of(parted.path()).clear().unwrap();
        assert!(!parted.path().join("checkpoints").exists());
    }
}

/// Of a training that was interrupted after each epoch but the last.
#[test]
#[cfg(feature = "vulkan")]
fn a_gpu_learns_what_the_processor_learns() {
    let settings = everything();
    let validation = [5, 6];
    let run = |images: &Discs, folder: &Path, device| {
        Run {
            images,
            settings: &settings,
            seed: 5,
            folder,
            validation: &validation,
        }
        .train_on(device)
    };
    let losses = |folder: &Path| -> Vec<f64> {
        let lines = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
        let epoch = |line| serde_json::from_str::<Epoch>(line).unwrap();
        lines.lines().map(|line| epoch(line).loss).collect()
    };
    let [on_cpu, on_gpu] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let expected = run(&Discs::all(), on_cpu.path(), DeviceName::Cpu).unwrap();
    let found = loop {
        match run(
            &Discs::failing_after(5 + 2),
            on_gpu.path(),
            DeviceName::Vulkan,
        ) {
            Ok(segmenter) => break segmenter,
            Err(error) => assert!(error.to_string().contains("gone.png"), "{error}"),
        }
    };
    // Rounding, a few units in the last place (1e-7 relative) of thousands of products, is passed on by some ten
    // steps of gradient descent, each of which multiplies it by a few.
    let (expected_losses, found_losses) = (losses(on_cpu.path()), losses(on_gpu.path()));
    assert_eq!(found_losses.len(), expected_losses.len());
    for (found, expected) in found_losses.iter().zip(&expected_losses) {
        let close = (found - expected).abs() < 1e-3 * expected;
        assert!(close, "{found_losses:?} instead of {expected_losses:?}");
    }
    let (image, _) = Discs::all().read(7).unwrap();
    let [expected, found] = [&expected, &found].map(|segmenter| {
        let settings = PredictSettings {
            tile: 32,
            overlap: 8,
            scales: vec![1.0, 1.5],
            ..PredictSettings::default()
        };
        segmenter.predict(&image, &settings).unwrap()
    });
    let worst = (&expected - &found)
        .iter()
        .fold(0.0f32, |worst, difference| worst.max(difference.abs()));
    assert!(worst < 5e-3, "probabilities differ by {worst}");
}

#[test]
fn each_network_is_trained_and_goes_on_after_an_interruption() {
    let networks = [
        SegmentationConfig::Hrnet(HrNetConfig {
            size: HrNetSize::W18Small,
            pretrained: None,
        }),
        SegmentationConfig::DeepLabV3Plus(DeepLabV3PlusConfig {
            encoder: EncoderName::Resnet18,
            encoder_width: Some(8),
            width: 16,
            ..DeepLabV3PlusConfig::default()
        }),
        SegmentationConfig::Pspnet(PspNetConfig {
            encoder: EncoderName::Resnet18,
            encoder_width: Some(8),
            width: 16,
            ..PspNetConfig::default()
        }),
    ];
    for network in networks {
        let name = network.name();
        let mut settings = settings();
        settings.network = network;
        settings.train.epochs = 2;
        let (whole, parted) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let run = |images: &Discs, folder: &Path| {
            Run {
                images,
                settings: &settings,
                seed: 3,
                folder,
                validation: &[5],
            }
            .train()
        };
        let expected = run(&Discs::all(), whole.path()).unwrap();
        run(&Discs::failing_after(5 + 1), parted.path()).unwrap_err();
        let resumed = run(&Discs::all(), parted.path()).unwrap();
        assert!(
            resumed.to_bytes().unwrap() == expected.to_bytes().unwrap(),
            "{name}"
        );
        let losses = std::fs::read_to_string(whole.path().join("metrics.jsonl")).unwrap();
        assert_eq!(losses.lines().count(), 2, "{name}: {losses}");
        // What is saved is read again, and predicts the same.
        let bytes = resumed.to_bytes().unwrap();
        let read = Segmenter::from_bytes(&bytes, name, &Device::flex()).unwrap();
        let (image, _) = Discs::all().read(6).unwrap();
        let predict = |network: &Segmenter| network.predict(&image, &PredictSettings::default());
        let probabilities = predict(&read).unwrap();
        assert_eq!(probabilities, predict(&resumed).unwrap(), "{name}");
        assert!(
            probabilities.iter().all(|value| value.is_finite()),
            "{name}"
        );
    }
}

#[test]
fn sizes_that_a_network_cannot_have_are_refused() {
    let message = |network, batch_size| {
        let mut settings = settings();
        settings.network = network;
        settings.train.batch_size = batch_size;
        settings.check().unwrap_err().to_string()
    };
    let deeplab = DeepLabV3PlusConfig::default();
    let single = message(SegmentationConfig::DeepLabV3Plus(deeplab.clone()), 1);
    assert!(
        single.contains("batch_size") && single.contains("at least 2"),
        "{single}"
    );
    let rates = DeepLabV3PlusConfig {
        rates: [1, 0, 2],
        ..deeplab
    };
    let still = message(SegmentationConfig::DeepLabV3Plus(rates), 2);
    assert!(still.contains("rates"), "{still}");
    let odd = PspNetConfig {
        encoder_width: Some(3),
        ..PspNetConfig::default()
    };
    let odd = message(SegmentationConfig::Pspnet(odd), 2);
    assert!(
        odd.contains("encoder_width") && odd.contains("multiple of 4"),
        "{odd}"
    );
}

#[test]
fn a_checkpoint_of_another_training_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let run = |images: &Discs, seed| {
        Run {
            images,
            settings: &settings(),
            seed,
            folder: folder.path(),
            validation: &[5],
        }
        .train()
    };
    run(&Discs::failing_after(8), 1).unwrap_err();
    let message = run(&Discs::all(), 2).unwrap_err().to_string();
    assert!(message.contains("of other settings"), "{message}");
    run(&Discs::all(), 1).unwrap();
}

#[test]
fn a_loss_that_is_no_number_names_its_images() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings();
    settings.train.learning_rate = 1e30;
    settings.train.optimiser = Optimiser::Sgd(SgdSettings::default());
    settings.train.warm_up = 0.0;
    settings.loss = LossSettings {
        dice: 0.0,
        ..LossSettings::default()
    };
    let message = Run {
        images: &Discs::all(),
        settings: &settings,
        seed: 1,
        folder: folder.path(),
        validation: &[],
    }
    .train()
    .unwrap_err()
    .to_string();
    assert!(message.contains("disc-"), "{message}");
    let note = std::fs::read_to_string(folder.path().join("diverged.json")).unwrap();
    assert!(note.contains("disc-"), "{note}");
}

/// What is not freed shows as growth over epochs; what is kept for reuse does not.
#[test]
#[cfg(target_os = "linux")]
fn memory_does_not_grow_over_epochs() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings();
    settings.train.epochs = 30;
    let (early, late) = (Cell::new(0.0), Cell::new(0.0));
    Trainer {
        images: &Discs::all(),
        items: &[0, 1, 2, 3, 4],
        also: &[],
        validation: &[],
        classes: &["background".to_owned(), "disc".to_owned()],
        settings: &settings,
        seed: 1,
        device: &Device::flex(),
        folder: folder.path(),
    }
    .run(&Watch {
        step: &|| {},
        epoch: &|epoch, speed| {
            let memory = speed.memory.unwrap();
            match epoch.epoch {
                10 => early.set(memory),
                30 => late.set(memory),
                _ => {}
            }
        },
    })
    .unwrap();
    // A batch of these crops takes some 4 MiB of results and gradients in a step; a hundred steps lie between.
    assert!(
        late.get() < early.get() + 16.0,
        "{} MiB, then {} MiB",
        early.get(),
        late.get()
    );
}
