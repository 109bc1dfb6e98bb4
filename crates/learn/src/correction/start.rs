use serde::{Deserialize, Serialize};

use super::{check_count, wrong};
use crate::error::Result;

/// When the given labels are no longer learned from; `name` chooses it in a recipe.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
pub enum Start {
    /// When the measure of progress (of boxes the average precision at an overlap of 0.5, of masks the Dice
    /// coefficient) against them rises by less than a share of its first rise: the fit of
    /// [`Deceleration`](crate::deceleration::Deceleration).
    Deceleration {
        /// By which share the rise has become smaller. Default 0.9.
        #[serde(default = "threshold")]
        threshold: f64,
    },
    /// When the validation, which is of the other data, has not become better for some epochs. The training goes on
    /// from the best one.
    Validation {
        /// How many epochs. Default 3.
        #[serde(default = "patience")]
        patience: usize,
    },
    /// After so many epochs.
    Epoch {
        /// How many.
        epoch: usize,
    },
}

fn threshold() -> f64 {
    0.9
}

fn patience() -> usize {
    3
}

impl Default for Start {
    fn default() -> Self {
        Self::Deceleration {
            threshold: threshold(),
        }
    }
}

impl Start {
    /// Refuses settings out of their range.
    pub(crate) fn check(self) -> Result<()> {
        match self {
            Self::Deceleration { threshold } if !(threshold > 0.0 && threshold < 1.0) => {
                let reason = "expected a number between 0 and 1";
                wrong("threshold", threshold, reason)
            }
            Self::Validation { patience } => check_count("patience", patience),
            Self::Epoch { epoch: 0 } => {
                let reason =
                    "expected at least 1: a network that has learned nothing corrects nothing";
                wrong("epoch", 0, reason)
            }
            _ => Ok(()),
        }
    }
}
