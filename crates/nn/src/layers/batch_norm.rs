use burn::module::{Module, Param, RunningState};
use burn::tensor::Tensor;

use super::Start;
use crate::operators::{Activation, Normalization, moments, normalize};

/// Batch normalisation (Ioffe and Szegedy, arXiv 1502.03167); PyTorch's `BatchNorm2d`.
///
/// On a device that records gradients a batch is normalised by its own mean and variance, which the running
/// ones follow; elsewhere, and where it is frozen, by the running ones. A frozen one does not learn either.
#[derive(Module, Debug)]
pub struct BatchNorm {
    pub(crate) weight: Param<Tensor<1>>,
    pub(crate) bias: Param<Tensor<1>>,
    pub(crate) running_mean: RunningState<Tensor<1>>,
    pub(crate) running_var: RunningState<Tensor<1>>,
    #[module(skip)]
    pub(crate) epsilon: f64,
    /// The share of a new batch in the running mean and variance.
    #[module(skip)]
    momentum: f64,
    #[module(skip)]
    frozen: bool,
}

impl BatchNorm {
    /// With PyTorch's constants: 1e-5 is added to the variance, and a new batch has a share of 0.1.
    pub fn new(channels: usize, start: &mut Start) -> Self {
        Self {
            weight: start.constant(1.0, channels),
            bias: start.constant(0.0, channels),
            running_mean: start.running(0.0, channels),
            running_var: start.running(1.0, channels),
            epsilon: 1e-5,
            momentum: 0.1,
            frozen: start.freezes_norms(),
        }
    }

    /// The same, but `epsilon` is added to the variance, and a new batch has a share of `momentum`.
    pub fn with_constants(mut self, epsilon: f64, momentum: f64) -> Self {
        self.epsilon = epsilon;
        self.momentum = momentum;
        self
    }

    /// Images `[n, height, width, channels]`, normalised per channel, and an activation.
    ///
    /// # Panics
    /// When the images have other channels.
    pub fn forward(&self, images: Tensor<4>, activation: Activation) -> Tensor<4> {
        let own_moments = images.device().is_autodiff() && !self.frozen;
        let [mean, variance] = if own_moments {
            let [n, height, width, _] = images.dims();
            let [mean, variance] = moments(images.clone());
            self.follow(&mean, &variance, n * height * width);
            [mean, variance]
        } else {
            [self.running_mean.value(), self.running_var.value()]
        };
        let by = Normalization {
            mean,
            variance,
            own_moments,
            epsilon: self.epsilon,
            activation,
        };
        let [weight, bias] = [&self.weight, &self.bias].map(|parameter| {
            let values = parameter.val();
            if self.frozen { values.detach() } else { values }
        });
        normalize(images, weight, bias, by)
    }

    /// The factor of each channel and what is added then, as the running statistics have it.
    pub(super) fn running_factors(&self) -> [Tensor<1>; 2] {
        let deviation = self.running_var.value().add_scalar(self.epsilon).sqrt();
        let factor = self.weight.val() / deviation;
        let shift = self.bias.val() - self.running_mean.value() * factor.clone();
        [factor, shift]
    }

    fn follow(&self, mean: &Tensor<1>, variance: &Tensor<1>, values: usize) {
        // A running variance is an estimate for all images, over n − 1.
        let unbiased = values as f64 / values.saturating_sub(1).max(1) as f64;
        let step = |running: &RunningState<Tensor<1>>, batch: Tensor<1>, factor: f64| {
            let kept = running.value_sync().mul_scalar(1.0 - self.momentum);
            running.update(kept + batch.detach().mul_scalar(self.momentum * factor));
        };
        step(&self.running_mean, mean.clone(), 1.0);
        step(&self.running_var, variance.clone(), unbiased);
    }
}
