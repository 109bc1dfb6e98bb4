//! Majority vote.
//!
//! ```text
//! posterior[i, k] = votes for k on item i / votes on item i
//! ```
//!
//! The label is the class with most votes. What happens to ties is an explicit choice, [`Tie`]:
//! crowd-kit's `MajorityVote` takes the class that its input names first, the lowest when the
//! input is sorted by label ([`Tie::LowestClass`], the default);
//! cleanlab's `get_majority_vote_label` takes the rarest class, then the one with the more
//! reliable annotators, then a random one ([`Tie::Cleanlab`]).

use cleanslide_data::Votes;
use ndarray::{Array2, ArrayView2};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Consensus, FusionError, Reliability, check_votes, shares};

/// Which class wins when several have the most votes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tie {
    /// The lowest class index, as crowd-kit does when its input is sorted by label.
    #[default]
    LowestClass,
    /// None: the item stays unlabelled.
    Unlabelled,
    /// One of the tied classes, drawn uniformly, item after item.
    Random {
        /// Seed of the draws.
        seed: u64,
    },
    /// The tied class with most votes in the whole set; the lowest among equals.
    CommonestClass,
    /// The tied class with fewest votes in the whole set; the lowest among equals.
    RarestClass,
    /// The tied class whose voters agree best with the majority on the items without ties (mean
    /// over the voters); the lowest among equals. Voters who share no such item count as the
    /// mean of the others.
    MostReliable,
    /// What cleanlab does without a model: the rarest class, then the most reliable voters, then
    /// a random class.
    Cleanlab {
        /// Seed of the draws.
        seed: u64,
    },
}

/// The class with most votes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Majority {
    /// What happens to ties.
    pub tie: Tie,
}

impl Majority {
    /// Counts the votes. Reliability is [`Reliability::Agreement`].
    ///
    /// # Errors
    /// No votes at all.
    pub fn fuse(&self, votes: &Votes) -> Result<Consensus, FusionError> {
        check_votes(votes)?;
        let mut posterior = Array2::zeros((votes.items(), votes.classes()));
        for (item, row) in posterior.rows_mut().into_iter().enumerate() {
            if let Some(row) = row.into_slice() {
                shares(votes.of(item), row);
            }
        }
        let labels = self.labels(votes);
        let agreement = agreement(votes, &labels);
        Ok(Consensus {
            posterior,
            labels,
            reliability: Reliability::Agreement(agreement),
            iterations: 0,
            converged: true,
        })
    }

    fn labels(&self, votes: &Votes) -> Vec<Option<usize>> {
        let mut ties = Ties::find(votes);
        match self.tie {
            Tie::LowestClass => {}
            Tie::Unlabelled => return ties.settled(),
            Tie::Random { seed } => ties.draw(&mut ChaCha8Rng::seed_from_u64(seed)),
            Tie::CommonestClass => ties.prefer_commonest(votes),
            Tie::RarestClass => ties.prefer_rarest(votes),
            Tie::MostReliable => ties.prefer_reliable(votes),
            Tie::Cleanlab { seed } => {
                ties.prefer_rarest(votes);
                ties.prefer_reliable(votes);
                ties.draw(&mut ChaCha8Rng::seed_from_u64(seed));
            }
        }
        ties.lowest()
    }
}

/// Majority labels as cleanlab finds them beside a model: ties go to the tied class that the
/// model finds most probable, then as in [`Tie::Cleanlab`].
pub(super) fn labels_beside_model(
    votes: &Votes,
    probabilities: ArrayView2<f32>,
    seed: u64,
) -> Vec<Option<usize>> {
    let mut ties = Ties::find(votes);
    ties.narrow(|item, class| Some(f64::from(probabilities[[item, class]])));
    ties.prefer_rarest(votes);
    ties.prefer_reliable(votes);
    ties.draw(&mut ChaCha8Rng::seed_from_u64(seed));
    ties.lowest()
}

/// Share of each annotator's votes that equal the label, over items with a label; NaN without.
pub(super) fn agreement(votes: &Votes, labels: &[Option<usize>]) -> Vec<f64> {
    let mut equal = vec![0usize; votes.annotators()];
    let mut given = vec![0usize; votes.annotators()];
    for (item, label) in labels.iter().enumerate() {
        if let Some(label) = label {
            for vote in votes.of(item) {
                given[vote.annotator as usize] += 1;
                equal[vote.annotator as usize] += usize::from(vote.class as usize == *label);
            }
        }
    }
    equal
        .iter()
        .zip(&given)
        .map(|(&equal, &given)| equal as f64 / given as f64)
        .collect()
}

/// The classes that may still win, per item: none without votes, one when it is settled.
struct Ties {
    candidates: Vec<Vec<usize>>,
    /// The labels of items on which one class had most votes from the start.
    undisputed: Vec<Option<usize>>,
}

impl Ties {
    fn find(votes: &Votes) -> Self {
        let candidates: Vec<Vec<usize>> = (0..votes.items())
            .map(|item| {
                let counts = votes.counts(item);
                let most = counts.iter().copied().max().unwrap_or(0);
                let wins = |&class: &usize| most > 0 && counts[class] == most;
                (0..votes.classes()).filter(wins).collect()
            })
            .collect();
        let undisputed = only(&candidates);
        Self {
            candidates,
            undisputed,
        }
    }

    /// Keeps the candidates with the highest score. Where a score is unknown, all stay.
    fn narrow(&mut self, score: impl Fn(usize, usize) -> Option<f64>) {
        for (item, candidates) in self.candidates.iter_mut().enumerate() {
            if candidates.len() < 2 {
                continue;
            }
            let scores: Option<Vec<f64>> =
                candidates.iter().map(|&class| score(item, class)).collect();
            let Some(scores) = scores else { continue };
            let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let mut scores = scores.iter();
            candidates.retain(|_| scores.next() == Some(&best));
        }
    }

    fn prefer_commonest(&mut self, votes: &Votes) {
        let counts = votes_per_class(votes);
        self.narrow(|_, class| Some(counts[class] as f64));
    }

    fn prefer_rarest(&mut self, votes: &Votes) {
        let counts = votes_per_class(votes);
        self.narrow(|_, class| Some(-(counts[class] as f64)));
    }

    fn prefer_reliable(&mut self, votes: &Votes) {
        let mut reliability = agreement(votes, &self.undisputed);
        let known: Vec<f64> = reliability
            .iter()
            .copied()
            .filter(|r| !r.is_nan())
            .collect();
        if known.is_empty() {
            // Every item is tied, so nobody can be told to be reliable (cleanlab fails here).
            return;
        }
        let mean = known.iter().sum::<f64>() / known.len() as f64;
        for value in reliability.iter_mut().filter(|value| value.is_nan()) {
            *value = mean;
        }
        self.narrow(|item, class| {
            let voters: Vec<f64> = votes
                .of(item)
                .iter()
                .filter(|vote| vote.class as usize == class)
                .map(|vote| reliability[vote.annotator as usize])
                .collect();
            Some(voters.iter().sum::<f64>() / voters.len() as f64)
        });
    }

    fn draw(&mut self, rng: &mut ChaCha8Rng) {
        for candidates in self.candidates.iter_mut().filter(|c| c.len() > 1) {
            let drawn = candidates[rng.random_range(0..candidates.len())];
            *candidates = vec![drawn];
        }
    }

    fn settled(&self) -> Vec<Option<usize>> {
        only(&self.candidates)
    }

    fn lowest(&self) -> Vec<Option<usize>> {
        let first = |candidates: &Vec<usize>| candidates.first().copied();
        self.candidates.iter().map(first).collect()
    }
}

fn only(candidates: &[Vec<usize>]) -> Vec<Option<usize>> {
    candidates
        .iter()
        .map(|candidates| match candidates.as_slice() {
            [class] => Some(*class),
            _ => None,
        })
        .collect()
}

fn votes_per_class(votes: &Votes) -> Vec<usize> {
    let mut counts = vec![0; votes.classes()];
    for item in 0..votes.items() {
        for vote in votes.of(item) {
            counts[vote.class as usize] += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Item 0: class 1 without doubt, annotators 0 and 1 right. Item 1: tie of 0 (annotator 2)
    /// and 2 (annotator 0). Item 2: nobody. Item 3: tie of 1 and 2 (annotators 2 and 1).
    fn votes() -> Votes {
        let triplets = [
            (0, 0, 1),
            (0, 1, 1),
            (0, 2, 0),
            (1, 2, 0),
            (1, 0, 2),
            (3, 2, 1),
            (3, 1, 2),
        ];
        Votes::from_triplets(4, 3, 3, &triplets).unwrap()
    }

    fn labels(tie: Tie) -> Vec<Option<usize>> {
        Majority { tie }.fuse(&votes()).unwrap().labels
    }

    #[test]
    fn each_tie_rule_does_what_it_says() {
        // Votes per class: 2, 3, 2.
        assert_eq!(labels(Tie::LowestClass), [Some(1), Some(0), None, Some(1)]);
        assert_eq!(labels(Tie::Unlabelled), [Some(1), None, None, None]);
        assert_eq!(
            labels(Tie::CommonestClass),
            [Some(1), Some(0), None, Some(1)]
        );
        assert_eq!(labels(Tie::RarestClass), [Some(1), Some(0), None, Some(2)]);
        assert_eq!(labels(Tie::MostReliable), [Some(1), Some(2), None, Some(2)]);
        let cleanlab = labels(Tie::Cleanlab { seed: 0 });
        assert_eq!(cleanlab, [Some(1), Some(2), None, Some(2)]);
    }

    #[test]
    fn random_ties_follow_the_seed_and_reach_every_tied_class() {
        let draws: Vec<_> = (0..32).map(|seed| labels(Tie::Random { seed })).collect();
        assert_eq!(draws[5], labels(Tie::Random { seed: 5 }));
        for class in [0, 2] {
            assert!(draws.iter().any(|labels| labels[1] == Some(class)));
        }
        assert!(draws.iter().all(|labels| labels[2].is_none()));
        assert!(draws.iter().all(|labels| labels[0] == Some(1)));
    }

    #[test]
    fn unlabelled_items_are_not_uniform() {
        let consensus = Majority::default().fuse(&votes()).unwrap();
        assert_eq!(consensus.posterior.row(2).sum(), 0.0);
        assert_eq!(consensus.posterior.row(1).to_vec(), [0.5, 0.0, 0.5]);
        assert_eq!(consensus.label(2), None);
    }

    #[test]
    fn no_votes_is_an_error() {
        let votes = Votes::from_triplets(2, 1, 2, &[]).unwrap();
        let error = Majority::default().fuse(&votes).unwrap_err();
        assert_eq!(
            error.to_string(),
            "nobody voted on any of the 2 items: import votes first"
        );
    }

    #[test]
    fn only_ties_leave_reliability_unknown() {
        let votes = Votes::from_triplets(1, 2, 2, &[(0, 0, 1), (0, 1, 0)]).unwrap();
        let tie = Tie::MostReliable;
        assert_eq!(Majority { tie }.fuse(&votes).unwrap().labels, [Some(0)]);
    }
}
