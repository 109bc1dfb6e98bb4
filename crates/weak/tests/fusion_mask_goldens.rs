//! Fusion of masks against SimpleITK 2.5.7 (`goldens/fusion_staple.json`, written by
//! `oracles/fusion_staple.py`) and crowd-kit 1.4.2 (`goldens/fusion_mask_dawid_skene.json`, written by
//! `oracles/fusion_mask_dawid_skene.py`).
//!
//! Tolerances: binary STAPLE starts, steps and stops as ITK's, in double precision too, so only
//! the order of sums differs: 1e-9. STAPLE with several classes is in single precision in ITK; what
//! is left of its rounding (1e-7 per sum of some hundred pixels) grows over the iterations, and it
//! may stop one iteration (1e-5) sooner or later: 1e-3, as the script asks of the same algorithm in
//! numpy. Dawid–Skene: as in `fusion_goldens.rs`.
#![allow(clippy::unwrap_used)]

use cleanslide_weak::fusion::Reliability;
use cleanslide_weak::fusion::masks::{MaskDawidSkene, MultiLabelStaple, Staple, VotePatterns};
use ndarray::Array2;
use serde_json::Value;

const STAPLE: f64 = 1e-9;
const MULTI_LABEL: f64 = 1e-3;
const CROWD_KIT: f64 = 1e-8;

/// Rows of digits; '.' is unlabelled.
fn mask(rows: &Value) -> Array2<u8> {
    let rows: Vec<&[u8]> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row.as_str().unwrap().as_bytes())
        .collect();
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(y, x)| match rows[y][x] {
        b'.' => 255,
        digit => digit - b'0',
    })
}

fn patterns(case: &Value, classes: usize) -> (VotePatterns, Array2<u32>) {
    let masks: Vec<_> = case["masks"].as_array().unwrap().iter().map(mask).collect();
    let views: Vec<_> = masks.iter().map(|mask| Some(mask.view())).collect();
    let mut patterns = VotePatterns::new(masks.len(), classes).unwrap();
    let map = patterns.add(&views).unwrap();
    (patterns, map)
}

#[track_caller]
fn close(what: &str, ours: f64, theirs: &Value, tolerance: f64) {
    let theirs = theirs.as_f64().unwrap();
    assert!(
        (ours - theirs).abs() <= tolerance,
        "{what}: {ours} is not {theirs}"
    );
}

#[test]
fn binary_staple() {
    let golden: Value = serde_json::from_str(include_str!("goldens/fusion_staple.json")).unwrap();
    for case in golden["binary"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let (patterns, map) = patterns(case, 2);
        let asked = case["iterations"].as_u64().unwrap() as usize;
        let rule = Staple {
            confidence_weight: case["confidence_weight"].as_f64().unwrap(),
            iterations: asked,
            ..Default::default()
        };
        let found = rule.fuse(&patterns).unwrap();
        // Where ITK stops by itself it does not count the last iteration.
        let elapsed = case["elapsed"].as_u64().unwrap() as usize;
        let stopped = usize::from(elapsed < asked);
        assert_eq!(found.iterations, elapsed + stopped, "{name}");
        assert_eq!(found.converged, stopped == 1, "{name}");
        for expert in 0..patterns.experts() {
            close(
                name,
                found.sensitivity[expert],
                &case["sensitivity"][expert],
                STAPLE,
            );
            close(
                name,
                found.specificity[expert],
                &case["specificity"][expert],
                STAPLE,
            );
        }
        for ((y, x), &pattern) in map.indexed_iter() {
            let ours = found.foreground[pattern as usize];
            close(name, ours, &case["probability"][y][x], STAPLE);
        }
    }
}

#[test]
fn multi_label_staple() {
    let golden: Value = serde_json::from_str(include_str!("goldens/fusion_staple.json")).unwrap();
    for case in golden["several"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let classes = case["classes"].as_u64().unwrap() as usize;
        let (patterns, map) = patterns(case, classes);
        let found = MultiLabelStaple::default().fuse(&patterns).unwrap();
        assert!(found.converged, "{name}");
        let Reliability::Confusion(confusion) = &found.reliability else {
            panic!("wrong kind of reliability");
        };
        for ((expert, truth, vote), &ours) in confusion.indexed_iter() {
            let ours = if ours.is_nan() { 0.0 } else { ours };
            close(
                name,
                ours,
                &case["tables"][expert][vote][truth],
                MULTI_LABEL,
            );
        }
        // ITK's label for undecided pixels is the number of classes.
        let undecided = classes as u8;
        let expected = mask(&case["labels"]).mapv(|l| if l == undecided { 255 } else { l });
        assert_eq!(found.mask(map.view()), expected, "{name}");
    }
}

#[test]
fn dawid_skene() {
    let golden: Value =
        serde_json::from_str(include_str!("goldens/fusion_mask_dawid_skene.json")).unwrap();
    let classes = golden["classes"].as_u64().unwrap() as usize;
    let (patterns, map) = patterns(&golden, classes);
    let found = MaskDawidSkene::default().fuse(&patterns).unwrap();
    assert_eq!(
        found.iterations as u64,
        golden["iterations"].as_u64().unwrap()
    );
    let theirs = golden["posterior"].as_array().unwrap();
    for (pixel, &pattern) in map.iter().enumerate() {
        let ours = found.posterior.row(pattern as usize);
        if theirs[pixel].is_null() {
            assert_eq!((ours.sum(), found.labels[pattern as usize]), (0.0, 255));
            continue;
        }
        for class in 0..classes {
            close("Dawid–Skene", ours[class], &theirs[pixel][class], CROWD_KIT);
        }
    }
}
