//! One label from several annotators, and how far each annotator can be trusted.
//!
//! | rule | what it learns about an annotator | use it when |
//! |------|-----------------------------------|-------------|
//! | [`Majority`] | nothing | a baseline, or many annotators of equal skill |
//! | [`OneCoin`] | one accuracy | few votes per annotator |
//! | [`DawidSkene`] | a full confusion matrix | many votes per annotator, typical confusions |
//! | [`Glad`] | an ability; and a difficulty per item | some items are harder than others |
//! | [`Mace`] | how often they guess, and what | some annotators do not look |
//! | [`Crowdlab`] | a weight beside a trained model | out-of-sample model probabilities are at hand |
//!
//! Rules that all of them share:
//!
//! - An item without votes stays unlabelled: its row of the posterior is zero and its label is
//!   `None`. It has no influence on anything.
//! - A class that nobody voted for has posterior probability 0, and the formulas that use the
//!   number of classes count only the classes with votes (as crowd-kit does, which never sees
//!   the others). [`Crowdlab`] is the exception: the model knows every class.
//! - An exact tie of posterior probabilities goes to the lowest class, unless the rule has a tie
//!   rule of its own.
//! - Results do not depend on the number of threads: sums follow a fixed tree over the items.
//!
//! These rules are for votes on whole items. [`masks`] has those for pixels, [`boxes`] those for
//! findings of detectors, [`objects`] those for objects that several experts drew.

pub mod boxes;
mod conjugate_gradient;
mod crowdlab;
mod dawid_skene;
mod glad;
mod mace;
mod majority;
pub mod masks;
pub mod objects;
mod one_coin;

use std::ops::Range;

use cleanslide_data::{Vote, Votes};
use ndarray::{Array2, Array3};
use thiserror::Error;

pub use crowdlab::{AnnotatorQuality, Crowdlab, CrowdlabConsensus, CrowdlabLabel};
pub use dawid_skene::DawidSkene;
pub use glad::Glad;
pub use mace::{Mace, MaceStart, MaceStep};
pub use majority::{Majority, Tie};
pub use one_coin::OneCoin;

/// Probabilities below this are raised to it before a logarithm is taken, as in crowd-kit.
const SMALLEST_PROBABILITY: f64 = 1e-10;

/// Why votes could not be fused.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum FusionError {
    /// There is not one vote.
    #[error("nobody voted on any of the {items} items: import votes first")]
    NoVotes {
        /// Number of items.
        items: usize,
    },
    /// An option is outside its range.
    #[error("option {option} is {value}, but must be {expected}")]
    Option {
        /// Name of the option.
        option: &'static str,
        /// The value that was given.
        value: f64,
        /// The range.
        expected: &'static str,
    },
    /// The model's probabilities, or the starting values, have the wrong shape.
    #[error("{what}: the shape is {found:?}, but the votes need {expected:?}")]
    Shape {
        /// Which array.
        what: &'static str,
        /// Its shape.
        found: [usize; 2],
        /// The shape that fits the votes.
        expected: [usize; 2],
    },
    /// A value is not a probability.
    #[error(
        "{what}: row {row}, column {column} is {value}, but must be a probability from 0 to 1 \
         (apply softmax to logits first)"
    )]
    NotAProbability {
        /// Which array.
        what: &'static str,
        /// Row of the value.
        row: usize,
        /// Column of the value.
        column: usize,
        /// The value.
        value: f64,
    },
    /// An annotator starts without any chance of giving a vote that somebody gave.
    #[error(
        "annotator {annotator} starts with probability 0 of guessing class {class}; start above 0"
    )]
    NoChance {
        /// Index of the annotator.
        annotator: usize,
        /// Index of the class.
        class: usize,
    },
    /// There is only one class, so there is nothing to decide.
    #[error("there is only one class; at least two are needed")]
    OneClass,
    /// No item has two votes, so annotators cannot be compared.
    #[error(
        "every item has a single vote, so annotators cannot be compared: collect a second vote \
         on some items, or audit the labels of the one annotator instead"
    )]
    NoOverlap,
    /// Nobody gave a mask of an image.
    #[error("none of the {experts} experts gave a mask: leave the image out")]
    NoMasks {
        /// Number of experts.
        experts: usize,
    },
    /// Two masks of one image differ in size.
    #[error(
        "the mask of expert {expert} is {found:?} (height, width), but those before are \
         {expected:?}: masks of one image must have one size"
    )]
    MaskSize {
        /// Index of the expert.
        expert: usize,
        /// Size of their mask.
        found: (usize, usize),
        /// Size of the masks before it.
        expected: (usize, usize),
    },
    /// A pixel's class does not exist.
    #[error(
        "expert {expert} gave class {class} to row {row}, column {column}, but there are \
         {classes} classes (0 to {}; 255 is unlabelled)", classes - 1
    )]
    MaskClass {
        /// Index of the expert.
        expert: usize,
        /// Row of the pixel.
        row: usize,
        /// Column of the pixel.
        column: usize,
        /// The class.
        class: u8,
        /// Number of classes.
        classes: usize,
    },
    /// A list does not have one entry per expert, model, class or object.
    #[error("there are {found} {what}, but {expected} are needed")]
    Count {
        /// What is counted.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// An object of an instance mask has no class.
    #[error("expert {expert} drew object {object}, but gave the classes of {classes} objects")]
    ObjectClass {
        /// Index of the expert.
        expert: usize,
        /// Number of the object.
        object: u32,
        /// How many classes there are.
        classes: usize,
    },
    /// A box cannot be used.
    #[error("box {index} of view {view} has {what}")]
    Box {
        /// Index of the view.
        view: usize,
        /// Index in the view's list.
        index: usize,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// How far each annotator can be trusted, in the terms of the rule that found it.
///
/// Every entry of an annotator who did not vote is NaN: nothing is known about them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Reliability {
    /// [`Majority`]: share of the annotator's votes that equal the consensus, from 0 to 1; items
    /// whose tie was left open are not counted.
    Agreement(Vec<f64>),
    /// [`OneCoin`]: probability that a vote is right, from 0 to 1.
    Accuracy(Vec<f64>),
    /// [`DawidSkene`]: probability of each vote given each truth, \[annotators, truth, vote\];
    /// rows sum to 1. Rows of classes that nobody voted for are NaN.
    Confusion(Array3<f64>),
    /// [`Glad`]: ability, any real number: 0 is a coin flip, negative is worse than chance.
    Ability {
        /// Ability (alpha) per annotator.
        ability: Vec<f64>,
        /// Difficulty (1 / beta) per item, above 0; the prior's centre is 1/e, higher is harder.
        /// NaN for items without votes.
        difficulty: Vec<f64>,
    },
    /// [`Mace`]: probability that a vote is a guess.
    Spamming {
        /// Probability of guessing per annotator, from 0 to 1.
        probability: Vec<f64>,
        /// What the annotator says when guessing, \[annotators, classes\]; rows sum to 1.
        strategy: Array2<f64>,
    },
    /// [`Crowdlab`]: overall quality of the annotator's labels, from 0 to 1. NaN too for
    /// annotators who share no item with another one.
    Quality(Vec<f64>),
}

/// What the votes say together.
#[derive(Debug, Clone, PartialEq)]
pub struct Consensus {
    /// Probability of each class, \[items, classes\]. Rows sum to 1; rows of items without votes
    /// are zero.
    pub posterior: Array2<f64>,
    /// The chosen class; `None` where nobody voted, or where the rule leaves ties open.
    pub labels: Vec<Option<usize>>,
    /// How far each annotator can be trusted.
    pub reliability: Reliability,
    /// Number of iterations that were run; 0 for rules in closed form.
    pub iterations: usize,
    /// Whether the rule's own criterion was met within its iterations; true in closed form.
    pub converged: bool,
}

impl Consensus {
    /// The chosen class of an item, or `None` when it is unlabelled.
    ///
    /// # Panics
    /// If there is no such item.
    pub fn label(&self, item: usize) -> Option<usize> {
        self.labels[item]
    }
}

/// Which classes have at least one vote.
fn voted(votes: &Votes) -> Vec<bool> {
    let mut voted = vec![false; votes.classes()];
    for item in 0..votes.items() {
        for vote in votes.of(item) {
            voted[vote.class as usize] = true;
        }
    }
    voted
}

/// Number of votes of each annotator.
fn votes_per_annotator(votes: &Votes) -> Vec<usize> {
    let mut counts = vec![0; votes.annotators()];
    for item in 0..votes.items() {
        for vote in votes.of(item) {
            counts[vote.annotator as usize] += 1;
        }
    }
    counts
}

fn check_votes(votes: &Votes) -> Result<(), FusionError> {
    if votes.is_empty() {
        return Err(FusionError::NoVotes {
            items: votes.items(),
        });
    }
    Ok(())
}

fn check_option(
    option: &'static str,
    value: f64,
    allowed: impl Fn(f64) -> bool,
    expected: &'static str,
) -> Result<(), FusionError> {
    if allowed(value) {
        return Ok(());
    }
    Err(FusionError::Option {
        option,
        value,
        expected,
    })
}

fn check_iterations(option: &'static str, iterations: usize) -> Result<(), FusionError> {
    check_option(option, iterations as f64, |n| n >= 1.0, "at least 1")
}

fn check_tolerance(option: &'static str, tolerance: f64) -> Result<(), FusionError> {
    check_option(option, tolerance, |t| t >= 0.0, "0 or more")
}

/// The most probable class of each item with votes; the lowest class among equals.
fn most_probable(votes: &Votes, posterior: &Array2<f64>) -> Vec<Option<usize>> {
    posterior
        .rows()
        .into_iter()
        .enumerate()
        .map(|(item, row)| {
            if votes.of(item).is_empty() {
                return None;
            }
            let mut best = 0;
            for (class, &probability) in row.iter().enumerate() {
                if probability > row[best] {
                    best = class;
                }
            }
            Some(best)
        })
        .collect()
}

/// Share of votes per class; zero where nobody voted.
fn shares(ballot: &[Vote], row: &mut [f64]) {
    row.fill(0.0);
    for vote in ballot {
        row[vote.class as usize] += 1.0;
    }
    for share in row.iter_mut() {
        *share /= ballot.len().max(1) as f64;
    }
}

/// What [`normalise_log`] finds on its way.
struct Normalised {
    /// Logarithm of the sum of the likelihoods.
    log_total: f64,
    /// Entropy of the probabilities.
    entropy: f64,
}

/// Turns log likelihoods into probabilities in place.
#[inline(always)]
fn normalise_log(row: &mut [f64]) -> Normalised {
    let highest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut total = 0.0;
    let mut weighted = 0.0;
    for value in row.iter_mut() {
        let below = *value - highest;
        *value = below.exp();
        total += *value;
        if *value > 0.0 {
            weighted += *value * below;
        }
    }
    for value in row.iter_mut() {
        *value /= total;
    }
    Normalised {
        log_total: highest + total.ln(),
        // -Σ p ln p with ln p = below - ln total: one logarithm per item instead of one per class.
        entropy: total.ln() - weighted / total,
    }
}

/// Items that one thread takes at a time. Depends on the input alone, never on the threads, and
/// is large enough that clearing a table of `table` numbers costs less than filling it.
fn block_of(table: usize) -> usize {
    table.max(4096)
}

/// Calls `leaf` on blocks of items with their rows of `rows` (`width` numbers per item), in
/// parallel, and merges the results along a fixed tree, so that floating-point sums are the same
/// for every number of threads. Only about two results per thread are alive at a time.
fn accumulate<T, Leaf, Merge>(
    items: Range<usize>,
    rows: &mut [f64],
    width: usize,
    block: usize,
    leaf: &Leaf,
    merge: &Merge,
) -> T
where
    T: Send,
    Leaf: Fn(Range<usize>, &mut [f64]) -> T + Sync,
    Merge: Fn(&mut T, T) + Sync,
{
    if items.len() <= block {
        return leaf(items, rows);
    }
    let half = items.len() / 2;
    let middle = items.start + half;
    let (front, back) = rows.split_at_mut(half * width);
    let (mut left, right) = rayon::join(
        || accumulate(items.start..middle, front, width, block, leaf, merge),
        || accumulate(middle..items.end, back, width, block, leaf, merge),
    );
    merge(&mut left, right);
    left
}

#[inline(always)]
fn add(into: &mut [f64], from: &[f64]) {
    for (sum, value) in into.iter_mut().zip(from) {
        *sum += value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_covers_every_item_once_and_in_order() {
        for items in [0, 1, 2, 7, 8, 9, 100] {
            let mut rows = vec![0.0; items * 2];
            let seen = accumulate(
                0..items,
                &mut rows,
                2,
                3,
                &|range, rows: &mut [f64]| {
                    assert_eq!(rows.len(), range.len() * 2);
                    for (item, row) in range.clone().zip(rows.chunks_exact_mut(2)) {
                        row[1] += item as f64;
                    }
                    range.collect::<Vec<_>>()
                },
                &|left: &mut Vec<usize>, right| left.extend(right),
            );
            assert_eq!(seen, (0..items).collect::<Vec<_>>());
            assert!((0..items).all(|item| rows[2 * item + 1] == item as f64));
        }
    }

    #[test]
    fn far_apart_logs_neither_overflow_nor_vanish() {
        let mut row = [-1e6, -1e6 + 2f64.ln(), f64::NEG_INFINITY];
        let Normalised { log_total, entropy } = normalise_log(&mut row);
        assert!((row[0] - 1.0 / 3.0).abs() < 1e-9);
        assert_eq!(row[2], 0.0);
        assert!((log_total - (-1e6 + 3f64.ln())).abs() < 1e-9);
        let third = 1.0f64 / 3.0;
        let expected = -third * third.ln() - 2.0 * third * (2.0 * third).ln();
        assert!((entropy - expected).abs() < 1e-9);
    }
}
