//! Where a training goes on after it was interrupted.

use std::fs;
use std::path::{Path, PathBuf};

use cleanslide_data::Error;
use cleanslide_data::store::publish_folder;

const PREFIX: &str = "epoch-";

/// A folder of checkpoints, each a folder that appears whole or not at all.
#[derive(Debug, Clone)]
pub struct Checkpoints(PathBuf);

/// A checkpoint: named files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The epochs that were done.
    pub epoch: usize,
    /// The folder with its files.
    pub folder: PathBuf,
}

impl Checkpoints {
    /// Those in the folder of a training.
    pub fn of(training: &Path) -> Self {
        Self::new(training.join("checkpoints"))
    }

    /// The checkpoints in a folder, which need not exist yet.
    pub fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// The latest checkpoint.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn latest(&self) -> Result<Option<Checkpoint>, Error> {
        Ok(self.all()?.pop())
    }

    /// Writes the files of a checkpoint, and then removes the earlier ones.
    ///
    /// # Errors
    /// The file system refuses; the earlier checkpoints are then still there.
    pub fn write(&self, epoch: usize, files: &[(&str, &[u8])]) -> Result<(), Error> {
        let earlier = self.all()?;
        publish_folder(&self.0.join(format!("{PREFIX}{epoch:06}")), |folder| {
            for (name, content) in files {
                let path = folder.join(name);
                fs::write(&path, content).map_err(|error| Error::io("write", &path, error))?;
            }
            Ok(())
        })?;
        earlier.iter().try_for_each(|old| remove(&old.folder))
    }

    /// Removes all checkpoints: the training is done, and its network is saved.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn clear(&self) -> Result<(), Error> {
        if self.0.exists() {
            remove(&self.0)?;
        }
        Ok(())
    }

    /// In the order of their epochs.
    fn all(&self) -> Result<Vec<Checkpoint>, Error> {
        let refused = |error| Error::io("read", &self.0, error);
        if !self.0.exists() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(refused)? {
            let folder = entry.map_err(refused)?.path();
            let name = folder.file_name().and_then(|name| name.to_str());
            let epoch = name.and_then(|name| name.strip_prefix(PREFIX)?.parse().ok());
            if let Some(epoch) = epoch {
                found.push(Checkpoint { epoch, folder });
            }
        }
        found.sort_by_key(|checkpoint| checkpoint.epoch);
        Ok(found)
    }
}

impl Checkpoint {
    /// The content of one of its files; `None` if it has no such file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = self.folder.join(name);
        if !path.exists() {
            return Ok(None);
        }
        fs::read(&path)
            .map(Some)
            .map_err(|error| Error::io("read", &path, error))
    }
}

fn remove(folder: &Path) -> Result<(), Error> {
    fs::remove_dir_all(folder).map_err(|error| Error::io("remove", folder, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_whole_checkpoint_counts() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(folder.path().join("checkpoints"));
        assert_eq!(checkpoints.latest().unwrap(), None);
        checkpoints.write(9, &[("state", b"nine")]).unwrap();
        checkpoints.write(10, &[("state", b"ten")]).unwrap();
        // What a killed process leaves behind.
        fs::create_dir(folder.path().join("checkpoints/.partial-x")).unwrap();
        let latest = checkpoints.latest().unwrap().unwrap();
        assert_eq!(latest.epoch, 10);
        assert_eq!(latest.read("state").unwrap().unwrap(), b"ten");
        assert_eq!(latest.read("other").unwrap(), None);
        assert_eq!(checkpoints.all().unwrap().len(), 1);
        checkpoints.clear().unwrap();
        assert_eq!(checkpoints.latest().unwrap(), None);
    }
}
