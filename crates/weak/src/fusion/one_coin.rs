//! The one-coin Dawid–Skene model: one accuracy per annotator.
//!
//! Zhang, Chen, Zhou and Jordan, *Spectral methods meet EM: a provably optimal algorithm for
//! crowdsourcing*, JMLR 17 (2016), arXiv:1406.3824.
//!
//! ```text
//! start    p[i, k]  = share of votes for k on item i
//! M        prior[k] = mean over items of p[i, k]
//!          s[a]     = mean over a's votes of p[i, vote]
//! E        p[i, k]  ∝ prior[k] Π_a (s[a] if a said k, else (1 - s[a]) / (K - 1))
//! ```
//!
//! `K` is the number of classes with votes. Equal to crowd-kit's `OneCoinDawidSkene`: the same
//! start, floors and stopping value as [`DawidSkene`](super::DawidSkene); probabilities of votes
//! are kept within 1e-10 of 0 and 1.

use cleanslide_data::{Vote, Votes};
use ndarray::Array2;

use super::{
    Consensus, FusionError, Reliability, SMALLEST_PROBABILITY, accumulate, add, block_of,
    check_iterations, check_tolerance, check_votes, most_probable, normalise_log, shares, voted,
    votes_per_annotator,
};

/// One accuracy per annotator.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OneCoin {
    /// Greatest number of iterations.
    pub iterations: usize,
    /// Gain per vote below which the fit has converged.
    pub tolerance: f64,
}

impl Default for OneCoin {
    /// 100 iterations, tolerance 1e-5, as in crowd-kit.
    fn default() -> Self {
        Self {
            iterations: 100,
            tolerance: 1e-5,
        }
    }
}

impl OneCoin {
    /// Fits the model. Reliability is [`Reliability::Accuracy`].
    ///
    /// # Errors
    /// No votes at all; no iterations; a tolerance that is negative or NaN.
    pub fn fuse(&self, votes: &Votes) -> Result<Consensus, FusionError> {
        check_votes(votes)?;
        check_iterations("iterations", self.iterations)?;
        check_tolerance("tolerance", self.tolerance)?;

        let voted = voted(votes);
        let given = votes_per_annotator(votes);
        let mut posterior = Array2::zeros((votes.items(), votes.classes()));
        let expected = expect(votes, &mut posterior, |ballot, row| {
            shares(ballot, row);
            0.0
        });
        let mut model = Model::fit(&given, &voted, &expected);
        let mut bound = f64::NEG_INFINITY;
        let mut iterations = 0;
        let mut converged = false;
        while iterations < self.iterations && !converged {
            iterations += 1;
            let expected = expect(votes, &mut posterior, |ballot, row| {
                model.infer(ballot, row)
            });
            model = Model::fit(&given, &voted, &expected);
            let next = model.bound(&given, &expected) / votes.len() as f64;
            converged = next - bound < self.tolerance;
            bound = next;
        }

        Ok(Consensus {
            labels: most_probable(votes, &posterior),
            posterior,
            reliability: Reliability::Accuracy(model.accuracy),
            iterations,
            converged,
        })
    }
}

/// Sums over the items, given their posteriors.
struct Expected {
    /// Expected number of right votes, per annotator.
    right: Vec<f64>,
    /// Σ of posteriors over the items, per class.
    classes: Vec<f64>,
    /// Σ of posteriors over the votes, per class.
    classes_of_votes: Vec<f64>,
    /// Entropy of the posteriors.
    entropy: f64,
    /// Number of items with votes.
    items: usize,
}

/// Fills the posterior of every item by `update`, which returns its entropy, and sums up.
fn expect(
    votes: &Votes,
    posterior: &mut Array2<f64>,
    update: impl Fn(&[Vote], &mut [f64]) -> f64 + Sync,
) -> Expected {
    let classes = votes.classes();
    let rows = posterior.as_slice_mut().unwrap_or_default();
    accumulate(
        0..votes.items(),
        rows,
        classes,
        block_of(votes.annotators()),
        &|items, rows: &mut [f64]| {
            let mut sums = Expected {
                right: vec![0.0; votes.annotators()],
                classes: vec![0.0; classes],
                classes_of_votes: vec![0.0; classes],
                entropy: 0.0,
                items: 0,
            };
            for (item, row) in items.zip(rows.chunks_exact_mut(classes)) {
                let ballot = votes.of(item);
                if ballot.is_empty() {
                    continue;
                }
                sums.entropy += update(ballot, row);
                sums.items += 1;
                add(&mut sums.classes, row);
                for (sum, value) in sums.classes_of_votes.iter_mut().zip(row.iter()) {
                    *sum += ballot.len() as f64 * value;
                }
                for vote in ballot {
                    sums.right[vote.annotator as usize] += row[vote.class as usize];
                }
            }
            sums
        },
        &|left, right| {
            add(&mut left.right, &right.right);
            add(&mut left.classes, &right.classes);
            add(&mut left.classes_of_votes, &right.classes_of_votes);
            left.entropy += right.entropy;
            left.items += right.items;
        },
    )
}

struct Model {
    /// ln prior per class; minus infinity where nobody voted for the class.
    log_prior: Vec<f64>,
    /// Accuracy per annotator; NaN without votes.
    accuracy: Vec<f64>,
    /// ln probability of the true class, per annotator.
    log_right: Vec<f64>,
    /// ln probability of each wrong class, per annotator.
    log_wrong: Vec<f64>,
}

impl Model {
    fn fit(given: &[usize], voted: &[bool], expected: &Expected) -> Self {
        let log_prior = voted
            .iter()
            .zip(&expected.classes)
            .map(|(&voted, sum)| {
                let prior = (sum / expected.items as f64).max(SMALLEST_PROBABILITY);
                if voted { prior.ln() } else { f64::NEG_INFINITY }
            })
            .collect();
        // With a single class nobody is wrong, and any finite value will do.
        let others = voted.iter().filter(|&&voted| voted).count().max(2) as f64 - 1.0;
        let log = |p: f64| {
            p.clamp(SMALLEST_PROBABILITY, 1.0 - SMALLEST_PROBABILITY)
                .ln()
        };
        let accuracy: Vec<f64> = expected
            .right
            .iter()
            .zip(given)
            .map(|(right, &given)| right / given as f64)
            .collect();
        Self {
            log_prior,
            log_right: accuracy.iter().map(|&s| log(s)).collect(),
            log_wrong: accuracy.iter().map(|&s| log((1.0 - s) / others)).collect(),
            accuracy,
        }
    }

    /// Writes the posterior of one item; returns its entropy.
    fn infer(&self, ballot: &[Vote], row: &mut [f64]) -> f64 {
        row.copy_from_slice(&self.log_prior);
        for vote in ballot {
            let annotator = vote.annotator as usize;
            // Relative to a wrong vote, whose probability is the same for every class.
            row[vote.class as usize] += self.log_right[annotator] - self.log_wrong[annotator];
        }
        normalise_log(row).entropy
    }

    fn bound(&self, given: &[usize], expected: &Expected) -> f64 {
        let mut bound = expected.entropy;
        for (annotator, &right) in expected.right.iter().enumerate() {
            if given[annotator] > 0 {
                let wrong = given[annotator] as f64 - right;
                bound += right * self.log_right[annotator] + wrong * self.log_wrong[annotator];
            }
        }
        for (sum, log_prior) in expected.classes_of_votes.iter().zip(&self.log_prior) {
            if log_prior.is_finite() {
                bound += sum * log_prior;
            }
        }
        bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_annotator_who_guesses_is_found() {
        let triplets: Vec<_> = (0..30)
            .flat_map(|item| {
                let truth = item % 3;
                let right = (0..4).map(move |annotator| (item, annotator, truth));
                right.chain([(item, 4, (item / 3) % 3)])
            })
            .collect();
        let votes = Votes::from_triplets(30, 6, 3, &triplets).unwrap();
        let consensus = OneCoin::default().fuse(&votes).unwrap();
        assert!((0..30).all(|item| consensus.label(item) == Some(item % 3)));
        let Reliability::Accuracy(accuracy) = consensus.reliability else {
            panic!("wrong kind of reliability");
        };
        assert!(accuracy[0] > 0.99);
        assert!((accuracy[4] - 0.4).abs() < 0.1, "{accuracy:?}");
        assert!(accuracy[5].is_nan());
    }

    #[test]
    fn a_single_class_is_certain() {
        let votes = Votes::from_triplets(2, 2, 3, &[(0, 0, 1), (0, 1, 1), (1, 0, 1)]).unwrap();
        let consensus = OneCoin::default().fuse(&votes).unwrap();
        assert_eq!(consensus.posterior.row(0).to_vec(), [0.0, 1.0, 0.0]);
        assert_eq!(consensus.labels, [Some(1), Some(1)]);
        assert_eq!(consensus.reliability, Reliability::Accuracy(vec![1.0, 1.0]));
        assert!(consensus.converged);
    }
}
