use std::f64::consts::FRAC_1_SQRT_2;

use burn::tensor::Tensor;

use super::custom::{Kept, Operator, Values, instructions, is_cpu, unary};
use super::memory;

/// `x Φ(x)` for the distribution function Φ of the standard normal distribution.
pub fn gelu<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    if !is_cpu(&values.device()) {
        return composed(values);
    }
    let shape = values.dims().to_vec();
    unary(Gelu { shape }, values)
}

/// Burn's own has the gradient of another function, which is made of tanh and close to this one (Burn 0.22.1).
pub(super) fn composed<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    let share = values.clone().mul_scalar(FRAC_1_SQRT_2).erf();
    values * share.add_scalar(1.0).mul_scalar(0.5)
}

#[derive(Debug, Clone)]
struct Gelu {
    shape: Vec<usize>,
}

impl Operator<1> for Gelu {
    fn forward(&self, [values]: [&[f32]; 1]) -> Values {
        let mut result = memory::take(values.len());
        result.copy_from_slice(values);
        cleanslide_kernels::gelu::forward(instructions(), &mut result);
        Values {
            values: result,
            shape: self.shape.clone(),
        }
    }

    fn backward(
        &self,
        Kept {
            inputs: [values], ..
        }: Kept<'_, 1>,
        gradient: &[f32],
        _: [bool; 1],
    ) -> [Option<Vec<f32>>; 1] {
        let mut result = memory::take(values.len());
        result.copy_from_slice(gradient);
        cleanslide_kernels::gelu::backward(instructions(), values, &mut result);
        [Some(result)]
    }
}
