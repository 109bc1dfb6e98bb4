//! The audit of instances on masks with planted defects, and on real ones with known corrections.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use cleanslide_audit::instances::{
    InstanceAudit, InstanceDefect, InstanceFinding, InstanceImage, Prediction, audit_instances,
};
use cleanslide_audit::spatial_issues::{SpatialKind, instance_issues};
use cleanslide_data::mask::{UNLABELLED_OBJECT, read_instance_mask};
use ndarray::{Array2, array, s};
use proptest::prelude::*;

const SCORE: f64 = 0.9;

/// Nine discs of radius 10, numbered from 1, the first cut by the image's edge.
fn discs() -> Array2<u32> {
    let mut mask = Array2::zeros((120, 120));
    for number in 1..=9 {
        let (row, column) = centre(number);
        paint_disc(&mut mask, row, column, 10.0, number);
    }
    mask
}

fn centre(number: u32) -> (f64, f64) {
    let place = number - 1;
    (
        f64::from(place / 3 * 40 + 5),
        f64::from(place % 3 * 40 + 20),
    )
}

fn paint_disc(mask: &mut Array2<u32>, row: f64, column: f64, radius: f64, number: u32) {
    for ((y, x), pixel) in mask.indexed_iter_mut() {
        if (y as f64 + 0.5 - row).hypot(x as f64 + 0.5 - column) <= radius {
            *pixel = number;
        }
    }
}

fn audit(labels: &Array2<u32>, truth: &Array2<u32>) -> InstanceAudit {
    let scores = [SCORE; 10];
    let prediction = Prediction::Objects {
        mask: truth.view(),
        scores: &scores,
        class_probabilities: None,
    };
    audit_one(labels, prediction)
}

/// With probabilities of 0.95 in objects and 0.05 outside.
fn audit_foreground(labels: &Array2<u32>, truth: &Array2<u32>) -> InstanceAudit {
    let probabilities = truth.mapv(|object| if object > 0 { 0.95 } else { 0.05 });
    audit_one(labels, Prediction::Foreground(probabilities.view()))
}

fn audit_one<'a>(labels: &'a Array2<u32>, prediction: Prediction<'a>) -> InstanceAudit {
    let image = InstanceImage {
        labels: labels.view(),
        classes: &[],
        prediction,
    };
    audit_instances(&[image]).unwrap().remove(0)
}

fn of(audit: &InstanceAudit, object: u32) -> &InstanceFinding {
    let mut labelled = audit.labelled.iter();
    labelled.find(|finding| finding.object == object).unwrap()
}

/// The planted object has the defect with at least this suspicion; no other one is flagged.
#[track_caller]
fn assert_found(audit: &InstanceAudit, objects: &[u32], defect: InstanceDefect, least: f64) {
    for finding in &audit.labelled {
        let (worst, suspicion) = finding.worst();
        if objects.contains(&finding.object) {
            assert_eq!(worst, defect, "{finding:?}");
            assert!(suspicion >= least, "{finding:?}");
        } else {
            assert!(suspicion < 0.25, "{finding:?}");
        }
    }
}

#[test]
fn right_labels_are_not_suspicious() {
    let truth = discs();
    let certain = vec![1.0; 9];
    let prediction = Prediction::Objects {
        mask: truth.view(),
        scores: &certain,
        class_probabilities: None,
    };
    let found = audit_one(&truth, prediction);
    assert_eq!(
        (
            found.labelled.len(),
            found.missed.len(),
            found.not_judged.len()
        ),
        (9, 0, 0)
    );
    for finding in &found.labelled {
        assert_eq!(finding.worst(), (InstanceDefect::False, 0.0));
        assert_eq!(finding.at_image_border, finding.object <= 3);
    }
    for found in [audit(&truth, &truth), audit_foreground(&truth, &truth)] {
        assert!(found.missed.is_empty());
        assert!(
            found
                .labelled
                .iter()
                .all(|finding| finding.worst().1 <= 0.1 + 1e-6)
        );
    }
}

#[test]
fn a_false_object() {
    let truth = discs();
    let mut labels = truth.clone();
    paint_disc(&mut labels, 65.0, 40.0, 6.0, 77);
    assert_found(&audit(&labels, &truth), &[77], InstanceDefect::False, 1.0);
    assert_found(
        &audit_foreground(&labels, &truth),
        &[77],
        InstanceDefect::False,
        0.9,
    );
    // An unsure prediction does not make a label right.
    let mut scores = vec![1.0; 9];
    scores[4] = 0.25;
    let prediction = Prediction::Objects {
        mask: truth.view(),
        scores: &scores,
        class_probabilities: None,
    };
    assert_eq!(of(&audit_one(&truth, prediction), 5).false_object, 0.75);
}

#[test]
fn a_missed_object() {
    let truth = discs();
    let labels = truth.mapv(|object| if object == 5 { 0 } else { object });
    let found = audit(&labels, &truth);
    assert_found(&found, &[], InstanceDefect::False, 0.0);
    assert_eq!(found.missed.len(), 1);
    let missed = &found.missed[0];
    assert_eq!(
        (missed.object, missed.suspicion, missed.at_image_border),
        (5, SCORE, false)
    );
    let mut doubted = found.clone();
    doubted.doubt_small_objects(missed.area);
    assert_eq!(doubted, found);
    doubted.doubt_small_objects(4 * missed.area);
    assert_eq!(doubted.missed[0].suspicion, SCORE / 4.0);
    let foreground = audit_foreground(&labels, &truth);
    assert_eq!(foreground.missed.len(), 1);
    assert_eq!(foreground.missed[0].bounds, missed.bounds);
    assert!((foreground.missed[0].suspicion - 0.95).abs() < 1e-6);
    // Where nobody labelled, nothing is missed.
    let unlabelled = truth.mapv(|object| {
        if object == 5 {
            UNLABELLED_OBJECT
        } else {
            object
        }
    });
    assert!(audit(&unlabelled, &truth).missed.is_empty());
}

#[test]
fn a_split_object() {
    let truth = discs();
    let mut labels = truth.clone();
    for ((y, x), pixel) in labels.indexed_iter_mut() {
        let half = truth[(y, x)] == 5 && (x as f64) < centre(5).1;
        *pixel = if half { 50 } else { *pixel };
    }
    let found = audit(&labels, &truth);
    assert_found(&found, &[5, 50], InstanceDefect::Split, SCORE - 1e-9);
    assert_eq!(
        (&of(&found, 5).parts, &of(&found, 50).parts),
        (&vec![50], &vec![5])
    );
    assert!(found.missed.is_empty());
    // Probabilities of foreground cannot tell touching objects from one.
    assert_eq!(of(&audit_foreground(&labels, &truth), 5).split, None);
    // A crumb beside a good label is suspicious, and the good label hardly.
    let mut crumb = truth.clone();
    let (row, column) = (centre(5).0 as usize, centre(5).1 as usize);
    crumb
        .slice_mut(s![row..row + 3, column - 10..column - 7])
        .fill(50);
    let found = audit(&crumb, &truth);
    assert_found(&found, &[50], InstanceDefect::Split, SCORE - 1e-9);
}

#[test]
fn merged_objects() {
    let mut truth = discs();
    paint_disc(&mut truth, centre(5).0, centre(5).1 + 19.0, 8.0, 10);
    let labels = truth.mapv(|object| if object == 10 { 5 } else { object });
    let found = audit(&labels, &truth);
    // The smaller one has 39 % of both: 0.9 · 2 · 0.39.
    assert_found(&found, &[5], InstanceDefect::Merged, 0.65);
    assert!(found.missed.is_empty());
    // With a gap that probabilities of foreground see.
    let mut gap = truth.clone();
    let column = (centre(5).1 + 10.0) as usize;
    gap.slice_mut(s![.., column..column + 2]).fill(0);
    assert_found(
        &audit_foreground(&labels, &gap),
        &[5],
        InstanceDefect::Merged,
        0.5,
    );
}

#[test]
fn bad_borders() {
    let truth = discs();
    let (row, column) = centre(5);
    for (shift, radius, least) in [(0.0, 13.0, 0.8), (0.0, 7.5, 0.6), (4.0, 10.0, 0.5)] {
        let mut labels = truth.mapv(|object| if object == 5 { 0 } else { object });
        paint_disc(&mut labels, row, column + shift, radius, 5);
        let found = audit(&labels, &truth);
        assert_found(&found, &[5], InstanceDefect::BadBorder, least);
        let finding = of(&found, 5);
        let share = finding.border_disagreement.unwrap();
        assert_eq!(finding.bad_border, Some(SCORE * (2.0 * share).min(1.0)));
        let foreground = audit_foreground(&labels, &truth);
        // Doubt of 0.05 takes a tenth of the suspicion away.
        assert_found(&foreground, &[5], InstanceDefect::BadBorder, 0.85 * least);
        let mean = of(&foreground, 5).border_disagreement.unwrap();
        // A probability of 0.05 or 0.95 expects a disagreement of 0.095.
        assert!((mean - (0.05 + 0.9 * share - 0.095)).abs() < 1e-6);
    }
}

#[test]
fn a_wrong_class() {
    let truth = discs();
    let scores = vec![1.0; 9];
    let mut probabilities = Array2::from_elem((9, 3), 0.0f32);
    probabilities.column_mut(1).fill(1.0);
    probabilities.row_mut(4).assign(&array![0.125, 0.25, 0.625]);
    let image = InstanceImage {
        labels: truth.view(),
        classes: &[1; 9],
        prediction: Prediction::Objects {
            mask: truth.view(),
            scores: &scores,
            class_probabilities: Some(probabilities.view()),
        },
    };
    let found = audit_instances(&[image]).unwrap().remove(0);
    assert_found(&found, &[5], InstanceDefect::WrongClass, 0.6875);
    assert_eq!(of(&found, 5).suggested_class, Some(2));
    assert_eq!(of(&found, 4).wrong_class, Some(0.0));
    let rows = instance_issues(&[found], &[image]).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (rows[0].kind, rows[0].given, rows[0].suggested),
        (SpatialKind::WrongClass, Some(1), Some(2))
    );
}

#[test]
fn what_the_prediction_does_not_know_is_not_judged() {
    let labels = discs();
    let mut predicted = labels.clone();
    predicted.slice_mut(s![40.., ..]).fill(UNLABELLED_OBJECT);
    let found = audit(&labels, &predicted);
    let judged: Vec<u32> = found
        .labelled
        .iter()
        .map(|finding| finding.object)
        .collect();
    assert_eq!(
        (judged, found.not_judged),
        (vec![1, 2, 3], vec![4, 5, 6, 7, 8, 9])
    );
    // Half known: the unknown half is no border and not missing.
    let mut half = labels.clone();
    half.slice_mut(s![.., (centre(5).1 as usize)..])
        .fill(UNLABELLED_OBJECT);
    let found = audit(&labels, &half);
    let finding = of(&found, 5);
    assert_eq!(finding.border_disagreement, Some(0.0));
    assert!((finding.false_object - 0.1).abs() < 1e-9);
}

/// What is said of the second of two images.
fn refused<'a>(
    labels: &'a Array2<u32>,
    classes: &'a [usize],
    prediction: Prediction<'a>,
) -> String {
    let fine = InstanceImage {
        labels: labels.view(),
        classes: &[],
        prediction: Prediction::Objects {
            mask: labels.view(),
            scores: &[1.0; 9],
            class_probabilities: None,
        },
    };
    let image = InstanceImage {
        classes,
        prediction,
        ..fine
    };
    audit_instances(&[fine, image]).unwrap_err().to_string()
}

#[test]
fn bad_input_is_named_with_image_place_and_remedy() {
    let labels = discs();
    let refuse = |classes, prediction| refused(&labels, classes, prediction);
    let objects = |scores| Prediction::Objects {
        mask: labels.view(),
        scores,
        class_probabilities: None,
    };
    assert_eq!(
        refuse(&[], objects(&[1.0; 8])),
        "image 1: predicted object 9 at row 75, column 90 has no score: there are 8 scores, one for \
         each object from 1"
    );
    assert!(
        refuse(&[], objects(&[f64::NAN; 9]))
            .starts_with("image 1: the score of predicted object 1 is NaN")
    );
    assert!(
        refuse(&[0; 3], objects(&[1.0; 9]))
            .starts_with("image 1: object 9 at row 75, column 90 has no class")
    );
    let small = Array2::zeros((3, 4));
    assert_eq!(
        refuse(&[], Prediction::Foreground(small.view())),
        "image 1: the prediction is (3, 4) (height, width), but the labels are (120, 120): predict at \
         the size of the label mask"
    );
    let mut probabilities = Array2::zeros((120, 120));
    probabilities[(7, 8)] = 1.5f32;
    assert!(
        refuse(&[], Prediction::Foreground(probabilities.view()))
            .starts_with("image 1: the probability of foreground at row 7, column 8 is 1.5")
    );
    let rows = Array2::zeros((8, 2));
    let prediction = Prediction::Objects {
        mask: labels.view(),
        scores: &[1.0; 9],
        class_probabilities: Some(rows.view()),
    };
    assert!(refuse(&[], prediction).starts_with("image 1: there are class probabilities of 8"));
    assert_eq!(
        audit_instances(&[]).unwrap_err().to_string(),
        "there are no images"
    );
}

fn masks() -> impl Strategy<Value = (Array2<u32>, Array2<u32>)> {
    (1usize..9, 1usize..9).prop_flat_map(|(height, width)| {
        let pixel = prop_oneof![3 => 0u32..5, 1 => Just(UNLABELLED_OBJECT)];
        let mask = prop::collection::vec(pixel, height * width)
            .prop_map(move |pixels| Array2::from_shape_vec((height, width), pixels).unwrap());
        (mask.clone(), mask)
    })
}

proptest! {
    #[test]
    fn suspicions_lie_between_0_and_1_and_do_not_depend_on_numbers_or_threads(
        (labels, predicted) in masks(),
    ) {
        let found = audit(&labels, &predicted);
        for finding in &found.labelled {
            let (_, suspicion) = finding.worst();
            prop_assert!((0.0..=1.0).contains(&suspicion));
            prop_assert!(finding.border_disagreement.is_none_or(|share| (0.0..=1.0).contains(&share)));
        }
        prop_assert!(found.missed.iter().all(|missed| missed.suspicion > 0.0 && missed.suspicion <= 1.0));
        let renumbered = labels.mapv(|object| match object {
            0 | UNLABELLED_OBJECT => object,
            object => object + 1000,
        });
        let again = audit(&renumbered, &predicted);
        prop_assert_eq!(&found.missed, &again.missed);
        for (one, other) in found.labelled.iter().zip(&again.labelled) {
            prop_assert_eq!(one.object + 1000, other.object);
            prop_assert_eq!(one.worst(), other.worst());
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        prop_assert_eq!(pool.install(|| audit(&labels, &predicted)), found);
    }
}

/// The shared data folder beside the checkout; tests that need it skip with a line without it.
#[test]
fn images_of_nuclei_that_were_corrected_are_found() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/he-nuclei");
    if !folder.exists() {
        eprintln!("skipped: no {}", folder.display());
        return;
    }
    let mut names: Vec<_> = fs::read_dir(folder.join("instances_original"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    let read = |kind: &str| -> Vec<Array2<u32>> {
        let paths = names.iter().map(|name| folder.join(kind).join(name));
        paths
            .map(|path| read_instance_mask(&path).unwrap())
            .collect()
    };
    let (original, corrected) = (read("instances_original"), read("instances_corrected"));
    let scores = [1.0; 1000];
    let images: Vec<InstanceImage<'_>> = original
        .iter()
        .zip(&corrected)
        .map(|(labels, truth)| InstanceImage {
            labels: labels.view(),
            classes: &[],
            prediction: Prediction::Objects {
                mask: truth.view(),
                scores: &scores,
                class_probabilities: None,
            },
        })
        .collect();
    let audits = audit_instances(&images).unwrap();
    let rows = instance_issues(&audits, &images).unwrap();
    let mut differing = 0;
    for (image, (labels, truth)) in original.iter().zip(&corrected).enumerate() {
        let pixels = labels.iter().zip(truth).filter(|(a, b)| a != b).count();
        let found: Vec<_> = rows.iter().filter(|row| row.image == image).collect();
        differing += usize::from(pixels > 0);
        assert_eq!(pixels > 0, !found.is_empty(), "image {:?}", names[image]);
        if let Some(worst) = found.first() {
            eprintln!(
                "{:?}: {pixels} pixels, {:?} {:.3}",
                names[image], worst.kind, worst.suspicion
            );
        }
    }
    assert_eq!((images.len(), differing), (107, 17));
}
