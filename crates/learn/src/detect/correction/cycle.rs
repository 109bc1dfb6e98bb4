//! Corrected labels as files.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::CorrectedImage;
use crate::correction::CORRECTIONS;
use crate::error::Result;

/// The labels that a network gave after an epoch: `corrections/epoch-0012.json` in the folder of its training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cycle {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// The images that are learned from.
    pub images: Vec<CycleImage>,
}

/// The corrected labels of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CycleImage {
    /// What it is called.
    pub image: String,
    /// What is said of it.
    #[serde(flatten)]
    pub labels: CorrectedImage,
}

impl Cycle {
    /// Writes the file into the folder of a training.
    pub(in crate::detect) fn write(&self, folder: &Path) -> Result<()> {
        CORRECTIONS.write(folder, self.epoch, self)
    }

    /// The epochs after which labels were corrected in the folder of a training, ascending; none if there is no such
    /// folder.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn epochs(folder: &Path) -> Result<Vec<usize>> {
        CORRECTIONS.epochs(folder)
    }

    /// Reads the labels that were given after an epoch.
    ///
    /// # Errors
    /// A file that cannot be read, or is damaged.
    pub fn read(folder: &Path, epoch: usize) -> Result<Self> {
        CORRECTIONS.read(folder, epoch)
    }
}
