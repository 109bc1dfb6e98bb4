//! Crash-safe writing: a file or folder appears whole, or not at all.
//!
//! Everything is written under a temporary name beside its target, flushed to the disk, and
//! renamed. A rename within one folder is atomic, so a process that is killed at any instant
//! leaves the old state or the new one, and perhaps a temporary name that readers ignore.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::error::{Error, Result};

/// Temporary names start with this; readers ignore them.
const PARTIAL_PREFIX: &str = ".partial-";

/// Writes `bytes` to `path`, replacing what was there, atomically and durably.
///
/// # Errors
/// Any failure of the file system; the old file is then still in place.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    write_file_with(path, |file| file.write_all(bytes))
}

/// What a file may be called after a name: what is no letter, digit, `-` or `.` becomes `_`, so that several names may become one.
pub fn in_file_names(name: &str) -> String {
    let safe = |c: char| match c.is_alphanumeric() || "-.".contains(c) {
        true => c,
        false => '_',
    };
    name.chars().map(safe).collect()
}

/// Like [`write_file`], for content that is produced piece by piece.
///
/// # Errors
/// Any failure of the file system or of `fill`; the old file is then still in place.
pub fn write_file_with(
    path: &Path,
    fill: impl FnOnce(&mut std::io::BufWriter<&File>) -> std::io::Result<()>,
) -> Result<()> {
    let folder = parent(path);
    fs::create_dir_all(folder).map_err(|error| Error::io("create", folder, error))?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(PARTIAL_PREFIX);
    // Temporary files are private by default; results are for the whole lab, as `umask` says.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let temporary = builder
        .tempfile_in(folder)
        .map_err(|error| Error::io("create a file in", folder, error))?;
    let fail = |error| Error::io("write", path, error);
    let mut writer = std::io::BufWriter::with_capacity(1 << 16, temporary.as_file());
    fill(&mut writer)
        .and_then(|()| writer.flush())
        .map_err(fail)?;
    drop(writer);
    temporary.as_file().sync_all().map_err(fail)?;
    temporary
        .persist(path)
        .map_err(|error| Error::io("rename to", path, error.error))?;
    sync_folder(folder)
}

/// Makes the folder `path` appear whole: `fill` writes into a temporary folder beside it, which
/// is then flushed and renamed.
///
/// # Errors
/// The folder exists already and is not empty, `fill` fails, or the file system does. Nothing is
/// left behind unless the process is killed.
pub fn publish_folder(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let parent = parent(path);
    fs::create_dir_all(parent).map_err(|error| Error::io("create", parent, error))?;
    let temporary = tempfile::Builder::new()
        .prefix(PARTIAL_PREFIX)
        .tempdir_in(parent)
        .map_err(|error| Error::io("create a folder in", parent, error))?;
    open_to_group(temporary.path())?;
    fill(temporary.path())?;
    sync_tree(temporary.path())?;
    fs::rename(temporary.path(), path).map_err(|error| Error::io("rename to", path, error))?;
    // The temporary name is gone, so there is nothing left for `TempDir` to remove.
    let _ = temporary.keep();
    sync_folder(parent)
}

/// True for names that only a killed process leaves behind.
pub fn is_partial(name: &str) -> bool {
    name.starts_with(PARTIAL_PREFIX)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn sync_tree(folder: &Path) -> Result<()> {
    let entries = fs::read_dir(folder).map_err(|error| Error::io("read", folder, error))?;
    for entry in entries {
        let path = entry
            .map_err(|error| Error::io("read", folder, error))?
            .path();
        if path.is_dir() {
            sync_tree(&path)?;
        } else {
            File::open(&path)
                .and_then(|file| file.sync_all())
                .map_err(|error| Error::io("flush", &path, error))?;
        }
    }
    sync_folder(folder)
}

/// Makes renames in a folder durable. Only Unix can and needs to.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder)
        .and_then(|file| file.sync_all())
        .map_err(|error| Error::io("flush", folder, error))
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> Result<()> {
    Ok(())
}

#[cfg(unix)]
fn open_to_group(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
        .map_err(|error| Error::io("set permissions of", folder, error))
}

#[cfg(not(unix))]
fn open_to_group(_folder: &Path) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_keeps_the_old_file_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        write_file(&path, b"old").unwrap();
        let failed = write_file_with(&path, |file| {
            file.write_all(b"half of the new")?;
            Err(std::io::Error::from(std::io::ErrorKind::StorageFull))
        });
        assert!(failed.unwrap_err().help().unwrap().contains("space"));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v1");
        let failed = publish_folder(&path, |inside| {
            write_file(&inside.join("classes.csv"), b"x")?;
            Err(Error::request("stop"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        publish_folder(&path, |inside| {
            write_file(&inside.join("classes.csv"), b"x")
        })
        .unwrap();
        assert_eq!(fs::read(path.join("classes.csv")).unwrap(), b"x");
        assert!(publish_folder(&path, |inside| write_file(&inside.join("a"), b"")).is_err());
    }
}
