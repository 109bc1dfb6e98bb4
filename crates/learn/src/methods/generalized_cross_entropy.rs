//! The generalised cross-entropy: labels that the head finds unlikely weigh less.

use cleanslide_nn::losses::GeneralizedCrossEntropy;
use serde::{Deserialize, Serialize};

use super::cross_entropy::ByLoss;
use super::{Build, Context, Learner, check};
use crate::classify::Examples;
use crate::error::Result;

/// Settings of the generalised cross-entropy ([`GeneralizedCrossEntropy`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GeneralizedCrossEntropySettings {
    /// Robustness in (0, 1]: towards 0 the cross-entropy, at 1 the mean absolute error. Default 0.7.
    pub q: f64,
}

impl Default for GeneralizedCrossEntropySettings {
    fn default() -> Self {
        Self {
            q: GeneralizedCrossEntropy::default().q,
        }
    }
}

impl GeneralizedCrossEntropySettings {
    /// The loss, if its settings are in range.
    pub(crate) fn loss(&self) -> Result<GeneralizedCrossEntropy> {
        let valid = self.q > 0.0 && self.q <= 1.0;
        check("q", self.q, valid, "expected more than 0 and at most 1")?;
        Ok(GeneralizedCrossEntropy { q: self.q })
    }
}

impl Build for GeneralizedCrossEntropySettings {
    fn build(&self, _: &Examples, _: &Context) -> Result<Learner> {
        Ok(ByLoss(self.loss()?).into())
    }
}
