//! The Dawid–Skene model, fitted by expectation maximisation.
//!
//! Dawid and Skene, *Maximum likelihood estimation of observer error-rates using the EM
//! algorithm*, Applied Statistics 28 (1979), doi:10.2307/2346806.
//!
//! ```text
//! start    p[i, k]     = share of votes for k on item i
//! M        prior[k]    = mean over items of p[i, k]
//!          e[a, k, v]  = Σ_i p[i, k] [a said v on i], normalised over v
//! E        p[i, k]     ∝ prior[k] Π_a e[a, k, vote of a on i]
//! stop     L - L_before < tolerance, with
//!          L = (Σ_votes Σ_k p (ln e + ln prior) - Σ_i Σ_k p ln p) / votes
//! ```
//!
//! Equal to crowd-kit's `DawidSkene`: the same start, the same floor of 1e-10 under counts and
//! priors, and the same stopping value `L`. That value is an evidence lower bound but for the
//! prior, which it counts once per vote instead of once per item; it serves to stop only, and a
//! different value would stop after a different number of iterations. (crowd-kit also raises `p` to
//! 1e-10 in the entropy, which changes `L` by some 1e-9.)

use cleanslide_data::{Vote, Votes};
use ndarray::{Array2, Array3};

use super::{
    Consensus, FusionError, Reliability, SMALLEST_PROBABILITY, accumulate, add, block_of,
    check_iterations, check_tolerance, check_votes, most_probable, normalise_log, shares, voted,
    votes_per_annotator,
};

/// One confusion matrix per annotator.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DawidSkene {
    /// Greatest number of iterations.
    pub iterations: usize,
    /// Gain per vote below which the fit has converged.
    pub tolerance: f64,
}

impl Default for DawidSkene {
    /// 100 iterations, tolerance 1e-5, as in crowd-kit.
    fn default() -> Self {
        Self {
            iterations: 100,
            tolerance: 1e-5,
        }
    }
}

impl DawidSkene {
    /// Fits the model. Reliability is [`Reliability::Confusion`].
    ///
    /// Where an annotator met no item that could be of some class, their row of that class is
    /// uniform over the classes they ever voted for.
    ///
    /// # Errors
    /// No votes at all; no iterations; a tolerance that is negative or NaN.
    pub fn fuse(&self, votes: &Votes) -> Result<Consensus, FusionError> {
        check_votes(votes)?;
        check_iterations("iterations", self.iterations)?;
        check_tolerance("tolerance", self.tolerance)?;

        let voted = voted(votes);
        let mut posterior = Array2::zeros((votes.items(), votes.classes()));
        let expected = expect(votes, &mut posterior, None);
        let mut model = Model::fit(votes, &voted, &expected);
        let mut bound = f64::NEG_INFINITY;
        let mut iterations = 0;
        let mut converged = false;
        while iterations < self.iterations && !converged {
            iterations += 1;
            let expected = expect(votes, &mut posterior, Some(&model));
            model = Model::fit(votes, &voted, &expected);
            let next = model.bound(&expected) / votes.len() as f64;
            converged = next - bound < self.tolerance;
            bound = next;
        }

        Ok(Consensus {
            labels: most_probable(votes, &posterior),
            posterior,
            reliability: Reliability::Confusion(model.confusion(votes, &voted)),
            iterations,
            converged,
        })
    }
}

/// Sums over the items, given their posteriors.
pub(super) struct Expected {
    /// Σ of posteriors over the votes, \[annotators, vote, truth\].
    pub(super) counts: Vec<f64>,
    /// Σ of posteriors over the items, \[truth\].
    pub(super) classes: Vec<f64>,
    /// Entropy of the posteriors.
    pub(super) entropy: f64,
    /// Number of items with votes.
    pub(super) items: usize,
}

/// Fills the posterior of every item, by the model or, without one, by the shares of votes, and
/// sums up.
fn expect(votes: &Votes, posterior: &mut Array2<f64>, model: Option<&Model>) -> Expected {
    // For the usual numbers of classes the compiler unrolls the loops over them, which more than
    // halves the time.
    match votes.classes() {
        2 => expect_classes::<2>(votes, posterior, model),
        3 => expect_classes::<3>(votes, posterior, model),
        4 => expect_classes::<4>(votes, posterior, model),
        5 => expect_classes::<5>(votes, posterior, model),
        _ => expect_classes::<0>(votes, posterior, model),
    }
}

/// `CLASSES` is the number of classes, or 0 when it is not known at compile time.
fn expect_classes<const CLASSES: usize>(
    votes: &Votes,
    posterior: &mut Array2<f64>,
    model: Option<&Model>,
) -> Expected {
    let classes = if CLASSES > 0 {
        CLASSES
    } else {
        votes.classes()
    };
    let table = votes.annotators() * classes * classes;
    let rows = posterior.as_slice_mut().unwrap_or_default();
    accumulate(
        0..votes.items(),
        rows,
        classes,
        block_of(table / classes),
        &|items, rows: &mut [f64]| {
            let mut sums = Expected {
                counts: vec![0.0; table],
                classes: vec![0.0; classes],
                entropy: 0.0,
                items: 0,
            };
            for (item, row) in items.zip(rows.chunks_exact_mut(classes)) {
                let ballot = votes.of(item);
                if ballot.is_empty() {
                    continue;
                }
                let row = &mut row[..classes];
                match model {
                    Some(model) => sums.entropy += model.infer(classes, ballot, row),
                    None => shares(ballot, row),
                }
                sums.items += 1;
                add(&mut sums.classes[..classes], row);
                for vote in ballot {
                    let start = cell(classes, vote);
                    add(&mut sums.counts[start..start + classes], row);
                }
            }
            sums
        },
        &|left, right| {
            add(&mut left.counts, &right.counts);
            add(&mut left.classes, &right.classes);
            left.entropy += right.entropy;
            left.items += right.items;
        },
    )
}

/// Where the truths of an annotator's vote begin in a table \[annotators, vote, truth\].
#[inline(always)]
pub(super) fn cell(classes: usize, vote: &Vote) -> usize {
    (vote.annotator as usize * classes + vote.class as usize) * classes
}

/// Logarithms of the model's parameters, so that the inner loop only adds.
pub(super) struct Model {
    /// ln prior, \[truth\]; minus infinity where nobody voted for the class.
    pub(super) log_prior: Vec<f64>,
    /// ln probability of the vote given the truth, \[annotators, vote, truth\]; minus infinity
    /// for votes that the annotator never gave.
    pub(super) log_errors: Vec<f64>,
}

impl Model {
    pub(super) fn fit(votes: &Votes, voted: &[bool], expected: &Expected) -> Self {
        let classes = votes.classes();
        let log_prior = voted
            .iter()
            .zip(&expected.classes)
            .map(|(&voted, sum)| {
                let prior = (sum / expected.items as f64).max(SMALLEST_PROBABILITY);
                if voted { prior.ln() } else { f64::NEG_INFINITY }
            })
            .collect();
        let mut log_errors = vec![f64::NEG_INFINITY; expected.counts.len()];
        let annotators = log_errors
            .chunks_exact_mut(classes * classes)
            .zip(expected.counts.chunks_exact(classes * classes));
        for (logs, counts) in annotators {
            let given = |row: &&[f64]| row.iter().any(|&count| count > 0.0);
            let mut totals = vec![0.0; classes];
            for row in counts.chunks_exact(classes).filter(given) {
                for (total, count) in totals.iter_mut().zip(row) {
                    *total += count.max(SMALLEST_PROBABILITY);
                }
            }
            for (logs, row) in logs
                .chunks_exact_mut(classes)
                .zip(counts.chunks_exact(classes))
            {
                if given(&row) {
                    for truth in 0..classes {
                        let count = row[truth].max(SMALLEST_PROBABILITY);
                        logs[truth] = (count / totals[truth]).ln();
                    }
                }
            }
        }
        Self {
            log_prior,
            log_errors,
        }
    }

    /// Writes the posterior of one item; returns its entropy.
    #[inline(always)]
    pub(super) fn infer(&self, classes: usize, ballot: &[Vote], row: &mut [f64]) -> f64 {
        row.copy_from_slice(&self.log_prior[..classes]);
        for vote in ballot {
            let start = cell(classes, vote);
            add(row, &self.log_errors[start..start + classes]);
        }
        normalise_log(row).entropy
    }

    pub(super) fn bound(&self, expected: &Expected) -> f64 {
        let classes = self.log_prior.len();
        let mut bound = expected.entropy;
        let rows = expected.counts.chunks_exact(classes);
        for (counts, logs) in rows.zip(self.log_errors.chunks_exact(classes)) {
            for ((&count, log_error), log_prior) in counts.iter().zip(logs).zip(&self.log_prior) {
                if count > 0.0 {
                    bound += count * (log_error + log_prior);
                }
            }
        }
        bound
    }

    pub(super) fn confusion(&self, votes: &Votes, voted: &[bool]) -> Array3<f64> {
        let classes = votes.classes();
        let given = votes_per_annotator(votes);
        Array3::from_shape_fn(
            (votes.annotators(), classes, classes),
            |(annotator, truth, vote)| {
                if given[annotator] == 0 || !voted[truth] {
                    return f64::NAN;
                }
                self.log_errors[(annotator * classes + vote) * classes + truth].exp()
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sided_annotators_are_read_in_reverse() {
        // Annotators 0 and 1 are right, annotator 2 always says the opposite.
        let triplets: Vec<_> = (0..40)
            .flat_map(|item| {
                let truth = item % 2;
                [(item, 0, truth), (item, 1, truth), (item, 2, 1 - truth)]
            })
            .collect();
        let votes = Votes::from_triplets(41, 3, 2, &triplets).unwrap();
        let consensus = DawidSkene::default().fuse(&votes).unwrap();
        assert!(consensus.converged);
        assert_eq!(consensus.label(40), None);
        assert!((0..40).all(|item| consensus.label(item) == Some(item % 2)));
        let Reliability::Confusion(confusion) = consensus.reliability else {
            panic!("wrong kind of reliability");
        };
        assert!(confusion[[2, 0, 1]] > 0.999 && confusion[[0, 0, 0]] > 0.999);
    }

    #[test]
    fn bad_options_are_refused() {
        let votes = Votes::from_triplets(1, 1, 2, &[(0, 0, 1)]).unwrap();
        let fuse = |iterations, tolerance| {
            let rule = DawidSkene {
                iterations,
                tolerance,
            };
            rule.fuse(&votes).unwrap_err().to_string()
        };
        assert_eq!(
            fuse(0, 0.1),
            "option iterations is 0, but must be at least 1"
        );
        assert_eq!(
            fuse(1, f64::NAN),
            "option tolerance is NaN, but must be 0 or more"
        );
    }

    #[test]
    fn one_vote_is_enough() {
        let votes = Votes::from_triplets(1, 2, 3, &[(0, 1, 2)]).unwrap();
        let consensus = DawidSkene::default().fuse(&votes).unwrap();
        assert_eq!(consensus.posterior.row(0).to_vec(), [0.0, 0.0, 1.0]);
        let Reliability::Confusion(confusion) = consensus.reliability else {
            panic!("wrong kind of reliability");
        };
        assert!(confusion[[0, 2, 2]].is_nan() && confusion[[1, 0, 0]].is_nan());
        assert_eq!(confusion[[1, 2, 2]], 1.0);
    }
}
