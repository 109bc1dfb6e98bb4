//! The audit of boxes against cleanlab 2.9's ObjectLab (`oracles/audit_boxes.py`).

#![allow(clippy::unwrap_used)]

use cleanslide_audit::boxes::{BoxAudit, BoxImage, BoxOptions, BoxScore, audit_boxes};
use cleanslide_data::{Detection, Object, Objects, Rectangle, Trust};
use proptest::prelude::*;
use serde_json::Value;

/// Scores are sums of a few terms in 64 bits.
const TOLERANCE: f64 = 1e-12;
/// cleanlab rounds average precisions to 32 bits, twice.
const AP_TOLERANCE: f64 = 1e-7;

struct Images {
    labels: Vec<Objects<Rectangle>>,
    predictions: Vec<Vec<Detection>>,
}

impl Images {
    fn audit(&self, classes: usize, options: &BoxOptions) -> BoxAudit {
        audit_boxes(&self.views(), classes, options).unwrap()
    }

    fn views(&self) -> Vec<BoxImage<'_>> {
        let pairs = self.labels.iter().zip(&self.predictions);
        pairs
            .map(|(labels, predictions)| BoxImage {
                labels,
                predictions,
            })
            .collect()
    }
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    list(value)
        .iter()
        .map(|v| v.as_f64().unwrap_or(f64::NAN))
        .collect()
}

fn object(left: f64, top: f64, right: f64, bottom: f64, class: usize) -> Object<Rectangle> {
    let shape = Rectangle::new(left, top, right, bottom).unwrap();
    Object {
        shape,
        class,
        trust: Trust::FULL,
    }
}

fn complete(objects: Vec<Object<Rectangle>>) -> Objects<Rectangle> {
    Objects {
        objects,
        complete: true,
    }
}

fn images(golden: &Value) -> Images {
    let labels = |image: &Value| {
        let boxes = list(image).iter().map(numbers);
        complete(
            boxes
                .map(|b| object(b[0], b[1], b[2], b[3], b[4] as usize))
                .collect(),
        )
    };
    let predictions = |image: &Value| {
        let boxes = list(image).iter().map(numbers);
        boxes
            .map(|b| Detection {
                rectangle: Rectangle::new(b[0], b[1], b[2], b[3]).unwrap(),
                class: b[4] as usize,
                score: b[5],
            })
            .collect()
    };
    Images {
        labels: list(&golden["labels"]).iter().map(labels).collect(),
        predictions: list(&golden["predictions"])
            .iter()
            .map(predictions)
            .collect(),
    }
}

#[track_caller]
fn assert_scores(found: &[Option<BoxScore>], scores: &Value, flags: &Value, what: &str) {
    let flags: Vec<bool> = list(flags)
        .iter()
        .map(|flag| flag.as_bool().unwrap())
        .collect();
    let scores = numbers(scores);
    assert_eq!(found.len(), scores.len(), "{what}");
    for ((found, expected), flag) in found.iter().zip(scores).zip(flags) {
        match found {
            Some(found) => {
                assert!(
                    (found.score - expected).abs() <= TOLERANCE,
                    "{what}: {found:?} {expected}"
                );
                assert_eq!(found.is_issue, flag, "{what}");
            }
            None => assert!(expected.is_nan() && !flag, "{what}"),
        }
    }
}

#[test]
fn scores_and_issues_equal_cleanlab() {
    let golden: Value = serde_json::from_str(include_str!("goldens/boxes.json")).unwrap();
    for case in list(&golden["cases"]) {
        let images = images(case);
        for (key, overlapping_labels) in [("with_overlap_check", true), ("without", false)] {
            let what = format!("{} {key}", case["name"]);
            let expected = &case[key];
            let options = BoxOptions {
                overlapping_labels,
                ..BoxOptions::default()
            };
            let audit = images.audit(case["classes"].as_u64().unwrap() as usize, &options);
            for (ap, limit) in audit
                .average_precision
                .iter()
                .zip(numbers(&expected["thresholds"]))
            {
                assert!(
                    (ap * 0.25 - limit).abs() <= AP_TOLERANCE,
                    "{what}: {ap} {limit}"
                );
            }
            let qualities = numbers(&expected["quality"]);
            for (number, image) in audit.images.iter().enumerate() {
                let some =
                    |scores: &[BoxScore]| scores.iter().map(|&s| Some(s)).collect::<Vec<_>>();
                for (kind, found, pooled) in [
                    (
                        "overlooked",
                        image.overlooked.clone(),
                        image.overlooked_score,
                    ),
                    (
                        "badly_located",
                        some(&image.badly_located),
                        image.badly_located_score,
                    ),
                    ("swapped", some(&image.swapped), image.swapped_score),
                ] {
                    let what = format!("{what}, image {number}, {kind}");
                    let flags = &expected["flags"][kind][number];
                    assert_scores(&found, &expected[kind][number], flags, &what);
                    let wanted = expected["images"][kind][number].as_f64().unwrap();
                    assert!(
                        (pooled - wanted).abs() <= TOLERANCE,
                        "{what}: {pooled} {wanted}"
                    );
                }
                let quality = image.quality();
                assert!(
                    (quality - qualities[number]).abs() <= TOLERANCE,
                    "{what}: {quality}"
                );
                assert_eq!(
                    Value::from(image.is_issue()),
                    expected["issues"][number],
                    "{what}"
                );
            }
        }
    }
}

#[test]
fn what_decided_is_named_and_incomplete_labels_overlook_nothing() {
    let detection = |left: f64, class, score| Detection {
        rectangle: Rectangle::new(left, 0.0, left + 10.0, 10.0).unwrap(),
        class,
        score,
    };
    let mut images = Images {
        labels: vec![complete(vec![
            object(0.0, 0.0, 10.0, 10.0, 0),
            object(52.0, 0.0, 62.0, 10.0, 1),
        ])],
        predictions: vec![vec![
            detection(200.0, 0, 0.99),
            detection(0.0, 1, 0.99),
            detection(50.0, 1, 0.6),
            detection(49.0, 1, 0.9),
        ]],
    };
    let audit = images.audit(2, &BoxOptions::default());
    let image = &audit.images[0];
    assert_eq!(image.overlooked[0].unwrap().prediction, Some(0));
    assert!(image.overlooked[1..].iter().all(Option::is_none));
    assert_eq!(image.swapped[0].prediction, Some(1));
    assert_eq!(image.badly_located[1].prediction, Some(2));
    assert_eq!(
        image.badly_located[0],
        BoxScore {
            score: 1.0,
            is_issue: false,
            prediction: None
        }
    );
    images.labels[0].complete = false;
    let partial = images.audit(2, &BoxOptions::default());
    assert_eq!(partial.images[0].overlooked, vec![None; 4]);
    assert_eq!(partial.images[0].overlooked_score, 1.0);
    assert_eq!(partial.images[0].swapped, image.swapped);
}

#[test]
fn bad_input_is_named_with_image_and_box() {
    let good = Images {
        labels: vec![
            complete(vec![]),
            complete(vec![object(0.0, 0.0, 1.0, 1.0, 0)]),
        ],
        predictions: vec![
            vec![],
            vec![Detection {
                rectangle: Rectangle::new(0.0, 0.0, 1.0, 1.0).unwrap(),
                class: 0,
                score: 0.5,
            }],
        ],
    };
    let refused = |change: &dyn Fn(&mut Images)| {
        let mut images = Images {
            labels: good.labels.clone(),
            predictions: good.predictions.clone(),
        };
        change(&mut images);
        let error = audit_boxes(&images.views(), 1, &BoxOptions::default()).unwrap_err();
        error.to_string()
    };
    assert_eq!(
        refused(&|images| images.labels[1].objects[0].class = 1),
        "image 1: label 0 has class 1, but there are only 1 classes (0 to 0): count from 0, or add \
         the class"
    );
    assert_eq!(
        refused(&|images| images.labels[1].objects[0].shape.right = 0.0),
        "image 1: label 0 has the box 0 0 0 1 (left top right bottom), which has no area: correct or \
         remove it"
    );
    for score in [f64::NAN, 1.5] {
        assert!(
            refused(&|images| images.predictions[1][0].score = score)
                .starts_with("image 1: prediction 0 has the score")
        );
    }
    let empty = audit_boxes(&[], 1, &BoxOptions::default()).unwrap_err();
    assert_eq!(empty.to_string(), "there are no images");
    let options = BoxOptions {
        high_probability: 2.0,
        ..BoxOptions::default()
    };
    assert!(audit_boxes(&good.views(), 1, &options).is_err());
}

fn rectangle() -> impl Strategy<Value = Rectangle> {
    (0..60i32, 0..60i32, 1..30i32, 1..30i32).prop_map(|(left, top, width, height)| {
        let [left, top, width, height] = [left, top, width, height].map(f64::from);
        Rectangle::new(left, top, left + width, top + height).unwrap()
    })
}

proptest! {
    #[test]
    fn scores_lie_between_0_and_1_and_do_not_depend_on_the_order_of_labels(
        labels in prop::collection::vec((rectangle(), 0usize..3), 0..8),
        predictions in prop::collection::vec((rectangle(), 0usize..3, 0.0f64..=1.0), 0..8),
    ) {
        let objects: Vec<_> = labels
            .into_iter()
            .map(|(shape, class)| Object { shape, class, trust: Trust::FULL })
            .collect();
        let predictions = predictions
            .into_iter()
            .map(|(rectangle, class, score)| Detection { rectangle, class, score })
            .collect();
        let mut images = Images { labels: vec![complete(objects)], predictions: vec![predictions] };
        let audit = images.audit(3, &BoxOptions::default());
        let image = &audit.images[0];
        let scores = image.badly_located.iter().chain(&image.swapped);
        for score in scores.chain(image.overlooked.iter().flatten()) {
            prop_assert!((0.0..=1.0).contains(&score.score));
        }
        prop_assert!((0.0..=1.0).contains(&image.quality()));
        images.labels[0].objects.reverse();
        let reversed = images.audit(3, &BoxOptions::default());
        let swapped: Vec<_> = reversed.images[0].swapped.iter().rev().copied().collect();
        for (one, other) in image.swapped.iter().zip(swapped) {
            prop_assert!((one.score - other.score).abs() < 1e-12);
        }
    }
}
