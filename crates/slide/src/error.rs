//! Everything that can go wrong with slides.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::cache::Place;

/// Result with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure, with the file and the place in it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused a file operation.
    #[error("failed to {action} {path}: {source}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// No reader knows the file.
    #[error("{path} is no slide that can be read here: {reason}")]
    Unknown {
        /// The file.
        path: PathBuf,
        /// What was tried.
        reason: String,
    },
    /// A file is of a kind that is known, and broken or of a variant that is not read.
    #[error("{path}: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A tile cannot be decoded; others may be.
    #[error("{path}, level {level}, tile in column {column} and row {row}: {problem}")]
    Tile {
        /// The file.
        path: PathBuf,
        /// The level, from 0.
        level: usize,
        /// From 0.
        column: u64,
        /// From 0.
        row: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// A region cannot be read.
    #[error("{path}, level {level}, {width} x {height} pixels from ({left}, {top}): {problem}")]
    Region {
        /// The file.
        path: PathBuf,
        /// The level, from 0.
        level: usize,
        /// In pixels of the level.
        left: i64,
        /// In pixels of the level.
        top: i64,
        /// In pixels of the level.
        width: u32,
        /// In pixels of the level.
        height: u32,
        /// The cause.
        problem: String,
    },
    /// A level that is not there.
    #[error("{path} has {count} levels, from 0; there is no level {level}")]
    NoLevel {
        /// The file.
        path: PathBuf,
        /// How many there are.
        count: usize,
        /// Which was asked for.
        level: usize,
    },
    /// The size of pixels is not known.
    #[error("{path} does not say how large its pixels are")]
    NoResolution {
        /// The file.
        path: PathBuf,
    },
    /// An image that does not lie beside the slide.
    #[error("{path} has no image `{name}` beside it, only: {present}")]
    NoAssociated {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        name: String,
        /// Those there are.
        present: String,
    },
    /// A setting that cannot be used.
    #[error("{name} = {value}: {reason}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// What was given.
        value: String,
        /// What is expected.
        reason: &'static str,
    },
    /// An operator of images refused.
    #[error(transparent)]
    Operator(#[from] cleanslide_image::Error),
    /// OpenSlide cannot be used.
    #[error("OpenSlide: {0}")]
    OpenSlide(String),
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn tile(path: &Path, place: Place, problem: String) -> Self {
        Self::Tile {
            path: path.to_owned(),
            level: place.level,
            column: place.column,
            row: place.row,
            problem,
        }
    }

    pub(crate) fn file(path: &Path, problem: impl ToString) -> Self {
        Self::File {
            path: path.to_owned(),
            problem: problem.to_string(),
        }
    }

    /// What to do about it, where that is not said already.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Unknown { .. } => Some(
                "Read without anything else: Aperio SVS, tiled TIFF, OME-TIFF, OME-Zarr, PNG, JPEG and BMP. With OpenSlide also NDPI, \
                 MRXS, SCN, BIF, DICOM and others: `cleanslide doctor` says whether it is found, and how to get it.",
            ),
            Self::NoResolution { .. } => {
                Some("Give their size in microns with `--slide-microns-per-pixel`.")
            }
            Self::Tile { .. } => Some(
                "The file is damaged there: copy it again from where it came from. All other tiles can be read.",
            ),
            Self::OpenSlide(_) => {
                Some("`cleanslide doctor` says whether it is found, and how to get it.")
            }
            _ => None,
        }
    }
}
