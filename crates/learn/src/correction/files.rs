//! Where the labels of an epoch lie: `corrections/epoch-0012.json`, and masks in the folder `corrections/epoch-0012`, in
//! the folder of a training.

use std::path::{Path, PathBuf};

use cleanslide_data::store::write_file;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

const FOLDER: &str = "corrections";

/// The folder of the masks of an epoch, counted from 1.
pub(crate) fn masks(training: &Path, epoch: usize) -> PathBuf {
    training.join(FOLDER).join(format!("epoch-{epoch:04}"))
}

fn table(training: &Path, epoch: usize) -> PathBuf {
    masks(training, epoch).with_extension("json")
}

/// Writes the table of the labels of an epoch, after all their masks: without it there are no labels.
pub(crate) fn write(training: &Path, epoch: usize, labels: &impl Serialize) -> Result<()> {
    let text = serde_json::to_vec(labels).map_err(|error| Error::Device(error.to_string()))?;
    Ok(write_file(&table(training, epoch), &text)?)
}

/// Reads it.
pub(crate) fn read<T: DeserializeOwned>(training: &Path, epoch: usize) -> Result<T> {
    let path = table(training, epoch);
    let text =
        std::fs::read(&path).map_err(|error| cleanslide_data::Error::io("read", &path, error))?;
    serde_json::from_slice(&text).map_err(|error| Error::Damaged {
        path,
        problem: error.to_string(),
    })
}

/// The epochs that there are labels of, ascending; none if labels were never corrected.
pub(crate) fn epochs(training: &Path) -> Result<Vec<usize>> {
    let folder = training.join(FOLDER);
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
