//! What can go wrong in learning.

use cleanslide_audit::AuditError;
use cleanslide_nn::heads::HeadError;

/// A result of this crate's classification.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in learning. Every message fits "failed to …: {error}".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Arrays that belong together differ in length.
    #[error(
        "there are {features} items with features, {targets} with targets and {weights} with weights; expected one of each per item"
    )]
    Lengths {
        /// Rows of the features.
        features: usize,
        /// Rows of the targets.
        targets: usize,
        /// Number of weights.
        weights: usize,
    },
    /// Features of another width.
    #[error("{what} has {found} features per item, and the training items have {expected}")]
    FeatureCount {
        /// Where the features came from.
        what: &'static str,
        /// Features of the training items.
        expected: usize,
        /// Features found.
        found: usize,
    },
    /// The number of class names is not that of the columns of the targets.
    #[error("{names} classes are named, and the targets have {columns} columns")]
    ClassCount {
        /// Number of names.
        names: usize,
        /// Columns of the targets.
        columns: usize,
    },
    /// There is nothing to learn from.
    #[error("there is nothing to learn from: {reason}")]
    NothingToLearn {
        /// What is missing.
        reason: String,
    },
    /// A feature is not a finite number.
    #[error("feature {feature} of item {item} is {value}; embed that image again or leave it out")]
    Feature {
        /// Index of the item.
        item: usize,
        /// Index of the feature.
        feature: usize,
        /// Its value.
        value: f32,
    },
    /// A row of targets is not a distribution.
    #[error("the target of item {item} is not a distribution over the classes: {row}")]
    Target {
        /// Index of the item.
        item: usize,
        /// The row.
        row: String,
    },
    /// A weight is negative or not finite.
    #[error("the weight of item {item} is {value}; a trust is a number of at least 0")]
    Weight {
        /// Index of the item.
        item: usize,
        /// Its weight.
        value: f32,
    },
    /// A setting that makes no sense.
    #[error("the setting `{name}` is {value}: {reason}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
        /// What is expected.
        reason: String,
    },
    /// A method lacks what it is to be told before training.
    #[error("the method `{method}` needs {what}: {remedy}")]
    Missing {
        /// Name of the method.
        method: &'static str,
        /// What it needs.
        what: &'static str,
        /// How to get it.
        remedy: &'static str,
    },
    /// What a method was told before training does not fit the items or classes.
    #[error("the {what} {problem}")]
    Context {
        /// What was given.
        what: &'static str,
        /// Why it does not fit.
        problem: String,
    },
    /// Early stopping asks for one kind of validation labels and was given another or none.
    #[error(
        "early stopping on {wanted} labels was asked for, and the validation items have {given}"
    )]
    Validation {
        /// The labels that the settings name.
        wanted: &'static str,
        /// What was given.
        given: &'static str,
    },
    /// The loss left the range of numbers.
    #[error(
        "training diverged in epoch {epoch}: the loss is not a finite number, first with the items {items}; lower the learning rate (it was {learning_rate:?})"
    )]
    Diverged {
        /// The epoch, counted from 1.
        epoch: usize,
        /// Indices of some items of the batch.
        items: String,
        /// The learning rate of that epoch.
        learning_rate: f64,
    },
    /// The fold assignment is not a partition that cross-validation can use.
    #[error("the folds cannot be used for cross-validation: {0}")]
    Folds(String),
    /// An audit that a method rests on refused its input.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Boxes that cannot be brought together.
    #[error(transparent)]
    Fusion(#[from] cleanslide_weak::fusion::FusionError),
    /// Progress that cannot be measured.
    #[error(transparent)]
    Measure(#[from] cleanslide_eval::Error),
    /// Images for validation whose labels measure nothing.
    #[error(
        "progress cannot be measured: the labels of {images} images for validation show no class but `{background}`; \
         choose other images for validation, or none (`validation = 0` in [train])"
    )]
    NoForeground {
        /// How many there are.
        images: usize,
        /// The first class.
        background: String,
    },
    /// A file of voters is damaged.
    #[error("this file of nearest-neighbour voters is damaged: {0}")]
    Voters(String),
    /// The heads could not be used, read or written.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// An image whose labels cannot be learned from.
    #[error("image {image}: {problem}")]
    PixelLabels {
        /// Its name.
        image: String,
        /// What is wrong.
        problem: String,
    },
    /// An operator on images refused its input.
    #[error(transparent)]
    Operator(#[from] cleanslide_image::Error),
    /// Parameters of a network could not be read or written.
    #[error(transparent)]
    Weights(Box<cleanslide_nn::error::WeightsError>),
    /// A file could not be read or written.
    #[error(transparent)]
    Data(#[from] cleanslide_data::Error),
    /// A checkpoint that this training cannot go on from.
    #[error("{} {problem}", folder.display())]
    Checkpoint {
        /// Its folder.
        folder: std::path::PathBuf,
        /// Why, and what to do.
        problem: String,
    },
    /// A file of a run that is not what was written.
    #[error("{} is damaged ({problem}); train anew, into another folder", path.display())]
    Damaged {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Probabilities that objects cannot be made of.
    #[error(
        "objects are made of background, one or more classes and border, and there are {0} classes of pixels"
    )]
    ObjectClasses(usize),
    /// A file that is no trained network of the kind that is asked for.
    #[error("{file} is no network that `train` has written for this: {problem}")]
    NetworkFile {
        /// The file.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// The device could not give back what it computed.
    #[error("the device failed: {0}")]
    Device(String),
}

impl From<cleanslide_nn::error::WeightsError> for Error {
    fn from(error: cleanslide_nn::error::WeightsError) -> Self {
        Self::Weights(Box::new(error))
    }
}

impl From<burn::tensor::TensorReadError> for Error {
    fn from(error: burn::tensor::TensorReadError) -> Self {
        Self::Device(error.to_string())
    }
}
