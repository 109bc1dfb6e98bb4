//! Results for machines.

use std::path::Path;

use cleanslide_data::store::write_file;
use serde::Serialize;

use crate::failure::{Failure, Result};

/// Writes a value as indented JSON.
pub fn write_json(path: &Path, value: &(impl Serialize + ?Sized)) -> Result<()> {
    let text =
        serde_json::to_vec_pretty(value).map_err(|error| Failure::other(error.to_string()))?;
    Ok(write_file(path, &text)?)
}
