//! Networks that correct the masks of objects that they learn from: what is found, what is forgotten, and that an
//! interruption changes nothing.
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use burn::tensor::Device;
use cleanslide_data::mask::{UNLABELLED_OBJECT, read_instance_mask};
use cleanslide_learn::correction::{
    AGREEMENT, Background, CORRECTED, ChangeCounts, GivenLabels, Start,
};
use cleanslide_learn::error::Error;
use cleanslide_learn::pixels::PixelImages;
use cleanslide_learn::segment::correction::{
    MaskCorrectionSettings, MaskCycle, changes, mask_path,
};
use cleanslide_learn::segment::{
    ObjectSettings, SegmentSettings, Segmenter, Trainer, classes_of_objects, pixel_classes,
};
use cleanslide_learn::training::{Epoch, TrainSettings, Watch};
use cleanslide_learn::views::TestAugmentation;
use cleanslide_nn::networks::{SegmentationConfig, UNetConfig};
use common::{DISCS, SIDE, discs};
use image::RgbImage;
use ndarray::Array2;

/// Images below this have imperfect labels.
const OTHER_DATA: usize = 100;

/// Dark discs on grey, by numbers from 1.
fn truth(image: usize) -> (RgbImage, Array2<u32>) {
    discs(image, 9.0, 0.0)
}

/// Objects that are marked in an image.
const GIVEN: usize = 4;

/// Two of five discs are not marked, and in the place of the last one's background there is a false object.
fn given(image: usize) -> Array2<u32> {
    let (_, mut mask) = truth(image);
    mask.mapv_inplace(|object| if object > 3 { 0 } else { object });
    let left = image * 7 % (SIDE - 12);
    // A false object: a stripe at the upper edge, where it does not touch a marked disc.
    for column in left..left + 12 {
        for row in 0..5 {
            if mask[[row, column]] == 0 {
                mask[[row, column]] = 4;
            }
        }
    }
    mask
}

struct Imperfect {
    /// Whether the masks are none at all.
    garbage: bool,
}

impl PixelImages for Imperfect {
    type Failure = Error;

    fn count(&self) -> usize {
        2 * OTHER_DATA
    }

    fn objects(&self, image: usize) -> Result<(Array2<u32>, Vec<usize>), Error> {
        Ok((given(image), vec![0; GIVEN]))
    }

    fn read(&self, image: usize) -> Result<(RgbImage, Array2<u8>), Error> {
        let (picture, right) = truth(image);
        let mask = match image {
            OTHER_DATA.. => right,
            _ if self.garbage => Array2::from_elem((SIDE, SIDE), 1),
            _ => given(image),
        };
        let classes = [0; DISCS];
        let objects = ObjectSettings::default();
        Ok((
            picture,
            classes_of_objects(mask.view(), &classes, 2, &objects),
        ))
    }
}

fn settings(correction: MaskCorrectionSettings, epochs: usize) -> SegmentSettings {
    SegmentSettings {
        network: SegmentationConfig::Unet(UNetConfig {
            widths: vec![8, 16],
        }),
        train: TrainSettings {
            epochs,
            batch_size: 4,
            crop: 48,
            learning_rate: 0.01,
            validation: 0.0,
            checkpoint_every: 1,
            ..TrainSettings::default()
        },
        correction: Some(MaskCorrectionSettings {
            scales: vec![1.0],
            turns: TestAugmentation::Flips,
            ..correction
        }),
        ..SegmentSettings::default()
    }
}

/// Trains on so many images, and as many that are right.
fn train(
    images: &Imperfect,
    settings: &SegmentSettings,
    count: usize,
    folder: &Path,
    watch: &dyn Fn(&Epoch),
) -> Segmenter {
    Trainer {
        images,
        items: &(0..count).collect::<Vec<_>>(),
        also: &(OTHER_DATA..OTHER_DATA + count).collect::<Vec<_>>(),
        validation: &[],
        classes: &pixel_classes(&["disc".to_owned()]),
        settings,
        seed: 3,
        device: &Device::flex(),
        folder,
    }
    .run(&Watch {
        step: &|| (),
        epoch: &|epoch, _| watch(epoch),
    })
    .unwrap()
}

const RIGHT: Imperfect = Imperfect { garbage: false };

#[test]
fn corrected_masks_have_what_was_missing_and_lose_what_was_false() {
    for background in [Background::STRONG, Background::Ignored { doubt: 0.2 }] {
        let folder = tempfile::tempdir().unwrap();
        let correction = MaskCorrectionSettings {
            start: Start::Epoch { epoch: 8 },
            every: 2,
            background,
            ..MaskCorrectionSettings::default()
        };
        train(
            &RIGHT,
            &settings(correction, 12),
            12,
            folder.path(),
            &|_| (),
        );
        assert_eq!(MaskCycle::epochs(folder.path()).unwrap(), [8, 10, 12]);
        let cycle = MaskCycle::read(folder.path(), 12).unwrap();
        let mut found = ChangeCounts::default();
        let mut before = ChangeCounts::default();
        for image in &cycle.images {
            let mask = read_instance_mask(&mask_path(folder.path(), 12, image.item)).unwrap();
            let (_, right) = truth(image.item);
            let add = |counts: &mut ChangeCounts, of: ChangeCounts| {
                counts.kept += of.kept + of.redrawn;
                counts.added += of.added;
            };
            let corrected = (mask.view(), image.objects.as_slice());
            let changed = changes((right.view(), &[0; DISCS]), corrected).unwrap();
            add(&mut found, changed.iter().collect());
            // The given masks, seen as if they had been found.
            let object = image.objects[0];
            let wrong = given(image.item);
            let changed = changes(
                (right.view(), &[0; DISCS]),
                (wrong.view(), &[object; GIVEN]),
            );
            add(&mut before, changed.unwrap().iter().collect());
        }
        // Of 60 discs 36 were marked, and 12 false objects.
        assert_eq!((before.kept, before.added), (36, 12));
        assert!(
            found.kept >= 54 && found.added <= 4,
            "{background:?}: {} found, {} false",
            found.kept,
            found.added
        );
    }
}

#[test]
fn given_masks_are_completed() {
    let folder = tempfile::tempdir().unwrap();
    let correction = MaskCorrectionSettings {
        start: Start::Epoch { epoch: 8 },
        every: 2,
        given: GivenLabels::Completed,
        background: Background::Ignored { doubt: 0.2 },
        ..MaskCorrectionSettings::default()
    };
    let settings = settings(correction, 12);
    train(&RIGHT, &settings, 12, folder.path(), &|_| ());
    let cycle = MaskCycle::read(folder.path(), 12).unwrap();
    let (mut found, mut added) = (0, 0);
    for image in &cycle.images {
        let mask = read_instance_mask(&mask_path(folder.path(), 12, image.item)).unwrap();
        let before = given(image.item);
        assert!(
            before
                .iter()
                .zip(&mask)
                .all(|(&object, &now)| object == 0 || now == object)
        );
        let (_, right) = truth(image.item);
        let corrected = (mask.view(), image.objects.as_slice());
        let changed = changes((right.view(), &[0; DISCS]), corrected).unwrap();
        let counts: ChangeCounts = changed.iter().collect();
        found += counts.kept + counts.redrawn;
        added += image.objects.len() - GIVEN;
    }
    // Of 60 discs 24 were not marked.
    assert!(found >= 54, "{found} found");
    assert!((18..=28).contains(&added), "{added} added");
}

#[test]
fn given_masks_are_forgotten_when_correction_has_started_and_an_interruption_changes_nothing() {
    let correction = MaskCorrectionSettings {
        start: Start::Epoch { epoch: 2 },
        score: 0.3,
        background: Background::WEAK,
        ..MaskCorrectionSettings::default()
    };
    let settings = settings(correction, 4);
    let bytes = |images: &Imperfect, folder: &Path, watch: &dyn Fn(&Epoch)| {
        let segmenter = train(images, &settings, 4, folder, watch);
        let masks: Vec<Array2<u32>> = (0..4)
            .map(|item| read_instance_mask(&mask_path(folder, 4, item)).unwrap())
            .collect();
        (segmenter.to_bytes().unwrap(), masks)
    };
    let folder = tempfile::tempdir().unwrap();
    let whole = bytes(&RIGHT, folder.path(), &|_| ());
    assert!(
        whole
            .1
            .iter()
            .flatten()
            .any(|&object| object > 0 && object != UNLABELLED_OBJECT)
    );
    let garbage_after = |epochs: usize| {
        let folder = tempfile::tempdir().unwrap();
        let stop = |epoch: &Epoch| assert!(epoch.epoch <= epochs, "interrupted");
        let interrupted = AssertUnwindSafe(|| bytes(&RIGHT, folder.path(), &stop));
        assert!(catch_unwind(interrupted).is_err());
        bytes(&Imperfect { garbage: true }, folder.path(), &|_| ())
    };
    // The first correction follows the second epoch.
    assert!(garbage_after(1) != whole);
    assert!(garbage_after(2) == whole);
    assert!(garbage_after(3) == whole);
}

#[test]
fn where_nothing_is_found_nothing_is_learned() {
    for background in [Background::Kept, Background::STRONG] {
        // No network is so sure.
        let correction = MaskCorrectionSettings {
            start: Start::Epoch { epoch: 1 },
            score: 0.99999,
            background,
            ..MaskCorrectionSettings::default()
        };
        let folder = tempfile::tempdir().unwrap();
        let check = |epoch: &Epoch| {
            assert!(epoch.loss.is_finite());
            assert_eq!(epoch.notes.get(CORRECTED), Some(&0.0));
        };
        train(&RIGHT, &settings(correction, 3), 4, folder.path(), &check);
        let mask = read_instance_mask(&mask_path(folder.path(), 3, 0)).unwrap();
        assert!(mask.iter().all(|&object| object == UNLABELLED_OBJECT));
    }
}

#[test]
fn the_fit_to_the_given_masks_is_noted_until_correction_starts() {
    let folder = tempfile::tempdir().unwrap();
    let correction = MaskCorrectionSettings {
        start: Start::Deceleration { threshold: 1e-6 },
        score: 0.3,
        ..MaskCorrectionSettings::default()
    };
    let noted = std::sync::Mutex::new(Vec::new());
    let note = |epoch: &Epoch| {
        let has = |name: &str| epoch.notes.contains_key(name);
        noted.lock().unwrap().push([has(AGREEMENT), has(CORRECTED)]);
    };
    train(&RIGHT, &settings(correction, 6), 4, folder.path(), &note);
    let noted = noted.into_inner().unwrap();
    // Of fewer than three epochs no curve is known.
    assert_eq!(noted[..2], [[true, false]; 2]);
    let first = noted.iter().position(|[_, corrected]| *corrected).unwrap();
    assert_eq!(noted[first], [true, true]);
    assert!(noted[first + 1..].iter().all(|of| *of == [false, true]));
}
