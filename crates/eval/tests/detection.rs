//! COCO's numbers against pycocotools, FROC against numpy (`oracles/eval_detection.py`), and what
//! must hold of any detections.
//!
//! Tolerance 1e-12: means of at most a few thousand terms up to 1, summed in another order, and
//! pycocotools adds 2.2e-16 to each divisor; goldens keep 13 decimals.

#![allow(clippy::unwrap_used)]

use cleanslide_data::{Detection, Rectangle};
use cleanslide_eval::detection::{
    Coco, CocoMatches, CocoSubset, FROC_RATES, FoundObject, Standing, TrueBox, TrueObject,
};
use cleanslide_eval::matching::{MatchCounts, box_pairs, iou_matrix};
use cleanslide_eval::{Bootstrap, Groups, Weights};
use proptest::prelude::*;
use serde_json::Value;

const TOLERANCE: f64 = 1e-12;

type Image = (Vec<TrueBox>, Vec<Detection>);

fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().unwrap();
    list.iter().map(|value| value.as_f64().unwrap()).collect()
}

fn rectangle(value: &Value) -> Rectangle {
    let corners = numbers(&value["corners"]);
    Rectangle::new(corners[0], corners[1], corners[2], corners[3]).unwrap()
}

fn images(case: &Value) -> Vec<Image> {
    let class = |value: &Value| value["class"].as_u64().unwrap() as usize;
    let true_box = |value: &Value| TrueBox {
        area: value["area"].as_f64(),
        standing: if value["crowd"].as_bool().unwrap() {
            Standing::Crowd
        } else {
            Standing::Required
        },
        ..TrueBox::new(rectangle(value), class(value))
    };
    let detection = |value: &Value| Detection {
        rectangle: rectangle(value),
        class: class(value),
        score: value["score"].as_f64().unwrap(),
    };
    let image = |image: &Value| {
        let list = |name: &str| image[name].as_array().unwrap().clone();
        (
            list("truth").iter().map(true_box).collect(),
            list("found").iter().map(detection).collect(),
        )
    };
    case["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(image)
        .collect()
}

fn settings(case: &Value) -> Coco {
    let mut coco = Coco::new(case["classes"].as_u64().unwrap() as usize);
    coco.class_agnostic = case["agnostic"].as_bool().unwrap();
    if !case["ious"].is_null() {
        coco.iou_thresholds = numbers(&case["ious"]);
    }
    if !case["limits"].is_null() {
        coco.maximum_detections = numbers(&case["limits"])
            .iter()
            .map(|&l| l as usize)
            .collect();
    }
    coco
}

fn matched(coco: &Coco, images: &[Image]) -> CocoMatches {
    let views: Vec<(&[TrueBox], &[Detection])> = images
        .iter()
        .map(|(truth, found)| (&truth[..], &found[..]))
        .collect();
    coco.match_images(&views).unwrap()
}

fn goldens() -> Vec<Value> {
    serde_json::from_str(include_str!("goldens/detection.json")).unwrap()
}

#[track_caller]
fn same(ours: Option<f64>, theirs: &Value, what: &str) {
    let theirs = theirs.as_f64().unwrap();
    let ours = ours.unwrap_or(-1.0);
    assert!(
        (ours - theirs).abs() <= TOLERANCE,
        "{what}: {ours} is not {theirs}"
    );
}

#[test]
fn the_twelve_numbers_are_pycocotools() {
    let mut compared = 0;
    for case in goldens() {
        let name = case["name"].as_str().unwrap();
        let Some(stats) = case["stats"].as_array() else {
            continue;
        };
        let summary = matched(&settings(&case), &images(&case))
            .summary(Weights::Equal)
            .unwrap();
        for (place, (ours, theirs)) in summary.values().into_iter().zip(stats).enumerate() {
            same(ours, theirs, &format!("{name}, number {place}"));
            compared += 1;
        }
    }
    assert!(compared >= 12 * 12);
}

#[test]
fn every_class_iou_size_and_limit_is_pycocotools() {
    for case in goldens() {
        let name = case["name"].as_str().unwrap();
        let coco = settings(&case);
        let matches = matched(&coco, &images(&case));
        let classes = if coco.class_agnostic { 1 } else { coco.classes };
        for (t, &iou) in coco.iou_thresholds.iter().enumerate() {
            for class in 0..classes {
                for area in 0..coco.areas.len() {
                    for (m, &limit) in coco.maximum_detections.iter().enumerate() {
                        let subset = CocoSubset {
                            class: Some(class),
                            iou: Some(iou),
                            area,
                            maximum_detections: Some(limit),
                        };
                        let what = format!("{name}: {subset:?}");
                        let precision = matches.average_precision(&subset, Weights::Equal).ok();
                        same(precision, &case["precision"][t][class][area][m], &what);
                        let recall = matches.average_recall(&subset, Weights::Equal).ok();
                        same(recall, &case["recall"][t][class][area][m], &what);
                    }
                }
            }
        }
    }
}

#[test]
fn counts_of_each_image_and_froc_curves() {
    for case in goldens() {
        let name = case["name"].as_str().unwrap();
        let coco = settings(&case);
        let matches = matched(&coco, &images(&case));
        let first = CocoSubset {
            iou: Some(coco.iou_thresholds[0]),
            ..CocoSubset::default()
        };
        let counts = matches.counts(&first, 0.5).unwrap();
        for (ours, theirs) in counts.iter().zip(case["counts"].as_array().unwrap()) {
            let ours = [
                ours.true_positives,
                ours.false_positives,
                ours.false_negatives,
            ];
            assert_eq!(ours.to_vec(), numbers(theirs), "{name}");
        }
        let froc = matches.froc(&first, Weights::Equal);
        let golden = &case["froc"];
        if golden.is_null() {
            assert!(froc.is_err() || froc.unwrap().scores.len() == 1, "{name}");
            continue;
        }
        let froc = froc.unwrap();
        for (ours, theirs) in [
            (&froc.sensitivity, &golden["sensitivity"]),
            (&froc.false_alarms, &golden["rates"]),
        ] {
            let theirs = numbers(theirs);
            assert_eq!(ours.len(), theirs.len(), "{name}");
            for (ours, theirs) in ours.iter().zip(theirs) {
                assert!((ours - theirs).abs() < TOLERANCE, "{name}");
            }
        }
        for (rate, theirs) in FROC_RATES.iter().zip(golden["at"].as_array().unwrap()) {
            same(Some(froc.sensitivity_at(*rate)), theirs, name);
        }
        same(
            froc.mean_sensitivity(&FROC_RATES).ok(),
            &golden["mean"],
            name,
        );
    }
}

#[test]
fn precomputed_overlaps_give_the_same_as_boxes() {
    for case in goldens() {
        let coco = settings(&case);
        let images = images(&case);
        let of_objects: Vec<_> = images
            .iter()
            .map(|(truth, found)| {
                let rectangles: (Vec<_>, Vec<_>) = (
                    truth.iter().map(|object| object.rectangle).collect(),
                    found.iter().map(|one| one.rectangle).collect(),
                );
                let pairs = box_pairs(&rectangles.0, &rectangles.1);
                let ious = iou_matrix((truth.len(), found.len()), &pairs).unwrap();
                let objects: Vec<TrueObject> = truth
                    .iter()
                    .map(|object| TrueObject {
                        class: object.class,
                        area: object.area.unwrap_or(object.rectangle.area()),
                        standing: object.standing,
                    })
                    .collect();
                let findings: Vec<FoundObject> = found
                    .iter()
                    .map(|one| FoundObject {
                        class: one.class,
                        area: one.rectangle.area(),
                        score: one.score,
                    })
                    .collect();
                let overlap = |object: usize, one: usize| match truth[object].standing {
                    Standing::Crowd => {
                        let inside = found[one].rectangle.overlap(&truth[object].rectangle);
                        inside / found[one].rectangle.area()
                    }
                    _ => ious[(object, one)],
                };
                coco.match_objects(&objects, &findings, overlap).unwrap()
            })
            .collect();
        assert_eq!(coco.collect(&of_objects).unwrap(), matched(&coco, &images));
    }
}

#[test]
fn weights_are_copies_of_images() {
    // Distinct scores within an image: equal ones are where copies and weights differ.
    for case in goldens().iter().filter(|case| case["name"] == "mixed") {
        let coco = settings(case);
        let images = images(case);
        let counts = [2, 0, 1, 3, 1, 0, 1, 2];
        let copies: Vec<Image> = images
            .iter()
            .zip(counts)
            .flat_map(|(image, count)| vec![image.clone(); count as usize])
            .collect();
        let matches = matched(&coco, &images);
        let weighted = matches.summary(Weights::Counts(&counts)).unwrap();
        let real: Vec<f64> = counts.iter().map(|&count| 0.1 * f64::from(count)).collect();
        let scaled = matches.summary(Weights::Real(&real)).unwrap();
        let copied = matched(&coco, &copies).summary(Weights::Equal).unwrap();
        let all = weighted
            .values()
            .into_iter()
            .zip(copied.values())
            .zip(scaled.values());
        for ((weighted, copied), scaled) in all {
            assert!((weighted.unwrap() - copied.unwrap()).abs() < TOLERANCE);
            // Rounding of 0.1 may let real weights reach a level of recall more, never one less.
            let more = scaled.unwrap() - copied.unwrap();
            assert!((-TOLERANCE..0.02).contains(&more), "{more}");
        }
    }
}

#[test]
fn one_image_by_itself_is_that_image_alone() {
    for case in goldens() {
        let coco = settings(&case);
        let images = images(&case);
        let subset = CocoSubset::default();
        let together = matched(&coco, &images).per_image(&subset).unwrap();
        for (image, together) in images.into_iter().zip(together) {
            let alone = matched(&coco, &[image]);
            let precision = alone.average_precision(&subset, Weights::Equal).ok();
            let recall = alone.average_recall(&subset, Weights::Equal).ok();
            assert_eq!(together, precision.zip(recall));
        }
    }
}

#[test]
fn intervals_resample_images() {
    let case = &goldens()[0];
    let matches = matched(&settings(case), &images(case));
    let bootstrap = Bootstrap {
        replicates: 200,
        max_undefined: 0.2,
        ..Bootstrap::default()
    };
    let groups = Groups::single_items(matches.images()).unwrap();
    let subset = CocoSubset::default();
    let interval = bootstrap
        .estimate(&groups, |weights| {
            matches.average_precision(&subset, weights)
        })
        .unwrap();
    assert!(interval.low < interval.value && interval.value < interval.high);
    let at_half = CocoSubset {
        iou: Some(0.5),
        ..subset
    };
    let counts = matches.counts(&at_half, 0.3).unwrap();
    let interval = bootstrap
        .estimate(&groups, |weights| MatchCounts::pool(&counts, weights)?.f1())
        .unwrap();
    assert!(interval.low < interval.value && interval.value < interval.high);
}

#[test]
fn bad_input_is_named() {
    let cell = Rectangle::new(0.0, 0.0, 4.0, 4.0).unwrap();
    let found = |class: usize, score: f64| Detection {
        rectangle: cell,
        class,
        score,
    };
    let message = |truth: &[TrueBox], found: &[Detection]| {
        let images = [(&[][..], &[][..]), (truth, found)];
        Coco::new(2).match_images(&images).unwrap_err().to_string()
    };
    assert_eq!(
        message(&[], &[found(0, 0.5), found(0, f64::NAN)]),
        "image 1: the score of detection 1 is NaN; scores must be finite numbers"
    );
    assert_eq!(
        message(&[TrueBox::new(cell, 2)], &[]),
        "image 1: truth of item 0 is class 2, but there are only 2 classes"
    );
    let flat = Rectangle { right: 0.0, ..cell };
    assert!(message(&[TrueBox::new(flat, 0)], &[]).contains("a width and a height"));
    let unsized_box = TrueBox {
        area: Some(-1.0),
        ..TrueBox::new(cell, 0)
    };
    assert!(message(&[unsized_box], &[]).contains("the area of true object 0 is -1"));
    assert!(Coco::new(1).match_images(&[]).is_err());
    assert!(Coco::new(0).match_boxes(&[], &[]).is_err());
    let coco = Coco {
        maximum_detections: vec![10, 1],
        ..Coco::new(1)
    };
    assert!(coco.match_boxes(&[], &[]).is_err());

    let matches = matched(&Coco::new(1), &[(vec![TrueBox::new(cell, 0)], vec![])]);
    let asked = |subset: CocoSubset| {
        let error = matches.average_precision(&subset, Weights::Equal);
        error.unwrap_err().to_string()
    };
    let whole = CocoSubset::default();
    assert_eq!(
        asked(CocoSubset {
            iou: Some(0.3),
            ..whole
        }),
        "nothing was matched for IoU 0.3; add it to the settings before matching"
    );
    assert!(
        asked(CocoSubset {
            class: Some(1),
            ..whole
        })
        .contains("class 1")
    );
    assert!(asked(CocoSubset { area: 4, ..whole }).contains("range of areas 4"));
    let limit = CocoSubset {
        maximum_detections: Some(7),
        ..whole
    };
    assert!(asked(limit).contains("7 detections"));
    assert!(matches.counts(&whole, 0.5).is_err());
    assert!(
        matches
            .average_precision(&whole, Weights::Counts(&[1, 1]))
            .is_err()
    );
    // Settings that are not COCO's.
    let other = Coco {
        iou_thresholds: vec![0.5],
        ..Coco::new(2)
    };
    let image = Coco::new(2)
        .match_boxes(&[TrueBox::new(cell, 1)], &[found(1, 0.1)])
        .unwrap();
    assert!(other.collect(std::slice::from_ref(&image)).is_err());
    assert!(Coco::new(1).collect(&[image]).is_err());
}

fn some_images() -> impl Strategy<Value = Vec<Image>> {
    let rectangle = (0u8..30, 0u8..30, 1u8..20, 1u8..20).prop_map(|(x, y, width, height)| {
        let (x, y) = (f64::from(x), f64::from(y));
        Rectangle::new(x, y, x + f64::from(width), y + f64::from(height)).unwrap()
    });
    let true_box = (rectangle.clone(), 0usize..2).prop_map(|(r, class)| TrueBox::new(r, class));
    let detection =
        (rectangle, 0usize..2, 0u32..1000).prop_map(|(rectangle, class, score)| Detection {
            rectangle,
            class,
            score: f64::from(score) / 1000.0,
        });
    let image = (
        proptest::collection::vec(true_box, 0..6),
        proptest::collection::vec(detection, 0..8),
    );
    proptest::collection::vec(image, 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn numbers_lie_between_0_and_1_and_depend_on_ranks_only(images in some_images()) {
        let coco = Coco::new(2);
        let before = matched(&coco, &images).summary(Weights::Equal).unwrap();
        for value in before.values().into_iter().flatten() {
            prop_assert!((0.0..=1.0).contains(&value));
        }
        let mut rescored = images.clone();
        for one in rescored.iter_mut().flat_map(|(_, found)| found) {
            one.score = (5.0 * one.score).exp() - 7.0;
        }
        prop_assert_eq!(matched(&coco, &rescored).summary(Weights::Equal).unwrap(), before);
    }

    #[test]
    fn the_truth_itself_is_perfect(images in some_images()) {
        // Distinct boxes only: of equal ones, COCO may give a finding the other's.
        let images: Vec<Image> = images
            .into_iter()
            .map(|(mut truth, _)| {
                truth.truncate(1);
                let found = truth.iter().map(|object| Detection {
                    rectangle: object.rectangle,
                    class: object.class,
                    score: 0.5,
                });
                let found = found.collect();
                (truth, found)
            })
            .collect();
        let matches = matched(&Coco::new(2), &images);
        match matches.average_precision(&CocoSubset::default(), Weights::Equal) {
            // A mean of 1010 ones.
            Ok(value) => prop_assert!((value - 1.0).abs() < TOLERANCE),
            Err(_) => prop_assert!(images.iter().all(|(truth, _)| truth.is_empty())),
        }
    }
}
