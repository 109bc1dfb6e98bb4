//! Normalisation of each row by its own mean and variance (Ba, Kiros and Hinton, arXiv 1607.06450).

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::{Instructions, scratch};

/// Rows that a thread works on at a time; fixed, so that sums do not depend on the number of threads.
const BLOCK_ROWS: usize = 64;

/// Per-column scale and shift, and what is added to the variance.
#[derive(Debug, Clone, Copy)]
pub struct LayerNorm<'a> {
    /// One factor per column.
    pub scale: &'a [f32],
    /// One summand per column.
    pub shift: &'a [f32],
    /// Added to the variance.
    pub epsilon: f32,
}

/// `(x − mean) / √(variance + epsilon) · scale + shift` for each row of `scale.len()` values; the variance is over
/// n.
///
/// # Panics
/// When lengths do not fit.
pub fn forward(instructions: Instructions, by: LayerNorm, values: &[f32], result: &mut [f32]) {
    let columns = check(&by, values.len(), result.len());
    result
        .par_chunks_mut(BLOCK_ROWS * columns)
        .zip(values.par_chunks(BLOCK_ROWS * columns))
        .for_each(|(result, values)| instructions.dispatch(Forward { by, values, result }));
}

/// Gradients of the values, the scale and the shift.
///
/// # Panics
/// When lengths do not fit.
pub fn backward(
    instructions: Instructions,
    by: LayerNorm,
    values: &[f32],
    gradient: &[f32],
    values_gradient: &mut [f32],
    [scale_gradient, shift_gradient]: [&mut [f32]; 2],
) {
    let columns = check(&by, values.len(), values_gradient.len());
    assert_eq!(values.len(), gradient.len(), "as many gradients as values");
    assert_eq!(scale_gradient.len(), columns, "one gradient per column");
    assert_eq!(shift_gradient.len(), columns, "one gradient per column");
    let blocks = values.len().div_ceil(BLOCK_ROWS * columns);
    scratch::with(blocks * 2 * columns, |parts| {
        parts
            .par_chunks_mut(2 * columns)
            .zip(values_gradient.par_chunks_mut(BLOCK_ROWS * columns))
            .zip(values.par_chunks(BLOCK_ROWS * columns))
            .zip(gradient.par_chunks(BLOCK_ROWS * columns))
            .for_each(|(((sums, values_gradient), values), gradient)| {
                let (scale_sums, shift_sums) = sums.split_at_mut(columns);
                instructions.dispatch(Backward {
                    by,
                    values,
                    gradient,
                    values_gradient,
                    scale_sums,
                    shift_sums,
                });
            });
        for column in 0..columns {
            let total = |place: usize| {
                let parts = parts.chunks_exact(2 * columns);
                parts.map(|part| f64::from(part[place])).sum::<f64>() as f32
            };
            scale_gradient[column] = total(column);
            shift_gradient[column] = total(columns + column);
        }
    });
}

fn check(by: &LayerNorm, values: usize, result: usize) -> usize {
    let columns = by.scale.len();
    assert!(columns > 0, "at least one column");
    assert_eq!(by.shift.len(), columns, "as many shifts as scales");
    assert!(
        values.is_multiple_of(columns),
        "{values} values are no rows of {columns}"
    );
    assert_eq!(values, result, "as many results as values");
    columns
}

/// The mean of a row, and 1 / √(variance + epsilon).
#[inline(always)]
fn moments<S: Simd>(simd: S, row: &[f32], epsilon: f32) -> [f32; 2] {
    let length = row.len() as f32;
    let (whole, rest) = S::as_simd_f32s(row);
    let rest = simd.partial_load_f32s(rest);
    let mut sum = rest;
    for &x in whole {
        sum = simd.add_f32s(sum, x);
    }
    let mean = simd.reduce_sum_f32s(sum) / length;
    let centre = simd.splat_f32s(mean);
    let mut squares = simd.splat_f32s(0.0);
    for &x in whole {
        let distance = simd.sub_f32s(x, centre);
        squares = simd.mul_add_e_f32s(distance, distance, squares);
    }
    let mut squares = simd.reduce_sum_f32s(squares);
    for &x in S::as_simd_f32s(row).1 {
        squares += (x - mean) * (x - mean);
    }
    [mean, 1.0 / (squares / length + epsilon).sqrt()]
}

struct Forward<'a> {
    by: LayerNorm<'a>,
    values: &'a [f32],
    result: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let columns = self.by.scale.len();
        let rows = self.values.chunks_exact(columns);
        for (row, result) in rows.zip(self.result.chunks_exact_mut(columns)) {
            let [mean, inverse] = moments(simd, row, self.by.epsilon);
            let (mean, inverse) = (simd.splat_f32s(mean), simd.splat_f32s(inverse));
            each_vector!(simd, S, _out in result, x in row, scale in self.by.scale, shift in self.by.shift => {
                let normal = simd.mul_f32s(simd.sub_f32s(x, mean), inverse);
                simd.mul_add_e_f32s(normal, scale, shift)
            });
        }
    }
}

struct Backward<'a> {
    by: LayerNorm<'a>,
    values: &'a [f32],
    gradient: &'a [f32],
    values_gradient: &'a mut [f32],
    scale_sums: &'a mut [f32],
    shift_sums: &'a mut [f32],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    /// With z the normalised value, r the inverse deviation and g = dy · scale:
    /// dx = r (g − mean(g) − z mean(g z)).
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let columns = self.by.scale.len();
        self.scale_sums.fill(0.0);
        self.shift_sums.fill(0.0);
        for ((row, gradient), result) in self
            .values
            .chunks_exact(columns)
            .zip(self.gradient.chunks_exact(columns))
            .zip(self.values_gradient.chunks_exact_mut(columns))
        {
            let [mean, inverse] = moments(simd, row, self.by.epsilon);
            let (mean, inverse) = (simd.splat_f32s(mean), simd.splat_f32s(inverse));
            each_vector!(simd, S, sum in &mut *self.shift_sums, dy in gradient => simd.add_f32s(sum, dy));
            each_vector!(simd, S, sum in &mut *self.scale_sums, dy in gradient, x in row => {
                let normal = simd.mul_f32s(simd.sub_f32s(x, mean), inverse);
                simd.mul_add_e_f32s(dy, normal, sum)
            });
            each_vector!(simd, S, _out in &mut *result, dy in gradient, scale in self.by.scale => {
                simd.mul_f32s(dy, scale)
            });
            let [sum, product] = sums(simd, result, row, mean, inverse);
            let first = simd.splat_f32s(sum / columns as f32);
            let second = simd.splat_f32s(product / columns as f32);
            each_vector!(simd, S, g in &mut *result, x in row => {
                let normal = simd.mul_f32s(simd.sub_f32s(x, mean), inverse);
                let rest = simd.sub_f32s(simd.sub_f32s(g, first), simd.mul_f32s(normal, second));
                simd.mul_f32s(inverse, rest)
            });
        }
    }
}

/// Σ g and Σ g z.
#[inline(always)]
fn sums<S: Simd>(
    simd: S,
    gradient: &[f32],
    row: &[f32],
    mean: S::f32s,
    inverse: S::f32s,
) -> [f32; 2] {
    let (whole, rest) = S::as_simd_f32s(gradient);
    let (values, values_rest) = S::as_simd_f32s(row);
    let normal = |x: S::f32s| simd.mul_f32s(simd.sub_f32s(x, mean), inverse);
    // The last gradients are followed by zeros, which add nothing.
    let last = simd.partial_load_f32s(rest);
    let mut sum = last;
    let mut product = simd.mul_f32s(last, normal(simd.partial_load_f32s(values_rest)));
    for (&g, &x) in whole.iter().zip(values) {
        sum = simd.add_f32s(sum, g);
        product = simd.mul_add_e_f32s(g, normal(x), product);
    }
    [simd.reduce_sum_f32s(sum), simd.reduce_sum_f32s(product)]
}
