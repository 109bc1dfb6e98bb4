//! What tells a slide from another one of the same name, without reading gigabytes.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::error::{Error, Result};

/// Bytes that are read of the beginning of a file, and of its end.
const PART: u64 = 1 << 20;

/// A hash of the length of a file and of its first and last mebibyte, where formats of slides keep what they know of their tiles; of a
/// folder, of the names and lengths of all files in it.
///
/// # Errors
/// Something cannot be read.
pub(crate) fn fingerprint(path: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let added = if path.is_dir() {
        add_folder(path, &mut hasher)
    } else {
        add_file(path, &mut hasher)
    };
    added.map_err(|error| Error::io("read", path, error))?;
    Ok(hasher.finalize().to_hex().to_string())
}

fn add_file(path: &Path, hasher: &mut blake3::Hasher) -> io::Result<()> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    hasher.update(&length.to_le_bytes());
    for start in [0, length.saturating_sub(PART)] {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        (&file).take(PART).read_to_end(&mut bytes)?;
        hasher.update(&bytes);
    }
    Ok(())
}

fn add_folder(path: &Path, hasher: &mut blake3::Hasher) -> io::Result<()> {
    let mut entries = fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_encoded_bytes());
        if entry.file_type()?.is_dir() {
            add_folder(&entry.path(), hasher)?;
        } else {
            hasher.update(&entry.metadata()?.len().to_le_bytes());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginning_end_and_length_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("slide");
        let of = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            fingerprint(&path).unwrap()
        };
        let mut bytes = vec![0; 3 << 20];
        let before = of(&bytes);
        assert_eq!(of(&bytes), before);
        for place in [0, bytes.len() - 1] {
            bytes[place] = 1;
            assert_ne!(of(&bytes), before);
            bytes[place] = 0;
        }
        bytes.push(0);
        assert_ne!(of(&bytes), before);
        assert_ne!(of(b""), of(b"0"));
    }

    #[test]
    fn files_of_folders_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("slide.zarr");
        fs::create_dir_all(path.join("0/1")).unwrap();
        fs::write(path.join("0/1/2"), b"chunk").unwrap();
        let before = fingerprint(&path).unwrap();
        assert_eq!(fingerprint(&path).unwrap(), before);
        fs::write(path.join("0/1/3"), b"").unwrap();
        assert_ne!(fingerprint(&path).unwrap(), before);
        let gone = path.join("gone");
        let message = fingerprint(&gone).unwrap_err().to_string();
        assert!(message.contains("gone"), "{message}");
    }
}
