use burn::tensor::Tensor;
use cleanslide_kernels::linear::{self, Then};
use cleanslide_kernels::matrix::{Before, Matrix, product};

use super::custom::{Kept, Operator, Values, binary, instructions, is_cpu, ternary};
use super::{gelu, memory};

/// Rows `[n, inputs]` times a matrix `[outputs, inputs]`, as PyTorch stores it, plus one bias per output:
/// `[n, outputs]`.
///
/// # Panics
/// When sizes do not fit.
pub fn linear(rows: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    if !is_cpu(&rows.device()) {
        return composed(rows, weight, bias);
    }
    let operator = Linear::new(&rows, &weight, Then::Nothing);
    match bias {
        Some(bias) => ternary(operator, rows, weight, bias),
        None => binary(operator, rows, weight),
    }
}

/// [`linear`](fn@linear), then [`gelu`]: at once where no gradient is asked for.
///
/// # Panics
/// When sizes do not fit.
pub fn linear_gelu(rows: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    let device = rows.device();
    if device.is_autodiff() || !is_cpu(&device) {
        return gelu(linear(rows, weight, Some(bias)));
    }
    let operator = Linear::new(&rows, &weight, Then::Gelu);
    ternary(operator, rows, weight, bias)
}

/// [`linear`] of Burn's operators.
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
    /// Where no gradient is asked for.
    then: Then,
}

impl Linear {
    fn new(rows: &Tensor<2>, weight: &Tensor<2>, then: Then) -> Self {
        let ([n, inputs], [outputs, _]) = (rows.dims(), weight.dims());
        Self {
            n,
            inputs,
            outputs,
            then,
        }
    }

    fn values(&self, write: impl FnOnce(&mut [f32])) -> Values {
        let mut values = memory::take(self.n * self.outputs);
        write(&mut values);
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
        let rows = Matrix::new(rows, [self.n, self.inputs], self.inputs);
        let weight = Matrix::new(weight, [self.outputs, self.inputs], self.inputs);
        let (weight, before) = (weight.transposed(), Before::Replaced);
        self.values(|values| product(values, self.outputs, before, 1.0, rows, weight, true))
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
        self.values(|values| {
            linear::forward(instructions(), rows, weight, bias, self.then, values);
        })
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
