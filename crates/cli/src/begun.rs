//! Folders that a command works in until all is done: what was asked is kept there, and only the same goes on.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::{Failure, Result};
use crate::json_file::{read_json, write_json};
use crate::new_folder::refuse_existing;

const REQUEST: &str = "request.json";

/// Whether a folder was begun with this request; `others` is what another one would differ in, for messages.
///
/// # Errors
/// It was begun with another request, or holds something else.
pub fn is_begun<A>(out: &Path, asked: &A, others: &str) -> Result<bool>
where
    A: PartialEq + DeserializeOwned,
{
    let path = out.join(REQUEST);
    if !path.exists() {
        refuse_existing(out)?;
        return Ok(false);
    }
    if read_json::<A>(&path)? == *asked {
        return Ok(true);
    }
    Err(
        Failure::usage(format!("{} was begun with {others}", out.display())).help(format!(
            "{} says which: ask for the same again, or choose another folder with `--out`.",
            path.display()
        )),
    )
}

/// Makes the folder, with what is asked in it.
pub fn begin(out: &Path, asked: &impl Serialize) -> Result<()> {
    write_json(&out.join(REQUEST), asked)
}
