use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use cleanslide_kernels::{Activation, addition};

use super::custom::{Keeps, Kept, Operator, Values, binary, instructions, is_cpu};
use super::memory;

/// `activation(first + second)` of tensors of one shape.
///
/// # Panics
/// When shapes differ.
pub fn add<const D: usize>(
    first: Tensor<D>,
    second: Tensor<D>,
    activation: Activation,
) -> Tensor<D> {
    if !is_cpu(&first.device()) {
        return composed(first, second, activation);
    }
    let shape = first.dims().to_vec();
    binary(Sum { shape, activation }, first, second)
}

/// The same, of Burn's operators.
pub(super) fn composed<const D: usize>(
    first: Tensor<D>,
    second: Tensor<D>,
    activation: Activation,
) -> Tensor<D> {
    let sum = first + second;
    match activation {
        Activation::Identity => sum,
        Activation::Relu => relu(sum),
        Activation::Relu6 => sum.clamp(0.0, 6.0),
    }
}

#[derive(Debug, Clone)]
struct Sum {
    shape: Vec<usize>,
    activation: Activation,
}

impl Operator<2> for Sum {
    // The next layer keeps the result anyway.
    const KEEPS: Keeps = Keeps::Result;

    fn forward(&self, [first, second]: [&[f32]; 2]) -> Values {
        let mut values = memory::take(first.len());
        addition::forward(instructions(), first, second, self.activation, &mut values);
        Values {
            values,
            shape: self.shape.clone(),
        }
    }

    fn backward(
        &self,
        Kept { result, .. }: Kept<'_, 2>,
        gradient: &[f32],
        needed: [bool; 2],
    ) -> [Option<Vec<f32>>; 2] {
        needed.map(|needed| {
            needed.then(|| {
                let mut values = memory::take(result.len());
                let activation = self.activation;
                addition::backward(instructions(), result, activation, gradient, &mut values);
                values
            })
        })
    }
}
