//! Folders that a command makes: they appear whole or not at all, and nothing is overwritten.

use std::fs;
use std::io;
use std::path::Path;

use cleanslide_data::Error;
use cleanslide_data::store::publish_folder;

use crate::failure::{Failure, Result};

/// Refuses a file or folder that is there already.
pub fn refuse_existing(path: &Path) -> Result<()> {
    if path.exists() {
        return Err(Failure::usage(format!("{} exists already", path.display()))
            .help("Choose another name, or remove it; nothing is overwritten."));
    }
    Ok(())
}

/// Makes a folder that must not exist yet; `fill` gets a temporary one that takes its name at the
/// end.
pub fn publish<T>(path: &Path, fill: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    refuse_existing(path)?;
    let mut result = None;
    // A failure of ours passes through what only knows those of the data crate.
    let published = publish_folder(path, |folder| {
        let filled = fill(folder);
        let failed = filled.is_err();
        result = Some(filled);
        if failed {
            return Err(Error::io("write", path, io::Error::other("given up")));
        }
        Ok(())
    });
    match (result, published) {
        (Some(Err(failure)), _) => Err(failure),
        (_, Err(error)) => Err(error.into()),
        (Some(filled), Ok(())) => filled,
        (None, Ok(())) => Err(Failure::other(format!(
            "{} was not written",
            path.display()
        ))),
    }
}

/// Writes a file of a folder that is being made.
pub fn save(path: &Path, bytes: &[u8]) -> Result<()> {
    Ok(fs::write(path, bytes).map_err(|error| Error::io("write", path, error))?)
}
