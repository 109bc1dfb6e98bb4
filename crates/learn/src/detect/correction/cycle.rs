//! Corrected labels as files.

use std::path::Path;

use cleanslide_data::store::write_file;
use serde::{Deserialize, Serialize};

use super::CorrectedImage;
use crate::correction;
use crate::error::{Error, Result};

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
        let text = serde_json::to_vec(self).map_err(|error| Error::Device(error.to_string()))?;
        Ok(write_file(&correction::table(folder, self.epoch), &text)?)
    }

    /// The epochs after which labels were corrected in the folder of a training, ascending; none if there is no such
    /// folder.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn epochs(folder: &Path) -> Result<Vec<usize>> {
        correction::epochs(folder)
    }

    /// Reads the labels that were given after an epoch.
    ///
    /// # Errors
    /// A file that cannot be read, or is damaged.
    pub fn read(folder: &Path, epoch: usize) -> Result<Self> {
        let path = correction::table(folder, epoch);
        let text = std::fs::read(&path)
            .map_err(|error| cleanslide_data::Error::io("read", &path, error))?;
        serde_json::from_slice(&text).map_err(|error| Error::Damaged {
            path,
            problem: error.to_string(),
        })
    }
}
