//! Where the labels of an epoch lie: `corrections/epoch-0012.json`, and masks in the folder `corrections/epoch-0012`, in
//! the folder of a training.

use std::path::{Path, PathBuf};

use crate::error::Result;

const FOLDER: &str = "corrections";

/// The table of the labels of an epoch, counted from 1. It is written last: without it there are none.
pub(crate) fn table(training: &Path, epoch: usize) -> PathBuf {
    masks(training, epoch).with_extension("json")
}

/// The folder of the masks of an epoch.
pub(crate) fn masks(training: &Path, epoch: usize) -> PathBuf {
    training.join(FOLDER).join(format!("epoch-{epoch:04}"))
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
