//! GELU: x Φ(x) for the distribution function Φ of the standard normal distribution (Hendrycks and Gimpel,
//! arXiv 1606.08415), not its approximation by a hyperbolic tangent.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::Instructions;
use crate::functions::normal;

/// Values that a thread works on at a time.
const BLOCK: usize = 1 << 14;

/// Replaces values by their GELU.
pub fn forward(instructions: Instructions, values: &mut [f32]) {
    values
        .par_chunks_mut(BLOCK)
        .for_each(|values| instructions.dispatch(Forward { values }));
}

/// Replaces the gradients of results by those of the values.
///
/// # Panics
/// When lengths differ.
pub fn backward(instructions: Instructions, values: &[f32], gradient: &mut [f32]) {
    assert_eq!(values.len(), gradient.len(), "as many gradients as values");
    gradient
        .par_chunks_mut(BLOCK)
        .zip(values.par_chunks(BLOCK))
        .for_each(|(gradient, values)| instructions.dispatch(Backward { values, gradient }));
}

struct Forward<'a> {
    values: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (whole, rest) = S::as_mut_simd_f32s(self.values);
        for x in whole {
            let [below, _] = normal(simd, *x);
            *x = simd.mul_f32s(*x, below);
        }
        if !rest.is_empty() {
            let x = simd.partial_load_f32s(rest);
            let [below, _] = normal(simd, x);
            simd.partial_store_f32s(rest, simd.mul_f32s(x, below));
        }
    }
}

struct Backward<'a> {
    values: &'a [f32],
    gradient: &'a mut [f32],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    /// d/dx x Φ(x) = Φ(x) + x φ(x).
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        each_vector!(simd, S, out in self.gradient, x in self.values => {
            let [below, density] = normal(simd, x);
            simd.mul_f32s(out, simd.mul_add_e_f32s(x, density, below))
        });
    }
}
