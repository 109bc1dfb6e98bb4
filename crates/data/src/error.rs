//! Everything that can go wrong with datasets, labels and images.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Result with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who has to act: it decides the exit code of the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The request does not make sense (exit code 2).
    Usage,
    /// The input is broken or does not fit (exit code 3).
    Input,
    /// Disk, permissions, memory (exit code 4).
    Environment,
}

/// A failure, with the place where it happened and, in [`Error::help`], what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused a file operation.
    #[error("failed to {action} {path}: {source}")]
    Io {
        /// What was attempted, such as `read` or `rename`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A table (csv) is malformed or says something impossible.
    #[error("{path}, line {line}: {problem}")]
    Table {
        /// The file.
        path: PathBuf,
        /// Line in the file, counted from 1.
        line: u64,
        /// What is wrong there.
        problem: String,
        /// What to do about it.
        help: Option<String>,
    },
    /// A place in a file of annotations is not what it should be.
    #[error("{path}, {place}: {problem}")]
    Format {
        /// The file.
        path: PathBuf,
        /// Where in it: `line 12`, `byte 64`, the name of a part.
        place: String,
        /// What is wrong there.
        problem: String,
        /// What to do about it.
        help: Option<String>,
    },
    /// A whole file is not what it should be.
    #[error("{path}: {problem}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What to do about it.
        help: Option<String>,
    },
    /// An image cannot be used.
    #[error("{path}: {problem}")]
    Image {
        /// The image file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What to do about it.
        help: Option<String>,
    },
    /// Labels contradict the dataset or each other.
    #[error("{problem}")]
    Labels {
        /// What is wrong.
        problem: String,
        /// What to do about it.
        help: Option<String>,
    },
    /// A split cannot be made, or leaks.
    #[error("{problem}")]
    Split {
        /// What is wrong.
        problem: String,
        /// What to do about it.
        help: Option<String>,
    },
    /// The request itself does not fit the dataset.
    #[error("{problem}")]
    Request {
        /// What is wrong.
        problem: String,
        /// What to do about it.
        help: Option<String>,
    },
}

impl Error {
    /// Wraps an [`io::Error`] with what was attempted and where.
    pub fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn file(path: &Path, problem: impl Into<String>) -> Self {
        Self::File {
            path: path.to_owned(),
            problem: problem.into(),
            help: None,
        }
    }

    pub(crate) fn format(
        path: &Path,
        place: impl Into<String>,
        problem: impl Into<String>,
    ) -> Self {
        Self::Format {
            path: path.to_owned(),
            place: place.into(),
            problem: problem.into(),
            help: None,
        }
    }

    pub(crate) fn image(path: &Path, problem: impl Into<String>) -> Self {
        Self::Image {
            path: path.to_owned(),
            problem: problem.into(),
            help: None,
        }
    }

    pub(crate) fn labels(problem: impl Into<String>) -> Self {
        Self::Labels {
            problem: problem.into(),
            help: None,
        }
    }

    pub(crate) fn split(problem: impl Into<String>) -> Self {
        Self::Split {
            problem: problem.into(),
            help: None,
        }
    }

    pub(crate) fn request(problem: impl Into<String>) -> Self {
        Self::Request {
            problem: problem.into(),
            help: None,
        }
    }

    /// The same error with a remedy. An [`Error::Io`] is returned as it is.
    #[must_use]
    pub fn with_help(mut self, text: impl Into<String>) -> Self {
        match &mut self {
            Self::Io { .. } => {}
            Self::Table { help, .. }
            | Self::Format { help, .. }
            | Self::File { help, .. }
            | Self::Image { help, .. }
            | Self::Labels { help, .. }
            | Self::Split { help, .. }
            | Self::Request { help, .. } => *help = Some(text.into()),
        }
        self
    }

    /// What to do about it, as a sentence.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } => io_help(source),
            Self::Table { help, .. }
            | Self::Format { help, .. }
            | Self::File { help, .. }
            | Self::Image { help, .. }
            | Self::Labels { help, .. }
            | Self::Split { help, .. }
            | Self::Request { help, .. } => help.clone(),
        }
    }

    /// Who has to act.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => Blame::Input,
            Self::Io { .. } => Blame::Environment,
            Self::Request { .. } => Blame::Usage,
            _ => Blame::Input,
        }
    }
}

fn io_help(source: &io::Error) -> Option<String> {
    match source.kind() {
        io::ErrorKind::NotFound => {
            Some("Check the path; relative paths start at the current folder.".into())
        }
        io::ErrorKind::PermissionDenied => {
            Some("Check who owns the file and whether you may use it.".into())
        }
        io::ErrorKind::StorageFull => {
            Some("Free some space and run the command again; what was finished is kept.".into())
        }
        _ => None,
    }
}
