//! Losses of what items are not, and of sets of classes, against published code and sums by definition
//! (`oracles/losses_complementary.py`).
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use burn::tensor::{Tensor, activation::softmax};
use cleanslide_nn::losses::{
    Complementary, CrossEntropy, LabelSetDice, Loss, NegativeLearning, PartialLabel,
};
use common::{assert_close, gradient, matrix, values, vector};
use ndarray::Array2;
use proptest::prelude::*;
use serde::Deserialize;

/// Goldens are in f64, we compute in f32. A logit of 60 has a spacing of 4e-6, which the softmax passes on as a
/// relative error of its probabilities; their logarithm, times at most 11.5 (at the clamp), keeps it absolute.
const TOLERANCE: f64 = 4e-5;

#[derive(Deserialize)]
struct Golden {
    transition: Vec<Vec<f64>>,
    cases: Vec<Case>,
    regions: Vec<Region>,
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
struct Region {
    loss: String,
    logits: Vec<Vec<f64>>,
    targets: Vec<Vec<f64>>,
    weights: Vec<f64>,
    mean: f64,
    gradient: Vec<Vec<f64>>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("goldens/losses_complementary.json")).unwrap()
}

fn complementary(transition: &[Vec<f64>], gamma: f64) -> Complementary {
    let matrix = Array2::from_shape_vec((transition.len(), transition.len()), transition.concat());
    Complementary::new(matrix.unwrap().view(), gamma).unwrap()
}

fn loss(name: &str, transition: &[Vec<f64>]) -> Box<dyn Loss> {
    match name {
        "complementary" => Box::new(complementary(transition, Complementary::GAMMA)),
        "complementary unfocused" => Box::new(complementary(transition, 0.0)),
        "complementary half" => Box::new(complementary(transition, 0.5)),
        "negative learning" => Box::new(NegativeLearning),
        "partial label" => Box::new(PartialLabel),
        other => panic!("no loss of the name {other}"),
    }
}

#[test]
fn values_means_and_gradients_equal_the_published_ones() {
    let golden = golden();
    assert_eq!(golden.cases.len(), 9);
    for case in &golden.cases {
        let name = &case.loss;
        let loss = loss(name, &golden.transition);
        let logits = matrix(&case.logits).require_grad();
        let (targets, weights) = (matrix(&case.targets), vector(&case.weights));
        let per_item = values(loss.per_item(logits.clone(), targets.clone()));
        assert_close(name, &per_item, case.per_item.iter().copied(), TOLERANCE);
        let mean = loss.mean(logits.clone(), targets, weights);
        assert_close(name, &values(mean.clone()), [case.mean], TOLERANCE);
        let expected = case.gradient.iter().flatten().copied();
        let what = format!("gradient of {name}");
        assert_close(&what, &gradient(&mean, &logits), expected, TOLERANCE);
    }
}

#[test]
fn regions_equal_the_published_ones() {
    for case in golden().regions {
        let name = &case.loss;
        let loss = match name.as_str() {
            "leaf dice" => LabelSetDice::Leaf,
            "marginalised dice" => LabelSetDice::Marginalised,
            other => panic!("no loss of the name {other}"),
        };
        let logits = matrix(&case.logits).require_grad();
        let value = loss.loss(
            softmax(logits.clone(), 1),
            matrix(&case.targets),
            vector(&case.weights),
        );
        assert_close(name, &values(value.clone()), [case.mean], TOLERANCE);
        let expected = case.gradient.iter().flatten().copied();
        let what = format!("gradient of {name}");
        assert_close(&what, &gradient(&value, &logits), expected, TOLERANCE);
    }
}

/// The example of the authors: three pixels, of which one is of class 2 or 3. Both answers to it are as good.
#[test]
fn the_example_of_label_sets_gives_its_numbers() {
    let sets = matrix(&[
        vec![1.0, 0.0, 0.0, 0.0],
        vec![0.0, 1.0, 0.0, 0.0],
        vec![0.0, 0.0, 1.0, 1.0],
    ]);
    for answer in [[0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]] {
        let probabilities = matrix(&[
            vec![1.0, 0.0, 0.0, 0.0],
            vec![0.0, 1.0, 0.0, 0.0],
            answer.to_vec(),
        ]);
        let of = |loss: LabelSetDice, weights: &[f64]| {
            let value = loss.loss(probabilities.clone(), sets.clone(), vector(weights));
            f64::from(values(value)[0])
        };
        // The published constant 1e-5 in each denominator shows: it is what the tolerance allows for.
        assert!((of(LabelSetDice::Leaf, &[1.0; 3]) - 0.5).abs() < 1e-5);
        assert!(of(LabelSetDice::Marginalised, &[1.0; 3]).abs() < 2e-5);
        // Without the third pixel no class but two has any.
        assert!((of(LabelSetDice::Marginalised, &[1.0, 1.0, 0.0]) - 0.5).abs() < 1e-5);
    }
}

#[test]
fn items_without_a_label_count_nothing() {
    let logits = matrix(&[vec![3.0, -1.0, 0.5], vec![0.2, 0.1, -4.0]]).require_grad();
    let nothing = matrix(&[vec![0.0; 3], vec![0.0; 3]]);
    let transition = vec![
        vec![0.0, 0.5, 0.5],
        vec![0.5, 0.0, 0.5],
        vec![0.5, 0.5, 0.0],
    ];
    for name in ["complementary", "negative learning", "partial label"] {
        let mean = loss(name, &transition).mean(logits.clone(), nothing.clone(), vector(&[1.0; 2]));
        assert_eq!(values(mean.clone()), [0.0], "{name}");
        assert_eq!(gradient(&mean, &logits), [0.0; 6], "{name}");
    }
    let everything = matrix(&[vec![1.0; 3], vec![1.0; 3]]);
    let mean = PartialLabel.mean(logits.clone(), everything, vector(&[1.0; 2]));
    assert_eq!(values(mean.clone()), [0.0]);
    assert_eq!(gradient(&mean, &logits), [0.0; 6]);
}

/// A diagnosis excludes one of two cancers, and never stroma or normal tissue.
#[test]
fn a_diagnosis_says_nothing_of_classes_that_it_never_names() {
    let transition = [
        vec![0.0, 1.0, 0.0, 0.0],
        vec![1.0, 0.0, 0.0, 0.0],
        vec![0.5, 0.5, 0.0, 0.0],
        vec![0.5, 0.5, 0.0, 0.0],
    ];
    let loss = complementary(&transition, 2.0);
    let logits = matrix(&[vec![0.0; 4]]).require_grad();
    let mean = loss.mean(
        logits.clone(),
        matrix(&[vec![0.0, 1.0, 0.0, 0.0]]),
        vector(&[1.0]),
    );
    // q = 1/4 + 2 · 1/2 · 1/4, and l = (1 - q)^2 log 2.
    assert_close("loss", &values(mean.clone()), [0.25 * 2.0_f64.ln()], 1e-6);
    // dl/dq = 2 (1 - q) log q - (1 - q)^2 / q, and dq/dz_k = p_k (Q_k1 - q).
    let slope = -(2.0_f64.ln()) - 0.5;
    let expected = [0.5, -0.5, 0.0, 0.0].map(|apart| slope * 0.25 * apart);
    assert_close("gradient", &gradient(&mean, &logits), expected, 1e-6);
}

#[test]
fn a_network_that_is_sure_of_the_excluded_class_learns_otherwise() {
    // p_0 rounds to 1: log(1 - p_0) = log(2 exp(-200)), and the gradient pushes class 0 down in full.
    let logits = matrix(&[vec![100.0, -100.0, -100.0]]).require_grad();
    let mean = NegativeLearning.mean(
        logits.clone(),
        matrix(&[vec![1.0, 0.0, 0.0]]),
        vector(&[1.0]),
    );
    assert_close("value", &values(mean.clone()), [200.0 - 2.0_f64.ln()], 1e-6);
    assert_close(
        "gradient",
        &gradient(&mean, &logits),
        [1.0, -0.5, -0.5],
        1e-6,
    );
}

#[test]
fn what_is_ignored_may_be_infinite() {
    let transition = vec![vec![0.0, 1.0], vec![1.0, 0.0]];
    for name in ["complementary", "negative learning", "partial label"] {
        let of = |ignored: f64| {
            let logits = matrix(&[vec![1.0, 0.0], vec![ignored, 0.0]]);
            let targets = matrix(&[vec![1.0, 0.0], vec![1.0, 0.0]]);
            values(loss(name, &transition).mean(logits, targets, vector(&[2.0, 0.0])))
        };
        assert_eq!(of(f64::INFINITY), of(0.0), "{name}");
    }
}

fn batch() -> impl Strategy<Value = (Vec<Vec<f64>>, Vec<usize>)> {
    (1usize..6, 2usize..5).prop_flat_map(|(items, classes)| {
        let logits = prop::collection::vec(prop::collection::vec(-80.0..80.0, classes), items);
        (logits, prop::collection::vec(0..classes, items))
    })
}

fn one_hot(classes: &[usize], count: usize) -> Vec<Vec<f64>> {
    let row = |&class: &usize| {
        (0..count)
            .map(|k| f64::from(u8::from(k == class)))
            .collect()
    };
    classes.iter().map(row).collect()
}

/// Value and gradient of the mean.
fn both(loss: &dyn Loss, logits: &[Vec<f64>], targets: &[Vec<f64>]) -> (Vec<f32>, Vec<f32>) {
    let logits = matrix(logits).require_grad();
    let ones: Tensor<1> = vector(&vec![1.0; targets.len()]);
    let mean = loss.mean(logits.clone(), matrix(targets), ones);
    (values(mean.clone()), gradient(&mean, &logits))
}

fn assert_same(ours: &(Vec<f32>, Vec<f32>), other: &(Vec<f32>, Vec<f32>)) {
    for (ours, other) in [(&ours.0, &other.0), (&ours.1, &other.1)] {
        // The same sums in another order.
        assert_close("the same", ours, other.iter().map(|&v| f64::from(v)), 1e-5);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_set_of_all_but_one_class_is_its_exclusion((z, classes) in batch()) {
        let excluded = one_hot(&classes, z[0].len());
        let allowed: Vec<Vec<f64>> = excluded
            .iter()
            .map(|row| row.iter().map(|share| 1.0 - share).collect())
            .collect();
        assert_same(&both(&PartialLabel, &z, &allowed), &both(&NegativeLearning, &z, &excluded));
    }

    #[test]
    fn a_set_of_one_class_is_its_cross_entropy((z, classes) in batch()) {
        let targets = one_hot(&classes, z[0].len());
        assert_same(&both(&PartialLabel, &z, &targets), &both(&CrossEntropy::default(), &z, &targets));
    }

    /// Of two classes, not of one is of the other.
    #[test]
    fn unfocused_complementary_labels_of_two_classes_are_labels(z in prop::collection::vec(prop::collection::vec(-5.0..5.0, 2), 4)) {
        let complementary = complementary(&[vec![0.0, 1.0], vec![1.0, 0.0]], 0.0);
        let (ours, cross_entropy) = (
            both(&complementary, &z, &one_hot(&[0, 1, 1, 0], 2)),
            both(&CrossEntropy::default(), &z, &one_hot(&[1, 0, 0, 1], 2)),
        );
        assert_same(&ours, &cross_entropy);
    }

    #[test]
    fn finite_logits_give_finite_values_and_gradients((z, classes) in batch()) {
        let targets = one_hot(&classes, z[0].len());
        let count = z[0].len();
        let share = |n: usize, m: usize| if n == m { 0.0 } else { 1.0 / (count - 1) as f64 };
        let transition: Vec<Vec<f64>> = (0..count)
            .map(|n| (0..count).map(|m| share(n, m)).collect())
            .collect();
        for name in ["complementary", "complementary half", "negative learning", "partial label"] {
            let (value, gradient) = both(&*loss(name, &transition), &z, &targets);
            prop_assert!(value[0].is_finite(), "{}", name);
            prop_assert!(gradient.iter().all(|g| g.is_finite()), "gradient of {}", name);
        }
    }
}
