//! Losses of regions and their gradients against segmentation_models_pytorch (`oracles/losses_region.py`), and the
//! boundary loss against the published code (`oracles/losses_boundary.py`).
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};
use cleanslide_nn::losses::{Tversky, boundary_loss, weighted_mean};
use serde::Deserialize;

/// Goldens are in f64; ours are sums of 60 values in f32, after a softmax.
const TOLERANCE: f64 = 1e-5;

#[derive(Deserialize)]
struct Golden {
    logits: Vec<[f32; 3]>,
    classes: Vec<usize>,
    weights: Vec<f32>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    false_positives: f64,
    false_negatives: f64,
    loss: f64,
    gradient: Vec<[f64; 3]>,
}

fn matrix(rows: impl Iterator<Item = [f32; 3]>) -> Tensor<2> {
    let values: Vec<f32> = rows.flatten().collect();
    let rows = values.len() / 3;
    Tensor::from_data(
        TensorData::new(values, [rows, 3]),
        &Device::flex().autodiff(),
    )
}

fn one_hot(class: usize) -> [f32; 3] {
    std::array::from_fn(|other| f32::from(u8::from(other == class)))
}

#[test]
fn losses_of_regions_equal_the_package_s() {
    let golden: Golden = serde_json::from_str(include_str!("goldens/losses_region.json")).unwrap();
    for case in &golden.cases {
        let loss = Tversky {
            false_positives: case.false_positives,
            false_negatives: case.false_negatives,
        };
        let logits = matrix(golden.logits.iter().copied()).require_grad();
        let targets = matrix(golden.classes.iter().map(|&class| one_hot(class)));
        let weights =
            Tensor::<1>::from_floats(golden.weights.as_slice(), &Device::flex().autodiff());
        let value = loss.loss(softmax(logits.clone(), 1), targets, weights);
        let found = f64::from(value.clone().into_scalar::<f32>());
        let name = &case.name;
        assert!((found - case.loss).abs() < TOLERANCE, "{name}: {found}");
        let gradients = value.backward();
        let gradient = logits.grad(&gradients).unwrap().into_data();
        for (ours, theirs) in gradient.iter::<f32>().zip(case.gradient.as_flattened()) {
            let close = (f64::from(ours) - theirs).abs() < TOLERANCE;
            assert!(close, "{name}: {ours} instead of {theirs}");
        }
    }
}

#[test]
fn what_has_no_pixels_is_left_out() {
    let device = Device::flex();
    let predicted = Tensor::<2>::from_floats([[0.5, 0.5], [1.0, 0.0]], &device);
    let targets = Tensor::<2>::from_floats([[1.0, 0.0], [1.0, 0.0]], &device);
    let of = |weights: [f32; 2]| -> f32 {
        let weights = Tensor::from_floats(weights, &device);
        Tversky::DICE
            .loss(predicted.clone(), targets.clone(), weights)
            .into_scalar()
    };
    // The first class alone: 1 − 2 · 1.5 / (1.5 + 2).
    assert!((of([1.0, 1.0]) - (1.0 - 3.0 / 3.5)).abs() < 1e-6);
    assert_eq!(of([0.0, 0.0]), 0.0);
}

#[derive(Deserialize)]
struct Boundary {
    logits: Vec<[f32; 3]>,
    distances: Vec<[f32; 3]>,
    loss: f64,
    gradient: Vec<[f64; 3]>,
}

#[test]
fn the_boundary_loss_equals_the_published_one() {
    let golden: Boundary =
        serde_json::from_str(include_str!("goldens/losses_boundary.json")).unwrap();
    // A pixel of weight 0 more, which the published code does not know, counts nothing.
    let with = |rows: &[[f32; 3]]| matrix(rows.iter().copied().chain([[9.0, f32::INFINITY, -9.0]]));
    let logits = matrix(golden.logits.iter().copied().chain([[0.5; 3]])).require_grad();
    let mut weights = vec![1.0; golden.logits.len()];
    weights.push(0.0);
    let weights = Tensor::<1>::from_floats(weights.as_slice(), &Device::flex().autodiff());
    let per_item = boundary_loss(softmax(logits.clone(), 1), with(&golden.distances));
    let value = weighted_mean(per_item, weights);
    let found = f64::from(value.clone().into_scalar::<f32>());
    assert!((found - golden.loss).abs() < TOLERANCE, "{found}");
    let gradient = logits.grad(&value.backward()).unwrap().into_data();
    for (ours, theirs) in gradient.iter::<f32>().zip(golden.gradient.as_flattened()) {
        let close = (f64::from(ours) - theirs).abs() < TOLERANCE;
        assert!(close, "{ours} instead of {theirs}");
    }
}
