//! The symmetric cross-entropy: one part learns fast, the other tolerates noise.

use cleanslide_nn::losses::SymmetricCrossEntropy;
use serde::{Deserialize, Serialize};

use super::cross_entropy::ByLoss;
use super::{Build, Context, Learner, check};
use crate::classify::Examples;
use crate::error::Result;

/// Settings of the symmetric cross-entropy ([`SymmetricCrossEntropy`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SymmetricCrossEntropySettings {
    /// The share of the cross-entropy, at least 0. Default 0.1.
    pub alpha: f64,
    /// The share of the reverse cross-entropy, at least 0. Default 1.
    pub beta: f64,
}

impl Default for SymmetricCrossEntropySettings {
    fn default() -> Self {
        let SymmetricCrossEntropy { alpha, beta } = SymmetricCrossEntropy::default();
        Self { alpha, beta }
    }
}

impl SymmetricCrossEntropySettings {
    /// The loss, if its settings are in range.
    pub(crate) fn loss(&self) -> Result<SymmetricCrossEntropy> {
        check(
            "alpha",
            self.alpha,
            self.alpha >= 0.0,
            "expected at least 0",
        )?;
        check("beta", self.beta, self.beta >= 0.0, "expected at least 0")?;
        Ok(SymmetricCrossEntropy {
            alpha: self.alpha,
            beta: self.beta,
        })
    }
}

impl Build for SymmetricCrossEntropySettings {
    fn build(&self, _: &Examples, _: &Context) -> Result<Learner> {
        Ok(ByLoss(self.loss()?).into())
    }
}
