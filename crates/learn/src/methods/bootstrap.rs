//! Soft bootstrapping: targets are mixed with what the head itself predicts.

use burn::tensor::{Tensor, activation::softmax};
use cleanslide_nn::losses::{CrossEntropy, Loss};
use serde::{Deserialize, Serialize};

use super::{Batch, Build, Context, Learner, Method, check};
use crate::classify::Examples;
use crate::error::Result;

/// Settings of soft bootstrapping, Reed et al. (arXiv 1412.6596):
///
/// ```text
/// l = cross_entropy(p, beta * y + (1 - beta) * p)
/// ```
///
/// The predictions that are mixed in are constants. Soft targets are mixed as they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BootstrapSettings {
    /// How far labels are believed, in (0, 1]; at 1 it is the cross-entropy. Default 0.8. (The
    /// paper's 0.95 was chosen with gradients through the prediction.)
    pub beta: f64,
    /// Epochs before predictions are mixed in. Default 10.
    pub warm_up: usize,
}

impl Default for BootstrapSettings {
    fn default() -> Self {
        Self {
            beta: 0.8,
            warm_up: 10,
        }
    }
}

impl Build for BootstrapSettings {
    fn build(&self, _: &Examples, _: &Context) -> Result<Learner> {
        let valid = self.beta > 0.0 && self.beta <= 1.0;
        check(
            "beta",
            self.beta,
            valid,
            "expected more than 0 and at most 1",
        )?;
        Ok(Bootstrap(self.clone()).into())
    }
}

struct Bootstrap(BootstrapSettings);

impl Method for Bootstrap {
    fn correct(&mut self, batch: &Batch, _: usize, logits: Tensor<2>) -> Result<Tensor<2>> {
        let given = batch.targets.clone();
        if batch.epoch < self.0.warm_up {
            return Ok(given);
        }
        let own = softmax(logits, 1);
        Ok(given.mul_scalar(self.0.beta) + own.mul_scalar(1.0 - self.0.beta))
    }

    fn weigh(
        &mut self,
        _: &Batch,
        _: usize,
        logits: Tensor<2>,
        targets: Tensor<2>,
    ) -> Result<Tensor<1>> {
        Ok(CrossEntropy::default().per_item(logits, targets))
    }

    fn is_stationary(&self) -> bool {
        false
    }
}
