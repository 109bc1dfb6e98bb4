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

/// The loss is strongly convex with the modulus l2, at least 8e-4 here, so gradients below the
/// tolerance of the search, 1e-5, leave weights within 1e-5 / 8e-4 of the optimum in the worst
/// direction, and within much less in directions that the data determine and predictions see.
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
        println!("C {} difference {difference:e}", case.c);
        assert!(difference < 1e-3, "C = {}: {difference}", case.c);
    }
}

/// First-order optimisers get there too, given time; 2e-3 is what predictions are quoted to.
#[test]
fn sgd_and_adamw_approach_the_same_optimum() {
    let golden = golden();
    let sgd = Optimiser::Sgd(SgdSettings::default());
    let adamw = Optimiser::AdamW(AdamWSettings::default());
    for (optimiser, learning_rate) in [(sgd, 0.1), (adamw, 0.02)] {
        for case in golden.cases.iter().filter(|case| case.standardised) {
            let settings = TrainSettings {
                optimiser: optimiser.clone(),
                learning_rate,
                epochs: 2000,
                batch_size: 0,
                ..TrainSettings::default()
            };
            let difference = difference(&golden, case, settings);
            println!("{optimiser:?} C {} difference {difference:e}", case.c);
            assert!(
                difference < 2e-3,
                "{optimiser:?}, C = {}: {difference}",
                case.c
            );
        }
    }
}
