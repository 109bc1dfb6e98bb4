//! Wrong labels made on purpose, with a record of what was changed.
//!
//! Every injector takes clean labels and returns [`Noisy`]: the labels a method may see, and
//! apart from them the list of changes, which only an evaluation may see. Counts are exact, never
//! drawn: a rate of 0.2 on 1000 items changes 200. Every change leads to a *different* class.
//! Injectors for boxes and masks are in [`spatial`].

mod asymmetric;
mod instance_dependent;
pub mod spatial;
mod stratified_order;
mod uniform;

use ndarray::Array2;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

pub use asymmetric::{asymmetric, between, pair_flip, symmetric};
pub use instance_dependent::{Selection, instance_dependent, mislabelling_score};
pub use stratified_order::stratified_order;
pub use uniform::{Uniform, uniform};

/// How far a row of a transition matrix may be from a sum of 1: well above the rounding of
/// decimal fractions and of `f32` input, well below any rate that somebody means.
const ROW_SUM_TOLERANCE: f64 = 1e-6;

/// Why noise could not be injected.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum NoiseError {
    /// A rate is not in 0 to 1.
    #[error("the noise rate is {rate}, but must be from 0 to 1 (0.2 for 20 %)")]
    Rate {
        /// The rate that was given.
        rate: f64,
    },
    /// There are fewer than two classes, so no label can become a different one.
    #[error("there are {classes} classes, but wrong labels need at least two")]
    TooFewClasses {
        /// Number of classes.
        classes: usize,
    },
    /// A label is outside the classes.
    #[error("item {item} has class {class}, but there are only {classes} classes")]
    Class {
        /// Index of the item.
        item: usize,
        /// Its class.
        class: usize,
        /// Number of classes.
        classes: usize,
    },
    /// A table has the wrong shape.
    #[error("{what}: the shape is {found:?}, but {expected:?} is needed")]
    Shape {
        /// Which table.
        what: &'static str,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that fits.
        expected: Vec<usize>,
    },
    /// An entry of a transition matrix is not a probability.
    #[error("transition from class {from} to class {to} is {value}, but must be from 0 to 1")]
    Transition {
        /// True class.
        from: usize,
        /// Noisy class.
        to: usize,
        /// The entry.
        value: f64,
    },
    /// A row of a transition matrix does not sum to 1.
    #[error("transitions from class {from} sum to {sum}, but every row must sum to 1")]
    RowSum {
        /// True class.
        from: usize,
        /// The sum of its row.
        sum: f64,
    },
    /// A flip was asked for from a class to itself, or to or from a class that does not exist.
    #[error(
        "no flip from class {from} to class {to} is possible among {classes} classes: name two \
         different classes"
    )]
    Flip {
        /// True class.
        from: usize,
        /// Noisy class.
        to: usize,
        /// Number of classes.
        classes: usize,
    },
    /// A difficulty is negative, infinite or NaN.
    #[error("the difficulty of item {item} is {value}, but must be 0 or more and finite")]
    Difficulty {
        /// Index of the item.
        item: usize,
        /// The value.
        value: f64,
    },
    /// A model probability is negative, infinite or NaN.
    #[error("the probability of class {class} on item {item} is {value}, but must be from 0 to 1")]
    Probability {
        /// Index of the item.
        item: usize,
        /// Index of the class.
        class: usize,
        /// The value.
        value: f64,
    },
    /// More labels should change than items have a difficulty above zero.
    #[error(
        "{wanted} labels should change, but only {possible} items have a difficulty above 0: \
         lower the rate, or give every item some difficulty"
    )]
    TooFewDifficult {
        /// Number of labels to change.
        wanted: usize,
        /// Number of items with a difficulty above 0.
        possible: usize,
    },
    /// A box or a mask's objects are not as they must be.
    #[error("object {object} {problem}")]
    Object {
        /// Index of the object in its image.
        object: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A setting is out of its range.
    #[error("the setting `{name}` is {value}: expected {expected}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
        /// What is expected.
        expected: &'static str,
    },
    /// A picture that places are compared in has a value that is not a finite number.
    #[error("the picture of image {image} is {value} at row {row}, column {column}")]
    Picture {
        /// Index of the image.
        image: usize,
        /// Row of the pixel.
        row: usize,
        /// Its column.
        column: usize,
        /// Its value.
        value: f32,
    },
    /// The images do not hold as much noise of this kind as was asked for.
    #[error(
        "the rate asks for {wanted} {what}, but these images allow {possible}: lower the rate or \
         widen the settings"
    )]
    TooFewObjects {
        /// What was asked for.
        what: &'static str,
        /// How many.
        wanted: usize,
        /// How many were possible, in the order in which the objects were drawn.
        possible: usize,
    },
}

/// One label that was made wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Index of the item.
    pub item: usize,
    /// Its true class.
    pub truth: usize,
    /// The class it got instead.
    pub given: usize,
}

/// Noisy labels, and apart from them what was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noisy {
    /// The labels with noise, one per item.
    pub labels: Vec<usize>,
    /// Every changed item with its true class, in the order of the items. For evaluation only.
    pub changes: Vec<Change>,
}

impl Noisy {
    fn new(truth: &[usize], labels: Vec<usize>) -> Self {
        let changes = truth
            .iter()
            .zip(&labels)
            .enumerate()
            .filter(|(_, (truth, given))| truth != given)
            .map(|(item, (&truth, &given))| Change { item, truth, given })
            .collect();
        Self { labels, changes }
    }

    /// The clean labels. For evaluation only.
    pub fn truth(&self) -> Vec<usize> {
        let mut truth = self.labels.clone();
        for change in &self.changes {
            truth[change.item] = change.truth;
        }
        truth
    }

    /// Share of labels that are wrong; 0 without items.
    pub fn rate(&self) -> f64 {
        self.changes.len() as f64 / self.labels.len().max(1) as f64
    }

    /// The transition matrix that came out, \[truth, given\]: shares of the items of each true
    /// class, rows sum to 1. Rows of classes without items are NaN.
    ///
    /// # Errors
    /// Labels outside `classes`.
    pub fn realised(&self, classes: usize) -> Result<Array2<f64>, NoiseError> {
        let truth = self.truth();
        check_labels(&truth, classes)?;
        check_labels(&self.labels, classes)?;
        let mut matrix = Array2::zeros((classes, classes));
        for (&truth, &given) in truth.iter().zip(&self.labels) {
            matrix[[truth, given]] += 1.0;
        }
        for mut row in matrix.rows_mut() {
            let items = row.sum();
            row /= items;
        }
        Ok(matrix)
    }
}

fn check_rate(rate: f64) -> Result<(), NoiseError> {
    if (0.0..=1.0).contains(&rate) {
        Ok(())
    } else {
        Err(NoiseError::Rate { rate })
    }
}

fn check_classes(classes: usize) -> Result<(), NoiseError> {
    if classes < 2 {
        return Err(NoiseError::TooFewClasses { classes });
    }
    Ok(())
}

fn check_labels(labels: &[usize], classes: usize) -> Result<(), NoiseError> {
    check_classes(classes)?;
    match labels.iter().position(|&class| class >= classes) {
        None => Ok(()),
        Some(item) => Err(NoiseError::Class {
            item,
            class: labels[item],
            classes,
        }),
    }
}

/// Number of items that a rate means, halves away from zero.
fn count(rate: f64, items: usize) -> usize {
    (rate * items as f64).round() as usize
}

/// Splits `total` in proportion to `shares` into whole numbers: the largest remainders get one
/// more each, the first among equals.
fn largest_remainder(total: usize, shares: &[f64]) -> Vec<usize> {
    // Remainders that differ by rounding only are equal: 0.1 * 15 and 0.9 * 15 both leave half.
    let quotas: Vec<f64> = shares
        .iter()
        .map(|share| (share * total as f64 * 1e9).round() / 1e9)
        .collect();
    let mut counts: Vec<usize> = quotas.iter().map(|quota| quota.floor() as usize).collect();
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by(|&a, &b| quotas[b].fract().total_cmp(&quotas[a].fract()));
    let missing = total.saturating_sub(counts.iter().sum());
    for &index in order.iter().cycle().take(missing) {
        counts[index] += 1;
    }
    counts
}

/// Moves a random sample of `wanted` entries to the front, in random order.
fn sample_front(entries: &mut [usize], wanted: usize, rng: &mut ChaCha8Rng) {
    for position in 0..wanted {
        let drawn = rng.random_range(position..entries.len());
        entries.swap(position, drawn);
    }
}

/// A class other than `class`, all equally likely.
fn other_class(class: usize, classes: usize, rng: &mut ChaCha8Rng) -> usize {
    (class + rng.random_range(1..classes)) % classes
}

/// The items of each class, in order.
fn by_class(labels: &[usize], classes: usize) -> Vec<Vec<usize>> {
    let mut items = vec![Vec::new(); classes];
    for (item, &class) in labels.iter().enumerate() {
        items[class].push(item);
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remainders_go_to_the_largest_then_the_first() {
        assert_eq!(largest_remainder(10, &[0.25, 0.25, 0.5]), [3, 2, 5]);
        assert_eq!(largest_remainder(15, &[0.9, 0.1]), [14, 1]);
        assert_eq!(largest_remainder(15, &[0.1, 0.9]), [2, 13]);
        assert_eq!(largest_remainder(3, &[1.0 / 3.0; 3]), [1, 1, 1]);
        assert_eq!(largest_remainder(0, &[0.5, 0.5]), [0, 0]);
    }

    #[test]
    fn the_record_rebuilds_the_truth() {
        let truth = [0, 1, 2, 1, 0];
        let noisy = Noisy::new(&truth, vec![0, 2, 2, 0, 0]);
        assert_eq!(noisy.truth(), truth);
        assert_eq!(noisy.rate(), 0.4);
        let matrix = noisy.realised(4).unwrap();
        assert_eq!(matrix.row(1).to_vec(), [0.5, 0.0, 0.5, 0.0]);
        assert!(matrix[[3, 3]].is_nan());
        assert_eq!(
            noisy.realised(2).unwrap_err().to_string(),
            "item 2 has class 2, but there are only 2 classes"
        );
    }
}
