//! One class mask from those of several experts.
//!
//! | rule | what it learns about an expert | use it when |
//! |------|--------------------------------|-------------|
//! | [`MaskMajority`] | nothing | a baseline, or many experts of equal skill |
//! | [`WeightedMaskMajority`] | nothing: weights are given | trust is known beforehand |
//! | [`Staple`] | sensitivity and specificity | one structure against the rest |
//! | [`MultiLabelStaple`] | a confusion matrix; classes are as common as the votes say | several classes |
//! | [`MaskDawidSkene`] | a confusion matrix, and how common the classes are | several classes |
//! | [`SmoothDawidSkene`] | the same, where neighbouring pixels tend to agree | noisy masks |
//!
//! Pixels that got the same votes from the same experts get the same answer. Therefore
//! [`VotePatterns`] counts the different patterns of votes in one pass over the masks, and the rules
//! work on the few patterns instead of on millions of pixels. Patterns of many images may be
//! counted together; then experts are judged on all of them:
//!
//! ```
//! use cleanslide_weak::fusion::masks::{Staple, VotePatterns};
//! use ndarray::array;
//!
//! let one = array![[0, 1, 1, 0]];
//! let other = array![[0, 1, 1, 1]];
//! let third = array![[0, 1, 255, 0]]; // 255: did not look
//!
//! let mut patterns = VotePatterns::new(3, 2)?;
//! let map = patterns.add(&[Some(one.view()), Some(other.view()), Some(third.view())])?;
//! let consensus = Staple::default().fuse(&patterns)?;
//! assert_eq!(consensus.mask(map.view(), 0.5), array![[0, 1, 1, 0]]);
//! # Ok::<(), cleanslide_weak::fusion::FusionError>(())
//! ```
//!
//! Rules that all of them share:
//!
//! - A class mask is a picture of class indices in which
//!   [`UNLABELLED_CLASS`] (255) is unlabelled. An unlabelled
//!   pixel is no vote; it is not a vote for the background.
//! - A pixel without votes stays unlabelled and has no influence on anything.
//! - What happens to ties is an explicit choice, [`MaskTie`]. Probabilities that differ by at most
//!   1e-9 are a tie, so that rounding decides nothing.

mod dawid_skene;
mod majority;
mod multi_label_staple;
mod patterns;
mod smooth_dawid_skene;
mod staple;
mod weighted_majority;

use cleanslide_data::UNLABELLED_CLASS;
use ndarray::{Array2, ArrayView2, Zip};

use super::Reliability;

pub use dawid_skene::MaskDawidSkene;
pub use majority::MaskMajority;
pub use multi_label_staple::MultiLabelStaple;
pub use patterns::VotePatterns;
pub use smooth_dawid_skene::{SmoothConsensus, SmoothDawidSkene};
pub use staple::{Staple, StapleConsensus};
pub use weighted_majority::WeightedMaskMajority;

/// Probabilities that differ by no more are equal.
const TIED: f64 = 1e-9;

/// Which class a pixel gets when several are equally probable.
///
/// Unlike [`Tie`](super::Tie), the rule of whole items, the default is not the lowest class: in
/// masks that is the background as a rule, and a pixel that half of the experts drew is not
/// background.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MaskTie {
    /// None: the pixel stays unlabelled, as with SimpleITK's `LabelVoting` and
    /// `MultiLabelSTAPLE`, whose label for undecided pixels this is.
    #[default]
    Unlabelled,
    /// The lowest of the tied classes.
    LowestClass,
    /// This class, tied or not: for example the background.
    Class(u8),
    /// The tied class for which the first expert voted who voted for one of them.
    FirstExpert,
}

/// What the masks say together, for each pattern of votes.
#[derive(Debug, Clone, PartialEq)]
pub struct MaskConsensus {
    /// Probability of each class, \[patterns, classes\]. Rows sum to 1; rows of patterns
    /// without votes, or that the fitted model holds for impossible, are zero and unlabelled.
    pub posterior: Array2<f64>,
    /// The chosen class of each pattern; 255 is unlabelled.
    pub labels: Vec<u8>,
    /// How far each expert can be trusted.
    pub reliability: Reliability,
    /// Number of iterations that were run; 0 for rules in closed form.
    pub iterations: usize,
    /// Whether the rule's own criterion was met within its iterations; true in closed form.
    pub converged: bool,
}

impl MaskConsensus {
    /// The consensus of one image, given its picture of patterns ([`VotePatterns::add`]).
    ///
    /// Patterns that were added after the rule was applied are unlabelled.
    pub fn mask(&self, patterns: ArrayView2<'_, u32>) -> Array2<u8> {
        paint(patterns, &self.labels, UNLABELLED_CLASS)
    }

    /// The probability of a class at each pixel of one image; NaN where it is unknown: nobody
    /// voted, or there is no such class.
    pub fn probability(&self, patterns: ArrayView2<'_, u32>, class: usize) -> Array2<f32> {
        let of_pattern: Vec<f32> = self
            .posterior
            .rows()
            .into_iter()
            .map(|row| match row.get(class) {
                Some(&probability) if row.sum() > 0.0 => probability as f32,
                _ => f32::NAN,
            })
            .collect();
        paint(patterns, &of_pattern, f32::NAN)
    }
}

/// A picture of what belongs to each pixel's pattern.
fn paint<T: Copy + Send + Sync>(
    patterns: ArrayView2<'_, u32>,
    of_pattern: &[T],
    unknown: T,
) -> Array2<T> {
    let value = |&pattern: &u32| of_pattern.get(pattern as usize).copied().unwrap_or(unknown);
    Zip::from(&patterns).par_map_collect(value)
}

/// The chosen class of each pattern.
fn decide(patterns: &VotePatterns, posterior: &Array2<f64>, tie: MaskTie) -> Vec<u8> {
    posterior
        .rows()
        .into_iter()
        .enumerate()
        .map(|(pattern, row)| choose(row.iter().copied(), patterns.votes(pattern), tie))
        .collect()
}

/// The chosen class, given the probabilities and the votes of the experts.
fn choose(probabilities: impl Iterator<Item = f64> + Clone, votes: &[u8], tie: MaskTie) -> u8 {
    let highest = probabilities.clone().fold(0.0, f64::max);
    if highest <= 0.0 {
        return UNLABELLED_CLASS;
    }
    let is_tied = |probability: f64| probability >= highest - TIED;
    let classes = (0..UNLABELLED_CLASS).zip(probabilities.clone());
    let mut best = classes
        .filter(|&(_, probability)| is_tied(probability))
        .map(|(class, _)| class);
    let lowest = best.next().unwrap_or(UNLABELLED_CLASS);
    if best.next().is_none() {
        return lowest;
    }
    match tie {
        MaskTie::Unlabelled => UNLABELLED_CLASS,
        MaskTie::LowestClass => lowest,
        MaskTie::Class(class) => class,
        MaskTie::FirstExpert => votes
            .iter()
            .copied()
            .find(|&vote| {
                probabilities
                    .clone()
                    .nth(usize::from(vote))
                    .is_some_and(is_tied)
            })
            .unwrap_or(UNLABELLED_CLASS),
    }
}
