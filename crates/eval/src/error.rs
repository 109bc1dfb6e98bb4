//! What can go wrong: bad input, and metrics that have no value on the data.

use cleanslide_data::Rectangle;
use thiserror::Error;

/// Why a metric has no value on the given data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Undefined {
    /// Cells are counted per tissue.
    #[error("there is no tissue")]
    NoTissue,
    /// A share of cells needs cells.
    #[error("there are no cells")]
    NoCells,
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
    /// There are no objects, true or found, that the metric could count.
    #[error("there are no objects to count")]
    NoObjects,
    /// A mask has no surface, so there are no distances to it.
    #[error("the class is missing from the truth or the prediction, so distances are infinite")]
    NoSurface,
    /// A loss of skill needs some skill.
    #[error("without noise the metric is not above chance")]
    NoSkill,
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
    /// Two masks of one image differ in size.
    #[error(
        "the {what} is {} x {} pixels (height x width), but the truth is {} x {}; compare masks of \
         the same image at the same scale",
        found.0, found.1, expected.0, expected.1
    )]
    SizesDiffer {
        /// Which mask.
        what: &'static str,
        /// Its height and width.
        found: (usize, usize),
        /// The height and width of the truth.
        expected: (usize, usize),
    },
    /// A threshold of the IoU is not above 0 and at most 1.
    #[error("the IoU threshold is {threshold}; it must be above 0 and at most 1")]
    InvalidIouThreshold {
        /// The threshold.
        threshold: f64,
    },
    /// A pair of objects that cannot exist, or was given twice.
    #[error(
        "the pair of true object {truth} and found object {predicted} with IoU {iou} cannot be \
         among {} true and {} found objects; pass each pair once, with an IoU above 0 and at most 1",
        counts.0, counts.1
    )]
    InvalidPair {
        /// Position of the true object.
        truth: usize,
        /// Position of the found object.
        predicted: usize,
        /// The IoU that was given.
        iou: f64,
        /// The number of true and of found objects.
        counts: (usize, usize),
    },
    /// A score of a finding is not a finite number.
    #[error("the score of detection {item} is {score}; scores must be finite numbers")]
    InvalidScore {
        /// Position of the detection in its image.
        item: usize,
        /// The score.
        score: f64,
    },
    /// An area is negative or not finite.
    #[error("the area of {what} {item} is {area}; areas are finite and not negative")]
    InvalidArea {
        /// `true object` or `detection`.
        what: &'static str,
        /// Its position in its image.
        item: usize,
        /// The area.
        area: f64,
    },
    /// A box has no area or is not finite.
    #[error(
        "{what} {item} is the rectangle {rectangle} (left, top, right, bottom), which has no area; \
         leave it out, or check whether its last two numbers are a width and a height"
    )]
    InvalidRectangle {
        /// `true box` or `detection`.
        what: &'static str,
        /// Its position in its image.
        item: usize,
        /// The rectangle.
        rectangle: Rectangle,
    },
    /// Something about one of many images.
    #[error("image {image}: {error}")]
    AtImage {
        /// Position of the image in the list.
        image: usize,
        /// What is wrong.
        error: Box<Error>,
    },
    /// Settings that must ascend do not.
    #[error("the {what} do not ascend; sort them")]
    NotAscending {
        /// Which settings.
        what: &'static str,
    },
    /// A result was asked for that the matching was not made for.
    #[error("nothing was matched for {what}; add it to the settings before matching")]
    NotMatched {
        /// What was asked for.
        what: String,
    },
    /// A rate of false alarms is negative or NaN.
    #[error("the rate of false alarms per image is {rate}; rates are not negative")]
    InvalidRate {
        /// The rate.
        rate: f64,
    },
    /// A pixel of a class mask has a class that does not exist.
    #[error(
        "the {what} mask has class {class} at row {row}, column {column}, but there are only \
         {classes} classes (255 is unlabelled); check which mask this is, or raise the number of \
         classes"
    )]
    PixelClassOutOfRange {
        /// `true` or `predicted`.
        what: &'static str,
        /// Row of the first such pixel.
        row: usize,
        /// Its column.
        column: usize,
        /// Its class.
        class: u8,
        /// The number of classes.
        classes: usize,
    },
    /// Another number of masks than of experts.
    #[error("there are {found} masks, but {expected} experts: pass `None` for those without one")]
    ExpertMasks {
        /// Number of masks.
        found: usize,
        /// Number of experts.
        expected: usize,
    },
    /// The masks that two experts drew of one image differ in size.
    #[error(
        "the mask of expert {expert} is {found:?} (height, width), but those before are \
         {expected:?}: masks of one image must have one size"
    )]
    ExpertMaskSize {
        /// Index of the expert.
        expert: usize,
        /// Size of their mask.
        found: (usize, usize),
        /// Size of the masks before it.
        expected: (usize, usize),
    },
    /// An expert gave a pixel a class that does not exist.
    #[error(
        "expert {expert} gave class {class}, but there are {classes} classes (255: unlabelled)"
    )]
    ExpertMaskClass {
        /// Index of the expert.
        expert: usize,
        /// The class.
        class: u8,
        /// Number of classes.
        classes: usize,
    },
    /// More classes than a class mask can hold.
    #[error("there are {classes} classes, but a class mask can hold only 255 (0 to 254)")]
    TooManyClasses {
        /// The number of classes.
        classes: usize,
    },
    /// A distance of neighbouring pixels is not finite and positive.
    #[error(
        "the spacing of pixels is ({}, {}); pass the finite, positive distances of neighbouring \
         columns and rows, such as microns per pixel",
        spacing.0, spacing.1
    )]
    InvalidSpacing {
        /// Distance of columns and of rows.
        spacing: (f64, f64),
    },
    /// A probability of a quantile lies outside 0 to 1.
    #[error("the quantile is {probability}; it must lie between 0 and 1, as 0.95 does")]
    InvalidQuantile {
        /// The probability.
        probability: f64,
    },
    /// A tolerance is negative or not finite.
    #[error("the tolerance is {tolerance}; tolerances are finite and not negative")]
    InvalidTolerance {
        /// The tolerance.
        tolerance: f64,
    },
    /// The BCa interval does not exist for these replicates.
    #[error("the BCa interval does not exist: {why}; use the percentile interval")]
    NoBcaInterval {
        /// The reason.
        why: &'static str,
    },
}

impl Error {
    /// The same error with its place in a list of images.
    pub(crate) fn at_image(self, image: usize) -> Self {
        Error::AtImage {
            image,
            error: Box::new(self),
        }
    }
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

/// Fails unless a mask has the size of the truth.
pub(crate) fn check_size(
    what: &'static str,
    found: (usize, usize),
    expected: (usize, usize),
) -> Result<(), Error> {
    if found == expected {
        Ok(())
    } else {
        Err(Error::SizesDiffer {
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
