//! STAPLE for several classes: a confusion matrix per expert.
//!
//! T. Rohlfing, D. Russakoff, C. Maurer, *Performance-based classifier combination in atlas-based
//! image segmentation using expectation-maximization parameter estimation*, IEEE Transactions on
//! Medical Imaging 23 (2004), doi:10.1109/TMI.2004.830803.
//!
//! ```text
//! prior[k]   = share of k among all votes; it stays
//! start      e[a, v, k] = share of truth k among a's votes v, where the truth is the majority
//!            (pixels without a majority count for nothing)
//! E          w[i, k] ∝ prior[k] Π_a e[a, vote of a at i, k]
//! M          e[a, v, k] = Σ_i w[i, k] [a said v at i], normalised over v
//! stop       no e moved by as much as the tolerance
//! ```
//!
//! ITK's `MultiLabelSTAPLEImageFilter`, with three differences on purpose. ITK up to 5.4 writes
//! a pixel without a majority into its table's next row when it starts (mended in ITK's pull
//! request 6579), here it is left out; ITK adds up in single precision, so that its sums stop to
//! grow at 2²⁴ pixels; and pixels that an expert left unlabelled are missing data.

use ndarray::{Array2, Array3};

use super::majority::shares;
use super::{MaskConsensus, MaskTie, VotePatterns, choose, decide};
use crate::fusion::{FusionError, Reliability, check_iterations, check_tolerance};

/// A confusion matrix per expert, fitted by expectation maximisation, with a fixed prior.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MultiLabelStaple {
    /// What happens to ties.
    pub tie: MaskTie,
    /// Greatest number of iterations.
    pub iterations: usize,
    /// The fit has converged when no probability of a confusion moves by as much.
    pub tolerance: f64,
}

impl Default for MultiLabelStaple {
    /// Tolerance 1e-5 as in ITK; ties stay unlabelled; at most 100,000 iterations (ITK: no bound).
    fn default() -> Self {
        Self {
            tie: MaskTie::default(),
            iterations: 100_000,
            tolerance: 1e-5,
        }
    }
}

impl MultiLabelStaple {
    /// Fits the model. Reliability is [`Reliability::Confusion`]: of classes that nowhere have a
    /// chance where the expert looked, the row is NaN.
    ///
    /// # Errors
    /// No votes at all; an option outside its range.
    pub fn fuse(&self, patterns: &VotePatterns) -> Result<MaskConsensus, FusionError> {
        check_iterations("iterations", self.iterations)?;
        check_tolerance("tolerance", self.tolerance)?;
        patterns.check_votes()?;

        let prior = prior(patterns);
        let mut errors = start(patterns);
        let (mut iterations, mut converged) = (0, false);
        while iterations < self.iterations && !converged {
            let mut next = Array3::zeros(errors.dim());
            let posterior = expect(patterns, &prior, &errors);
            for (pattern, row) in posterior.rows().into_iter().enumerate() {
                let count = patterns.count(pattern) as f64;
                for (expert, vote) in patterns.given(pattern) {
                    for (truth, probability) in row.iter().enumerate() {
                        next[[expert, vote, truth]] += count * probability;
                    }
                }
            }
            normalise_votes(&mut next);
            let moved = next
                .iter()
                .zip(&errors)
                .map(|(one, other)| (one - other).abs());
            converged = moved.fold(0.0, f64::max) < self.tolerance;
            errors = next;
            iterations += 1;
        }
        let posterior = expect(patterns, &prior, &errors);
        Ok(MaskConsensus {
            labels: decide(patterns, &posterior, self.tie),
            posterior,
            reliability: Reliability::Confusion(confusion(&errors)),
            iterations,
            converged,
        })
    }
}

/// Share of each class among all votes.
fn prior(patterns: &VotePatterns) -> Vec<f64> {
    let mut counts = vec![0; patterns.classes()];
    for pattern in 0..patterns.len() {
        for (_, class) in patterns.given(pattern) {
            counts[class] += patterns.count(pattern);
        }
    }
    let total: u64 = counts.iter().sum();
    counts
        .iter()
        .map(|&count| count as f64 / total as f64)
        .collect()
}

/// The first table \[experts, vote, truth\], by majority.
fn start(patterns: &VotePatterns) -> Array3<f64> {
    let classes = patterns.classes();
    let mut errors = Array3::zeros((patterns.experts(), classes, classes));
    for (pattern, row) in shares(patterns, |_, _| 1.0).rows().into_iter().enumerate() {
        let truth = choose(
            row.iter().copied(),
            patterns.votes(pattern),
            MaskTie::Unlabelled,
        );
        let truth = usize::from(truth);
        if truth < classes {
            for (expert, vote) in patterns.given(pattern) {
                errors[[expert, vote, truth]] += patterns.count(pattern) as f64;
            }
        }
    }
    for mut truths in errors.rows_mut() {
        let total = truths.sum();
        if total > 0.0 {
            truths /= total;
        }
    }
    errors
}

/// Turns sums \[experts, vote, truth\] into probabilities of the votes given the truth.
fn normalise_votes(errors: &mut Array3<f64>) {
    for mut table in errors.outer_iter_mut() {
        for mut votes in table.columns_mut() {
            let total = votes.sum();
            if total > 0.0 {
                votes /= total;
            }
        }
    }
}

/// The probability of each class, \[patterns, classes\]; zero for patterns that the model holds
/// for impossible.
fn expect(patterns: &VotePatterns, prior: &[f64], errors: &Array3<f64>) -> Array2<f64> {
    let mut posterior = Array2::zeros((patterns.len(), patterns.classes()));
    for (pattern, mut row) in posterior.rows_mut().into_iter().enumerate() {
        if patterns.given(pattern).next().is_none() {
            continue;
        }
        for (truth, probability) in row.iter_mut().enumerate() {
            let chances = patterns
                .given(pattern)
                .map(|(a, vote)| errors[[a, vote, truth]].ln());
            *probability = prior[truth].ln() + chances.sum::<f64>();
        }
        let highest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if highest == f64::NEG_INFINITY {
            row.fill(0.0);
            continue;
        }
        row.mapv_inplace(|log| (log - highest).exp());
        let total = row.sum();
        row /= total;
    }
    posterior
}

/// \[experts, truth, vote\], as [`Reliability::Confusion`] has it.
fn confusion(errors: &Array3<f64>) -> Array3<f64> {
    let (experts, classes, _) = errors.dim();
    Array3::from_shape_fn((experts, classes, classes), |(expert, truth, vote)| {
        let known = (0..classes).any(|vote| errors[[expert, vote, truth]] > 0.0);
        if known {
            errors[[expert, vote, truth]]
        } else {
            f64::NAN
        }
    })
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn equal_experts_who_differ_leave_it_open() {
        let masks = [array![[0, 0, 1, 1, 2, 1]], array![[0, 0, 1, 1, 1, 2]]];
        let views: Vec<_> = masks.iter().map(|mask| Some(mask.view())).collect();
        let mut patterns = VotePatterns::new(2, 3).unwrap();
        let map = patterns.add(&views).unwrap();
        let consensus = MultiLabelStaple::default().fuse(&patterns).unwrap();
        assert!(consensus.converged);
        assert_eq!(consensus.mask(map.view()), array![[0, 0, 1, 1, 255, 255]]);
        let Reliability::Confusion(confusion) = consensus.reliability else {
            panic!("wrong kind of reliability");
        };
        assert!(confusion[[0, 2, 0]].is_nan() && confusion[[1, 0, 0]] == 1.0);
    }

    #[test]
    fn unlabelled_pixels_are_missing() {
        let masks = [
            array![[0, 0, 1, 2, 255, 255]],
            array![[0, 0, 1, 2, 2, 255]],
            array![[0, 255, 1, 2, 255, 255]],
        ];
        let views: Vec<_> = masks.iter().map(|mask| Some(mask.view())).collect();
        let mut patterns = VotePatterns::new(3, 3).unwrap();
        let map = patterns.add(&views).unwrap();
        let consensus = MultiLabelStaple::default().fuse(&patterns).unwrap();
        assert_eq!(consensus.mask(map.view()), array![[0, 0, 1, 2, 2, 255]]);
    }
}
