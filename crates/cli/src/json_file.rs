//! Results for machines, and what commands keep for themselves.

use std::fs;
use std::path::Path;

use cleanslide_data::Error;
use cleanslide_data::store::write_file;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::{Failure, Result};

/// Writes a value as indented JSON.
pub fn write_json(path: &Path, value: &(impl Serialize + ?Sized)) -> Result<()> {
    let text =
        serde_json::to_vec_pretty(value).map_err(|error| Failure::other(error.to_string()))?;
    Ok(write_file(path, &text)?)
}

/// Reads a value that a command wrote.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = fs::read(path).map_err(|error| Error::io("read", path, error))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Failure::input(format!("{}: {error}", path.display())))
}
