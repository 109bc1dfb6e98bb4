//! Crash-safe writing: a file or folder appears whole, or not at all.
//!
//! Everything is written under a temporary name beside its target, flushed to the disk, and
//! renamed. A rename within one folder is atomic, so a process that is killed at any instant
//! leaves the old state or the new one, and perhaps a temporary name that readers ignore.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Temporary names start with this; readers ignore them.
const PARTIAL_PREFIX: &str = ".partial-";

/// What is complete but not in its places yet: see [`publish_together`].
const AGREED: &str = ".agreed";

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

/// Makes several files and folders of `root` appear together, or none of them. `fill` writes them into a temporary
/// folder, at the places that they are to have in `root`: files directly in it, which replace those that are there, and
/// folders in folders, which must be new.
///
/// All are written and flushed before one rename agrees on them; then each takes its place. A process that is killed before
/// that rename leaves `root` as it was, and what a later one has agreed on is finished by [`finish_publishing`].
///
/// # Errors
/// A folder is there already, `fill` fails, or the file system does. Before all is agreed on, nothing is left behind.
pub fn publish_together(root: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    finish_publishing(root)?;
    let temporary = tempfile::Builder::new()
        .prefix(PARTIAL_PREFIX)
        .tempdir_in(root)
        .map_err(|error| Error::io("create a folder in", root, error))?;
    open_to_group(temporary.path())?;
    fill(temporary.path())?;
    sync_tree(temporary.path())?;
    for part in parts(temporary.path())? {
        let taken = root.join(&part);
        if temporary.path().join(&part).is_dir() && taken.exists() {
            return Err(Error::file(&taken, "was made meanwhile by another process")
                .with_help("Run the command again."));
        }
    }
    let agreed = root.join(AGREED);
    fs::rename(temporary.path(), &agreed)
        .map_err(|error| Error::io("rename to", &agreed, error))?;
    let _ = temporary.keep();
    sync_folder(root)?;
    finish_publishing(root)
}

/// Puts in its places what a process that was killed had agreed on; nothing if there is nothing of the kind. Several
/// processes may do so at once.
///
/// # Errors
/// The file system refuses.
pub fn finish_publishing(root: &Path) -> Result<()> {
    let agreed = root.join(AGREED);
    if !agreed.exists() {
        return Ok(());
    }
    for part in parts(&agreed)? {
        let place = root.join(&part);
        let folder = parent(&place);
        fs::create_dir_all(folder).map_err(|error| Error::io("create", folder, error))?;
        match fs::rename(agreed.join(&part), &place) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Error::io("rename to", &place, error));
            }
            _ => sync_folder(folder)?,
        }
    }
    match fs::remove_dir_all(&agreed) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Error::io("remove", &agreed, error))
        }
        _ => sync_folder(root),
    }
}

/// The files directly in a folder, and the folders in its folders: paths within it, sorted.
fn parts(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut parts = Vec::new();
    for name in names(folder)? {
        let path = folder.join(&name);
        if path.is_dir() {
            let inside = names(&path)?.into_iter();
            parts.extend(inside.map(|inside| Path::new(&name).join(inside)));
        } else {
            parts.push(name.into());
        }
    }
    parts.sort();
    Ok(parts)
}

/// The names in a folder; none if another process has removed it.
fn names(folder: &Path) -> Result<Vec<OsString>> {
    let read = |error| Error::io("read", folder, error);
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(read)?,
    };
    let name = |entry: std::io::Result<fs::DirEntry>| Ok(entry.map_err(read)?.file_name());
    entries.map(name).collect()
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

    /// A folder with `images.csv` and one version, and what fills the next step.
    fn root() -> (tempfile::TempDir, impl Fn(&Path) -> Result<()>) {
        let folder = tempfile::tempdir().unwrap();
        write_file(&folder.path().join("images.csv"), b"old").unwrap();
        write_file(&folder.path().join("labels/v1/classes.csv"), b"1").unwrap();
        let fill = |inside: &Path| {
            write_file(&inside.join("images.csv"), b"new")?;
            write_file(&inside.join("labels/v2/classes.csv"), b"2")?;
            write_file(&inside.join("reference/gold/classes.csv"), b"3")
        };
        (folder, fill)
    }

    fn read(root: &Path) -> Vec<Option<Vec<u8>>> {
        let files = [
            "images.csv",
            "labels/v1/classes.csv",
            "labels/v2/classes.csv",
            "reference/gold/classes.csv",
        ];
        let read = |file| fs::read(root.join(file)).ok();
        files.map(read).to_vec()
    }

    fn contents(contents: [&str; 4]) -> Vec<Option<Vec<u8>>> {
        let content = |text: &str| (!text.is_empty()).then(|| text.as_bytes().to_vec());
        contents.map(content).to_vec()
    }

    #[test]
    fn what_belongs_together_appears_together_or_not_at_all() {
        let (folder, fill) = root();
        let root = folder.path();
        let failed = publish_together(root, |inside| {
            fill(inside)?;
            Err(Error::request("stop"))
        });
        assert!(failed.is_err());
        assert_eq!(read(root), contents(["old", "1", "", ""]));
        assert_eq!(fs::read_dir(root).unwrap().count(), 2);
        publish_together(root, &fill).unwrap();
        assert_eq!(read(root), contents(["new", "1", "2", "3"]));
        assert_eq!(fs::read_dir(root).unwrap().count(), 3);
        // The same once more would replace a folder.
        let taken = publish_together(root, fill).unwrap_err();
        assert!(
            taken.to_string().contains("v2: was made meanwhile"),
            "{taken}"
        );
        assert_eq!(fs::read_dir(root).unwrap().count(), 3);
    }

    #[test]
    fn what_a_killed_process_had_agreed_on_is_finished() {
        for moved in 0..=3 {
            let (folder, fill) = root();
            let root = folder.path();
            let agreed = root.join(AGREED);
            fs::create_dir(&agreed).unwrap();
            fill(&agreed).unwrap();
            // Killed after so many parts took their places.
            for part in parts(&agreed).unwrap().iter().take(moved) {
                fs::create_dir_all(root.join(part).parent().unwrap()).unwrap();
                fs::rename(agreed.join(part), root.join(part)).unwrap();
            }
            finish_publishing(root).unwrap();
            assert_eq!(read(root), contents(["new", "1", "2", "3"]));
            assert!(!agreed.exists());
            finish_publishing(root).unwrap();
        }
    }
}
