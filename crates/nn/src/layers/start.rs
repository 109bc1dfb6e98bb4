use burn::module::{Param, ParamId, RunningState};
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Where a network's parameters come from before it has learnt anything: a seeded generator, and numbers
/// that name them in the order in which they are made, so that the same seed gives the same network and the
/// state of an optimiser finds its parameters again.
#[derive(Debug)]
pub struct Start<'a> {
    rng: &'a mut ChaCha8Rng,
    device: &'a Device,
    made: u64,
    frozen_norms: bool,
    blank: bool,
}

impl<'a> Start<'a> {
    /// Parameters on `device`, with gradients where it can give them.
    pub fn new(rng: &'a mut ChaCha8Rng, device: &'a Device) -> Self {
        Self {
            rng,
            device,
            made: 0,
            frozen_norms: false,
            blank: false,
        }
    }

    /// Zeros instead of random values, for a network whose every parameter a file will replace: those of large ones
    /// take long to draw.
    pub(crate) fn blank(mut self) -> Self {
        self.blank = true;
        self
    }

    /// What `make` makes. If `frozen`, its batch normalisations keep the statistics, factors and summands that they
    /// begin with: PyTorch's `FrozenBatchNorm2d`.
    pub(crate) fn with_frozen_norms<T>(
        &mut self,
        frozen: bool,
        make: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let before = std::mem::replace(&mut self.frozen_norms, frozen);
        let made = make(self);
        self.frozen_norms = before;
        made
    }

    /// Whether batch normalisations keep what they begin with.
    pub(crate) fn freezes_norms(&self) -> bool {
        self.frozen_norms
    }

    /// Values that are uniform in plus and minus 1 / √`fan_in`, as PyTorch draws filters, matrices and their
    /// biases.
    pub(crate) fn uniform<const D: usize>(
        &mut self,
        shape: [usize; D],
        fan_in: usize,
    ) -> Param<Tensor<D>> {
        let count = shape.iter().product();
        let bound = 1.0 / (fan_in as f32).sqrt();
        let values = if self.blank {
            vec![0.0; count]
        } else {
            let values = (0..count).map(|_| self.rng.random_range(-bound..=bound));
            values.collect()
        };
        self.parameter(values, shape)
    }

    /// Values from a normal distribution around 0.
    pub(crate) fn normal<const D: usize>(
        &mut self,
        shape: [usize; D],
        deviation: f32,
    ) -> Param<Tensor<D>> {
        let values = (0..shape.iter().product())
            .map(|_| {
                let value: f32 = StandardNormal.sample(self.rng);
                value * deviation
            })
            .collect();
        self.parameter(values, shape)
    }

    pub(crate) fn constant(&mut self, value: f32, length: usize) -> Param<Tensor<1>> {
        self.parameter(vec![value; length], [length])
    }

    /// What a layer keeps without learning it.
    pub(crate) fn running(&mut self, value: f32, length: usize) -> RunningState<Tensor<1>> {
        let values = Tensor::from_data(TensorData::new(vec![value; length], [length]), self.device);
        RunningState::with_id(self.next(), values)
    }

    fn parameter<const D: usize>(
        &mut self,
        values: Vec<f32>,
        shape: [usize; D],
    ) -> Param<Tensor<D>> {
        let values = Tensor::from_data(TensorData::new(values, shape), self.device);
        let values = if self.device.is_autodiff() {
            values.require_grad()
        } else {
            values
        };
        Param::initialized(self.next(), values)
    }

    fn next(&mut self) -> ParamId {
        self.made += 1;
        ParamId::from(self.made)
    }
}
