//! Which found object is which true object: overlaps of boxes and of instance masks, and one-to-one
//! matching.
//!
//! Two sets of objects are compared through the sparse list of [`Pair`]s that overlap at all. It
//! comes from boxes ([`box_pairs`]) or from two instance masks in one pass over their pixels
//! ([`Overlaps`]). [`match_objects`] then keeps pairs with an IoU of at least a threshold so that no
//! object is in two of them; [`Assignment`] says which.
//!
//! Instances of one mask do not overlap each other, so pairs with an IoU above 0.5 are one-to-one by
//! themselves (A. Kirillov et al., arXiv:1801.00868) and both rules agree there. Boxes do overlap,
//! and so may instances at lower thresholds.
//!
//! ```
//! use cleanslide_eval::matching::{Assignment, Overlaps, match_objects};
//! use ndarray::array;
//!
//! let truth = array![[1, 1, 0], [0, 2, 2]];
//! let predicted = array![[7, 7, 0], [0, 0, 9]];
//! let overlaps = Overlaps::new(truth.view(), predicted.view())?;
//! let matching = match_objects(overlaps.counts(), &overlaps.pairs(), 0.6, Assignment::Optimal)?;
//! assert_eq!(matching.pairs.len(), 1);
//! let missed: Vec<u32> = matching.missed.iter().map(|&i| overlaps.truth[i].number).collect();
//! assert_eq!(missed, [2]);
//! # Ok::<(), cleanslide_eval::Error>(())
//! ```

mod assignment;
mod counts;
mod overlaps;

use cleanslide_data::Rectangle;
use ndarray::Array2;
use serde::{Deserialize, Serialize};

pub use counts::MatchCounts;
pub use overlaps::{Instance, Overlap, Overlaps};

pub(crate) use assignment::heaviest;

use crate::error::Error;

/// A true and a found object that overlap, by their positions in their lists.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// Position of the true object.
    pub truth: usize,
    /// Position of the found object.
    pub predicted: usize,
    /// Intersection over union, above 0 and at most 1.
    pub iou: f64,
}

/// Which one-to-one matching is taken if there are several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Assignment {
    /// As many pairs as possible, and among those matchings the one with the highest sum of IoU
    /// (StarDist, Cellpose). StarDist's sum also counts assigned pairs below the threshold, which
    /// can choose other pairs, but never another number of pairs.
    #[default]
    Optimal,
    /// The pair with the highest IoU first, then the highest of what is left. Of equal IoU, the
    /// true object that is first in its list, then the found one. Never more pairs than `Optimal`,
    /// and at least half as many.
    Greedy,
}

/// Which true object was found by what.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Matching {
    /// The matched pairs, in the order of the true objects.
    pub pairs: Vec<Pair>,
    /// True objects that nothing matches, ascending.
    pub missed: Vec<usize>,
    /// Found objects that match nothing, ascending.
    pub surplus: Vec<usize>,
}

impl Matching {
    /// The sum of the IoU of the matched pairs.
    pub fn summed_iou(&self) -> f64 {
        self.pairs.iter().map(|pair| pair.iou).sum()
    }
}

/// Matches `counts` (true objects, found objects) one to one through `pairs` with an IoU of at
/// least `threshold`.
///
/// Time is that of sorting the pairs wherever no object has a choice; otherwise at most the number
/// of true objects times that.
///
/// # Errors
/// A threshold that is not above 0 and at most 1; a pair that names an object that does not exist,
/// is named twice, or whose IoU is not above 0 and at most 1.
pub fn match_objects(
    counts: (usize, usize),
    pairs: &[Pair],
    threshold: f64,
    assignment: Assignment,
) -> Result<Matching, Error> {
    check_threshold(threshold)?;
    let pairs = in_order(counts, pairs)?;
    let candidates: Vec<Pair> = pairs.into_iter().filter(|p| p.iou >= threshold).collect();
    let chosen = match assignment {
        Assignment::Optimal => heaviest(counts, &candidates, true),
        Assignment::Greedy => greedy(counts, candidates),
    };
    Ok(complete(counts, chosen))
}

/// Fails unless `threshold` can bound an IoU from below.
pub(crate) fn check_threshold(threshold: f64) -> Result<(), Error> {
    if threshold > 0.0 && threshold <= 1.0 {
        Ok(())
    } else {
        Err(Error::InvalidIouThreshold { threshold })
    }
}

/// The pairs by true, then by found object, all checked.
fn in_order(counts: (usize, usize), pairs: &[Pair]) -> Result<Vec<Pair>, Error> {
    let mut pairs = pairs.to_vec();
    pairs.sort_by_key(|pair| (pair.truth, pair.predicted));
    let wrong = |pair: &Pair| {
        let exists = pair.truth < counts.0 && pair.predicted < counts.1;
        !(exists && pair.iou > 0.0 && pair.iou <= 1.0)
    };
    let twice =
        |two: &&[Pair]| (two[0].truth, two[0].predicted) == (two[1].truth, two[1].predicted);
    let bad = pairs
        .iter()
        .find(|pair| wrong(pair))
        .or_else(|| pairs.windows(2).find(twice).map(|two| &two[1]));
    match bad {
        Some(&Pair {
            truth,
            predicted,
            iou,
        }) => Err(Error::InvalidPair {
            truth,
            predicted,
            iou,
            counts,
        }),
        None => Ok(pairs),
    }
}

/// Highest IoU first; the sort is stable, so equal ones stay in the order of their objects.
fn greedy(counts: (usize, usize), mut pairs: Vec<Pair>) -> Vec<Pair> {
    pairs.sort_by(|a, b| b.iou.total_cmp(&a.iou));
    let mut free = (vec![true; counts.0], vec![true; counts.1]);
    pairs.retain(|pair| {
        let both = free.0[pair.truth] && free.1[pair.predicted];
        if both {
            free.0[pair.truth] = false;
            free.1[pair.predicted] = false;
        }
        both
    });
    pairs
}

fn complete(counts: (usize, usize), mut pairs: Vec<Pair>) -> Matching {
    pairs.sort_by_key(|pair| pair.truth);
    let mut free = (vec![true; counts.0], vec![true; counts.1]);
    for pair in &pairs {
        free.0[pair.truth] = false;
        free.1[pair.predicted] = false;
    }
    let left = |free: Vec<bool>| (0..free.len()).filter(|&i| free[i]).collect();
    Matching {
        pairs,
        missed: left(free.0),
        surplus: left(free.1),
    }
}

/// The pairs of boxes that share an area, by true, then by found box.
pub fn box_pairs(truth: &[Rectangle], predicted: &[Rectangle]) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (i, true_box) in truth.iter().enumerate() {
        for (j, found) in predicted.iter().enumerate() {
            let iou = true_box.iou(found);
            if iou > 0.0 {
                pairs.push(Pair {
                    truth: i,
                    predicted: j,
                    iou,
                });
            }
        }
    }
    pairs
}

/// The IoU of every true object (row) with every found one (column), 0 where no pair is given.
///
/// # Errors
/// A pair that names an object that does not exist, is named twice, or whose IoU is not above 0
/// and at most 1.
pub fn iou_matrix(counts: (usize, usize), pairs: &[Pair]) -> Result<Array2<f64>, Error> {
    let mut matrix = Array2::zeros(counts);
    for pair in in_order(counts, pairs)? {
        matrix[(pair.truth, pair.predicted)] = pair.iou;
    }
    Ok(matrix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(truth: usize, predicted: usize, iou: f64) -> Pair {
        Pair {
            truth,
            predicted,
            iou,
        }
    }

    #[test]
    fn greedy_takes_the_best_pair_and_optimal_the_most_pairs() {
        let pairs = [pair(0, 0, 0.9), pair(0, 1, 0.6), pair(1, 0, 0.7)];
        let greedy = match_objects((2, 2), &pairs, 0.5, Assignment::Greedy).unwrap();
        assert_eq!(greedy.pairs, [pairs[0]]);
        assert_eq!((greedy.missed, greedy.surplus), (vec![1], vec![1]));
        let optimal = match_objects((2, 2), &pairs, 0.5, Assignment::Optimal).unwrap();
        assert_eq!(optimal.pairs, [pairs[1], pairs[2]]);
        assert!((optimal.summed_iou() - 1.3).abs() < 1e-15);
        let strict = match_objects((2, 2), &pairs, 0.65, Assignment::Optimal).unwrap();
        assert_eq!(strict.pairs, [pairs[0]]);
    }

    #[test]
    fn the_threshold_is_included_and_ties_go_to_the_first() {
        let pairs = [pair(1, 0, 0.5), pair(0, 0, 0.5)];
        for assignment in [Assignment::Greedy, Assignment::Optimal] {
            let matching = match_objects((2, 1), &pairs, 0.5, assignment).unwrap();
            assert_eq!(matching.pairs, [pairs[1]], "{assignment:?}");
        }
    }

    #[test]
    fn nothing_matches_nothing() {
        let matching = match_objects((2, 1), &[], 0.5, Assignment::Optimal).unwrap();
        assert_eq!(matching.missed, [0, 1]);
        assert_eq!(matching.surplus, [0]);
        assert_eq!(
            match_objects((0, 0), &[], 0.5, Assignment::Greedy).unwrap(),
            Matching::default()
        );
    }

    #[test]
    fn boxes_that_only_touch_are_no_pair() {
        let boxes = [
            Rectangle::new(0.0, 0.0, 2.0, 2.0).unwrap(),
            Rectangle::new(2.0, 0.0, 4.0, 2.0).unwrap(),
        ];
        let pairs = box_pairs(&boxes, &boxes);
        assert_eq!(pairs, [pair(0, 0, 1.0), pair(1, 1, 1.0)]);
        assert_eq!(
            iou_matrix((2, 2), &pairs).unwrap(),
            ndarray::array![[1.0, 0.0], [0.0, 1.0]]
        );
    }

    #[test]
    fn bad_input_is_named() {
        let message = |pairs: &[Pair], threshold| {
            match_objects((1, 1), pairs, threshold, Assignment::Optimal)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            message(&[], 0.0),
            "the IoU threshold is 0; it must be above 0 and at most 1"
        );
        assert!(message(&[], f64::NAN).contains("NaN"));
        assert_eq!(
            message(&[pair(0, 1, 0.5)], 0.5),
            "the pair of true object 0 and found object 1 with IoU 0.5 cannot be among 1 true and \
             1 found objects; pass each pair once, with an IoU above 0 and at most 1"
        );
        assert!(message(&[pair(0, 0, f64::NAN)], 0.5).contains("IoU NaN"));
        assert!(message(&[pair(0, 0, 0.5), pair(0, 0, 0.5)], 0.5).contains("each pair once"));
    }
}
