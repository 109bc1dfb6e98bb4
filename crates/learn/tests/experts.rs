//! Networks for pixels that learn from several experts: they find out whom to believe, go on after an interruption to
//! the same bytes, and never see what they are not to learn from.
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use burn::tensor::Device;
use cleanslide_learn::Error;
use cleanslide_learn::augment::AugmentSettings;
use cleanslide_learn::experts::{
    ConfusionSettings, ExpertImages, ExpertMask, ExpertMethod, ExpertModel, ExpertSettings,
    ExpertTrainer, ReweightSettings,
};
use cleanslide_learn::segment::{GaussianAttention, LossSettings, SegmentSettings};
use cleanslide_learn::training::{Epoch, TrainSettings, Watch};
use cleanslide_nn::networks::{SegmentationConfig, UNetConfig, WeightingNetworkConfig};
use image::{Rgb, RgbImage};
use ndarray::{Array2, Axis};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Images that are learned from: all others fail the test if they are read.
const ITEMS: [usize; 6] = [0, 1, 2, 3, 4, 5];

/// Bright discs on a dark ground, drawn by four experts: two who are right, one who draws them too large, and one who
/// always says the opposite and did not see image 0.
struct Discs;

const EXPERTS: [&str; 4] = ["anna", "ben", "carla", "opposite"];

fn disc(image: usize, wider: i32) -> Array2<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(image as u64);
    let (x, y) = (rng.random_range(12..36), rng.random_range(12..36));
    let radius = rng.random_range(6..11) + wider;
    Array2::from_shape_fn((48, 48), |(row, column)| {
        u8::from((row as i32 - y).pow(2) + (column as i32 - x).pow(2) <= radius.pow(2))
    })
}

fn picture(image: usize) -> RgbImage {
    let mut rng = ChaCha8Rng::seed_from_u64(1000 + image as u64);
    let disc = disc(image, 0);
    RgbImage::from_fn(48, 48, |x, y| {
        let level = 70 + 80 * disc[[y as usize, x as usize]];
        Rgb(std::array::from_fn(|_| level + rng.random_range(0..40)))
    })
}

impl ExpertImages for Discs {
    type Failure = Error;

    fn name(&self, image: usize) -> String {
        format!("disc-{image}")
    }

    fn read(&self, image: usize) -> Result<(RgbImage, Vec<Option<ExpertMask>>), Error> {
        assert!(
            ITEMS.contains(&image),
            "image {image} is not to be learned from"
        );
        let mask = |classes| {
            Some(ExpertMask {
                classes,
                trust: 1.0,
            })
        };
        let opposite = disc(image, 0).mapv(|class| 1 - class);
        Ok((
            picture(image),
            vec![
                mask(disc(image, 0)),
                mask(disc(image, 0)),
                mask(disc(image, 3)),
                if image == 0 { None } else { mask(opposite) },
            ],
        ))
    }
}

fn settings(method: ExpertMethod) -> ExpertSettings {
    ExpertSettings {
        method,
        segment: SegmentSettings {
            network: SegmentationConfig::Unet(UNetConfig {
                widths: vec![8, 16],
            }),
            loss: LossSettings {
                dice: 0.0,
                ..LossSettings::default()
            },
            train: TrainSettings {
                epochs: 20,
                batch_size: 3,
                crop: 32,
                learning_rate: 0.01,
                checkpoint_every: 1,
                ..TrainSettings::default()
            },
            augment: AugmentSettings::none(),
            ..SegmentSettings::default()
        },
    }
}

fn small() -> WeightingNetworkConfig {
    WeightingNetworkConfig {
        encoder_width: Some(8),
        ..WeightingNetworkConfig::default()
    }
}

/// All methods, with small networks.
fn methods() -> Vec<ExpertMethod> {
    let mut methods = ExpertMethod::all().to_vec();
    methods.push(ExpertMethod::Confusion(ConfusionSettings {
        per_pixel: true,
        ..ConfusionSettings::default()
    }));
    methods
        .into_iter()
        .map(|method| method.with_weighting(&small()))
        .collect()
}

fn train(
    settings: &ExpertSettings,
    folder: &Path,
    watch: &dyn Fn(&Epoch),
) -> Result<ExpertModel, Error> {
    ExpertTrainer {
        images: &Discs,
        items: &ITEMS,
        validation: &[],
        experts: &EXPERTS.map(String::from),
        classes: &["background".to_owned(), "disc".to_owned()],
        settings,
        seed: 3,
        device: &Device::flex(),
        folder,
    }
    .run(&Watch {
        step: &|| (),
        epoch: &|epoch, _| watch(epoch),
    })
}

/// The share of the pixels of images that were not learned from that are right.
fn accuracy(model: &ExpertModel) -> f64 {
    let settings = &Default::default();
    let right: Vec<bool> = (20..24)
        .flat_map(|image| {
            let found = model.segmenter.predict(&picture(image), settings).unwrap();
            let found = cleanslide_learn::segment::most_probable(found.view());
            let truth = disc(image, 0);
            found
                .iter()
                .zip(&truth)
                .map(|(found, truth)| found == truth)
                .collect::<Vec<_>>()
        })
        .collect();
    right.iter().filter(|right| **right).count() as f64 / right.len() as f64
}

#[test]
fn every_method_learns() {
    for method in methods() {
        let folder = tempfile::tempdir().unwrap();
        let model = train(&settings(method.clone()), folder.path(), &|_| ()).unwrap();
        let accuracy = accuracy(&model);
        assert!(accuracy > 0.93, "{method:?}: {accuracy}");
        let believed = model.believed(&picture(20)).unwrap();
        let knows = matches!(
            method,
            ExpertMethod::Reweight(_) | ExpertMethod::Confusion(_)
        );
        assert_eq!(believed.is_some(), knows, "{method:?}");
        let Some(believed) = believed else { continue };
        assert_eq!(believed.dim(), (4, 48, 48));
        // The one who says the opposite is believed least.
        let means = believed.mean_axis(Axis(2)).unwrap();
        let means = means.mean_axis(Axis(1)).unwrap();
        assert!(
            (0..3).all(|other| means[3] < means[other]),
            "{method:?}: {means}"
        );
        if let ExpertMethod::Reweight(_) = method {
            let sums = believed.sum_axis(Axis(0));
            assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-5));
        }
    }
}

#[test]
fn weights_are_noted_epoch_by_epoch() {
    let method = ExpertMethod::Reweight(ReweightSettings {
        weighting: small(),
        ..ReweightSettings::default()
    });
    let settings = settings(method);
    let noted = Mutex::new(Vec::new());
    let folder = tempfile::tempdir().unwrap();
    let watch = |epoch: &Epoch| noted.lock().unwrap().push(epoch.notes.clone());
    train(&settings, folder.path(), &watch).unwrap();
    let noted: Vec<BTreeMap<String, f64>> = noted.into_inner().unwrap();
    let names: Vec<&str> = noted[0].keys().map(String::as_str).collect();
    assert_eq!(
        names,
        EXPERTS.map(|name| format!("weight of {name}")),
        "in alphabetical order"
    );
    let opposite: Vec<f64> = noted.iter().map(|of| of["weight of opposite"]).collect();
    // In the first tenth of the training the weights are not learned.
    assert!((opposite[1] - opposite[0]).abs() < 0.1, "{opposite:?}");
    assert!(opposite[19] < 0.5 * opposite[0], "{opposite:?}");
    let text = std::fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap();
    assert_eq!(text.lines().count(), 20);
    assert!(text.contains("\"weight of anna\""));
}

#[test]
fn an_interrupted_training_ends_in_the_same_bytes() {
    let method = ExpertMethod::Reweight(ReweightSettings {
        parts: 3,
        entropy: 0.1,
        weighting: small(),
        ..ReweightSettings::default()
    });
    let mut settings = settings(method);
    settings.segment.train.epochs = 3;
    settings.segment.loss.attention = Some(GaussianAttention::default());
    let bytes = |model: &ExpertModel| {
        let believed = model.believed(&picture(20)).unwrap().unwrap();
        (model.segmenter.to_bytes().unwrap(), believed)
    };
    let folder = tempfile::tempdir().unwrap();
    let whole = bytes(&train(&settings, folder.path(), &|_| ()).unwrap());

    let folder = tempfile::tempdir().unwrap();
    let stop = |epoch: &Epoch| assert!(epoch.epoch < 3, "interrupted");
    let interrupted = std::panic::AssertUnwindSafe(|| train(&settings, folder.path(), &stop));
    assert!(std::panic::catch_unwind(interrupted).is_err());
    assert!(folder.path().join("checkpoints").is_dir());
    let resumed = bytes(&train(&settings, folder.path(), &|_| ()).unwrap());
    assert!(resumed == whole, "other bytes");
}

#[test]
fn attention_changes_what_is_learned() {
    let mut settings = settings(ExpertMethod::Majority);
    settings.segment.train.epochs = 1;
    let bytes = |settings: &ExpertSettings| {
        let folder = tempfile::tempdir().unwrap();
        let model = train(settings, folder.path(), &|_| ()).unwrap();
        model.segmenter.to_bytes().unwrap()
    };
    let plain = bytes(&settings);
    settings.segment.loss.attention = Some(GaussianAttention {
        contrast: 0.0,
        ..GaussianAttention::default()
    });
    assert!(bytes(&settings) == plain, "equal weights change nothing");
    settings.segment.loss.attention = Some(GaussianAttention::default());
    assert!(bytes(&settings) != plain);
}
