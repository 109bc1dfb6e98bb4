//! Judgements as files.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::JudgedObject;
use crate::correction::EpochFiles;
use crate::error::Result;

pub(super) const FILES: EpochFiles = EpochFiles("selections");

/// What was decided about the given labels after an epoch: `selections/epoch-0012.json` in the folder of a training. What
/// is learned from them lies beside as a [`MaskCycle`](crate::segment::correction::MaskCycle).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SelectionCycle {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// The estimated share of objects that are false.
    pub false_share: f64,
    /// The images that are learned from.
    pub images: Vec<SelectionCycleImage>,
}

/// What was decided about the labels of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SelectionCycleImage {
    /// What it is called.
    pub image: String,
    /// The given objects, by their numbers.
    pub objects: Vec<JudgedObject>,
    /// How many objects were found that nobody had marked.
    pub found: usize,
}

impl SelectionCycle {
    /// The epochs after which labels were judged in the folder of a training, ascending; none if there is no such folder.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn epochs(training: &Path) -> Result<Vec<usize>> {
        FILES.epochs(training)
    }

    /// Reads what was decided after an epoch.
    ///
    /// # Errors
    /// A file that cannot be read, or is damaged.
    pub fn read(training: &Path, epoch: usize) -> Result<Self> {
        FILES.read(training, epoch)
    }
}
