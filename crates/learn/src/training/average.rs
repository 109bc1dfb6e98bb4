//! A running average of a network's parameters.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;

/// A network whose parameters, and whatever else it keeps, follow those of another that is trained: after each
/// step they are `keep` parts of themselves and `1 − keep` of the other's (Polyak and Juditsky, 1992; Tarvainen
/// and Valpola, arXiv 1703.01780). In the first steps less is kept, `min(keep, (1 + t) / (10 + t))`, so that
/// nothing of the random beginning stays.
#[derive(Debug, Clone)]
pub struct Average<M> {
    /// The average, without gradients.
    pub network: M,
    keep: f64,
    steps: usize,
}

impl<M: Module> Average<M> {
    /// An average that has followed a network for some steps.
    pub fn new(network: M, keep: f64, steps: usize) -> Self {
        Self {
            network,
            keep,
            steps,
        }
    }

    /// The steps that it has followed.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Takes one step after `network`, which is without gradients.
    pub fn follow(self, network: &M) -> Self {
        let steps = self.steps as f64;
        let keep = self.keep.min((1.0 + steps) / (10.0 + steps));
        let mut values = Values::default();
        network.visit(&mut values);
        let network = self.network.map(&mut Blend { values, keep });
        Self {
            network,
            keep: self.keep,
            steps: self.steps + 1,
        }
    }
}

/// Parameters by number, flat.
#[derive(Default)]
struct Values(BTreeMap<u64, Tensor<1>>);

impl ModuleVisitor for Values {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        let value = parameter.val();
        let length = value.shape().num_elements();
        self.0.insert(parameter.id.val(), value.reshape([length]));
    }
}

struct Blend {
    values: Values,
    keep: f64,
}

impl ModuleMapper for Blend {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let id = parameter.id;
        match self.values.0.remove(&id.val()) {
            Some(other) => parameter.map(|value| {
                let other = other.reshape(value.dims());
                value.mul_scalar(self.keep) + other.mul_scalar(1.0 - self.keep)
            }),
            None => parameter,
        }
    }
}
