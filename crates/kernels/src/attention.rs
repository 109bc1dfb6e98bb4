//! Attention of every token to every other (Vaswani et al., arXiv 1706.03762).
//!
//! Queries, keys and values come as a linear layer gives them: `[images, tokens, 3, heads, width]`; results are
//! `[images, tokens, heads, width]`. Scores of one head and image at a time are held, by each thread.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::functions::exponential;
use crate::matrix::{Before, Matrix, product};
use crate::{Instructions, scratch};

/// The sizes of an attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attention {
    /// Images, which do not see each other.
    pub images: usize,
    /// Tokens of an image.
    pub tokens: usize,
    /// Heads.
    pub heads: usize,
    /// Values of a head.
    pub width: usize,
}

impl Attention {
    /// Values of queries, keys and values together.
    pub fn inputs_length(&self) -> usize {
        3 * self.result_length()
    }

    /// Values of the result.
    pub fn result_length(&self) -> usize {
        self.images * self.tokens * self.heads * self.width
    }

    fn factor(&self) -> f32 {
        1.0 / (self.width as f32).sqrt()
    }

    /// Values of one head: queries, keys, values or results.
    fn head_length(&self) -> usize {
        self.tokens * self.width
    }

    /// `softmax(q kᵀ / √width) v` for every head.
    ///
    /// # Panics
    /// When a slice has another length than the sizes ask for.
    pub fn forward(&self, instructions: Instructions, inputs: &[f32], result: &mut [f32]) {
        assert_eq!(inputs.len(), self.inputs_length(), "inputs of {self:?}");
        assert_eq!(result.len(), self.result_length(), "result of {self:?}");
        let head = self.head_length();
        scratch::with(self.result_length(), |apart| {
            apart
                .par_chunks_mut(head)
                .enumerate()
                .for_each(|(index, result)| {
                    let place = Place::new(self, index);
                    scratch::with(self.tokens * self.tokens, |chances| {
                        self.chances(instructions, inputs, place, chances);
                        let values = self.part(inputs, place, 2);
                        let chances = square(chances, self.tokens);
                        write(result, self.width, 1.0, chances, values);
                    });
                });
            self.join(apart, 1, result);
        });
    }

    /// The gradient of the inputs from that of the result.
    ///
    /// # Panics
    /// When a slice has another length than the sizes ask for.
    pub fn backward(
        &self,
        instructions: Instructions,
        inputs: &[f32],
        gradient: &[f32],
        inputs_gradient: &mut [f32],
    ) {
        assert_eq!(inputs.len(), self.inputs_length(), "inputs of {self:?}");
        assert_eq!(gradient.len(), self.result_length(), "gradient of {self:?}");
        assert_eq!(
            inputs_gradient.len(),
            self.inputs_length(),
            "inputs of {self:?}"
        );
        let head = self.head_length();
        scratch::with(self.inputs_length(), |apart| {
            apart
                .par_chunks_mut(3 * head)
                .enumerate()
                .for_each(|(index, parts)| {
                    self.backward_head(instructions, inputs, gradient, index, parts);
                });
            self.join(apart, 3, inputs_gradient);
        });
    }

    /// With P the chances: dV = Pᵀ dO, dP = dO Vᵀ, dS = P ∘ (dP − rows of Σ dP ∘ P), dQ = dS K / √width and
    /// dK = dSᵀ Q / √width.
    fn backward_head(
        &self,
        instructions: Instructions,
        inputs: &[f32],
        gradient: &[f32],
        index: usize,
        parts: &mut [f32],
    ) {
        let (tokens, width, head) = (self.tokens, self.width, self.head_length());
        let place = Place::new(self, index);
        let stride = self.heads * width;
        let gradient = Matrix::new(
            &gradient[(place.image * tokens * self.heads + place.head) * width..],
            [tokens, width],
            stride,
        );
        let [queries, keys, values] = [0, 1, 2].map(|part| self.part(inputs, place, part));
        let (first, rest) = parts.split_at_mut(head);
        let (second, third) = rest.split_at_mut(head);
        scratch::with(tokens * tokens, |chances| {
            self.chances(instructions, inputs, place, chances);
            write(
                third,
                width,
                1.0,
                square(chances, tokens).transposed(),
                gradient,
            );
            scratch::with(tokens * tokens, |scores| {
                write(scores, tokens, 1.0, gradient, values.transposed());
                instructions.dispatch(SoftmaxGradient {
                    chances,
                    gradient: scores,
                    columns: tokens,
                });
                let scores = square(scores, tokens);
                write(first, width, self.factor(), scores, keys);
                write(second, width, self.factor(), scores.transposed(), queries);
            });
        });
    }

    /// Queries (0), keys (1) or values (2) of a head.
    fn part<'a>(&self, inputs: &'a [f32], place: Place, part: usize) -> Matrix<'a> {
        let start = ((place.image * self.tokens * 3 + part) * self.heads + place.head) * self.width;
        let stride = 3 * self.heads * self.width;
        Matrix::new(&inputs[start..], [self.tokens, self.width], stride)
    }

    /// How much each token heeds each other.
    fn chances(
        &self,
        instructions: Instructions,
        inputs: &[f32],
        place: Place,
        chances: &mut [f32],
    ) {
        let [queries, keys] = [0, 1].map(|part| self.part(inputs, place, part));
        let factor = self.factor();
        write(chances, self.tokens, factor, queries, keys.transposed());
        instructions.dispatch(Softmax {
            rows: chances,
            columns: self.tokens,
        });
    }

    /// From heads one after the other, of `parts` parts each, to tokens one after the other.
    fn join(&self, apart: &[f32], parts: usize, result: &mut [f32]) {
        let (width, head) = (self.width, self.head_length());
        let token = parts * self.heads * width;
        result
            .par_chunks_exact_mut(token)
            .enumerate()
            .for_each(|(row, result)| {
                let (image, row) = (row / self.tokens, row % self.tokens);
                for (place, result) in result.chunks_exact_mut(width).enumerate() {
                    let (part, of) = (place / self.heads, place % self.heads);
                    let start = ((image * self.heads + of) * parts + part) * head + row * width;
                    result.copy_from_slice(&apart[start..start + width]);
                }
            });
    }
}

fn square(values: &[f32], tokens: usize) -> Matrix<'_> {
    Matrix::new(values, [tokens; 2], tokens)
}

fn write(result: &mut [f32], row_stride: usize, factor: f32, left: Matrix, right: Matrix) {
    product(
        result,
        row_stride,
        Before::Replaced,
        factor,
        left,
        right,
        false,
    );
}

#[derive(Clone, Copy)]
struct Place {
    image: usize,
    head: usize,
}

impl Place {
    fn new(sizes: &Attention, index: usize) -> Self {
        Self {
            image: index / sizes.heads,
            head: index % sizes.heads,
        }
    }
}

/// Replaces each row by `e^x / Σ e^x`.
pub(crate) struct Softmax<'a> {
    pub(crate) rows: &'a mut [f32],
    pub(crate) columns: usize,
}

impl WithSimd for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for row in self.rows.chunks_exact_mut(self.columns) {
            let most = most(simd, row);
            let most = simd.splat_f32s(most);
            let (whole, rest) = S::as_mut_simd_f32s(row);
            let mut sums = simd.splat_f32s(0.0);
            for x in &mut *whole {
                *x = exponential(simd, simd.sub_f32s(*x, most));
                sums = simd.add_f32s(sums, *x);
            }
            let mut sum = simd.reduce_sum_f32s(sums);
            if !rest.is_empty() {
                let x = simd.partial_load_f32s(rest);
                let x = exponential(simd, simd.sub_f32s(x, most));
                simd.partial_store_f32s(rest, x);
                sum += rest.iter().sum::<f32>();
            }
            let inverse = simd.splat_f32s(1.0 / sum);
            for x in whole {
                *x = simd.mul_f32s(*x, inverse);
            }
            let x = simd.partial_load_f32s(rest);
            simd.partial_store_f32s(rest, simd.mul_f32s(x, inverse));
        }
    }
}

#[inline(always)]
fn most<S: Simd>(simd: S, row: &[f32]) -> f32 {
    let (whole, rest) = S::as_simd_f32s(row);
    let mut most = simd.splat_f32s(f32::NEG_INFINITY);
    for &x in whole {
        most = simd.max_f32s(most, x);
    }
    let most = simd.reduce_max_f32s(most);
    rest.iter().fold(most, |most, &x| most.max(x))
}

/// From chances and their gradient to that of the scores: p (dp − Σ p dp).
struct SoftmaxGradient<'a> {
    chances: &'a [f32],
    gradient: &'a mut [f32],
    columns: usize,
}

impl WithSimd for SoftmaxGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (chances, gradient) in self
            .chances
            .chunks_exact(self.columns)
            .zip(self.gradient.chunks_exact_mut(self.columns))
        {
            let (p, p_rest) = S::as_simd_f32s(chances);
            let (dp, dp_rest) = S::as_simd_f32s(&*gradient);
            let mut sums = simd.mul_f32s(
                simd.partial_load_f32s(p_rest),
                simd.partial_load_f32s(dp_rest),
            );
            for (&p, &dp) in p.iter().zip(dp) {
                sums = simd.mul_add_e_f32s(p, dp, sums);
            }
            let sum = simd.splat_f32s(simd.reduce_sum_f32s(sums));
            each_vector!(simd, S, dp in &mut *gradient, p in chances => {
                simd.mul_f32s(p, simd.sub_f32s(dp, sum))
            });
        }
    }
}
