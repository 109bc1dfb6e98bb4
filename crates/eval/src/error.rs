//! What can go wrong: bad input, and metrics that have no value on the data.

use thiserror::Error;

/// Why a metric has no value on the given data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Undefined {
    /// There is no item, or every weight is zero.
    #[error("there are no items, or all their weights are zero")]
    NoItems,
    /// A binary metric needs a positive item.
    #[error("there is no positive item")]
    NoPositive,
    /// A binary metric needs a negative item.
    #[error("there is no negative item")]
    NoNegative,
    /// A class does not occur in the truth.
    #[error("class {class} has no item in the truth")]
    AbsentClass {
        /// Index of the class.
        class: usize,
    },
    /// Every item belongs to one class, so there are no other items to rank it against.
    #[error("every item is of class {class} in the truth")]
    OnlyClass {
        /// Index of the class.
        class: usize,
    },
    /// The average runs over no class.
    #[error("no class has a value to average")]
    NoClass,
    /// Chance alone would agree perfectly, as when all labels are of one class.
    #[error("agreement by chance is already perfect: all labels are of one class")]
    CertainChance,
    /// No item has two ratings, so there is no pair to compare.
    #[error("no item has two or more ratings")]
    NoPairs,
    /// A ranking was cut at more items than there are.
    #[error("there are fewer than {k} items")]
    FewerItems {
        /// Where the ranking was cut.
        k: usize,
    },
    /// The statistic gave NaN or infinity.
    #[error("the statistic is not a finite number")]
    NotFinite,
}

/// What went wrong when a metric or an interval was computed.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The metric has no value on these data.
    #[error("the metric is undefined: {0}")]
    Undefined(#[from] Undefined),
    /// Two inputs that describe the same items differ in length.
    #[error("{what} has {found} entries, but there are {expected} items")]
    LengthsDiffer {
        /// Which input.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The number of items.
        expected: usize,
    },
    /// There is nothing to measure.
    #[error("{what} is empty")]
    Empty {
        /// Which input.
        what: &'static str,
    },
    /// A class index is not below the number of classes.
    #[error("{what} of item {item} is class {class}, but there are only {classes} classes")]
    ClassOutOfRange {
        /// `truth` or `prediction`.
        what: &'static str,
        /// Index of the item.
        item: usize,
        /// The class that was given.
        class: usize,
        /// The number of classes.
        classes: usize,
    },
    /// A score or probability is NaN.
    #[error("the score of item {item} for class {class} is not a number")]
    ScoreIsNan {
        /// Index of the item.
        item: usize,
        /// Index of the class (1 for the one score of a binary ranking).
        class: usize,
    },
    /// A probability lies outside 0 to 1.
    #[error(
        "the probability of item {item} for class {class} is {value}, outside 0 to 1; pass \
         probabilities, not logits"
    )]
    NotAProbability {
        /// Index of the item.
        item: usize,
        /// Index of the class.
        class: usize,
        /// The value.
        value: f32,
    },
    /// The probabilities of an item do not sum to 1.
    #[error("the probabilities of item {item} sum to {sum}, not to 1")]
    ProbabilitiesDoNotSum {
        /// Index of the item.
        item: usize,
        /// Their sum.
        sum: f64,
    },
    /// A sample weight is negative, NaN or infinite.
    #[error("the weight of item {item} is {weight}; weights are finite and not negative")]
    InvalidWeight {
        /// Index of the item.
        item: usize,
        /// The weight.
        weight: f64,
    },
    /// A confusion matrix is not square, or two of different size were merged.
    #[error("a confusion matrix of {rows} x {columns} does not fit {classes} classes")]
    MatrixShape {
        /// Rows.
        rows: usize,
        /// Columns.
        columns: usize,
        /// The number of classes that was expected.
        classes: usize,
    },
    /// An entry of a confusion matrix is negative, NaN or infinite.
    #[error("the count of truth {truth} and prediction {predicted} is {count}")]
    InvalidCount {
        /// Row.
        truth: usize,
        /// Column.
        predicted: usize,
        /// The entry.
        count: f64,
    },
    /// Fleiss' kappa needs the same number of ratings on every item.
    #[error(
        "item {item} has {found} ratings, but item 0 has {expected}; Fleiss' kappa needs equally \
         many, use its generalisation for gaps or Krippendorff's alpha"
    )]
    UnequalRatings {
        /// Index of the item.
        item: usize,
        /// Its number of ratings.
        found: u64,
        /// The number of ratings of item 0.
        expected: u64,
    },
    /// The confidence level is not strictly between 0 and 1.
    #[error("the confidence level is {level}; it must lie between 0 and 1, as 0.95 does")]
    InvalidLevel {
        /// The level.
        level: f64,
    },
    /// The numbers of a proportion are impossible.
    #[error("{successes} successes of {trials} trials is not a proportion")]
    InvalidProportion {
        /// Successes.
        successes: f64,
        /// Trials.
        trials: f64,
    },
    /// Some setting that counts something is zero.
    #[error("the number of {what} is zero")]
    Zero {
        /// What is counted.
        what: &'static str,
    },
    /// An interval that resamples groups needs at least two.
    #[error(
        "all {items} items belong to one group, so no interval can be computed by resampling \
         groups; evaluate on at least two cases"
    )]
    OneGroup {
        /// The number of items.
        items: usize,
    },
    /// The statistic was undefined in too many replicates.
    #[error(
        "the statistic is undefined in {undefined} of {replicates} resamples (at most \
         {allowed} allowed), first because {first}; a class is too rare, or there are too few \
         cases, for an interval"
    )]
    TooManyUndefined {
        /// Replicates without a value.
        undefined: usize,
        /// Replicates drawn.
        replicates: usize,
        /// How many may be undefined.
        allowed: usize,
        /// Why the first of them is undefined.
        first: Undefined,
    },
    /// The BCa interval does not exist for these replicates.
    #[error("the BCa interval does not exist: {why}; use the percentile interval")]
    NoBcaInterval {
        /// The reason.
        why: &'static str,
    },
}

/// Fails unless `found` is `expected`.
pub(crate) fn check_length(what: &'static str, found: usize, expected: usize) -> Result<(), Error> {
    if found == expected {
        Ok(())
    } else {
        Err(Error::LengthsDiffer {
            what,
            found,
            expected,
        })
    }
}

/// Fails unless `level` lies strictly between 0 and 1.
pub(crate) fn check_level(level: f64) -> Result<(), Error> {
    if level > 0.0 && level < 1.0 {
        Ok(())
    } else {
        Err(Error::InvalidLevel { level })
    }
}
