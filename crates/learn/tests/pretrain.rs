//! Encoders that learn from images without labels.
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use cleanslide_audit::{Metric, nearest_neighbours};
use cleanslide_learn::augment::AugmentSettings;
use cleanslide_learn::pretrain::{
    DinoSettings, Objective, PretrainSettings, Pretrained, Pretrainer, Probe, UnlabelledImages,
    has_collapsed,
};
use cleanslide_learn::training::{Epoch, TrainSettings, Watch};
use cleanslide_learn::{Device, Error};
use cleanslide_nn::encoders::Card;
use cleanslide_nn::networks::{ImageEncoderConfig, ImageEncoderName};
use cleanslide_nn::weights::Weights;
use image::{Rgb, RgbImage};
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const IMAGES: usize = 96;

/// Chequers of four sizes, in a dark and a bright colour that say nothing.
struct Chequers;

fn kind(item: usize) -> usize {
    item % 4
}

impl UnlabelledImages for Chequers {
    type Failure = Error;

    fn name(&self, item: usize) -> String {
        format!("chequers {item}")
    }

    fn read(&self, item: usize) -> Result<RgbImage, Error> {
        let mut rng = ChaCha8Rng::seed_from_u64(item as u64);
        let mut near = |grey: u8| {
            Rgb(std::array::from_fn(|_| {
                rng.random_range(grey - 30..=grey + 30)
            }))
        };
        let colours = [near(80), near(180)];
        let side = [2, 4, 7, 12][kind(item)];
        Ok(RgbImage::from_fn(40, 40, |x, y| {
            colours[((x / side + y / side) % 2) as usize]
        }))
    }
}

fn settings(name: &str) -> PretrainSettings {
    let objective = match Objective::named(name).unwrap() {
        Objective::Simclr(simclr) => Objective::Simclr(simclr),
        Objective::MocoV3(mut moco) => {
            (moco.hidden, moco.features) = (64, 32);
            moco.momentum = 0.9;
            Objective::MocoV3(moco)
        }
        Objective::Dino(mut dino) => {
            (dino.hidden, dino.features, dino.prototypes) = (64, 32, 64);
            dino.momentum = 0.9;
            // Two of the largest squares: smaller parts of these do not tell how large they are.
            dino.local_size = Some(24);
            Objective::Dino(dino)
        }
        Objective::BarlowTwins(mut twins) => {
            (twins.hidden, twins.features) = (64, 64);
            Objective::BarlowTwins(twins)
        }
    };
    PretrainSettings {
        seed: 7,
        objective,
        encoder: ImageEncoderConfig {
            name: ImageEncoderName::Resnet18,
            width: Some(8),
            ..ImageEncoderConfig::default()
        },
        train: TrainSettings {
            epochs: 20,
            crop: 32,
            batch_size: 16,
            learning_rate: 3e-3,
            warm_up: 1.0,
            checkpoint_every: 1,
            ..PretrainSettings::default().train
        },
        augment: AugmentSettings {
            channel_shuffle: 0.5,
            blur: 0.0,
            ..PretrainSettings::default().augment
        },
        probe_every: 10,
        ..PretrainSettings::default()
    }
}

/// The share of the nearest neighbours of an image that are of its kind.
fn purity(embeddings: Array2<f32>) -> BTreeMap<String, f64> {
    let near = nearest_neighbours(embeddings.view(), 5, Metric::Cosine).unwrap();
    let rows = near.indices.rows().into_iter().enumerate();
    let same = rows.map(|(item, others)| {
        others
            .iter()
            .filter(|&&other| kind(other) == kind(item))
            .count()
    });
    let share = same.sum::<usize>() as f64 / near.indices.len() as f64;
    BTreeMap::from([("purity".to_owned(), share)])
}

fn pretrain(
    settings: &PretrainSettings,
    folder: &Path,
    stop_after: usize,
) -> (Result<Pretrained, Error>, Vec<Epoch>) {
    let items: Vec<usize> = (0..IMAGES).collect();
    let seen = RefCell::new(Vec::new());
    // A panic stands for a process that is killed.
    let noted = |epoch: &Epoch| {
        seen.borrow_mut().push(epoch.clone());
        if epoch.epoch == stop_after {
            std::panic::panic_any("killed");
        }
    };
    let watch = Watch {
        step: &|| {},
        epoch: &|epoch, _| noted(epoch),
    };
    let pretrainer = Pretrainer {
        images: &Chequers,
        items: &items,
        settings,
        probe: Some(Probe {
            items: &items,
            measure: &purity,
        }),
        device: &Device::flex(),
        folder,
    };
    let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        pretrainer.run("chequers", Some(0.25), &watch)
    }));
    let made = made.unwrap_or_else(|_| Err(Error::Device("killed".into())));
    (made, seen.into_inner())
}

#[test]
fn every_objective_learns_what_views_have_in_common() {
    for name in Objective::NAMES {
        let folder = tempfile::tempdir().unwrap();
        let (made, epochs) = pretrain(&settings(name), folder.path(), usize::MAX);
        made.unwrap();
        let purity = epochs.last().unwrap().notes["purity"];
        // 0.82 before the first step.
        assert!(purity > 0.87, "{name}: {purity}, {epochs:?}");
        assert!(epochs[0].loss > epochs[19].loss, "{name}: {epochs:?}");
        assert!(
            epochs.iter().all(|epoch| !has_collapsed(epoch)),
            "{name}: {epochs:?}"
        );
        assert!(epochs[19].notes["directions of embeddings"] > 1.0);
    }
}

#[test]
fn a_killed_pretraining_goes_on_to_the_same_bytes() {
    for (name, chunk) in [("dino", 0), ("moco-v3", 10)] {
        let settings = PretrainSettings {
            chunk,
            train: TrainSettings {
                epochs: 3,
                ..settings(name).train
            },
            ..settings(name)
        };
        let [whole, killed] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let (made, _) = pretrain(&settings, whole.path(), usize::MAX);
        let expected = made.unwrap().to_bytes().unwrap();
        let (stopped, _) = pretrain(&settings, killed.path(), 2);
        assert!(stopped.is_err());
        let (made, _) = pretrain(&settings, killed.path(), usize::MAX);
        assert!(made.unwrap().to_bytes().unwrap() == expected, "{name}");
    }
}

#[test]
fn a_transformer_learns_of_parts_of_other_sizes() {
    let mut settings = settings("dino");
    settings.encoder = ImageEncoderConfig {
        name: ImageEncoderName::VitSmall,
        width: Some(64),
        patch: 8,
    };
    settings.train.epochs = 2;
    let Objective::Dino(dino) = &mut settings.objective else {
        unreachable!()
    };
    // One patch of 16.
    dino.local_size = Some(8);
    let folder = tempfile::tempdir().unwrap();
    let (made, epochs) = pretrain(&settings, folder.path(), usize::MAX);
    made.unwrap();
    assert!(epochs[0].loss > epochs[1].loss, "{epochs:?}");
}

#[test]
fn an_encoder_says_what_it_expects() {
    let folder = tempfile::tempdir().unwrap();
    let settings = PretrainSettings {
        train: TrainSettings {
            epochs: 1,
            ..settings("simclr").train
        },
        ..settings("simclr")
    };
    let (made, _) = pretrain(&settings, folder.path(), usize::MAX);
    let weights = Weights::from_bytes(&made.unwrap().to_bytes().unwrap(), "encoder").unwrap();
    let card = Card::of(&weights).unwrap().unwrap();
    assert_eq!((card.name.as_str(), card.size), ("chequers", 32));
    assert_eq!(card.microns_per_pixel, Some(0.25));
    assert!(weights.tensor("layer4.1.bn2.running_mean").is_some());
    assert!(weights.names().all(|name| !name.contains("encoder")));
}

#[test]
fn what_cannot_be_learned_from_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let message = |change: &dyn Fn(&mut PretrainSettings)| {
        let mut settings = settings("simclr");
        change(&mut settings);
        let (made, _) = pretrain(&settings, folder.path(), usize::MAX);
        made.unwrap_err().to_string()
    };
    let text = message(&|settings| settings.train.batch_size = IMAGES + 1);
    assert!(text.contains("fewer than the batch of 97"), "{text}");
    let text = message(&|settings| settings.central_crop = Some(41));
    assert!(
        text.contains("it is 40×40 pixels, and 41 are looked at"),
        "{text}"
    );
    let text = message(&|settings| settings.central_crop = Some(31));
    assert!(text.contains("views of 32 pixels do not fit"), "{text}");
    let text = message(&|settings| settings.chunk = 1);
    assert!(text.contains("at least 2 views"), "{text}");
    let text = message(&|settings| settings.encoder.name = ImageEncoderName::VitSmall);
    assert!(text.contains("multiple of 64"), "{text}");
    let of_parts = |settings: &mut PretrainSettings, side| {
        settings.objective = Objective::Dino(DinoSettings {
            local_size: Some(side),
            ..DinoSettings::default()
        });
    };
    let text = message(&|settings| of_parts(settings, 33));
    assert!(
        text.contains("expected 1 to 32, the side of a view"),
        "{text}"
    );
    let text = message(&|settings| {
        of_parts(settings, 20);
        settings.encoder = ImageEncoderConfig {
            name: ImageEncoderName::VitSmall,
            ..ImageEncoderConfig::default()
        };
    });
    assert!(text.contains("no whole number of patches of 16"), "{text}");
    let text = message(&|settings| settings.augment.mix_up = 0.2);
    assert!(text.contains("two images at once"), "{text}");
}
