use burn::tensor::Tensor;
use cleanslide_kernels::layer_norm::{self, LayerNorm};

use super::custom::{Kept, Operator, Values, instructions, is_cpu, ternary};
use super::memory;

/// `(x − mean) / √(variance + epsilon) · scale + shift` for each row of `[n, columns]`, by its own mean and variance
/// (over n).
///
/// # Panics
/// When sizes do not fit.
pub fn layer_norm(rows: Tensor<2>, scale: Tensor<1>, shift: Tensor<1>, epsilon: f64) -> Tensor<2> {
    if is_cpu(&rows.device()) {
        let operator = Rows {
            n: rows.dims()[0],
            epsilon: epsilon as f32,
        };
        return ternary(operator, rows, scale, shift);
    }
    composed(rows, scale, shift, epsilon)
}

/// The same, of Burn's operators.
pub(super) fn composed(
    rows: Tensor<2>,
    scale: Tensor<1>,
    shift: Tensor<1>,
    epsilon: f64,
) -> Tensor<2> {
    let centred = rows.clone() - rows.mean_dim(1);
    let variance = centred.clone().square().mean_dim(1);
    let deviation = variance.add_scalar(epsilon).sqrt();
    centred / deviation * scale.unsqueeze_dim(0) + shift.unsqueeze_dim(0)
}

#[derive(Debug, Clone, Copy)]
struct Rows {
    n: usize,
    epsilon: f32,
}

impl Operator<3> for Rows {
    fn forward(&self, [rows, scale, shift]: [&[f32]; 3]) -> Values {
        let mut values = memory::take(rows.len());
        let epsilon = self.epsilon;
        let by = LayerNorm {
            scale,
            shift,
            epsilon,
        };
        layer_norm::forward(instructions(), by, rows, &mut values);
        Values {
            values,
            shape: vec![self.n, scale.len()],
        }
    }

    fn backward(
        &self,
        Kept {
            inputs: [rows, scale, shift],
            ..
        }: Kept<'_, 3>,
        gradient: &[f32],
        _: [bool; 3],
    ) -> [Option<Vec<f32>>; 3] {
        let mut values = memory::take(rows.len());
        let mut of_scale = vec![0.0; scale.len()];
        let mut of_shift = vec![0.0; shift.len()];
        let epsilon = self.epsilon;
        let by = LayerNorm {
            scale,
            shift,
            epsilon,
        };
        let sums = [&mut of_scale[..], &mut of_shift[..]];
        layer_norm::backward(instructions(), by, rows, gradient, &mut values, sums);
        [Some(values), Some(of_scale), Some(of_shift)]
    }
}
