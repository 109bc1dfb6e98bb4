//! Detectors that correct their labels: what is found, what is forgotten, and that nothing leaks.

use std::path::Path;

use burn::tensor::Device;
use cleanslide_data::{Object, Objects, Rectangle, Trust};
use image::RgbImage;

use super::*;
use crate::correction::{AGREEMENT, Background, CORRECTED, GivenLabels, Start};
use crate::detect::tests::{Discs, small, small_faster_rcnn};
use crate::detect::{BoxImages, Detector, DetectorSettings, Trainer};
use crate::error::{Error, Result};
use crate::training::{Epoch, TrainSettings, Watch};
use crate::views::TestAugmentation;

/// Images below this have imperfect labels.
const OTHER_DATA: usize = 100;
/// Images from this on have none: no validation of them becomes better.
const UNLABELLED: usize = 200;

/// Discs of which a third is not marked, with a box in each image where there is nothing.
#[derive(Default)]
struct Imperfect {
    /// Whether labels are none at all.
    garbage: bool,
}

impl BoxImages for Imperfect {
    type Failure = Error;

    fn read(&self, image: usize) -> Result<(RgbImage, Objects<Rectangle>)> {
        let (picture, mut labels) = Discs.read(image)?;
        if image >= UNLABELLED {
            labels.objects.clear();
        }
        if image < OTHER_DATA {
            let mut number = image;
            labels.objects.retain(|_| {
                number += 1;
                !number.is_multiple_of(3)
            });
            labels.objects.push(nothing(image));
            if self.garbage {
                labels.objects = vec![nothing(image); 3];
            }
        }
        Ok((picture, labels))
    }
}

/// A box at the border, where no disc fits in.
fn nothing(image: usize) -> Object<Rectangle> {
    let left = (image * 17 % 80) as f64;
    Object {
        shape: Rectangle {
            left,
            top: 0.0,
            right: left + 12.0,
            bottom: 5.0,
        },
        class: 0,
        trust: Trust::FULL,
    }
}

fn settings(correction: CorrectionSettings, epochs: usize) -> DetectorSettings {
    DetectorSettings {
        train: TrainSettings {
            epochs,
            batch_size: 4,
            validation: 0.0,
            checkpoint_every: 1,
            ..small().train
        },
        correction: Some(CorrectionSettings {
            scales: vec![1.0],
            turns: TestAugmentation::Flips,
            ..correction
        }),
        ..small()
    }
}

struct Training<'a> {
    images: &'a Imperfect,
    settings: &'a DetectorSettings,
    items: usize,
    also: usize,
    validation: &'a [usize],
    folder: &'a Path,
}

impl Training<'_> {
    fn run(&self, watch: &dyn Fn(&Epoch)) -> Result<Detector> {
        Trainer {
            images: self.images,
            items: &(0..self.items).collect::<Vec<_>>(),
            also: &(OTHER_DATA..OTHER_DATA + self.also).collect::<Vec<_>>(),
            validation: self.validation,
            classes: &["dark".to_owned(), "bright".to_owned()],
            settings: self.settings,
            seed: 3,
            device: &Device::flex(),
            folder: self.folder,
        }
        .run(&Watch {
            step: &|| (),
            epoch: &|epoch, _| watch(epoch),
        })
    }
}

/// Of so many images: true discs, those that have a box, and boxes that have no disc.
fn quality<'a>(boxes: impl Iterator<Item = (usize, Vec<&'a Rectangle>)>) -> [usize; 3] {
    let mut counts = [0; 3];
    for (image, boxes) in boxes {
        let (_, truth) = Discs.read(image).unwrap();
        let same = |one: &Rectangle, other: &Rectangle| one.iou(other) > 0.5;
        counts[0] += truth.objects.len();
        let found = |object: &&Object<Rectangle>| boxes.iter().any(|b| same(b, &object.shape));
        counts[1] += truth.objects.iter().filter(found).count();
        let false_box = |b: &&&Rectangle| !truth.objects.iter().any(|o| same(b, &o.shape));
        counts[2] += boxes.iter().filter(false_box).count();
    }
    counts
}

#[test]
fn corrected_labels_have_what_was_missing_and_lose_what_was_false() {
    let folder = tempfile::tempdir().unwrap();
    let correction = CorrectionSettings {
        start: Start::Epoch { epoch: 10 },
        every: 3,
        ..CorrectionSettings::default()
    };
    let settings = settings(correction, 16);
    let images = Imperfect::default();
    let training = Training {
        images: &images,
        settings: &settings,
        items: 24,
        also: 24,
        validation: &[],
        folder: folder.path(),
    };
    training.run(&|_| ()).unwrap();
    assert_eq!(Cycle::epochs(folder.path()).unwrap(), [10, 13, 16]);
    let given: Vec<_> = (0..24).map(|image| images.read(image).unwrap().1).collect();
    let given = given
        .iter()
        .map(|of| of.objects.iter().map(|o| &o.shape).collect());
    let [all, before, false_before] = quality(given.enumerate());
    let last = Cycle::read(folder.path(), 16).unwrap();
    let corrected = last.images.iter().map(|image| {
        let boxes = image.labels.objects.iter().map(|found| &found.shape);
        (image.image.parse().unwrap(), boxes.collect())
    });
    let [_, after, false_after] = quality(corrected);
    assert_eq!([all, before, false_before], [120, 80, 24]);
    assert!(
        after >= 108 && false_after <= 8,
        "{after} of {all} found, {false_after} false; before {before} and {false_before}"
    );
}

#[test]
fn given_labels_are_forgotten_when_correction_has_started() {
    let correction = CorrectionSettings {
        start: Start::Epoch { epoch: 2 },
        view_score: 0.05,
        score: 0.1,
        ..CorrectionSettings::default()
    };
    let settings = settings(correction, 4);
    let train = |images: &Imperfect, folder: &Path, watch: &dyn Fn(&Epoch)| {
        let training = Training {
            images,
            settings: &settings,
            items: 6,
            also: 2,
            validation: &[],
            folder,
        };
        let detector = training.run(watch).unwrap();
        (
            detector.to_bytes().unwrap(),
            Cycle::read(folder, 4).unwrap(),
        )
    };
    let folder = tempfile::tempdir().unwrap();
    let whole = train(&Imperfect { garbage: false }, folder.path(), &|_| ());
    // Goes on after some epochs with labels that are garbage; nothing is kept in memory.
    let garbage_after = |epochs: usize| {
        let folder = tempfile::tempdir().unwrap();
        let stop = |epoch: &Epoch| assert!(epoch.epoch <= epochs, "interrupted");
        let right = Imperfect { garbage: false };
        let interrupted = || train(&right, folder.path(), &stop);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(interrupted)).is_err());
        train(&Imperfect { garbage: true }, folder.path(), &|_| ())
    };
    // The first correction follows the second epoch.
    assert!(garbage_after(1) != whole);
    assert!(garbage_after(2) == whole);
}

#[test]
fn an_interrupted_correction_ends_in_the_same_bytes() {
    for (start, validation) in [
        (Start::Epoch { epoch: 2 }, &[][..]),
        (Start::Deceleration { threshold: 1e-6 }, &[][..]),
        (Start::Validation { patience: 1 }, &[UNLABELLED][..]),
    ] {
        let correction = CorrectionSettings {
            start,
            score: 0.1,
            background: Background::WEAK,
            trust: BoxTrust::Score,
            ..CorrectionSettings::default()
        };
        let mut settings = settings(correction, 5);
        settings.train.average = 0.5;
        settings.train.validation = 0.2;
        let train = |folder: &Path, watch: &dyn Fn(&Epoch)| {
            let training = Training {
                images: &Imperfect::default(),
                settings: &settings,
                items: 6,
                also: 4,
                validation,
                folder,
            };
            training.run(watch).unwrap().to_bytes().unwrap()
        };
        let of_whole = tempfile::tempdir().unwrap();
        let whole = train(of_whole.path(), &|_| ());
        let folder = tempfile::tempdir().unwrap();
        for interruption in [2, 4] {
            let stop = |epoch: &Epoch| assert!(epoch.epoch < interruption, "interrupted");
            let interrupted = std::panic::AssertUnwindSafe(|| train(folder.path(), &stop));
            assert!(std::panic::catch_unwind(interrupted).is_err());
        }
        assert!(train(folder.path(), &|_| ()) == whole, "{start:?}");
        let epochs = Cycle::epochs(of_whole.path()).unwrap();
        assert_eq!(Cycle::epochs(folder.path()).unwrap(), epochs);
        assert!(!epochs.is_empty(), "{start:?}");
        let cycles = |folder: &Path| -> Vec<Cycle> {
            let read = |&epoch: &usize| Cycle::read(folder, epoch).unwrap();
            epochs.iter().map(read).collect()
        };
        assert_eq!(cycles(folder.path()), cycles(of_whole.path()));
    }
}

#[test]
fn where_nothing_is_found_nothing_is_learned() {
    let unknown = CorrectedImage::default().labels(BoxTrust::Full);
    assert!(!unknown.complete && unknown.objects.is_empty());
    // Unless it is given that there is nothing.
    for complete in [false, true] {
        let given = Objects {
            objects: Vec::new(),
            complete,
        };
        let found = CorrectedImage::default;
        for empty in [found().completing(&given, 0.2), found().replacing(&given)] {
            assert_eq!(empty.labels(BoxTrust::Full), given);
            assert_eq!(empty.published(BoxTrust::Full), given);
        }
    }
    let one = Objects {
        objects: vec![nothing(0)],
        complete: true,
    };
    let lost = CorrectedImage::default().replacing(&one);
    assert_eq!(lost, CorrectedImage::default());
    for background in [
        Background::Kept,
        Background::STRONG,
        Background::Ignored { doubt: 0.9 },
    ] {
        // No network is so sure.
        let correction = CorrectionSettings {
            start: Start::Epoch { epoch: 1 },
            score: 0.999,
            background,
            ..CorrectionSettings::default()
        };
        let folder = tempfile::tempdir().unwrap();
        let training = Training {
            images: &Imperfect::default(),
            settings: &settings(correction, 3),
            items: 4,
            also: 1,
            validation: &[],
            folder: folder.path(),
        };
        let check = |epoch: &Epoch| {
            assert!(epoch.loss.is_finite());
            assert_eq!(epoch.notes.get(CORRECTED), Some(&0.0));
        };
        training.run(&check).unwrap();
    }
}

#[test]
fn boxes_are_published_as_complete_only_where_nothing_is_left_open() {
    let found = |score| CorrectedBox {
        shape: nothing(0).shape,
        class: 0,
        score,
        views: 4,
    };
    let all = CorrectedImage {
        objects: vec![found(0.9)],
        ..CorrectedImage::default()
    };
    let doubting = CorrectedImage {
        doubted: vec![found(0.1)],
        ..all.clone()
    };
    let given = |complete| Objects {
        objects: Vec::new(),
        complete,
    };
    let complete = |of: &CorrectedImage| {
        let [learned, published] = [of.labels(BoxTrust::Full), of.published(BoxTrust::Full)];
        assert_eq!(learned.objects, published.objects);
        (learned.complete, published.complete)
    };
    assert_eq!(complete(&all), (true, true));
    assert_eq!(complete(&doubting), (true, false));
    let completing = |given: &Objects<Rectangle>| complete(&all.clone().completing(given, 0.2));
    assert_eq!(completing(&given(true)), (true, true));
    assert_eq!(completing(&given(false)), (true, false));
}

#[test]
fn faster_rcnn_corrects_too() {
    let correction = CorrectionSettings {
        start: Start::Epoch { epoch: 1 },
        score: 0.05,
        background: Background::Ignored { doubt: 0.02 },
        trust: BoxTrust::Score,
        ..CorrectionSettings::default()
    };
    let settings = DetectorSettings {
        network: small_faster_rcnn().network,
        ..settings(correction, 2)
    };
    let folder = tempfile::tempdir().unwrap();
    let training = Training {
        images: &Imperfect::default(),
        settings: &settings,
        items: 4,
        also: 4,
        validation: &[],
        folder: folder.path(),
    };
    training
        .run(&|epoch| assert!(epoch.loss.is_finite()))
        .unwrap();
    assert_eq!(Cycle::epochs(folder.path()).unwrap(), [1, 2]);
}

#[test]
fn the_fit_to_the_given_labels_is_noted_until_correction_starts() {
    let folder = tempfile::tempdir().unwrap();
    let correction = CorrectionSettings {
        start: Start::Deceleration { threshold: 1e-6 },
        score: 0.1,
        ..CorrectionSettings::default()
    };
    let training = Training {
        images: &Imperfect::default(),
        settings: &settings(correction, 6),
        items: 6,
        also: 6,
        validation: &[],
        folder: folder.path(),
    };
    let noted = std::sync::Mutex::new(Vec::new());
    let note = |epoch: &Epoch| {
        let has = |name: &str| epoch.notes.contains_key(name);
        noted.lock().unwrap().push([has(AGREEMENT), has(CORRECTED)]);
    };
    training.run(&note).unwrap();
    let noted = noted.into_inner().unwrap();
    // Of fewer than three epochs no curve is known.
    assert_eq!(noted[..2], [[true, false]; 2]);
    let first = noted.iter().position(|[_, corrected]| *corrected).unwrap();
    assert_eq!(noted[first], [true, true]);
    assert!(noted[first + 1..].iter().all(|of| *of == [false, true]));
}

#[test]
fn completed_labels_keep_every_given_box_and_gain_others() {
    let folder = tempfile::tempdir().unwrap();
    let correction = CorrectionSettings {
        start: Start::Epoch { epoch: 10 },
        every: 3,
        given: GivenLabels::Completed,
        background: Background::Ignored { doubt: 0.05 },
        ..CorrectionSettings::default()
    };
    let settings = settings(correction, 13);
    let images = Imperfect::default();
    let training = Training {
        images: &images,
        settings: &settings,
        items: 24,
        also: 24,
        validation: &[],
        folder: folder.path(),
    };
    training.run(&|_| ()).unwrap();
    let last = Cycle::read(folder.path(), 13).unwrap();
    let mut added = 0;
    for image in &last.images {
        let (_, given) = images.read(image.image.parse().unwrap()).unwrap();
        let (stays, more) = image.labels.objects.split_at(given.objects.len());
        let shapes = |object: &Object<Rectangle>| (object.shape, object.class);
        let expected: Vec<_> = given.objects.iter().map(shapes).collect();
        assert!(stays.iter().map(|of| (of.shape, of.class)).eq(expected));
        assert!(stays.iter().all(|of| of.views == 0 && of.score == 1.0));
        let beside = |found: &CorrectedBox| {
            given
                .objects
                .iter()
                .all(|object| object.shape.iou(&found.shape) <= 0.2)
        };
        let doubted = &image.labels.doubted;
        assert!(
            more.iter()
                .chain(doubted)
                .all(|of| of.views > 0 && beside(of))
        );
        added += more.len();
    }
    // Of 120 discs 40 were not marked.
    assert!((32..=48).contains(&added), "{added} added");
}
