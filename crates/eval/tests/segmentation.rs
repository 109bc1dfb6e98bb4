//! Metrics of masks against StarDist, MONAI, SciPy and published formulas
//! (`oracles/eval_segmentation.py`), and what must hold of any masks.

#![allow(clippy::unwrap_used)]

use cleanslide_eval::matching::{Assignment, MatchCounts, Overlaps, match_objects};
use cleanslide_eval::segmentation::{
    AggregatedJaccard, BoundaryCounts, Directions, EmptyCase, Reuse, SurfaceDistances,
    class_overlaps, instance_counts, mean_over_images, panoptic_counts, pixel_confusion,
};
use cleanslide_eval::{Bootstrap, ConfusionMatrix, Error, Groups, Weights, ZeroDivision};
use ndarray::{Array2, array};
use proptest::prelude::*;
use serde_json::Value;

/// References compute in f64 and at most add a few hundred numbers of order 100 in another order.
const TOLERANCE: f64 = 1e-10;

fn integers(value: &Value) -> Vec<u64> {
    let list = value.as_array().unwrap();
    list.iter().map(|value| value.as_u64().unwrap()).collect()
}

fn mask(case: &Value, name: &str) -> Array2<u64> {
    let size = integers(&case["size"]);
    let (values, lengths) = (integers(&case[name][0]), integers(&case[name][1]));
    let runs = values.iter().zip(lengths);
    let pixels = runs.flat_map(|(&value, length)| std::iter::repeat_n(value, length as usize));
    Array2::from_shape_vec((size[0] as usize, size[1] as usize), pixels.collect()).unwrap()
}

fn overlaps(case: &Value) -> Overlaps {
    let instances = |name: &str| mask(case, name).mapv(|number| number as u32);
    Overlaps::new(instances("truth").view(), instances("found").view()).unwrap()
}

fn classes(case: &Value) -> (Array2<u8>, Array2<u8>) {
    let classes = |name: &str| mask(case, name).mapv(|class| class as u8);
    (classes("truth"), classes("found"))
}

fn cases(json: &str) -> Vec<Value> {
    serde_json::from_str(json).unwrap()
}

fn instances() -> Vec<Value> {
    cases(include_str!("goldens/instances.json"))
}

fn masks() -> Vec<Value> {
    cases(include_str!("goldens/masks.json"))
}

#[track_caller]
fn close(ours: f64, theirs: &Value, tolerance: f64, what: &str) {
    let theirs = theirs.as_f64().unwrap();
    assert!(
        (ours - theirs).abs() <= tolerance,
        "{what}: {ours} is not {theirs}"
    );
}

#[test]
fn instances_match_as_in_stardist() {
    for case in instances() {
        let name = case["name"].as_str().unwrap();
        let overlaps = overlaps(&case);
        for golden in case["matching"].as_array().unwrap() {
            let threshold = golden["threshold"].as_f64().unwrap();
            let counts = instance_counts(&overlaps, &[threshold]).unwrap()[0];
            let what = format!("{name} at {threshold}");
            close(counts.true_positives, &golden["tp"], 0.0, &what);
            close(counts.false_positives, &golden["fp"], 0.0, &what);
            close(counts.false_negatives, &golden["fn"], 0.0, &what);
            // StarDist says 0 where there is nothing.
            let value = |rate: Result<f64, Error>| rate.unwrap_or(0.0);
            close(
                value(counts.average_precision()),
                &golden["accuracy"],
                TOLERANCE,
                &what,
            );
            close(value(counts.f1()), &golden["f1"], TOLERANCE, &what);
            let quality = value(counts.panoptic_quality());
            let theirs = &golden["panoptic_quality"];
            if threshold >= 0.5 {
                // Their IoU are 32-bit numbers.
                close(quality, theirs, 1e-6, &what);
            } else {
                // Ours has the highest sum of the matched pairs; theirs weighs other pairs too.
                assert!(quality >= theirs.as_f64().unwrap() - 1e-6, "{what}");
            }
        }
    }
}

#[test]
fn aggregated_jaccard_indices_follow_the_formula() {
    for case in instances() {
        let overlaps = overlaps(&case);
        for (reuse, name) in [(Reuse::Allowed, "aji"), (Reuse::Never, "aji_plus")] {
            let ours = AggregatedJaccard::new(&overlaps, reuse);
            let ours = [ours.intersection as u64, ours.union as u64];
            assert_eq!(
                ours.to_vec(),
                integers(&case[name]),
                "{} {name}",
                case["name"]
            );
        }
    }
}

#[test]
fn panoptic_quality_is_undefined_or_a_product() {
    for case in instances() {
        let counts = panoptic_counts(&overlaps(&case));
        match (counts.panoptic_quality(), counts.segmentation_quality()) {
            (Ok(pq), Ok(sq)) => {
                assert!((pq - sq * counts.recognition_quality().unwrap()).abs() < 1e-15);
            }
            (Ok(pq), Err(_)) => assert_eq!(pq, 0.0),
            (Err(_), _) => assert_eq!(case["name"], "empty"),
        }
    }
    // An IoU of exactly one half: not a match here, but one at a threshold of 0.5.
    let overlaps = Overlaps::new(array![[1, 1]].view(), array![[1, 0]].view()).unwrap();
    assert_eq!(panoptic_counts(&overlaps).true_positives, 0.0);
    assert_eq!(
        instance_counts(&overlaps, &[0.5]).unwrap()[0].true_positives,
        1.0
    );
}

#[test]
fn dice_and_iou_are_monais() {
    for case in masks() {
        let name = case["name"].as_str().unwrap();
        let (truth, found) = classes(&case);
        let confusion = pixel_confusion(truth.view(), found.view(), 3).unwrap();
        for (ours, theirs) in confusion
            .counts()
            .rows()
            .into_iter()
            .zip(case["confusion"].as_array().unwrap())
        {
            let ours: Vec<u64> = ours.iter().map(|&count| count as u64).collect();
            assert_eq!(ours, integers(theirs), "{name}");
        }
        for (class, overlap) in class_overlaps(&confusion).iter().enumerate() {
            let dice = overlap.dice(EmptyCase::One).unwrap();
            close(dice, &case["dice_one"][class], TOLERANCE, name);
            let iou = overlap.iou(EmptyCase::One).unwrap();
            close(iou, &case["iou_one"][class], TOLERANCE, name);
            assert_eq!(
                overlap.dice(EmptyCase::Undefined).ok(),
                confusion.f1()[class]
            );
            assert_eq!(
                overlap.iou(EmptyCase::Undefined).ok(),
                confusion.iou()[class]
            );
        }
    }
}

#[test]
fn surface_distances_are_those_of_monai_and_medpy() {
    let mut compared = 0;
    for case in masks() {
        let name = case["name"].as_str().unwrap();
        let (truth, found) = classes(&case);
        for (class, golden) in case["surfaces"].as_array().unwrap().iter().enumerate() {
            let of_class = |spacing| {
                SurfaceDistances::new(truth.view(), found.view(), class as u8, spacing).unwrap()
            };
            if golden.is_null() {
                let distances = of_class((1.0, 1.0));
                assert!(distances.hausdorff().is_err(), "{name}");
                assert!(distances.average(Directions::Together).is_err(), "{name}");
                continue;
            }
            for (key, spacing) in [("pixels", (1.0, 1.0)), ("spaced", (1.25, 0.5))] {
                let (distances, golden) = (of_class(spacing), &golden[key]);
                let quantile = |directions| distances.hausdorff_quantile(0.95, directions).unwrap();
                let average = |directions| distances.average(directions).unwrap();
                // MONAI computes in 32 bits.
                let single = 1e-5;
                for (ours, theirs, tolerance) in [
                    (distances.hausdorff().unwrap(), "hausdorff", single),
                    (quantile(Directions::Separate), "hausdorff_95", single),
                    (average(Directions::Together), "average", single),
                    (quantile(Directions::Together), "medpy_hd95", TOLERANCE),
                    (average(Directions::Separate), "medpy_assd", TOLERANCE),
                    (
                        distances.boundary(2.0).unwrap().f1().unwrap(),
                        "boundary_f1",
                        TOLERANCE,
                    ),
                ] {
                    close(
                        ours,
                        &golden[theirs],
                        tolerance,
                        &format!("{name} {class} {theirs}"),
                    );
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 100);
}

#[test]
fn boundaries_pool_and_know_the_empty_case() {
    let truth = array![[0, 1, 1, 0, 0]];
    let predicted = array![[0, 0, 1, 1, 1]];
    let of_class =
        |class| SurfaceDistances::new(truth.view(), predicted.view(), class, (0.1, 1.0)).unwrap();
    let near = of_class(1).boundary(0.1).unwrap();
    assert_eq!((near.near_truth, near.truth), (2.0, 2.0));
    assert_eq!((near.near_predicted, near.predicted), (2.0, 3.0));
    assert!((near.f1().unwrap() - 0.8).abs() < 1e-15);
    // 2 pixels of 0.1 are within 0.2.
    assert_eq!(of_class(1).boundary(0.2).unwrap().f1(), Ok(1.0));
    let absent = of_class(2).boundary(0.1).unwrap();
    assert!(absent.f1().is_err());
    let pooled = BoundaryCounts::pool(&[near, absent], Weights::Counts(&[2, 1])).unwrap();
    assert_eq!(pooled.f1(), near.f1());
    assert!(of_class(1).boundary(-1.0).is_err());
    assert!(
        of_class(1)
            .hausdorff_quantile(95.0, Directions::Separate)
            .is_err()
    );
    let missed = SurfaceDistances::new(truth.view(), array![[0; 5]].view(), 1, (1.0, 1.0)).unwrap();
    assert!(missed.to_prediction.iter().all(|d| d.is_infinite()));
    assert_eq!(missed.boundary(5.0).unwrap().f1(), Ok(0.0));
}

#[test]
fn every_metric_is_resampled_by_image() {
    let all = instances();
    let groups = Groups::single_items(all.len()).unwrap();
    let bootstrap = Bootstrap {
        replicates: 300,
        ..Bootstrap::default()
    };
    let overlaps: Vec<Overlaps> = all.iter().map(overlaps).collect();
    let counts: Vec<MatchCounts> = overlaps.iter().map(panoptic_counts).collect();
    let jaccards: Vec<AggregatedJaccard> = overlaps
        .iter()
        .map(|overlaps| AggregatedJaccard::new(overlaps, Reuse::Allowed))
        .collect();
    let intervals = bootstrap
        .estimates(&groups, |weights| {
            let pooled = MatchCounts::pool(&counts, weights)?;
            Ok([
                pooled.panoptic_quality()?,
                pooled.average_precision()?,
                AggregatedJaccard::pool(&jaccards, weights)?.index()?,
            ])
        })
        .unwrap();
    for interval in intervals {
        assert!(interval.low < interval.value && interval.value < interval.high);
    }
    let per_image: Vec<Option<f64>> = counts.iter().map(|c| c.panoptic_quality().ok()).collect();
    assert!(per_image.contains(&None));
    let mean = bootstrap
        .estimate(&groups, |weights| mean_over_images(&per_image, weights))
        .unwrap();
    assert!(mean.low < mean.value && mean.value < mean.high);
}

#[test]
fn mean_iou_follows_the_rule_for_absent_classes() {
    let confusion = ConfusionMatrix::new(array![[2.0, 0.0, 0.0], [2.0, 2.0, 0.0], [0.0; 3]]);
    let confusion = confusion.unwrap();
    assert_eq!(confusion.iou(), [Some(0.5), Some(0.5), None]);
    assert_eq!(confusion.mean_iou(ZeroDivision::Skip), Ok(0.5));
    assert_eq!(confusion.mean_iou(ZeroDivision::One), Ok(2.0 / 3.0));
}

fn two_masks() -> impl Strategy<Value = (Array2<u32>, Array2<u32>)> {
    (1usize..7, 1usize..9).prop_flat_map(|(height, width)| {
        let one = || {
            // Five objects, background, and unlabelled pixels.
            proptest::collection::vec(0u32..7, height * width).prop_map(move |pixels| {
                let pixels = Array2::from_shape_vec((height, width), pixels).unwrap();
                pixels.mapv(|p| if p == 6 { u32::MAX } else { p })
            })
        };
        (one(), one())
    })
}

proptest! {
    #[test]
    fn exchanging_the_masks_exchanges_the_roles((a, b) in two_masks(), threshold in 0.05f64..1.0) {
        let there = Overlaps::new(a.view(), b.view()).unwrap();
        let back = Overlaps::new(b.view(), a.view()).unwrap();
        prop_assert_eq!(&there.truth, &back.predicted);
        let counts = |overlaps: &Overlaps| instance_counts(overlaps, &[threshold]).unwrap()[0];
        let (one, other) = (counts(&there), counts(&back));
        prop_assert_eq!(one.true_positives, other.true_positives);
        prop_assert_eq!(one.false_positives, other.false_negatives);
        prop_assert!((one.summed_iou - other.summed_iou).abs() < 1e-12);
        let plus = |overlaps: &Overlaps| AggregatedJaccard::new(overlaps, Reuse::Never);
        prop_assert!(plus(&there).intersection <= plus(&there).union);
    }

    #[test]
    fn numbers_of_objects_do_not_matter((a, b) in two_masks()) {
        let renumbered = a.mapv(|n| match n { 0 | u32::MAX => n, n => 1_000_000 - 7 * n });
        let plain = Overlaps::new(a.view(), b.view()).unwrap();
        let other = Overlaps::new(renumbered.view(), b.view()).unwrap();
        prop_assert_eq!(panoptic_counts(&plain).true_positives, panoptic_counts(&other).true_positives);
        let aji = |overlaps: &Overlaps| AggregatedJaccard::new(overlaps, Reuse::Never).intersection;
        prop_assert!(aji(&plain) >= 0.0 && aji(&other) >= 0.0);
    }

    #[test]
    fn greedy_finds_at_least_half_and_never_more((a, b) in two_masks(), threshold in 0.05f64..1.0) {
        let overlaps = Overlaps::new(a.view(), b.view()).unwrap();
        let count = |assignment| {
            let pairs = overlaps.pairs();
            let matching = match_objects(overlaps.counts(), &pairs, threshold, assignment).unwrap();
            let parts = (matching.pairs.len() + matching.missed.len(), overlaps.truth.len());
            assert_eq!(parts.0, parts.1);
            matching.pairs.len()
        };
        let (greedy, optimal) = (count(Assignment::Greedy), count(Assignment::Optimal));
        prop_assert!(greedy <= optimal && optimal <= 2 * greedy);
        if threshold > 0.5 {
            prop_assert_eq!(greedy, optimal);
        }
    }

    #[test]
    fn a_mask_against_itself_is_perfect((a, _) in two_masks()) {
        let overlaps = Overlaps::new(a.view(), a.view()).unwrap();
        if !overlaps.truth.is_empty() {
            prop_assert_eq!(panoptic_counts(&overlaps).panoptic_quality(), Ok(1.0));
            let index = AggregatedJaccard::new(&overlaps, Reuse::Allowed).index();
            prop_assert_eq!(index, Ok(1.0));
        }
        let classes = a.mapv(|n| if n == u32::MAX { 255 } else { n as u8 });
        let distances =
            SurfaceDistances::new(classes.view(), classes.view(), 1, (0.25, 0.5)).unwrap();
        prop_assert!(distances.to_truth.iter().all(|&d| d == 0.0));
    }

    #[test]
    fn directions_exchange_and_bound_each_other((a, b) in two_masks()) {
        let classes = |mask: &Array2<u32>| mask.mapv(|n| if n == u32::MAX { 255 } else { n as u8 });
        let (a, b) = (classes(&a), classes(&b));
        let there = SurfaceDistances::new(a.view(), b.view(), 1, (0.25, 0.5)).unwrap();
        let back = SurfaceDistances::new(b.view(), a.view(), 1, (0.25, 0.5)).unwrap();
        prop_assert_eq!(&there.to_truth, &back.to_prediction);
        if let Ok(hausdorff) = there.hausdorff() {
            for directions in [Directions::Separate, Directions::Together] {
                prop_assert!(there.hausdorff_quantile(0.95, directions).unwrap() <= hausdorff);
                prop_assert!(there.average(directions).unwrap() <= hausdorff);
            }
        }
    }
}
