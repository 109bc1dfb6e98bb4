//! Directions of features, which losses of contrast compare.

use burn::tensor::{Bool, Device, Tensor};

/// Shorter features have no direction: PyTorch's limit, whose square single precision still holds.
const SHORTEST: f64 = 1e-12;

/// Rows `[items, features]` of length 1. Rows without a direction become zeros, and have no gradient.
pub fn unit(rows: Tensor<2>) -> Tensor<2> {
    let squared = rows.clone().square().sum_dim(1);
    let short = squared.clone().lower_scalar(SHORTEST * SHORTEST);
    rows / squared.mask_fill(short, f32::INFINITY).sqrt()
}

/// PyTorch's constant of batch normalisation.
const EPSILON: f64 = 1e-5;

/// Features `[items, features]`, each of mean 0 and variance 1 over the items, as batch normalisation without parameters
/// makes them.
pub fn standardized(features: Tensor<2>) -> Tensor<2> {
    let centred = features.clone() - features.mean_dim(0);
    let variance = centred.clone().square().mean_dim(0);
    centred / variance.add_scalar(EPSILON).sqrt()
}

/// Rows `[items, features]`, with zeros where `absent` `[items]`, whatever was there.
pub(super) fn without(rows: Tensor<2>, absent: Tensor<1, Bool>) -> Tensor<2> {
    let absent = absent.unsqueeze_dim::<2>(1).expand(rows.shape());
    rows.mask_fill(absent, 0.0)
}

/// Whether row `i` takes part and column `j` does too, `[rows, columns]`.
pub(super) fn pairs(rows: Tensor<1, Bool>, columns: Tensor<1, Bool>) -> Tensor<2, Bool> {
    let shape = [rows.dims()[0], columns.dims()[0]];
    let rows = rows.unsqueeze_dim::<2>(1).expand(shape);
    rows.bool_and(columns.unsqueeze_dim::<2>(0).expand(shape))
}

/// `true` where an item would be compared with itself, `[items, items]`.
pub(super) fn itself(items: usize, device: &Device) -> Tensor<2, Bool> {
    Tensor::<2>::eye(items, device).greater_scalar(0.5)
}
