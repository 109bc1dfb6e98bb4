//! Losses and their gradients against PyTorch and the published code (`oracles/losses.py`).
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use burn::tensor::activation::log_softmax;
use cleanslide_nn::losses::{
    Bootstrapping, CrossEntropy, Focal, ForwardCorrection, GeneralizedCrossEntropy, Loss,
    MeanAbsoluteError, NceRce, NormalizedCrossEntropy, Prediction, ReverseCrossEntropy,
    SymmetricCrossEntropy, early_learning_regularisation, weighted_mean,
};
use common::{gradient, matrix, values, vector};
use ndarray::Array2;
use proptest::prelude::*;
use serde::Deserialize;

/// Goldens are in f64, we compute in f32. A logit of 60 has a spacing of 4e-6, which the softmax
/// passes on as a relative error of its probabilities; the reverse cross-entropy multiplies that
/// by 9.2. Everything else adds a few units in the last place (1e-7 relative).
const TOLERANCE: f64 = 4e-5;

#[derive(Deserialize)]
struct Golden {
    transition: Vec<Vec<f64>>,
    cases: Vec<Case>,
    elr: EarlyLearning,
}

#[derive(Deserialize)]
struct Case {
    loss: String,
    logits: Vec<Vec<f64>>,
    targets: Vec<Vec<f64>>,
    weights: Vec<f64>,
    per_item: Vec<f64>,
    mean: f64,
    gradient: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct EarlyLearning {
    beta: f64,
    epochs: Vec<Epoch>,
}

#[derive(Deserialize)]
struct Epoch {
    logits: Vec<Vec<f64>>,
    memory: Vec<Vec<f64>>,
    per_item: Vec<f64>,
    gradient: Vec<Vec<f64>>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("goldens/losses.json")).unwrap()
}

fn assert_close(what: &str, ours: &[f32], expected: impl IntoIterator<Item = f64>) {
    common::assert_close(what, ours, expected, TOLERANCE);
}

fn loss(name: &str, transition: &[Vec<f64>]) -> Box<dyn Loss> {
    match name {
        "cross-entropy" => Box::new(CrossEntropy::default()),
        "cross-entropy smoothed" => Box::new(CrossEntropy {
            label_smoothing: 0.1,
        }),
        "focal" => Box::new(Focal::default()),
        "focal half" => Box::new(Focal { gamma: 0.5 }),
        "mae" => Box::new(MeanAbsoluteError),
        "gce" => Box::new(GeneralizedCrossEntropy::default()),
        "rce" => Box::new(ReverseCrossEntropy),
        "sce" => Box::new(SymmetricCrossEntropy::default()),
        "nce" => Box::new(NormalizedCrossEntropy),
        "nce-rce" => Box::new(NceRce::default()),
        "bootstrap soft" => Box::new(Bootstrapping::default()),
        "bootstrap hard" => Box::new(Bootstrapping {
            prediction: Prediction::Hard,
            ..Bootstrapping::default()
        }),
        "forward" => {
            let values = transition.iter().flatten().copied().collect();
            let matrix = Array2::from_shape_vec((4, 4), values).unwrap();
            Box::new(ForwardCorrection::new(matrix.view()))
        }
        other => panic!("no loss of the name {other}"),
    }
}

#[test]
fn values_means_and_gradients_equal_the_published_ones() {
    let golden = golden();
    assert!(golden.cases.len() > 36);
    for case in &golden.cases {
        let loss = loss(&case.loss, &golden.transition);
        let logits = matrix(&case.logits).require_grad();
        let (targets, weights) = (matrix(&case.targets), vector(&case.weights));
        let per_item = loss.per_item(logits.clone(), targets.clone());
        assert_close(&case.loss, &values(per_item), case.per_item.iter().copied());
        let mean = loss.mean(logits.clone(), targets, weights);
        assert_close(&case.loss, &values(mean.clone()), [case.mean]);
        let gradient = gradient(&mean, &logits);
        let expected = case.gradient.iter().flatten().copied();
        assert_close(&format!("gradient of {}", case.loss), &gradient, expected);
    }
}

#[test]
fn early_learning_term_equals_the_published_one_over_two_epochs() {
    let golden = golden().elr;
    let mut before =
        vec![vec![0.0; golden.epochs[0].memory[0].len()]; golden.epochs[0].memory.len()];
    for epoch in &golden.epochs {
        let logits = matrix(&epoch.logits).require_grad();
        let term = early_learning_regularisation(logits.clone(), matrix(&epoch.memory));
        assert_close(
            "term",
            &values(term.clone()),
            epoch.per_item.iter().copied(),
        );
        let mean = weighted_mean(term, vector(&vec![1.0; epoch.per_item.len()]));
        let expected = epoch.gradient.iter().flatten().copied();
        assert_close("gradient", &gradient(&mean, &logits), expected);

        // The memory of the golden follows the rule that the documentation gives.
        for ((row, old), logits) in epoch.memory.iter().zip(&mut before).zip(&epoch.logits) {
            let total: f64 = logits.iter().map(|z| z.exp()).sum();
            let p: Vec<f64> = logits
                .iter()
                .map(|z| (z.exp() / total).clamp(1e-4, 1.0 - 1e-4))
                .collect();
            let sum: f64 = p.iter().sum();
            for k in 0..row.len() {
                let updated = golden.beta * old[k] + (1.0 - golden.beta) * p[k] / sum;
                assert!((updated - row[k]).abs() < 1e-6);
            }
            old.clone_from(row);
        }
    }
}

#[test]
fn forward_correction_survives_probabilities_that_underflow() {
    let transition = ndarray::array![[1.0, 0.0], [0.4, 0.6]];
    let loss = ForwardCorrection::new(transition.view());
    // The truth is class 1 beyond f32's range: p_0 = exp(-300). The label 0 then has q_0 = 0.4.
    let logits = matrix(&[vec![-150.0, 150.0]]).require_grad();
    let value = loss.mean(logits.clone(), matrix(&[vec![1.0, 0.0]]), vector(&[1.0]));
    assert_close("value", &values(value.clone()), [-(0.4f64.ln())]);
    let gradient = gradient(&value, &logits);
    assert!(gradient.iter().all(|g| g.is_finite()));
}

fn batch() -> impl Strategy<Value = (Vec<Vec<f64>>, Vec<Vec<f64>>)> {
    (1usize..6, 2usize..5).prop_flat_map(|(items, classes)| {
        let logits = prop::collection::vec(prop::collection::vec(-80.0..80.0, classes), items);
        let targets = prop::collection::vec(prop::collection::vec(0.01..1.0, classes), items);
        (logits, targets.prop_map(normalise))
    })
}

fn normalise(mut rows: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    for row in &mut rows {
        let total: f64 = row.iter().sum();
        row.iter_mut().for_each(|v| *v /= total);
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn finite_logits_give_finite_values_and_gradients((z, y) in batch()) {
        for name in ["cross-entropy", "focal", "focal half", "mae", "gce", "rce", "sce", "nce", "nce-rce", "bootstrap soft", "bootstrap hard"] {
            let logits = matrix(&z).require_grad();
            let mean = loss(name, &[]).mean(logits.clone(), matrix(&y), vector(&vec![1.0; z.len()]));
            prop_assert!(values(mean.clone())[0].is_finite(), "{}", name);
            let gradient = gradient(&mean, &logits);
            prop_assert!(gradient.iter().all(|g| g.is_finite()), "gradient of {}", name);
        }
    }

    /// What makes these losses tolerate uniform noise: summed over all labels they are constant.
    #[test]
    fn symmetric_losses_sum_to_a_constant((z, _) in batch()) {
        let classes = z[0].len();
        let expected = [
            ("mae", classes as f64 - 1.0),
            ("nce", 1.0),
            ("rce", -(1e-4f64.ln()) * (classes as f64 - 1.0)),
        ];
        for (name, constant) in expected {
            let mut sums = vec![0.0f64; z.len()];
            for k in 0..classes {
                let label: Vec<f64> = (0..classes).map(|j| f64::from(u8::from(j == k))).collect();
                let label = vec![label; z.len()];
                let per_item = values(loss(name, &[]).per_item(matrix(&z), matrix(&label)));
                sums.iter_mut().zip(per_item).for_each(|(s, v)| *s += f64::from(v));
            }
            for sum in sums {
                prop_assert!((sum - constant).abs() < TOLERANCE * (1.0 + constant), "{name}: {sum}");
            }
        }
    }

    /// A correction by the identity is none, and what it returns is a distribution.
    #[test]
    fn forward_correction_by_the_identity_changes_nothing((z, _) in batch()) {
        let classes = z[0].len();
        let identity = Array2::<f64>::eye(classes);
        let corrected = ForwardCorrection::new(identity.view());
        let log_q = values(corrected.log_label_probabilities(matrix(&z)));
        let log_p = values(log_softmax(matrix(&z), 1));
        for (q, p) in log_q.iter().zip(&log_p) {
            // Below the floor of the matrix, 1e-30, the floor shows.
            prop_assert!((q - p).abs() < 1e-3 * (1.0 + p.abs()) || *p < -60.0);
        }
    }
}
