//! Label versions: immutable, numbered, each with its parent and how it came about.

use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::difference::Counts;
use crate::error::{Error, Result};

/// Number of a label version; shown as `v1`, `v2`, …
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VersionId(pub u32);

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

impl FromStr for VersionId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.strip_prefix('v').unwrap_or(text).parse() {
            Ok(number) if number > 0 => Ok(Self(number)),
            _ => Err(Error::request(format!("`{text}` is not a label version"))
                .with_help("Versions are called v1, v2, …; `cleanslide log` lists them.")),
        }
    }
}

impl TryFrom<String> for VersionId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<VersionId> for String {
    fn from(id: VersionId) -> Self {
        id.to_string()
    }
}

/// How a version came about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// One line for people: what was done.
    pub summary: String,
    /// When, in UTC (RFC 3339).
    pub created: String,
    /// The command line.
    pub command: String,
    /// The program and its version.
    pub program: String,
    /// The seed of every random choice.
    pub seed: u64,
}

/// Metadata of one version: `version.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// Its number.
    pub id: VersionId,
    /// The version that it was made from; none for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<VersionId>,
    /// The source whose labels this version is about: what fusion, injection or correction
    /// produced, or the only source there is. Commands use it unless told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub produced: Option<String>,
    /// Hash (BLAKE3) over the version's tables.
    pub hash: String,
    /// How it came about.
    pub provenance: Provenance,
    /// What changed since the parent.
    pub counts: Counts,
}

/// File of the metadata.
pub(crate) const VERSION_FILE: &str = "version.toml";

impl Version {
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(VERSION_FILE);
        let text = fs::read_to_string(&path).map_err(|error| Error::io("read", &path, error))?;
        let version: Self =
            toml::from_str(&text).map_err(|error| Error::file(&path, error.to_string()))?;
        let found = content_hash(folder)?;
        if found != version.hash {
            return Err(Error::file(
                folder,
                format!("the labels of {} were edited after they were written", version.id),
            )
            .with_help("Versions are immutable: restore the files, or import the edited labels as a new version."));
        }
        Ok(version)
    }
}

/// Hash over the names and bytes of the tables in a version's folder. Masks are covered through
/// `masks.csv`, which holds their hashes.
pub(crate) fn content_hash(folder: &Path) -> Result<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| Error::io("read", folder, error))? {
        let entry = entry.map_err(|error| Error::io("read", folder, error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".csv") {
            names.push(name);
        }
    }
    names.sort();
    let mut hasher = blake3::Hasher::new();
    for name in names {
        let path = folder.join(&name);
        let bytes = fs::read(&path).map_err(|error| Error::io("read", &path, error))?;
        hasher.update(name.as_bytes());
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(&bytes);
    }
    Ok(hasher.finalize().to_hex().to_string())
}
