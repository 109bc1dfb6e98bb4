//! The focal loss: attention to hard items, which wrong labels are.

use cleanslide_nn::losses::Focal;
use serde::{Deserialize, Serialize};

use super::cross_entropy::ByLoss;
use super::{Build, Context, Learner, check};
use crate::classify::Examples;
use crate::error::Result;

/// Settings of the focal loss ([`Focal`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FocalSettings {
    /// How strongly easy items are discounted, at least 0. Default 2.
    pub gamma: f64,
}

impl Default for FocalSettings {
    fn default() -> Self {
        Self {
            gamma: Focal::default().gamma,
        }
    }
}

impl FocalSettings {
    /// The loss, if its settings are in range.
    pub(crate) fn loss(&self) -> Result<Focal> {
        check(
            "gamma",
            self.gamma,
            self.gamma >= 0.0,
            "expected at least 0",
        )?;
        Ok(Focal { gamma: self.gamma })
    }
}

impl Build for FocalSettings {
    fn build(&self, _: &Examples, _: &Context) -> Result<Learner> {
        Ok(ByLoss(self.loss()?).into())
    }
}
