//! A linear head with the cross-entropy is logistic regression: the same optimum as scikit-learn's
//! (`oracles/logistic_regression.py`).
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use cleanslide_learn::classify::{
    AdamWSettings, Classifier, Examples, Optimiser, SgdSettings, TrainSettings,
};
use cleanslide_learn::methods::Context;
use ndarray::Array2;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    features: Vec<Vec<f32>>,
    labels: Vec<usize>,
    weights: Vec<f32>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    c: f64,
    balanced: bool,
    weighted: bool,
    standardised: bool,
    probabilities: Vec<Vec<f64>>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("goldens/logistic_regression.json")).unwrap()
}

/// The largest difference of a probability from scikit-learn's.
fn difference(golden: &Golden, case: &Case, settings: TrainSettings) -> f64 {
    let (items, width) = (golden.features.len(), golden.features[0].len());
    let features = golden.features.concat();
    let features = Array2::from_shape_vec((items, width), features).unwrap();
    let targets = Array2::from_shape_fn((items, 3), |(i, k)| {
        f32::from(u8::from(golden.labels[i] == k))
    });
    let weights = if case.weighted {
        golden.weights.clone()
    } else {
        vec![1.0; items]
    };
    // scikit-learn: C * sum_i s_i * l_i + 1/2 * |w|^2, divided by C * sum_i s_i.
    let total: f64 = weights.iter().map(|&w| f64::from(w)).sum();
    let train = TrainSettings {
        l2: 1.0 / (case.c * total),
        class_balance: case.balanced,
        standardise: case.standardised,
        ..settings
    };
    let classifier = Classifier {
        train,
        ..Classifier::default()
    };
    let examples = Examples::new(features.view(), targets, weights).unwrap();
    let names = ["a", "b", "c"].map(str::to_owned);
    let fitted = classifier
        .fit(&examples, &names, &Context::default(), None, &|_| ())
        .unwrap();
    let predicted = fitted.predict(features.view()).unwrap();
    let expected = case.probabilities.iter().flatten();
    let differences = predicted
        .iter()
        .zip(expected)
        .map(|(&a, b)| (f64::from(a) - b).abs());
    differences.fold(0.0, f64::max)
}

/// L-BFGS compares losses. Those of single items are rounded to 6e-8, their mean to about 1e-8, so
/// that it cannot tell logits apart that are within sqrt(2 * 1e-8 / h) of the optimum; the least
/// curvature h of predictions, that of a bias, is about p * (1 - p) = 0.1. That is 4e-4 in logits.
#[test]
fn lbfgs_finds_the_optimum_of_scikit_learn() {
    let golden = golden();
    for case in &golden.cases {
        let settings = TrainSettings {
            optimiser: Optimiser::Lbfgs,
            epochs: 1000,
            ..TrainSettings::default()
        };
        let difference = difference(&golden, case, settings);
        assert!(difference < 1e-3, "C = {}: {difference}", case.c);
    }
}

/// Optimisers that look at gradients alone get as near as f32 allows to gradients and weights, a few
/// units of 1e-7, given time.
#[test]
fn sgd_and_adamw_approach_the_same_optimum() {
    let golden = golden();
    let sgd = Optimiser::Sgd(SgdSettings::default());
    let adamw = Optimiser::AdamW(AdamWSettings::default());
    for (optimiser, learning_rate) in [(sgd, 0.1), (adamw, 0.02)] {
        for case in golden.cases.iter().filter(|case| case.standardised) {
            let settings = TrainSettings {
                optimiser: optimiser.clone(),
                learning_rate: Some(learning_rate),
                epochs: 2000,
                batch_size: 0,
                ..TrainSettings::default()
            };
            let difference = difference(&golden, case, settings);
            assert!(
                difference < 1e-5,
                "{optimiser:?}, C = {}: {difference}",
                case.c
            );
        }
    }
}
