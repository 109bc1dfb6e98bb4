//! Masks of objects that are corrected by the network that learns from them: what SISSI does for boxes (Elbatel,
//! Bornberg et al., arXiv 2208.03327), for objects with outlines. That is ours, not the paper's.
//!
//! At first a network learns from the given masks, best beside others that are right ([`Trainer::also`]). When it begins
//! to learn what is wrong with them ([`Start`]), it gives them up: between epochs it predicts its own images in many
//! views, the mean of which tells objects from each other as in every prediction. Those that are sure enough are the
//! labels of the next epochs, as many as it finds. Objects that it misses would be learned as background: they are
//! left open, or blurred away ([`Background`]).
//!
//! [`Trainer::also`]: crate::segment::Trainer::also
//! [`Start`]: crate::correction::Start
//! [`Background`]: crate::correction::Background

mod changes;
mod cycle;
mod labels;
mod settings;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use changes::{GivenObject, ObjectChange, changes};
pub use cycle::{MaskCycle, MaskCycleImage, mask_path};
pub use labels::{CorrectedMask, CorrectedObject};
pub use settings::MaskCorrectionSettings;

/// The masks that are learned from; they lie in files, for there may be many.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Masks {
    /// The epoch after which they were corrected.
    pub(super) epoch: Option<usize>,
    /// The class of each object, by item.
    pub(super) classes: BTreeMap<usize, Vec<usize>>,
}
