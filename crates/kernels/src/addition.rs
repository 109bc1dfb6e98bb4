//! The sum of two images and an activation, as residual networks need it.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::Instructions;
use crate::normalization::{Activation, activate, activation_gradient};

/// Values that a thread works on at a time.
const BLOCK: usize = 1 << 14;

/// `result = activation(first + second)`.
///
/// # Panics
/// When lengths differ.
pub fn forward(
    instructions: Instructions,
    first: &[f32],
    second: &[f32],
    activation: Activation,
    result: &mut [f32],
) {
    assert_eq!(first.len(), second.len(), "as many values of each");
    assert_eq!(first.len(), result.len(), "as many results as values");
    result
        .par_chunks_mut(BLOCK)
        .zip(first.par_chunks(BLOCK))
        .zip(second.par_chunks(BLOCK))
        .for_each(|((result, first), second)| {
            instructions.dispatch(Add {
                first,
                second,
                activation,
                result,
            });
        });
}

/// The gradient of either image from that of the result, and from the result, which tells where an activation
/// lets gradients pass.
///
/// # Panics
/// When lengths differ.
pub fn backward(
    instructions: Instructions,
    result: &[f32],
    activation: Activation,
    gradient: &[f32],
    images_gradient: &mut [f32],
) {
    assert_eq!(result.len(), gradient.len(), "as many gradients as values");
    assert_eq!(result.len(), images_gradient.len(), "as many as values");
    images_gradient
        .par_chunks_mut(BLOCK)
        .zip(result.par_chunks(BLOCK))
        .zip(gradient.par_chunks(BLOCK))
        .for_each(|((images_gradient, result), gradient)| {
            instructions.dispatch(Pass {
                result,
                activation,
                gradient,
                images_gradient,
            });
        });
}

struct Add<'a> {
    first: &'a [f32],
    second: &'a [f32],
    activation: Activation,
    result: &'a mut [f32],
}

impl WithSimd for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        each_vector!(simd, S, _out in self.result, a in self.first, b in self.second => {
            activate(simd, self.activation, simd.add_f32s(a, b))
        });
    }
}

struct Pass<'a> {
    result: &'a [f32],
    activation: Activation,
    gradient: &'a [f32],
    images_gradient: &'a mut [f32],
}

impl WithSimd for Pass<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        each_vector!(simd, S, _out in self.images_gradient, y in self.result, dy in self.gradient => {
            // A result is the value itself where gradients pass.
            activation_gradient(simd, self.activation, y, dy)
        });
    }
}
