//! Rows times a matrix and a bias, as fully connected layers have it.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::Instructions;
use crate::functions::normal;
use crate::matrix::{Before, Matrix, product};

/// Rows that a thread works on alone, at least: each brings the whole weight into the order that products need.
const LEAST_ROWS: usize = 128;

/// What follows the bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Nothing.
    Nothing,
    /// [`crate::gelu`].
    Gelu,
}

/// `result = then(rows weightᵀ + bias)` for rows of `[n, inputs]`, a weight `[outputs, inputs]` and one bias per output.
///
/// # Panics
/// When lengths do not fit, or there is no input or no output.
pub fn forward(
    instructions: Instructions,
    rows: &[f32],
    weight: &[f32],
    bias: &[f32],
    then: Then,
    result: &mut [f32],
) {
    let outputs = bias.len();
    let inputs = weight.len() / outputs;
    assert_eq!(
        weight.len(),
        inputs * outputs,
        "a weight for {outputs} outputs"
    );
    assert_eq!(
        rows.len() * outputs,
        result.len() * inputs,
        "as many results as rows of {inputs} inputs"
    );
    let weight = Matrix::new(weight, [outputs, inputs], inputs).transposed();
    let count = result.len() / outputs;
    let share = count.div_ceil(rayon::current_num_threads()).max(LEAST_ROWS);
    result
        .par_chunks_mut(share * outputs)
        .zip(rows.par_chunks(share * inputs))
        .for_each(|(result, rows)| {
            let rows = Matrix::new(rows, [result.len() / outputs, inputs], inputs);
            let together = count <= share;
            product(
                result,
                outputs,
                Before::Replaced,
                1.0,
                rows,
                weight,
                together,
            );
            instructions.dispatch(Finish { result, bias, then });
        });
}

/// Bias and what follows, in one pass.
struct Finish<'a> {
    result: &'a mut [f32],
    bias: &'a [f32],
    then: Then,
}

impl WithSimd for Finish<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { result, bias, then } = self;
        for row in result.chunks_exact_mut(bias.len()) {
            match then {
                Then::Nothing => {
                    each_vector!(simd, S, x in row, bias in bias => simd.add_f32s(x, bias));
                }
                Then::Gelu => each_vector!(simd, S, x in row, bias in bias => {
                    let x = simd.add_f32s(x, bias);
                    let [below, _] = normal(simd, x);
                    simd.mul_f32s(x, below)
                }),
            }
        }
    }
}
