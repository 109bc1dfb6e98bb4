//! What can go wrong in an operator.

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong in an operator. Every message fits "failed to …: {error}".
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An image without pixels where the operator needs some.
    #[error("the {what} has no pixels ({height} × {width})")]
    Empty {
        /// Which image.
        what: &'static str,
        /// Its height.
        height: usize,
        /// Its width.
        width: usize,
    },
    /// Two images that belong together differ in size.
    #[error("the {what} is {found:?} (height, width), expected {expected:?}")]
    Size {
        /// Which image.
        what: &'static str,
        /// The size that it should have.
        expected: (usize, usize),
        /// The size that it has.
        found: (usize, usize),
    },
    /// A setting out of its range.
    #[error("the setting `{name}` is {value}: expected {expected}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
        /// What is expected.
        expected: &'static str,
    },
    /// The image cannot answer the question, for example a threshold of a flat image.
    #[error("{0}")]
    Undefined(String),
}

/// Refuses a setting unless it is valid.
pub(crate) fn check(
    name: &'static str,
    value: impl ToString,
    valid: bool,
    expected: &'static str,
) -> Result<()> {
    if valid {
        return Ok(());
    }
    Err(Error::Setting {
        name,
        value: value.to_string(),
        expected,
    })
}

/// Refuses two images of different sizes.
pub(crate) fn same_size(
    what: &'static str,
    expected: (usize, usize),
    found: (usize, usize),
) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(Error::Size {
        what,
        expected,
        found,
    })
}
