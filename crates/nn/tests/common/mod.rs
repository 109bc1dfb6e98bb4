//! Reading goldens of losses and comparing tensors with them.

#![allow(dead_code, clippy::unwrap_used)]

use burn::tensor::{Device, Tensor, TensorData};

pub fn device() -> Device {
    Device::flex().autodiff()
}

pub fn matrix(rows: &[Vec<f64>]) -> Tensor<2> {
    let values: Vec<f32> = rows.iter().flatten().map(|&v| v as f32).collect();
    Tensor::from_data(
        TensorData::new(values, [rows.len(), rows[0].len()]),
        &device(),
    )
}

pub fn vector(values: &[f64]) -> Tensor<1> {
    let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), &device())
}

pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

/// The gradient of a loss `[1]` with respect to a tensor that requires one.
pub fn gradient<const D: usize>(loss: &Tensor<1>, of: &Tensor<D>) -> Vec<f32> {
    values(of.grad(&loss.backward()).unwrap())
}

/// Compares with `tolerance · (1 + |expected|)`.
pub fn assert_close(
    what: &str,
    ours: &[f32],
    expected: impl IntoIterator<Item = f64>,
    tolerance: f64,
) {
    let expected: Vec<f64> = expected.into_iter().collect();
    assert_eq!(ours.len(), expected.len(), "{what}");
    for (i, (&a, &b)) in ours.iter().zip(&expected).enumerate() {
        let error = (f64::from(a) - b).abs();
        assert!(
            error <= tolerance * (1.0 + b.abs()),
            "{what}, value {i}: {a} against {b}"
        );
    }
}
