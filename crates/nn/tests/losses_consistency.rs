//! Losses between predictions against PyTorch and the published code (`oracles/losses_consistency.py`).
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use burn::tensor::Tensor;
use cleanslide_nn::losses::{Detached, JensenShannon, KullbackLeibler, weighted_mean};
use common::{assert_close, matrix, values, vector};
use proptest::prelude::*;
use serde::Deserialize;

/// Goldens are in f64, we compute in f32. A logit of 60 has a spacing of 4e-6; a divergence is a sum of differences
/// of such logits, times probabilities that sum to 1.
const TOLERANCE: f64 = 4e-5;

type Rows = Vec<Vec<f64>>;

#[derive(Deserialize)]
struct Golden {
    weights: Vec<f64>,
    kullback_leibler: Vec<Pair>,
    jensen_shannon: Vec<Group>,
    confident: Confident,
}

#[derive(Deserialize)]
struct Pair {
    temperature: f64,
    detached: String,
    logits: [Rows; 2],
    per_item: Vec<f64>,
    gradients: [Rows; 2],
}

#[derive(Deserialize)]
struct Group {
    shares: Vec<f64>,
    logits: Vec<Rows>,
    per_item: Vec<f64>,
    gradients: Vec<Rows>,
}

#[derive(Deserialize)]
struct Confident {
    threshold: f64,
    logits: Vec<Rows>,
    confident: Vec<f64>,
    per_item: Vec<f64>,
    gradients: Vec<Rows>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("goldens/losses_consistency.json")).unwrap()
}

/// Compares the gradients of `loss`; a tensor without one has zeros.
fn assert_gradients(what: &str, loss: &Tensor<1>, of: &[Tensor<2>], expected: &[Rows]) {
    let gradients = loss.backward();
    for (tensor, expected) in of.iter().zip(expected) {
        let ours = match tensor.grad(&gradients) {
            Some(gradient) => values(gradient),
            None => vec![0.0; tensor.shape().num_elements()],
        };
        let what = format!("gradient of {what}");
        assert_close(&what, &ours, expected.iter().flatten().copied(), TOLERANCE);
    }
}

#[test]
fn kullback_leibler_equals_pytorch_s() {
    let golden = golden();
    for case in golden.kullback_leibler {
        let what = format!("{} {}", case.temperature, case.detached);
        let loss = KullbackLeibler {
            temperature: case.temperature,
            detached: match case.detached.as_str() {
                "first" => Detached::First,
                "second" => Detached::Second,
                _ => Detached::Neither,
            },
        };
        let logits = case
            .logits
            .each_ref()
            .map(|rows| matrix(rows).require_grad());
        let per_item = loss.per_item(logits[0].clone(), logits[1].clone());
        let ours = values(per_item.clone());
        assert_close(&what, &ours, case.per_item, TOLERANCE);
        let mean = weighted_mean(per_item, vector(&golden.weights));
        assert_gradients(&what, &mean, &logits, &case.gradients);
    }
}

#[test]
fn jensen_shannon_is_the_entropy_of_the_mean_less_the_mean_entropy() {
    let golden = golden();
    for case in golden.jensen_shannon {
        let what = format!("{:?}", case.shares);
        let loss = JensenShannon::weighted(&case.shares);
        let logits: Vec<Tensor<2>> = case
            .logits
            .iter()
            .map(|rows| matrix(rows).require_grad())
            .collect();
        let per_item = loss.per_item(&logits);
        let ours = values(per_item.clone());
        assert_close(&what, &ours, case.per_item, TOLERANCE);
        let mean = weighted_mean(per_item, vector(&golden.weights));
        assert_gradients(&what, &mean, &logits, &case.gradients);
    }
}

#[test]
fn confident_items_alone_are_compared_as_published() {
    let golden = golden();
    let case = golden.confident;
    let logits: Vec<Tensor<2>> = case
        .logits
        .iter()
        .map(|rows| matrix(rows).require_grad())
        .collect();
    let loss = JensenShannon::equal(logits.len());
    let confident = loss.confident(&logits, case.threshold);
    assert_close("sure", &values(confident.clone()), case.confident, 0.0);
    let per_item = loss.per_item(&logits) * confident;
    assert_close(
        "values",
        &values(per_item.clone()),
        case.per_item,
        TOLERANCE,
    );
    let sum = (per_item * vector(&golden.weights)).sum();
    assert_gradients("sum", &sum, &logits, &case.gradients);
}

#[test]
fn what_is_ignored_may_be_infinite() {
    let of = |ignored: f64| {
        let first = matrix(&[vec![1.0, 0.0], vec![ignored, 0.0]]);
        let second = matrix(&[vec![0.0, 0.5], vec![0.0, 0.0]]);
        let weights = vector(&[1.0, 0.0]);
        let divergence = KullbackLeibler::default().per_item(first.clone(), second.clone());
        let disagreement = JensenShannon::equal(2).per_item(&[first, second]);
        [divergence, disagreement].map(|loss| values(weighted_mean(loss, weights.clone())))
    };
    assert_eq!(of(f64::INFINITY), of(0.0));
}

fn two() -> impl Strategy<Value = (Rows, Rows)> {
    (1usize..5, 2usize..5).prop_flat_map(|(items, classes)| {
        let rows = || prop::collection::vec(prop::collection::vec(-40.0..40.0, classes), items);
        (rows(), rows())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn equal_predictions_agree((rows, _) in two()) {
        let logits = matrix(&rows);
        // Adding a number to all classes of an item does not change its prediction.
        let shifted = logits.clone().add_scalar(1.0);
        for ours in [
            KullbackLeibler::default().per_item(logits.clone(), shifted.clone()),
            JensenShannon::weighted(&[0.3, 0.7]).per_item(&[logits, shifted]),
        ] {
            prop_assert!(values(ours).iter().all(|v| v.abs() < 1e-5));
        }
    }

    #[test]
    fn disagreement_is_symmetric_and_bounded((a, b) in two()) {
        let (first, second) = (matrix(&a), matrix(&b));
        let loss = JensenShannon::equal(2);
        let one = values(loss.per_item(&[first.clone(), second.clone()]));
        let two = values(loss.per_item(&[second.clone(), first.clone()]));
        let divergence = values(KullbackLeibler::default().per_item(first, second));
        for ((one, two), divergence) in one.iter().zip(&two).zip(&divergence) {
            prop_assert!((one - two).abs() < 1e-6);
            prop_assert!((-1e-6..=2f32.ln() + 1e-6).contains(one));
            prop_assert!(*divergence > -1e-5);
        }
    }
}
