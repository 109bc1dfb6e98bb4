//! Majority vote per pixel.
//!
//! ```text
//! posterior[i, k] = votes for k at pixel i / votes at pixel i
//! ```
//!
//! The label is the class with most votes; with the default [`MaskTie::Unlabelled`], SimpleITK's
//! `LabelVoting` but for pixels that experts left unlabelled.

use cleanslide_data::UNLABELLED_CLASS;
use ndarray::Array2;

use super::{MaskConsensus, MaskTie, VotePatterns, decide};
use crate::fusion::{FusionError, Reliability};

/// The class with most votes at each pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MaskMajority {
    /// What happens to ties.
    pub tie: MaskTie,
}

impl MaskMajority {
    /// Counts the votes. Reliability is [`Reliability::Agreement`].
    ///
    /// # Errors
    /// No votes at all.
    pub fn fuse(&self, patterns: &VotePatterns) -> Result<MaskConsensus, FusionError> {
        patterns.check_votes()?;
        let posterior = shares(patterns, |_, _| 1.0);
        Ok(closed_form(patterns, posterior, self.tie))
    }
}

/// Share of the votes per class, \[patterns, classes\], where a vote of an expert for a class has
/// some weight; zero without any.
pub(super) fn shares(patterns: &VotePatterns, weight: impl Fn(usize, usize) -> f64) -> Array2<f64> {
    let mut shares = Array2::zeros((patterns.len(), patterns.classes()));
    for (pattern, mut row) in shares.rows_mut().into_iter().enumerate() {
        for (expert, class) in patterns.given(pattern) {
            row[class] += weight(expert, class);
        }
        let total = row.sum();
        if total > 0.0 {
            row /= total;
        }
    }
    shares
}

/// The consensus of a rule without iterations.
pub(super) fn closed_form(
    patterns: &VotePatterns,
    posterior: Array2<f64>,
    tie: MaskTie,
) -> MaskConsensus {
    let labels = decide(patterns, &posterior, tie);
    MaskConsensus {
        posterior,
        reliability: Reliability::Agreement(agreement(patterns, &labels)),
        labels,
        iterations: 0,
        converged: true,
    }
}

/// Share of each expert's pixels that have the class of the consensus, over pixels with one; NaN
/// without.
fn agreement(patterns: &VotePatterns, labels: &[u8]) -> Vec<f64> {
    let mut equal = vec![0; patterns.experts()];
    let mut given = vec![0; patterns.experts()];
    for (pattern, &label) in labels.iter().enumerate() {
        if label == UNLABELLED_CLASS {
            continue;
        }
        let count = patterns.count(pattern);
        for (expert, class) in patterns.given(pattern) {
            given[expert] += count;
            equal[expert] += if class == usize::from(label) {
                count
            } else {
                0
            };
        }
    }
    let share = |(&equal, &given): (&u64, &u64)| equal as f64 / given as f64;
    equal.iter().zip(&given).map(share).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn masks() -> [Array2<u8>; 3] {
        // Undisputed; tie of 1 and 2; tie of three; one vote; nobody.
        [
            array![[1, 255, 2, 255, 255]],
            array![[1, 2, 1, 255, 255]],
            array![[0, 1, 0, 2, 255]],
        ]
    }

    fn fuse(tie: MaskTie) -> (MaskConsensus, Array2<u32>) {
        let masks = masks();
        let views: Vec<_> = masks.iter().map(|mask| Some(mask.view())).collect();
        let mut patterns = VotePatterns::new(3, 3).unwrap();
        let map = patterns.add(&views).unwrap();
        (MaskMajority { tie }.fuse(&patterns).unwrap(), map)
    }

    #[test]
    fn each_tie_rule_does_what_it_says() {
        let mask = |tie| {
            let (consensus, map) = fuse(tie);
            consensus.mask(map.view())
        };
        assert_eq!(mask(MaskTie::Unlabelled), array![[1, 255, 255, 2, 255]]);
        assert_eq!(mask(MaskTie::LowestClass), array![[1, 1, 0, 2, 255]]);
        assert_eq!(mask(MaskTie::Class(0)), array![[1, 0, 0, 2, 255]]);
        assert_eq!(mask(MaskTie::FirstExpert), array![[1, 2, 2, 2, 255]]);
    }

    #[test]
    fn nobody_knows_about_pixels_without_votes() {
        let (consensus, map) = fuse(MaskTie::Unlabelled);
        let probability = consensus.probability(map.view(), 2);
        assert_eq!(probability[[0, 1]], 0.5);
        assert!(probability[[0, 4]].is_nan());
        assert!(
            consensus
                .probability(map.view(), 3)
                .iter()
                .all(|p| p.is_nan())
        );
        let Reliability::Agreement(agreement) = consensus.reliability else {
            panic!("wrong kind of reliability");
        };
        assert_eq!(agreement, [1.0, 1.0, 0.5]);
    }
}
