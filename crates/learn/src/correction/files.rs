//! Where the labels of an epoch lie: `corrections/epoch-0012.json`, and masks in the folder `corrections/epoch-0012`, in
//! the folder of a training.

use std::path::{Path, PathBuf};

use cleanslide_data::store::write_file;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// Files of single epochs in a folder of this name.
pub(crate) struct EpochFiles(pub(crate) &'static str);

/// Those of corrected labels.
pub(crate) const CORRECTIONS: EpochFiles = EpochFiles("corrections");

impl EpochFiles {
    /// The folder of an epoch, counted from 1.
    pub(crate) fn folder(&self, training: &Path, epoch: usize) -> PathBuf {
        training.join(self.0).join(format!("epoch-{epoch:04}"))
    }

    fn table(&self, training: &Path, epoch: usize) -> PathBuf {
        self.folder(training, epoch).with_extension("json")
    }

    /// Writes the table of an epoch, after all that lies in its folder: without it there is nothing of that epoch.
    pub(crate) fn write(
        &self,
        training: &Path,
        epoch: usize,
        content: &impl Serialize,
    ) -> Result<()> {
        let text = serde_json::to_vec(content).map_err(|error| Error::Device(error.to_string()))?;
        Ok(write_file(&self.table(training, epoch), &text)?)
    }

    /// Reads it.
    pub(crate) fn read<T: DeserializeOwned>(&self, training: &Path, epoch: usize) -> Result<T> {
        let path = self.table(training, epoch);
        let text = std::fs::read(&path)
            .map_err(|error| cleanslide_data::Error::io("read", &path, error))?;
        serde_json::from_slice(&text).map_err(|error| Error::Damaged {
            path,
            problem: error.to_string(),
        })
    }

    /// The epochs that there is something of, ascending.
    pub(crate) fn epochs(&self, training: &Path) -> Result<Vec<usize>> {
        let folder = training.join(self.0);
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(cleanslide_data::Error::io("read", &folder, error).into()),
        };
        let mut epochs: Vec<usize> = entries
            .filter_map(|entry| {
                let name = entry.ok()?.file_name().into_string().ok()?;
                let number = name.strip_prefix("epoch-")?.strip_suffix(".json")?;
                number.parse().ok()
            })
            .collect();
        epochs.sort_unstable();
        Ok(epochs)
    }
}
