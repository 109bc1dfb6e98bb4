//! Neighbours, outliers and near duplicates against scikit-learn 1.9 and cleanlab 2.9, and HOC
//! against PyTorch (`oracles/audit_neighbours.py`).

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use cleanslide_audit::duplicates::{DuplicateContext, near_duplicates};
use cleanslide_audit::hoc::{Consensus, HocOptions};
use cleanslide_audit::outliers::{DEFAULT_THRESHOLD, DistanceOutliers};
use cleanslide_audit::{Metric, Neighbours, nearest_neighbours, nearest_neighbours_of};
use ndarray::{Array1, Array2, Array3, s};
use serde_json::Value;

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

fn cases() -> Vec<Value> {
    let golden: Value = serde_json::from_str(include_str!("goldens/neighbours.json")).unwrap();
    golden["cases"].as_array().unwrap().clone()
}

const METRICS: [(&str, Metric); 2] = [("cosine", Metric::Cosine), ("euclidean", Metric::Euclidean)];

/// scikit-learn expands ‖x − y‖² = ‖x‖² + ‖y‖² − 2 x·y. With ‖x‖² up to 300 in these goldens, the
/// square errs by a few 300 · 2⁻⁵²; the root of that is the distance it gives identical rows.
const SQUARE_ERROR: f64 = 1e-12;

fn assert_neighbours(found: &Neighbours, indices: &Value, distances: &Value, metric: Metric) {
    let (indices, distances) = (matrix(indices), matrix(distances));
    let square = |distance: f64| match metric {
        Metric::Cosine => distance,
        Metric::Euclidean => distance * distance,
    };
    for row in 0..found.rows() {
        for rank in 0..found.k() {
            let (ours, theirs) = (found.distances[[row, rank]], distances[[row, rank]]);
            assert!(
                (square(ours) - square(theirs)).abs() <= 10.0 * SQUARE_ERROR,
                "row {row}, rank {rank}: {ours} is not {theirs}"
            );
        }
        // The order of equal distances is open there, and so is which of them come in at the end.
        let furthest = square(found.distances[[row, found.k() - 1]]);
        let clearly_nearer = |indices: Vec<usize>, distances: Vec<f64>| -> BTreeSet<usize> {
            let nearer = indices.into_iter().zip(distances);
            nearer
                .filter(|&(_, distance)| square(distance) < furthest - 100.0 * SQUARE_ERROR)
                .map(|(index, _)| index)
                .collect()
        };
        assert_eq!(
            clearly_nearer(
                found.indices.row(row).to_vec(),
                found.distances.row(row).to_vec()
            ),
            clearly_nearer(
                indices
                    .row(row)
                    .iter()
                    .map(|&index| index as usize)
                    .collect(),
                distances.row(row).to_vec()
            ),
            "row {row}"
        );
    }
}

#[test]
fn neighbours_equal_scikit_learn() {
    for case in cases() {
        let features = matrix(&case["numerators"]).mapv(|numerator| (numerator / 64.0) as f32);
        let k = case["k"].as_u64().unwrap() as usize;
        let split = features.nrows() * 3 / 4;
        for (name, metric) in METRICS {
            let golden = &case["metrics"][name];
            let found = nearest_neighbours(features.view(), k, metric).unwrap();
            assert_neighbours(&found, &golden["indices"], &golden["distances"], metric);
            let found = nearest_neighbours_of(
                features.slice(s![split.., ..]),
                features.slice(s![..split, ..]),
                k,
                metric,
            )
            .unwrap();
            assert_neighbours(
                &found,
                &golden["new_indices"],
                &golden["new_distances"],
                metric,
            );
        }
    }
}

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() <= 1e-9,
            "{found} is not {expected}"
        );
    }
}

#[test]
fn outliers_and_near_duplicates_equal_cleanlab() {
    for case in cases() {
        let features = matrix(&case["numerators"]).mapv(|numerator| (numerator / 64.0) as f32);
        let k = case["k"].as_u64().unwrap() as usize;
        for (name, metric) in METRICS {
            let golden = &case["metrics"][name];
            let found = nearest_neighbours(features.view(), k, metric).unwrap();
            let outliers = DistanceOutliers::new(&found, metric, 1.0).unwrap();
            assert_close(&outliers.typicality, &numbers(&golden["typicality"]));
            let flags = outliers.flags(DEFAULT_THRESHOLD).unwrap();
            let flagged: Vec<f64> = (0..flags.len())
                .filter(|&item| flags[item])
                .map(|item| item as f64)
                .collect();
            assert_eq!(flagged, numbers(&golden["outliers"]));
            if let Some(expected) = golden["new_typicality"].as_array() {
                let queries = features.slice(s![features.nrows() * 3 / 4.., ..]);
                let queries = queries.mapv(|value| value + 1.0 / 128.0);
                let near =
                    nearest_neighbours_of(queries.view(), features.view(), k, metric).unwrap();
                let typicality = outliers.of_new(&near, metric, 1.0).unwrap();
                assert_close(&typicality, &numbers(&Value::from(expected.clone())));
            }
            let near = near_duplicates(&found, 0.13, &DuplicateContext::default()).unwrap();
            assert_close(&near.uniqueness, &numbers(&golden["uniqueness"]));
            assert_sets(&near.sets, &golden["near_duplicate_sets"]);
        }
    }
}

/// cleanlab lists the near duplicates of every item; ours are the components of those lists.
fn assert_sets(sets: &[cleanslide_audit::duplicates::DuplicateSet], golden: &Value) {
    let lists: Vec<Vec<f64>> = golden.as_array().unwrap().iter().map(numbers).collect();
    let mut set_of = vec![None; lists.len()];
    for (index, set) in sets.iter().enumerate() {
        for &item in &set.items {
            set_of[item] = Some(index);
        }
    }
    for (item, list) in lists.iter().enumerate() {
        assert_eq!(set_of[item].is_some(), !list.is_empty(), "item {item}");
        for &other in list {
            assert_eq!(set_of[item], set_of[other as usize]);
        }
    }
    // No set is larger than what the lists connect.
    for set in sets {
        let mut reached = BTreeSet::from([set.items[0]]);
        let mut open = vec![set.items[0]];
        while let Some(item) = open.pop() {
            for &other in &lists[item] {
                if reached.insert(other as usize) {
                    open.push(other as usize);
                }
            }
        }
        assert_eq!(reached.into_iter().collect::<Vec<_>>(), set.items);
    }
}

#[test]
fn hoc_equals_einsum_autograd_and_adam_of_pytorch() {
    let golden: Value = serde_json::from_str(include_str!("goldens/hoc.json")).unwrap();
    for case in golden["cases"].as_array().unwrap() {
        let transition = matrix(&case["matrix"]);
        let prior = Array1::from(numbers(&case["prior"]));
        let expected = Consensus::expected(&transition, &prior);
        let parts = case["expected"].as_array().unwrap();
        assert_close(&expected.first.to_vec(), &numbers(&parts[0]));
        assert_close(&flat(&expected.second), &numbers(&parts[1]));
        assert_close(&flat(&expected.third), &numbers(&parts[2]));

        let counts = case["counts"].as_array().unwrap();
        let classes = prior.len();
        let shape = (classes, classes, classes);
        let observed = Consensus {
            first: Array1::from(numbers(&counts[0])),
            second: Array2::from_shape_vec((classes, classes), numbers(&counts[1])).unwrap(),
            third: Array3::from_shape_vec(shape, numbers(&counts[2])).unwrap(),
        };
        // Twenty steps are the same steps; rounding has not grown yet. After 500 the path has
        // circled the kink of the norms, where tiny differences grow, so only the optimum is
        // compared: both stay within a step of it.
        let options = HocOptions {
            steps: 20,
            ..HocOptions::default()
        };
        let early = observed.solve(&options).unwrap();
        let golden = &case["best_of_20_steps"];
        assert!((early.loss - golden[0].as_f64().unwrap()).abs() < 1e-9);
        assert_close(&flat(&early.matrix), &flat(&matrix(&golden[1])));
        assert_close(&early.prior.to_vec(), &numbers(&golden[2]));
        let best = observed.solve(&HocOptions::default()).unwrap();
        let golden = &case["best"];
        assert!((best.loss - golden[0].as_f64().unwrap()).abs() < 1e-3);
        let difference = (&best.matrix - &matrix(&golden[1])).mapv(f64::abs);
        assert!(
            difference.iter().all(|&difference| difference < 1e-2),
            "{difference}"
        );
    }
}

fn flat<D: ndarray::Dimension>(array: &ndarray::Array<f64, D>) -> Vec<f64> {
    array.iter().copied().collect()
}
