//! Normalised plus reverse cross-entropy: an active and a passive loss, both symmetric.

use cleanslide_nn::losses::NceRce;
use serde::{Deserialize, Serialize};

use super::cross_entropy::ByLoss;
use super::{Build, Context, Learner, check};
use crate::classify::Examples;
use crate::error::Result;

/// Settings of the active-passive loss ([`NceRce`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NceRceSettings {
    /// The share of the normalised cross-entropy, at least 0. Default 1.
    pub alpha: f64,
    /// The share of the reverse cross-entropy, at least 0. Default 1.
    pub beta: f64,
}

impl Default for NceRceSettings {
    fn default() -> Self {
        let NceRce { alpha, beta } = NceRce::default();
        Self { alpha, beta }
    }
}

impl NceRceSettings {
    /// The loss, if its settings are in range.
    pub(crate) fn loss(&self) -> Result<NceRce> {
        check(
            "alpha",
            self.alpha,
            self.alpha >= 0.0,
            "expected at least 0",
        )?;
        check("beta", self.beta, self.beta >= 0.0, "expected at least 0")?;
        Ok(NceRce {
            alpha: self.alpha,
            beta: self.beta,
        })
    }
}

impl Build for NceRceSettings {
    fn build(&self, _: &Examples, _: &Context) -> Result<Learner> {
        Ok(ByLoss(self.loss()?).into())
    }
}
