//! Bootstrapping: targets are mixed with what the head itself predicts.

use burn::tensor::Tensor;
use cleanslide_nn::losses::{Bootstrapping, CrossEntropy, Loss, Prediction};
use serde::{Deserialize, Serialize};

use super::{Batch, Build, Context, Learner, Method, check};
use crate::classify::Examples;
use crate::error::Result;

/// Settings of bootstrapping ([`Bootstrapping`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BootstrapSettings {
    /// How far labels are believed, in (0, 1]; at 1 it is the cross-entropy. Default 0.8. (The
    /// paper's 0.95 of soft bootstrapping was chosen with gradients through the prediction.)
    pub beta: f64,
    /// What they are mixed with. Default soft.
    pub prediction: Prediction,
    /// Epochs before predictions are mixed in. Default 10.
    pub warm_up: usize,
}

impl Default for BootstrapSettings {
    fn default() -> Self {
        let Bootstrapping { beta, prediction } = Bootstrapping::default();
        Self {
            beta,
            prediction,
            warm_up: 10,
        }
    }
}

/// The loss, if its settings are in range.
pub(crate) fn bootstrapping(beta: f64, prediction: Prediction) -> Result<Bootstrapping> {
    let valid = beta > 0.0 && beta <= 1.0;
    check("beta", beta, valid, "expected more than 0 and at most 1")?;
    Ok(Bootstrapping { beta, prediction })
}

impl Build for BootstrapSettings {
    fn build(&self, _: &Examples, _: &Context) -> Result<Learner> {
        Ok(Bootstrap {
            loss: bootstrapping(self.beta, self.prediction)?,
            warm_up: self.warm_up,
        }
        .into())
    }
}

struct Bootstrap {
    loss: Bootstrapping,
    warm_up: usize,
}

impl Method for Bootstrap {
    fn correct(&mut self, batch: &Batch, _: usize, logits: Tensor<2>) -> Result<Tensor<2>> {
        let given = batch.targets.clone();
        if batch.epoch < self.warm_up {
            return Ok(given);
        }
        Ok(self.loss.mixed(logits, given))
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
