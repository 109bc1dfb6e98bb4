//! Sources: which expert or algorithm errs how, against a reference.
//!
//! The reference is what the caller trusts more: a consensus, a model, a diagnosis. Items without
//! a reference are left out. A consensus to which a source contributed flatters that source; with
//! few sources, take one that leaves it out.
//!
//! Rates come as counts, so that every interval can be computed from them.

use cleanslide_data::Votes;
use ndarray::Array2;
use serde::Serialize;

use crate::AuditError;

/// Successes among trials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rate {
    /// How often it happened.
    pub successes: u64,
    /// How often it could have.
    pub trials: u64,
}

impl Rate {
    /// Successes divided by trials; `None` without trials.
    pub fn value(&self) -> Option<f64> {
        (self.trials > 0).then(|| self.successes as f64 / self.trials as f64)
    }
}

/// What one source said, against the reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceConfusion {
    /// Items with a reference that the source labelled, `[reference, said]`.
    pub confusion: Array2<u64>,
    /// Items that the source labelled, with or without a reference.
    pub labelled: u64,
}

impl SourceConfusion {
    /// Share of the items on which the source says what the reference says.
    pub fn accuracy(&self) -> Rate {
        Rate {
            successes: self.confusion.diag().sum(),
            trials: self.confusion.sum(),
        }
    }

    /// Of the items of a class, those that the source calls so.
    pub fn sensitivity(&self, class: usize) -> Rate {
        Rate {
            successes: self.confusion[[class, class]],
            trials: self.confusion.row(class).sum(),
        }
    }

    /// Of the items of other classes, those that the source does not call so.
    pub fn specificity(&self, class: usize) -> Rate {
        let trials = self.confusion.sum() - self.confusion.row(class).sum();
        let called = self.confusion.column(class).sum() - self.confusion[[class, class]];
        Rate {
            successes: trials - called,
            trials,
        }
    }

    /// How often the source calls a class, divided by how often the reference does: above 1 it
    /// over-calls, below 1 it under-calls; `None` if the reference never does.
    pub fn leaning(&self, class: usize) -> Option<f64> {
        let reference = self.confusion.row(class).sum();
        let called = self.confusion.column(class).sum();
        (reference > 0).then(|| called as f64 / reference as f64)
    }
}

/// Compares every source with the reference; `None` where an item has no reference.
///
/// # Errors
/// A reference of another length than there are items, or with a class out of range.
pub fn source_confusions(
    votes: &Votes,
    reference: &[Option<usize>],
) -> Result<Vec<SourceConfusion>, AuditError> {
    let classes = votes.classes();
    if reference.len() != votes.items() {
        return Err(AuditError::Length {
            what: "the reference",
            expected: votes.items(),
            found: reference.len(),
        });
    }
    let mut sources = vec![
        SourceConfusion {
            confusion: Array2::zeros((classes, classes)),
            labelled: 0,
        };
        votes.annotators()
    ];
    for (item, &truth) in reference.iter().enumerate() {
        if let Some(label) = truth.filter(|&label| label >= classes) {
            return Err(AuditError::LabelOutOfRange {
                item,
                label,
                classes,
            });
        }
        for vote in votes.of(item) {
            let source = &mut sources[vote.annotator as usize];
            source.labelled += 1;
            if let Some(truth) = truth {
                source.confusion[[truth, vote.class as usize]] += 1;
            }
        }
    }
    Ok(sources)
}

/// How often two sources agree on the items that both labelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PairAgreement {
    /// Index of the first source.
    pub first: usize,
    /// Index of the second source, above the first.
    pub second: usize,
    /// Agreement among shared items.
    pub agreement: Rate,
}

/// Agreement of every pair of sources, in order of the pairs.
pub fn pairwise_agreement(votes: &Votes) -> Vec<PairAgreement> {
    let sources = votes.annotators();
    let mut agreed = Array2::<u64>::zeros((sources, sources));
    let mut shared = Array2::<u64>::zeros((sources, sources));
    for item in 0..votes.items() {
        let votes = votes.of(item);
        for (position, first) in votes.iter().enumerate() {
            for second in &votes[position + 1..] {
                let pair = [first.annotator as usize, second.annotator as usize];
                shared[pair] += 1;
                agreed[pair] += u64::from(first.class == second.class);
            }
        }
    }
    (0..sources)
        .flat_map(|first| (first + 1..sources).map(move |second| (first, second)))
        .map(|(first, second)| PairAgreement {
            first,
            second,
            agreement: Rate {
                successes: agreed[[first, second]],
                trials: shared[[first, second]],
            },
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn votes() -> Votes {
        let triplets = [
            (0, 0, 0),
            (0, 1, 0),
            (1, 0, 1),
            (1, 1, 0),
            (2, 0, 1),
            (3, 0, 1),
            (3, 1, 1),
        ];
        Votes::from_triplets(4, 2, 2, &triplets).unwrap()
    }

    #[test]
    fn a_source_that_overcalls_is_seen_to() {
        let reference = [Some(0), Some(0), Some(1), None];
        let sources = source_confusions(&votes(), &reference).unwrap();
        assert_eq!(sources[0].confusion, array![[1, 1], [0, 1]]);
        assert_eq!(sources[0].labelled, 4);
        assert_eq!(sources[0].accuracy().value(), Some(2.0 / 3.0));
        assert_eq!(sources[0].sensitivity(0).value(), Some(0.5));
        assert_eq!(sources[0].specificity(0).value(), Some(1.0));
        assert_eq!(sources[0].leaning(1), Some(2.0));
        assert_eq!(sources[0].leaning(0), Some(0.5));
        assert_eq!(sources[1].sensitivity(1).value(), None);
        assert_eq!(sources[1].leaning(1), None);
    }

    #[test]
    fn agreement_counts_only_what_both_labelled() {
        let pairs = pairwise_agreement(&votes());
        let agreement = Rate {
            successes: 2,
            trials: 3,
        };
        assert_eq!(
            pairs,
            [PairAgreement {
                first: 0,
                second: 1,
                agreement
            }]
        );
    }

    #[test]
    fn a_reference_that_does_not_fit_is_refused() {
        assert!(source_confusions(&votes(), &[None]).is_err());
        let reference = [None, None, Some(2), None];
        assert_eq!(
            source_confusions(&votes(), &reference)
                .unwrap_err()
                .to_string(),
            "item 2 has label 2, but there are only 2 classes (0 to 1)"
        );
    }
}
