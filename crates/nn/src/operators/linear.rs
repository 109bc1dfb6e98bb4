use burn::tensor::Tensor;
use cleanslide_kernels::matrix::{Before, Matrix, product};

use super::custom::{Kept, Operator, Values, binary, instructions, is_cpu, ternary};
use super::memory;

/// Rows `[n, inputs]` times a matrix `[outputs, inputs]`, as PyTorch stores it, plus one bias per output:
/// `[n, outputs]`.
///
/// # Panics
/// When sizes do not fit.
pub fn linear(rows: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    if !is_cpu(&rows.device()) {
        return composed(rows, weight, bias);
    }
    let ([n, inputs], [outputs, _]) = (rows.dims(), weight.dims());
    let operator = Linear { n, inputs, outputs };
    match bias {
        Some(bias) => ternary(operator, rows, weight, bias),
        None => binary(operator, rows, weight),
    }
}

/// The same, of Burn's operators.
pub(super) fn composed(rows: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    let result = rows.matmul(weight.transpose());
    match bias {
        Some(bias) => result + bias.unsqueeze_dim(0),
        None => result,
    }
}

#[derive(Debug, Clone, Copy)]
struct Linear {
    n: usize,
    inputs: usize,
    outputs: usize,
}

impl Linear {
    fn apply(&self, rows: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Values {
        let mut values = memory::take(self.n * self.outputs);
        let before = match bias {
            Some(bias) => {
                values
                    .chunks_exact_mut(self.outputs)
                    .for_each(|row| row.copy_from_slice(bias));
                Before::Added
            }
            None => Before::Replaced,
        };
        let rows = Matrix::new(rows, [self.n, self.inputs], self.inputs);
        let weight = Matrix::new(weight, [self.outputs, self.inputs], self.inputs);
        let weight = weight.transposed();
        product(&mut values, self.outputs, before, 1.0, rows, weight, true);
        Values {
            values,
            shape: vec![self.n, self.outputs],
        }
    }

    fn gradients(
        &self,
        rows: &[f32],
        weight: &[f32],
        gradient: &[f32],
        needed: [bool; 2],
    ) -> [Option<Vec<f32>>; 2] {
        let gradient = Matrix::new(gradient, [self.n, self.outputs], self.outputs);
        let multiply = |length, left, right| {
            let mut values = memory::take(length);
            let before = Before::Replaced;
            product(&mut values, self.inputs, before, 1.0, left, right, true);
            values
        };
        let of_rows = needed[0].then(|| {
            let weight = Matrix::new(weight, [self.outputs, self.inputs], self.inputs);
            multiply(rows.len(), gradient, weight)
        });
        let of_weight = needed[1].then(|| {
            let rows = Matrix::new(rows, [self.n, self.inputs], self.inputs);
            multiply(weight.len(), gradient.transposed(), rows)
        });
        [of_rows, of_weight]
    }
}

impl Operator<2> for Linear {
    fn forward(&self, [rows, weight]: [&[f32]; 2]) -> Values {
        self.apply(rows, weight, None)
    }

    fn backward(
        &self,
        Kept {
            inputs: [rows, weight],
            ..
        }: Kept<'_, 2>,
        gradient: &[f32],
        needed: [bool; 2],
    ) -> [Option<Vec<f32>>; 2] {
        self.gradients(rows, weight, gradient, needed)
    }
}

impl Operator<3> for Linear {
    fn forward(&self, [rows, weight, bias]: [&[f32]; 3]) -> Values {
        self.apply(rows, weight, Some(bias))
    }

    fn backward(
        &self,
        Kept {
            inputs: [rows, weight, _],
            ..
        }: Kept<'_, 3>,
        gradient: &[f32],
        [rows_needed, weight_needed, bias_needed]: [bool; 3],
    ) -> [Option<Vec<f32>>; 3] {
        let needed = [rows_needed, weight_needed];
        let [of_rows, of_weight] = self.gradients(rows, weight, gradient, needed);
        let of_bias = bias_needed.then(|| {
            let mut sums = vec![0.0; self.outputs];
            cleanslide_kernels::normalization::sums(instructions(), gradient, &mut sums);
            sums
        });
        [of_rows, of_weight, of_bias]
    }
}
