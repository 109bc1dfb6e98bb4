//! A limit to the length of a gradient.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// Shortens the gradient of all parameters together to `most`, if it is longer: PyTorch's `clip_grad_norm_`.
/// Nothing is read back from the device.
pub fn clip<M: Module>(network: &M, gradients: GradientsParams, most: f64) -> GradientsParams {
    let mut length = Length {
        gradients: &gradients,
        squares: None,
    };
    network.visit(&mut length);
    let Some(squares) = length.squares else {
        return gradients;
    };
    let factor = squares
        .sqrt()
        .add_scalar(1e-6)
        .recip()
        .mul_scalar(most)
        .clamp_max(1.0);
    let mut scale = Scale {
        from: gradients,
        to: GradientsParams::new(),
        factor,
    };
    network.visit(&mut scale);
    scale.to
}

struct Length<'a> {
    gradients: &'a GradientsParams,
    squares: Option<Tensor<1>>,
}

impl ModuleVisitor for Length<'_> {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(parameter.id) {
            let squares = gradient.square().sum();
            self.squares = Some(match self.squares.take() {
                Some(sum) => sum + squares,
                None => squares,
            });
        }
    }
}

struct Scale {
    from: GradientsParams,
    to: GradientsParams,
    factor: Tensor<1>,
}

impl ModuleVisitor for Scale {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if let Some(gradient) = self.from.remove::<D>(parameter.id) {
            let factor = self.factor.clone().reshape([1; D]);
            self.to.register(parameter.id, gradient * factor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::LinearConfig;
    use burn::tensor::Device;

    #[test]
    fn long_gradients_become_short_and_short_ones_stay() {
        let device = Device::flex().autodiff();
        let network = LinearConfig::new(2, 1).init(&device);
        let input = Tensor::<2>::from_floats([[3.0, 4.0]], &device);
        let length = |most: f64| -> f32 {
            let gradients = network.forward(input.clone()).sum().backward();
            let gradients = GradientsParams::from_grads(gradients, &network);
            let clipped = clip(&network, gradients, most);
            let weight: Tensor<2> = clipped.get(network.weight.id).unwrap();
            let bias: Tensor<1> = clipped.get(network.bias.as_ref().unwrap().id).unwrap();
            (weight.square().sum() + bias.square().sum())
                .sqrt()
                .into_scalar()
        };
        assert!((length(1.0) - 1.0).abs() < 1e-5);
        // The gradient is (3, 4, 1).
        assert!((length(100.0) - 26.0f32.sqrt()).abs() < 1e-5);
    }
}
