//! Confident learning against cleanlab 2.9 (`oracles/audit_confident_learning.py`).

#![allow(clippy::unwrap_used)]

use cleanslide_audit::confident_learning::{
    confident_thresholds, label_quality_scores, rank_issues,
};
use cleanslide_audit::outliers::{ProbabilityTypicality, probability_typicality};
use cleanslide_audit::{ArrayBlocks, ConfidentLearning, Filter, FilterOptions, Ranking};
use ndarray::{Array2, array};
use serde_json::Value;

/// The promise is 1e-6; both sides compute in 64 bits and the goldens keep nine decimals, so what
/// remains is the rounding of the goldens.
const TOLERANCE: f64 = 1e-8;

struct Case {
    name: String,
    labels: Vec<usize>,
    probabilities: Array2<f32>,
    golden: Value,
}

fn cases() -> Vec<Case> {
    let golden: Value =
        serde_json::from_str(include_str!("goldens/confident_learning.json")).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    cases
        .iter()
        .map(|golden| {
            let units = golden["units"].as_f64().unwrap();
            Case {
                name: golden["name"].as_str().unwrap().to_owned(),
                labels: indices(&golden["labels"]),
                probabilities: matrix(&golden["numerators"])
                    .mapv(|numerator| (numerator / units) as f32),
                golden: golden.clone(),
            }
        })
        .collect()
}

fn indices(value: &Value) -> Vec<usize> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|index| index.as_u64().unwrap() as usize)
        .collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|number| number.as_f64().unwrap())
        .collect()
}

fn matrix(value: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = value.as_array().unwrap().iter().map(numbers).collect();
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(row, column)| {
        rows[row][column]
    })
}

#[track_caller]
fn assert_close<'a>(
    found: impl IntoIterator<Item = &'a f64>,
    expected: impl IntoIterator<Item = &'a f64>,
    what: &str,
) {
    let found: Vec<_> = found.into_iter().collect();
    let expected: Vec<_> = expected.into_iter().collect();
    assert_eq!(found.len(), expected.len(), "{what}");
    for (row, (found, expected)) in found.into_iter().zip(expected).enumerate() {
        assert!(
            (found - expected).abs() <= TOLERANCE,
            "{what}, row {row}: {found} is not {expected}"
        );
    }
}

fn filter(name: &str) -> Filter {
    match name {
        "both" => Filter::Both,
        "predicted_neq_given" => Filter::PredictedNotGiven,
        name => serde_json::from_value(Value::from(name)).unwrap(),
    }
}

#[test]
fn counts_and_issues_equal_cleanlab_in_blocks_of_any_size() {
    for case in cases() {
        for block_rows in [1, 7, case.labels.len()] {
            let blocks = ArrayBlocks::new(case.probabilities.view(), block_rows);
            let learning = ConfidentLearning::new(&case.labels, &blocks).unwrap();
            let name = &case.name;
            let golden = &case.golden;
            assert_close(learning.thresholds(), &numbers(&golden["thresholds"]), name);
            let count = |matrix: &Array2<u64>| matrix.mapv(|count| count as f64);
            assert_eq!(
                count(learning.confident_joint()),
                matrix(&golden["confident_joint"]),
                "{name}"
            );
            assert_eq!(
                count(learning.calibrated_joint()),
                matrix(&golden["calibrated_joint"]),
                "{name}"
            );
            assert_close(&learning.joint(), &matrix(&golden["joint"]), name);
            assert_eq!(
                learning.issue_count() as u64,
                golden["issue_count"],
                "{name}"
            );
            for (options, expected) in golden["issues"].as_object().unwrap() {
                let parts: Vec<&str> = options.split(',').collect();
                let flags = learning
                    .issues(&FilterOptions {
                        filter: filter(parts[0]),
                        min_examples_per_class: parts[1].parse().unwrap(),
                        fraction_of_noise: parts[2].parse().unwrap(),
                    })
                    .unwrap();
                let found: Vec<usize> = (0..flags.len()).filter(|&item| flags[item]).collect();
                assert_eq!(found, indices(expected), "{name}: {options}");
            }
        }
    }
}

#[test]
fn noise_matrices_and_health_equal_cleanlab() {
    for case in cases() {
        let view = case.probabilities.view();
        let learning = ConfidentLearning::new(&case.labels, &view).unwrap();
        for consistent in [false, true] {
            let estimate = learning.noise_estimate(consistent);
            let golden = &case.golden["latent"][consistent.to_string()];
            assert_close(&estimate.prior, &numbers(&golden["prior"]), &case.name);
            let noise_matrix = matrix(&golden["noise_matrix"]);
            assert_close(&estimate.noise_matrix, &noise_matrix, &case.name);
            assert_close(
                &estimate.inverse_noise_matrix,
                &matrix(&golden["inverse_noise_matrix"]),
                &case.name,
            );
        }
        let health = learning.health();
        assert_close(
            [&health.score],
            [&case.golden["health_score"].as_f64().unwrap()],
            &case.name,
        );
        let qualities: Vec<f64> = health.classes.iter().map(|class| class.quality).collect();
        assert!(qualities.is_sorted());
        let mut classes = health.classes;
        classes.sort_by_key(|class| class.class);
        let classes: Vec<f64> = classes
            .iter()
            .flat_map(|class| {
                [
                    class.class as f64,
                    class.label_issues as f64,
                    class.inverse_label_issues as f64,
                    class.label_noise,
                    class.inverse_label_noise,
                    class.quality,
                ]
            })
            .collect();
        assert_close(&classes, &matrix(&case.golden["classes"]), &case.name);
        let mut overlaps = health.overlaps;
        assert!(overlaps.is_sorted_by(|a, b| a.share >= b.share));
        overlaps.sort_by_key(|overlap| (overlap.first, overlap.second));
        let overlaps: Vec<f64> = overlaps
            .iter()
            .flat_map(|overlap| {
                [
                    overlap.first as f64,
                    overlap.second as f64,
                    overlap.items as f64,
                    overlap.share,
                ]
            })
            .collect();
        assert_close(&overlaps, &matrix(&case.golden["overlaps"]), &case.name);
    }
}

#[test]
fn scores_and_order_equal_cleanlab() {
    for case in cases() {
        let view = case.probabilities.view();
        let thresholds = confident_thresholds(&case.labels, &view).unwrap();
        let learning = ConfidentLearning::new(&case.labels, &view).unwrap();
        let flags = learning.issues(&FilterOptions::default()).unwrap();
        for (name, expected) in case.golden["scores"].as_object().unwrap() {
            let adjusted = name.strip_suffix("_adjusted");
            let ranking: Ranking =
                serde_json::from_value(Value::from(adjusted.unwrap_or(name))).unwrap();
            let scores = label_quality_scores(
                &case.labels,
                &view,
                ranking,
                adjusted.map(|_| thresholds.as_slice()),
            )
            .unwrap();
            assert_close(
                &scores,
                &numbers(expected),
                &format!("{}: {name}", case.name),
            );
            if adjusted.is_none() && name != "confidence_weighted_entropy" {
                let order = rank_issues(&flags, &scores).unwrap();
                assert_eq!(
                    order,
                    indices(&case.golden["order"][name]),
                    "{}: {name}",
                    case.name
                );
            }
        }
    }
}

#[test]
fn typicality_from_probabilities_equals_cleanlab() {
    for case in cases() {
        let view = case.probabilities.view();
        let thresholds = confident_thresholds(&case.labels, &view).unwrap();
        for (name, method) in [
            ("entropy", ProbabilityTypicality::Entropy),
            ("least_confidence", ProbabilityTypicality::LeastConfidence),
        ] {
            for adjusted in [false, true] {
                let found = probability_typicality(
                    &view,
                    method,
                    adjusted.then_some(thresholds.as_slice()),
                )
                .unwrap();
                let key = format!("{name},{adjusted}");
                let expected = numbers(&case.golden["typicality"][&key]);
                assert_close(&found, &expected, &format!("{}: {key}", case.name));
            }
        }
    }
}

/// cleanlab's tests/test_filter_count.py: with thresholds that nothing reaches, only the floor of
/// the diagonal is counted.
#[test]
fn nothing_confident_leaves_ones_on_the_diagonal() {
    let probabilities = array![[0.5f32, 0.5], [0.5, 0.5], [0.5, 0.5]];
    let view = probabilities.view();
    let learning = ConfidentLearning::with_thresholds(&[0, 1, 0], &view, vec![0.51; 2]).unwrap();
    assert_eq!(learning.confident_joint(), &array![[1, 0], [0, 1]]);
}
