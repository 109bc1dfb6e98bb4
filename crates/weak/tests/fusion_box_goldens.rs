//! Fusion of boxes against ensemble-boxes 1.0.9: `goldens/fusion_boxes.json`, written by
//! `oracles/fusion_boxes.py`.
//!
//! Boxes go from 0..1 to pixels, differently along x and y, which changes no overlap. ensemble-boxes
//! keeps means and scores of weighted boxes in single precision, rounded anew with every box
//! (2⁻²⁴ each, 25 boxes at most), and the golden has nine digits: 1e-6. What is only chosen
//! (suppression) has nine digits: 1e-8.
#![allow(clippy::unwrap_used)]

use cleanslide_data::geometry::{Detection, Rectangle};
use cleanslide_weak::fusion::boxes::{
    Confidence, Decay, FusedDetection, NonMaximumSuppression, NonMaximumWeighted, SoftNms,
    WeightedBoxesFusion,
};
use serde_json::Value;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 480.0;
const SINGLE: f64 = 1e-6;
const DIGITS: f64 = 1e-8;

fn goldens() -> Value {
    serde_json::from_str(include_str!("goldens/fusion_boxes.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    let entries = value.as_array().unwrap();
    entries
        .iter()
        .map(|entry| entry.as_f64().unwrap())
        .collect()
}

fn views(golden: &Value, case: &Value) -> Vec<Vec<Detection>> {
    let set = &golden["sets"][case["set"].as_str().unwrap()];
    let view = |view: &Value| {
        let boxes = view["boxes"].as_array().unwrap().iter().enumerate();
        boxes
            .map(|(index, corners)| {
                let corners = numbers(corners);
                Detection {
                    rectangle: Rectangle::new(
                        corners[0] * WIDTH,
                        corners[1] * HEIGHT,
                        corners[2] * WIDTH,
                        corners[3] * HEIGHT,
                    )
                    .unwrap(),
                    class: view["classes"][index].as_u64().unwrap() as usize,
                    score: view["scores"][index].as_f64().unwrap(),
                }
            })
            .collect()
    };
    set.as_array().unwrap().iter().map(view).collect()
}

/// Boxes whose scores differ by rounding may come in another order.
#[track_caller]
fn same(ours: &[FusedDetection], case: &Value, tolerance: f64) {
    let scores = numbers(&case["scores"]);
    assert_eq!(ours.len(), scores.len(), "{}", case["set"]);
    let mut left: Vec<usize> = (0..scores.len()).collect();
    for (fused, score) in ours.iter().zip(&scores) {
        let Detection {
            rectangle,
            class,
            score: found,
        } = fused.detection;
        assert!((found - score).abs() < tolerance, "{found} is not {score}");
        let corners = [
            rectangle.left / WIDTH,
            rectangle.top / HEIGHT,
            rectangle.right / WIDTH,
            rectangle.bottom / HEIGHT,
        ];
        let equal = |&theirs: &usize| {
            let place = numbers(&case["boxes"][theirs]);
            let near = |(one, other): (&f64, &f64)| (one - other).abs() < tolerance;
            class as u64 == case["classes"][theirs].as_u64().unwrap()
                && (scores[theirs] - found).abs() < tolerance
                && corners.iter().zip(&place).all(near)
        };
        let Some(place) = left.iter().position(equal) else {
            panic!("{:?} is not in {case}", fused.detection);
        };
        left.remove(place);
    }
}

fn overlap(case: &Value) -> f64 {
    case["overlap"].as_f64().unwrap()
}

fn weights(case: &Value) -> Option<Vec<f64>> {
    (!case["weights"].is_null()).then(|| numbers(&case["weights"]))
}

#[test]
fn weighted_boxes_fusion() {
    let golden = goldens();
    let cases = golden["wbf"].as_array().unwrap();
    assert_eq!(cases.len(), 6 * 4 * 2 * 2);
    for case in cases {
        let rule = WeightedBoxesFusion {
            weights: weights(case),
            overlap: overlap(case),
            lowest_score: case["lowest"].as_f64().unwrap(),
            confidence: match case["confidence"].as_str().unwrap() {
                "avg" => Confidence::Average,
                "max" => Confidence::Max,
                "box_and_model_avg" => Confidence::BoxAndModelAverage,
                _ => Confidence::AbsentModelAwareAverage,
            },
            allows_overflow: case["overflow"].as_bool().unwrap(),
        };
        same(&rule.fuse(&views(&golden, case)).unwrap(), case, SINGLE);
    }
}

#[test]
fn non_maximum_weighted() {
    let golden = goldens();
    for case in golden["nmw"].as_array().unwrap() {
        let rule = NonMaximumWeighted {
            weights: weights(case),
            overlap: overlap(case),
            lowest_score: case["lowest"].as_f64().unwrap(),
        };
        same(&rule.fuse(&views(&golden, case)).unwrap(), case, SINGLE);
    }
}

#[test]
fn non_maximum_suppression() {
    let golden = goldens();
    for case in golden["nms"].as_array().unwrap() {
        let rule = NonMaximumSuppression {
            overlap: overlap(case),
        };
        same(&rule.fuse(&views(&golden, case)).unwrap(), case, DIGITS);
    }
}

#[test]
fn soft_nms() {
    let golden = goldens();
    for case in golden["soft"].as_array().unwrap() {
        let decay = match case["method"].as_u64().unwrap() {
            1 => Decay::Linear {
                overlap: overlap(case),
            },
            _ => Decay::Gaussian {
                sigma: case["sigma"].as_f64().unwrap(),
            },
        };
        let rule = SoftNms {
            decay,
            lowest_score: case["lowest"].as_f64().unwrap(),
        };
        same(&rule.fuse(&views(&golden, case)).unwrap(), case, DIGITS);
    }
}
