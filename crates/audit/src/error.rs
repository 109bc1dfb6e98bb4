//! Everything that can be wrong with the input of an audit.

use std::path::PathBuf;

use thiserror::Error;

/// Why an audit could not be done. Rows, items, images and classes count from 0.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AuditError {
    /// There is nothing to audit.
    #[error("there are no {what}")]
    Empty {
        /// What is missing, in the plural.
        what: &'static str,
    },
    /// Two inputs that describe the same items have different lengths.
    #[error("{what} has {found} entries, but there are {expected} items")]
    Length {
        /// The input that does not fit.
        what: &'static str,
        /// The number of items.
        expected: usize,
        /// The number of entries found.
        found: usize,
    },
    /// A label names a class that the probabilities do not have.
    #[error("item {item} has label {label}, but there are only {classes} classes (0 to {})", classes.saturating_sub(1))]
    LabelOutOfRange {
        /// Index of the item.
        item: usize,
        /// Its label.
        label: usize,
        /// Number of classes.
        classes: usize,
    },
    /// All items have one label, so nothing can be told about confusions.
    #[error("every item has label {class}: at least two classes need items to find label errors")]
    OneClass {
        /// The only label.
        class: usize,
    },
    /// Fewer than two classes.
    #[error("there are {classes} classes: at least two are needed")]
    TooFewClasses {
        /// Number of classes.
        classes: usize,
    },
    /// A probability is not a number between 0 and 1.
    #[error(
        "the probability of class {class} in row {row} is {value}, not a number between 0 and 1"
    )]
    ProbabilityOutOfRange {
        /// Row of the probability matrix.
        row: usize,
        /// Its column.
        class: usize,
        /// What stands there.
        value: f32,
    },
    /// A row of probabilities does not sum to 1.
    #[error(
        "the probabilities in row {row} sum to {sum}, not to 1: are they logits? apply softmax first"
    )]
    ProbabilitySum {
        /// Row of the probability matrix.
        row: usize,
        /// Its sum.
        sum: f64,
    },
    /// A feature is NaN or infinite.
    #[error("feature {column} of row {row} is {value}: embeddings must be finite")]
    NotFinite {
        /// Row of the feature matrix.
        row: usize,
        /// Its column.
        column: usize,
        /// What stands there.
        value: f32,
    },
    /// The cosine distance of a zero vector is undefined.
    #[error(
        "row {row} is all zeros, so it has no direction: use the Euclidean distance or leave the row out"
    )]
    ZeroVector {
        /// Row of the feature matrix.
        row: usize,
    },
    /// Queries and reference have different numbers of features.
    #[error("queries have {queries} features, but the reference has {reference}")]
    FeatureCount {
        /// Columns of the queries.
        queries: usize,
        /// Columns of the reference.
        reference: usize,
    },
    /// More neighbours are asked for than there are other items.
    #[error("{k} nearest neighbours were asked for, but only {available} other items exist")]
    TooManyNeighbours {
        /// Neighbours asked for or needed.
        k: usize,
        /// Neighbours that exist.
        available: usize,
    },
    /// An option has a value outside its range.
    #[error("{option} is {value}, but must be {expected}")]
    Option {
        /// Name of the option.
        option: &'static str,
        /// Its value.
        value: String,
        /// The range.
        expected: &'static str,
    },
    /// Something about one image; the problem names the place and what to do.
    #[error("image {image}: {problem}")]
    Image {
        /// Index of the image.
        image: usize,
        /// What is wrong, where, and what to do.
        problem: String,
    },
    /// A file of probabilities could not be read.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A file of probabilities does not hold what it should.
    #[error("use {}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl AuditError {
    /// Something is wrong with an image, by its index.
    pub fn image(image: usize, problem: impl Into<String>) -> Self {
        Self::Image {
            image,
            problem: problem.into(),
        }
    }
}

/// Refuses labels that do not fit the number of items and classes; returns the counts per class.
pub(crate) fn count_labels(
    labels: &[usize],
    items: usize,
    classes: usize,
) -> Result<Vec<usize>, AuditError> {
    if labels.is_empty() {
        return Err(AuditError::Empty { what: "items" });
    }
    if labels.len() != items {
        return Err(AuditError::Length {
            what: "the list of labels",
            expected: items,
            found: labels.len(),
        });
    }
    if classes < 2 {
        return Err(AuditError::TooFewClasses { classes });
    }
    let mut counts = vec![0; classes];
    for (item, &label) in labels.iter().enumerate() {
        match counts.get_mut(label) {
            Some(count) => *count += 1,
            None => {
                return Err(AuditError::LabelOutOfRange {
                    item,
                    label,
                    classes,
                });
            }
        }
    }
    Ok(counts)
}

/// As [`count_labels`], and at least two classes must have items.
pub(crate) fn count_labels_of_several_classes(
    labels: &[usize],
    items: usize,
    classes: usize,
) -> Result<Vec<usize>, AuditError> {
    let counts = count_labels(labels, items, classes)?;
    match counts.iter().position(|&count| count == labels.len()) {
        Some(class) => Err(AuditError::OneClass { class }),
        None => Ok(counts),
    }
}
