//! Folders in which one process works at a time.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};

const LOCK: &str = "lock";

/// A folder in which no other process works: its lock goes with the process.
pub struct Held {
    folder: PathBuf,
    _lock: File,
}

impl Held {
    /// Keeps other processes out of a folder that exists; `works` is what they would do there, for messages.
    pub fn new(folder: &Path, works: &str) -> Result<Self> {
        let path = folder.join(LOCK);
        let refused = |action, error| cleanslide_data::Error::io(action, &path, error);
        let lock = File::create(&path).map_err(|error| refused("create", error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::environment(format!(
                    "another process {works} in {}",
                    folder.display()
                ))
                .help("Wait until it is done, or choose another folder with `--out`."));
            }
            // There are file systems without locks, on which nobody can be kept out.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(refused("lock", error).into()),
        }
        Ok(Self {
            folder: folder.to_owned(),
            _lock: lock,
        })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Lets others in, and leaves no trace.
    pub fn release(self) -> Result<()> {
        let path = self.folder.join(LOCK);
        Ok(fs::remove_file(&path)
            .map_err(|error| cleanslide_data::Error::io("remove", &path, error))?)
    }
}
