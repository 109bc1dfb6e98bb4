//! Cross-entropy: the plain way, against which the others are measured.

use burn::tensor::Tensor;
use cleanslide_nn::losses::{CrossEntropy, Loss};
use serde::{Deserialize, Serialize};

use super::{Batch, Build, Context, Learner, Method, check};
use crate::classify::Examples;
use crate::error::Result;

/// Settings of the cross-entropy ([`CrossEntropy`]).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CrossEntropySettings {
    /// Label smoothing in [0, 1): the share of every target that goes to all classes alike.
    /// Default 0.
    pub label_smoothing: f64,
}

impl CrossEntropySettings {
    /// The loss, if its settings are in range.
    pub(crate) fn loss(&self) -> Result<CrossEntropy> {
        let smoothing = self.label_smoothing;
        let valid = (0.0..1.0).contains(&smoothing);
        check(
            "label_smoothing",
            smoothing,
            valid,
            "expected at least 0 and less than 1",
        )?;
        Ok(CrossEntropy {
            label_smoothing: smoothing,
        })
    }
}

impl Build for CrossEntropySettings {
    fn build(&self, _: &Examples, _: &Context) -> Result<Learner> {
        Ok(ByLoss(self.loss()?).into())
    }
}

/// A method that is nothing but a loss: it weighs, and leaves the other verbs alone.
pub(super) struct ByLoss<L>(pub L);

impl<L: Loss> Method for ByLoss<L> {
    fn weigh(
        &mut self,
        _: &Batch,
        _: usize,
        logits: Tensor<2>,
        targets: Tensor<2>,
    ) -> Result<Tensor<1>> {
        Ok(self.0.per_item(logits, targets))
    }
}
