//! Moments per channel, and normalisation by them with an activation.
//!
//! Ioffe and Szegedy, *Batch Normalization*, arXiv 1502.03167. Values are rows of `channels` values, such as
//! the pixels of images with channels last.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::{Instructions, scratch};

/// Rows that are summed at once; fixed, so that sums do not depend on the number of threads.
const BLOCK_ROWS: usize = 512;

/// What is done to a value after the normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// max(x, 0).
    Relu,
    /// min(max(x, 0), 6).
    Relu6,
}

/// The mean and the variance (over n, not n − 1) of each channel.
///
/// Each block of rows has its own mean, so that nothing cancels where the mean is large; blocks are
/// joined in f64 (Chan, Golub and LeVeque, 1979).
///
/// # Panics
/// When there are no values, or they are not whole rows.
pub fn moments(instructions: Instructions, values: &[f32], mean: &mut [f32], variance: &mut [f32]) {
    let channels = mean.len();
    assert_eq!(variance.len(), channels, "as many variances as means");
    assert!(
        !values.is_empty() && values.len().is_multiple_of(channels),
        "whole rows of {channels} channels, at least one"
    );
    let blocks = values.len().div_ceil(BLOCK_ROWS * channels);
    scratch::with(blocks * 2 * channels, |parts| {
        parts
            .par_chunks_mut(2 * channels)
            .zip(values.par_chunks(BLOCK_ROWS * channels))
            .for_each(|(part, values)| {
                let (mean, squares) = part.split_at_mut(channels);
                instructions.dispatch(BlockMoments {
                    values,
                    mean,
                    squares,
                });
            });
        for channel in 0..channels {
            let (mut rows, mut centre, mut squares) = (0.0, 0.0, 0.0);
            let lengths = values.chunks(BLOCK_ROWS * channels).map(<[f32]>::len);
            for (part, length) in parts.chunks_exact(2 * channels).zip(lengths) {
                let block_rows = (length / channels) as f64;
                let difference = f64::from(part[channel]) - centre;
                let total = rows + block_rows;
                centre += difference * block_rows / total;
                squares += f64::from(part[channels + channel])
                    + difference * difference * rows * block_rows / total;
                rows = total;
            }
            mean[channel] = centre as f32;
            variance[channel] = (squares / rows) as f32;
        }
    });
}

/// The mean of a block's rows and their squared distances from it.
struct BlockMoments<'a> {
    values: &'a [f32],
    mean: &'a mut [f32],
    squares: &'a mut [f32],
}

impl WithSimd for BlockMoments<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let channels = self.mean.len();
        let rows = (self.values.len() / channels) as f32;
        self.mean.fill(0.0);
        self.squares.fill(0.0);
        for row in self.values.chunks_exact(channels) {
            each_vector!(simd, S, sum in &mut *self.mean, value in row => {
                simd.add_f32s(sum, value)
            });
        }
        for mean in &mut *self.mean {
            *mean /= rows;
        }
        for row in self.values.chunks_exact(channels) {
            each_vector!(simd, S, sum in &mut *self.squares, value in row, mean in &*self.mean => {
                    let distance = simd.sub_f32s(value, mean);
                    simd.mul_add_e_f32s(distance, distance, sum)
                }
            );
        }
    }
}

/// How each channel is normalised: `activation(value * factor + summand)`.
#[derive(Debug, Clone, Copy)]
pub struct Affine<'a> {
    /// Scale over standard deviation.
    pub factor: &'a [f32],
    /// Shift minus mean times factor.
    pub summand: &'a [f32],
    /// What follows.
    pub activation: Activation,
}

/// `result = activation(values * factor + summand)`.
///
/// # Panics
/// When lengths differ.
pub fn normalize(instructions: Instructions, values: &[f32], affine: Affine, result: &mut [f32]) {
    let channels = affine.factor.len();
    assert_eq!(values.len(), result.len(), "as many results as values");
    assert_eq!(
        affine.summand.len(),
        channels,
        "as many summands as factors"
    );
    result
        .par_chunks_mut(BLOCK_ROWS * channels)
        .zip(values.par_chunks(BLOCK_ROWS * channels))
        .for_each(|(result, values)| {
            instructions.dispatch(BlockNormalize {
                values,
                affine,
                result,
            });
        });
}

struct BlockNormalize<'a> {
    values: &'a [f32],
    affine: Affine<'a>,
    result: &'a mut [f32],
}

impl WithSimd for BlockNormalize<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Affine {
            factor,
            summand,
            activation,
        } = self.affine;
        let channels = factor.len();
        for (values, result) in self
            .values
            .chunks_exact(channels)
            .zip(self.result.chunks_exact_mut(channels))
        {
            each_vector!(simd, S, _result in result, value in values, factor in factor, summand in summand => {
                    let value = simd.mul_add_e_f32s(value, factor, summand);
                    activate(simd, activation, value)
                }
            );
        }
    }
}

#[inline(always)]
pub(crate) fn activate<S: Simd>(simd: S, activation: Activation, value: S::f32s) -> S::f32s {
    let zero = simd.splat_f32s(0.0);
    let six = simd.splat_f32s(6.0);
    // Not `max`, which on some machines makes a number of what is none.
    let positive = simd.select_f32s(simd.less_than_or_equal_f32s(value, zero), zero, value);
    match activation {
        Activation::Identity => value,
        Activation::Relu => positive,
        Activation::Relu6 => simd.select_f32s(
            simd.greater_than_or_equal_f32s(positive, six),
            six,
            positive,
        ),
    }
}

/// The gradient before the activation, given the value before it.
#[inline(always)]
pub(crate) fn activation_gradient<S: Simd>(
    simd: S,
    activation: Activation,
    value: S::f32s,
    gradient: S::f32s,
) -> S::f32s {
    let zero = simd.splat_f32s(0.0);
    match activation {
        Activation::Identity => gradient,
        Activation::Relu => simd.select_f32s(simd.greater_than_f32s(value, zero), gradient, zero),
        Activation::Relu6 => {
            let inside = simd.and_m32s(
                simd.greater_than_f32s(value, zero),
                simd.less_than_f32s(value, simd.splat_f32s(6.0)),
            );
            simd.select_f32s(inside, gradient, zero)
        }
    }
}

/// Two sums per channel: of the gradient before the activation, and of that times the distance of the
/// value from `mean`.
///
/// # Panics
/// When lengths differ.
pub fn gradient_sums(
    instructions: Instructions,
    values: &[f32],
    affine: Affine,
    gradient: &[f32],
    mean: &[f32],
    sums: &mut [f32],
    distance_sums: &mut [f32],
) {
    let channels = affine.factor.len();
    assert_eq!(values.len(), gradient.len(), "as many gradients as values");
    assert_eq!(sums.len(), channels, "one sum per channel");
    assert_eq!(distance_sums.len(), channels, "one sum per channel");
    let blocks = values.len().div_ceil(BLOCK_ROWS * channels);
    scratch::with(blocks * 2 * channels, |parts| {
        parts
            .par_chunks_mut(2 * channels)
            .zip(values.par_chunks(BLOCK_ROWS * channels))
            .zip(gradient.par_chunks(BLOCK_ROWS * channels))
            .for_each(|((part, values), gradient)| {
                let (sums, distance_sums) = part.split_at_mut(channels);
                instructions.dispatch(BlockGradientSums {
                    values,
                    affine,
                    gradient,
                    mean,
                    sums,
                    distance_sums,
                });
            });
        for channel in 0..channels {
            let total = |place: usize| {
                let parts = parts.chunks_exact(2 * channels);
                parts.map(|part| f64::from(part[place])).sum::<f64>() as f32
            };
            sums[channel] = total(channel);
            distance_sums[channel] = total(channels + channel);
        }
    });
}

struct BlockGradientSums<'a> {
    values: &'a [f32],
    affine: Affine<'a>,
    gradient: &'a [f32],
    mean: &'a [f32],
    sums: &'a mut [f32],
    distance_sums: &'a mut [f32],
}

impl WithSimd for BlockGradientSums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Affine {
            factor,
            summand,
            activation,
        } = self.affine;
        let channels = factor.len();
        self.sums.fill(0.0);
        self.distance_sums.fill(0.0);
        for (values, gradient) in self
            .values
            .chunks_exact(channels)
            .zip(self.gradient.chunks_exact(channels))
        {
            each_vector!(simd, S, sum in &mut *self.sums, value in values, gradient in gradient, factor in factor, summand in summand => {
                    let before = simd.mul_add_e_f32s(value, factor, summand);
                    simd.add_f32s(sum, activation_gradient(simd, activation, before, gradient))
                }
            );
            each_vector!(simd, S, sum in &mut *self.distance_sums, value in values, gradient in gradient, factor in factor, summand in summand, mean in self.mean => {
                    let before = simd.mul_add_e_f32s(value, factor, summand);
                    let gradient = activation_gradient(simd, activation, before, gradient);
                    simd.mul_add_e_f32s(gradient, simd.sub_f32s(value, mean), sum)
                }
            );
        }
    }
}

/// The gradient of the values: `before * gradient_factor + value * value_factor + summand`, where `before` is
/// the gradient before the activation.
#[derive(Debug, Clone, Copy)]
pub struct GradientAffine<'a> {
    /// Times the gradient before the activation.
    pub gradient_factor: &'a [f32],
    /// Times the value.
    pub value_factor: &'a [f32],
    /// Plus this.
    pub summand: &'a [f32],
}

/// Works out the gradient of the values; what the factors are is the caller's formula.
///
/// # Panics
/// When lengths differ.
pub fn values_gradient(
    instructions: Instructions,
    values: &[f32],
    affine: Affine,
    gradient: &[f32],
    by: GradientAffine,
    result: &mut [f32],
) {
    let channels = affine.factor.len();
    assert_eq!(values.len(), gradient.len(), "as many gradients as values");
    assert_eq!(values.len(), result.len(), "as many results as values");
    result
        .par_chunks_mut(BLOCK_ROWS * channels)
        .zip(values.par_chunks(BLOCK_ROWS * channels))
        .zip(gradient.par_chunks(BLOCK_ROWS * channels))
        .for_each(|((result, values), gradient)| {
            instructions.dispatch(BlockValuesGradient {
                values,
                affine,
                gradient,
                by,
                result,
            });
        });
}

struct BlockValuesGradient<'a> {
    values: &'a [f32],
    affine: Affine<'a>,
    gradient: &'a [f32],
    by: GradientAffine<'a>,
    result: &'a mut [f32],
}

impl WithSimd for BlockValuesGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Affine {
            factor,
            summand,
            activation,
        } = self.affine;
        let by = self.by;
        let channels = factor.len();
        for ((values, gradient), result) in self
            .values
            .chunks_exact(channels)
            .zip(self.gradient.chunks_exact(channels))
            .zip(self.result.chunks_exact_mut(channels))
        {
            each_vector!(simd, S, _result in result, value in values, gradient in gradient, factor in factor, summand in summand, gradient_factor in by.gradient_factor, value_factor in by.value_factor, last in by.summand => {
                    let before = simd.mul_add_e_f32s(value, factor, summand);
                    let gradient = activation_gradient(simd, activation, before, gradient);
                    let rest = simd.mul_add_e_f32s(value, value_factor, last);
                    simd.mul_add_e_f32s(gradient, gradient_factor, rest)
                }
            );
        }
    }
}

/// The sum of each channel.
///
/// # Panics
/// When the values are not whole rows.
pub fn sums(instructions: Instructions, values: &[f32], sums: &mut [f32]) {
    let channels = sums.len();
    assert!(
        values.len().is_multiple_of(channels),
        "whole rows of {channels} channels"
    );
    let blocks = values.len().div_ceil(BLOCK_ROWS * channels);
    scratch::with(blocks * channels, |parts| {
        parts
            .par_chunks_mut(channels)
            .zip(values.par_chunks(BLOCK_ROWS * channels))
            .for_each(|(sums, values)| instructions.dispatch(BlockSums { values, sums }));
        for (channel, sum) in sums.iter_mut().enumerate() {
            let parts = parts.chunks_exact(channels);
            *sum = parts.map(|part| f64::from(part[channel])).sum::<f64>() as f32;
        }
    });
}

/// The sums of a block's rows.
pub(crate) struct BlockSums<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) sums: &'a mut [f32],
}

impl WithSimd for BlockSums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let channels = self.sums.len();
        self.sums.fill(0.0);
        for row in self.values.chunks_exact(channels) {
            each_vector!(simd, S, sum in &mut *self.sums, value in row => simd.add_f32s(sum, value));
        }
    }
}
