//! Labels that are corrected by the network that learns from them (SISSI: Elbatel, Bornberg et al., arXiv 2208.03327).
//!
//! At first a detector learns from the given labels, best beside others that are right ([`Trainer::also`]). When it
//! begins to learn what is wrong with them ([`Start`]), it gives them up: between epochs it predicts its own images in
//! many views, and what these agree on are the labels of the next epochs, as many boxes as it finds. Objects that it
//! misses would be learned as background: they are blurred away, or left open ([`Background`]).
//!
//! The network that predicts is the running average where there is one, a teacher that follows slowly.
//!
//! [`Trainer::also`]: crate::detect::Trainer::also

mod changes;
mod cycle;
mod labels;
mod settings;
mod synthetic;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::deceleration::Deceleration;
use crate::training::Progress;

pub use changes::{Change, ChangeCounts, changes};
pub use cycle::{Cycle, CycleImage};
pub use labels::{CorrectedBox, CorrectedImage};
pub use settings::{Background, BoxTrust, CorrectionSettings, Start};
pub(super) use synthetic::synthetic;

/// What is noted of each epoch in which the given labels are learned from, where their fit decides the start.
pub const AGREEMENT: &str = "AP50 against the given labels";

/// What is noted of each epoch after which labels were corrected: how many boxes there are.
pub const CORRECTED: &str = "corrected boxes";

/// All that a training has corrected so far.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Corrections {
    /// The average precision against the given labels after each epoch before the start.
    pub(super) agreement: Vec<f64>,
    /// The epoch after which labels were corrected first.
    pub(super) started: Option<usize>,
    /// By item.
    pub(super) images: BTreeMap<usize, CorrectedImage>,
}

impl Corrections {
    /// Whether labels are corrected from this epoch on for the first time.
    pub(super) fn starts(&self, start: Start, progress: Progress) -> bool {
        self.started.is_none()
            && match start {
                Start::Deceleration { threshold } => Deceleration::fit(&self.agreement)
                    .is_some_and(|fit| fit.slowed(self.agreement.len() as f64) > threshold),
                Start::Validation { patience } => progress
                    .best
                    .is_some_and(|best| progress.epoch - best >= patience),
                Start::Epoch { epoch } => progress.epoch >= epoch,
            }
    }

    /// Whether labels are corrected after this epoch.
    pub(super) fn are_due(&self, every: usize, epoch: usize) -> bool {
        self.started
            .is_some_and(|started| (epoch - started).is_multiple_of(every))
    }
}
