//! Pixels whose class is probably wrong, and images by the quality of their masks, as cleanlab's
//! module for segmentation finds them.
//!
//! Confident learning (Northcutt, Jiang, Chuang, JAIR 70 (2021),
//! [arXiv:1911.00068](https://arxiv.org/abs/1911.00068)) with every labelled pixel as an item. With
//! labels `y` and out-of-sample probabilities `p`:
//!
//! ```text
//! t_k     = mean of p_k over the pixels labelled k                       (confident threshold)
//! n       = number of pixels with argmax p ≠ y and max p ≥ t_argmax − 10⁻⁶
//! issues  = those of the n pixels of lowest p_y whose argmax is not y
//! softmin = Σ p_y · w / Σ w over the pixels of an image, w = exp(−p_y / T), T = 0.1
//! ```
//!
//! Results equal those of cleanlab 2.9 with probabilities in 64 bits and `downsample=1`: the same
//! pixels are flagged and scores agree to rounding. What differs:
//!
//! * Unlabelled pixels (255) are left out everywhere. cleanlab has no such thing.
//! * Of pixels with equal p_y at the end of the n lowest, the first ones count: images in order,
//!   pixels from left to right and top to bottom. cleanlab takes what NumPy's unstable sort leaves.
//! * Labels and probabilities are checked; cleanlab takes labels that are no class as the last
//!   classes, or fails.
//! * There is no `downsample`: it averages the numbers of classes, so that class 0 beside class 2
//!   becomes class 1, and nothing here is slow or large enough to need it.
//!
//! As in cleanlab, a class without pixels has the threshold 2·10⁻⁶, so that every pixel predicted as
//! such counts as confident (in [`confident_learning`](crate::confident_learning) none does).
//!
//! Memory is one block and, per thread, 130 kB per class and 4 MiB of counts; nothing is kept per
//! pixel. The images are read twice to find the n-th lowest exactly (three times if probabilities
//! are very unevenly spread), and once more to [mark](PixelAudit::mark) the issues. Nothing depends
//! on the number of threads or on how images are cut into blocks.

mod marks;
mod selection;
mod source;
mod tally;

use crate::AuditError;
use crate::confident_learning::{TOLERANCE, lowest_reaching};
use crate::softmin::Softmin;

pub use marks::{ImageIssues, PixelIssues, VisitMarks};
pub use source::{PixelArrays, PixelBlock, PixelBlocks, ReadImages, VisitPixels};

use selection::Cut;
use tally::Tally;

/// cleanlab's temperature of the scores of images.
pub const TEMPERATURE: f64 = 0.1;

/// The probability that is reached by every prediction of a class without pixels.
const NO_PIXELS: f64 = 2.0 * TOLERANCE;

/// What is needed to say of every pixel whether its label is an issue, and the scores of images.
#[derive(Debug, Clone, PartialEq)]
pub struct PixelAudit {
    thresholds: Vec<f64>,
    label_counts: Vec<u64>,
    selected: u64,
    cut: Option<Cut>,
    softmin: Vec<Option<f64>>,
}

impl PixelAudit {
    /// Reads the images two or three times; [`TEMPERATURE`] for the scores.
    ///
    /// # Errors
    /// As for [`PixelAudit::with_temperature`].
    pub fn new(images: &dyn PixelBlocks) -> Result<Self, AuditError> {
        Self::with_temperature(images, TEMPERATURE)
    }

    /// As [`PixelAudit::new`] with another temperature of [`PixelAudit::softmin`]: the lower, the
    /// more its lowest pixels alone decide over an image.
    ///
    /// # Errors
    /// No images or no labelled pixel, fewer than 2 or more than 255 classes, shapes that differ,
    /// labels that are no class, probabilities that are none, a temperature that is not above 0, or a
    /// failure to read.
    pub fn with_temperature(
        images: &dyn PixelBlocks,
        temperature: f64,
    ) -> Result<Self, AuditError> {
        let classes = images.classes();
        if classes < 2 {
            return Err(AuditError::TooFewClasses { classes });
        }
        if classes > usize::from(u8::MAX) {
            return Err(AuditError::Option {
                option: "the number of classes",
                value: classes.to_string(),
                expected: "at most 255: 255 itself is unlabelled",
            });
        }
        if !(temperature.is_finite() && temperature > 0.0) {
            return Err(AuditError::Option {
                option: "the temperature",
                value: temperature.to_string(),
                expected: "a number above 0",
            });
        }
        let (tally, scores) = tally::first_reading(images, temperature)?;
        let label_counts = tally.label_counts();
        let labelled: u64 = label_counts.iter().sum();
        if labelled == 0 {
            return Err(AuditError::Empty {
                what: "labelled pixels",
            });
        }
        let thresholds = tally.thresholds();
        let lowest = thresholds
            .iter()
            .map(|&threshold| lowest_reaching(threshold - TOLERANCE))
            .collect::<Vec<_>>();
        let (selected, cut) = select(images, &tally, &lowest)?;
        Ok(Self {
            thresholds,
            label_counts,
            selected,
            cut,
            softmin: scores.iter().map(Softmin::score).collect(),
        })
    }

    /// Per class, the mean probability of the class over the pixels labelled so; at least 2·10⁻⁶,
    /// also for a class without pixels.
    pub fn thresholds(&self) -> &[f64] {
        &self.thresholds
    }

    /// Number of pixels per given class.
    pub fn label_counts(&self) -> &[u64] {
        &self.label_counts
    }

    /// Number of pixels that are confidently predicted as another class: so many of lowest p_y are
    /// looked at. Those of them that are predicted as labelled are no issues.
    pub fn selected(&self) -> u64 {
        self.selected
    }

    /// Quality per image, low is bad: the mean of the p_y of its labelled pixels, in which the lowest
    /// weigh most. `None` for an image without labelled pixels.
    pub fn softmin(&self) -> &[Option<f64>] {
        &self.softmin
    }
}

/// How many pixels are confidently predicted as another class, and where as many of lowest p_y end.
fn select(
    images: &dyn PixelBlocks,
    tally: &Tally,
    lowest: &[f32],
) -> Result<(u64, Option<Cut>), AuditError> {
    let changed = || AuditError::Option {
        option: "what was read a second time",
        value: "another".to_owned(),
        expected: "the same as the first time: keep labels and probabilities as they are during \
                   an audit",
    };
    // The first reading says roughly how many there are, so that the second can count both them
    // and the finer bins that it will need.
    let (least, most) = tally.confident_others(lowest);
    if most == 0 {
        return Ok((0, None));
    }
    let mut counts = tally.own().narrow(least.max(1), most).ok_or_else(changed)?;
    loop {
        let (selected, filled) = tally::count(images, lowest, counts)?;
        if selected == 0 {
            return Ok((0, None));
        }
        if let Some(cut) = filled.cut(selected) {
            return Ok((selected, Some(cut)));
        }
        counts = filled.narrow(selected, selected).ok_or_else(changed)?;
    }
}
