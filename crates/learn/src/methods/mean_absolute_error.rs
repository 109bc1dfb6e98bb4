//! The mean absolute error: bounded and symmetric, so that no wrong label pulls without end.

use cleanslide_nn::losses::MeanAbsoluteError;
use serde::{Deserialize, Serialize};

use super::cross_entropy::ByLoss;
use super::{Build, Context, Learner};
use crate::classify::Examples;
use crate::error::Result;

/// Settings of the mean absolute error ([`MeanAbsoluteError`]); there are none.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MeanAbsoluteErrorSettings {}

impl MeanAbsoluteErrorSettings {
    /// The loss, if its settings are in range.
    pub(crate) fn loss(&self) -> Result<MeanAbsoluteError> {
        Ok(MeanAbsoluteError)
    }
}

impl Build for MeanAbsoluteErrorSettings {
    fn build(&self, _: &Examples, _: &Context) -> Result<Learner> {
        Ok(ByLoss(self.loss()?).into())
    }
}
