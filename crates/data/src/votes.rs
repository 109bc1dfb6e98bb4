//! Class votes of several annotators, as a sparse matrix.

use thiserror::Error;

/// What went wrong when votes were put together.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VotesError {
    /// A vote names an item, annotator or class outside the declared numbers.
    #[error("vote {vote} names {what} {index}, but there are only {count}")]
    OutOfRange {
        /// Position of the vote in the input.
        vote: usize,
        /// `item`, `annotator` or `class`.
        what: &'static str,
        /// The index that was given.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// The same annotator voted twice on the same item.
    #[error("annotator {annotator} voted twice on item {item}")]
    Twice {
        /// Index of the annotator.
        annotator: usize,
        /// Index of the item.
        item: usize,
    },
}

/// One vote: annotator and class, both as indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Vote {
    /// Index of the annotator.
    pub annotator: u32,
    /// Index of the class.
    pub class: u32,
}

/// For each item, who said which class.
///
/// An annotator who did not label an item simply has no vote there: *unlabelled* is never a
/// class. Votes of one item are sorted by annotator, so every result that is computed from them
/// is independent of the order of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Votes {
    annotators: usize,
    classes: usize,
    /// `offsets[i]..offsets[i + 1]` are the votes of item `i`; length is items + 1.
    offsets: Vec<usize>,
    votes: Vec<Vote>,
}

impl Votes {
    /// Builds votes from `(item, annotator, class)` triplets in any order.
    ///
    /// # Errors
    /// An index that is out of range, or an annotator who voted twice on one item.
    pub fn from_triplets(
        items: usize,
        annotators: usize,
        classes: usize,
        triplets: &[(usize, usize, usize)],
    ) -> Result<Self, VotesError> {
        let mut offsets = vec![0usize; items + 1];
        for (vote, &(item, annotator, class)) in triplets.iter().enumerate() {
            for (what, index, count) in [
                ("item", item, items),
                ("annotator", annotator, annotators),
                ("class", class, classes),
            ] {
                if index >= count {
                    return Err(VotesError::OutOfRange {
                        vote,
                        what,
                        index,
                        count,
                    });
                }
            }
            offsets[item + 1] += 1;
        }
        for item in 0..items {
            offsets[item + 1] += offsets[item];
        }
        let mut next = offsets.clone();
        let mut votes = vec![
            Vote {
                annotator: 0,
                class: 0
            };
            triplets.len()
        ];
        for &(item, annotator, class) in triplets {
            votes[next[item]] = Vote {
                annotator: annotator as u32,
                class: class as u32,
            };
            next[item] += 1;
        }
        for item in 0..items {
            let row = &mut votes[offsets[item]..offsets[item + 1]];
            row.sort_unstable();
            if let Some(pair) = row
                .windows(2)
                .find(|pair| pair[0].annotator == pair[1].annotator)
            {
                return Err(VotesError::Twice {
                    annotator: pair[0].annotator as usize,
                    item,
                });
            }
        }
        Ok(Self {
            annotators,
            classes,
            offsets,
            votes,
        })
    }

    /// Number of items, labelled or not.
    pub fn items(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Number of annotators.
    pub fn annotators(&self) -> usize {
        self.annotators
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Number of votes in all.
    pub fn len(&self) -> usize {
        self.votes.len()
    }

    /// True when nobody voted on anything.
    pub fn is_empty(&self) -> bool {
        self.votes.is_empty()
    }

    /// The votes on one item, by annotator; empty when nobody labelled it.
    pub fn of(&self, item: usize) -> &[Vote] {
        &self.votes[self.offsets[item]..self.offsets[item + 1]]
    }

    /// What one annotator said, item by item; `None` where they did not label.
    pub fn by(&self, annotator: usize) -> Vec<Option<usize>> {
        (0..self.items())
            .map(|item| {
                let row = self.of(item);
                row.binary_search_by_key(&(annotator as u32), |vote| vote.annotator)
                    .ok()
                    .map(|position| row[position].class as usize)
            })
            .collect()
    }

    /// Number of votes per class on one item.
    pub fn counts(&self, item: usize) -> Vec<usize> {
        let mut counts = vec![0; self.classes];
        for vote in self.of(item) {
            counts[vote.class as usize] += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_input_does_not_matter_and_holes_stay_holes() {
        let forward = [(0, 0, 1), (0, 1, 0), (2, 1, 1)];
        let mut backward = forward;
        backward.reverse();
        let votes = Votes::from_triplets(3, 2, 2, &forward).unwrap();
        assert_eq!(votes, Votes::from_triplets(3, 2, 2, &backward).unwrap());
        assert_eq!(votes.by(0), [Some(1), None, None]);
        assert_eq!(votes.by(1), [Some(0), None, Some(1)]);
        assert!(votes.of(1).is_empty());
        assert_eq!(votes.counts(0), [1, 1]);
    }

    #[test]
    fn bad_votes_are_refused() {
        assert_eq!(
            Votes::from_triplets(1, 1, 2, &[(0, 0, 2)])
                .unwrap_err()
                .to_string(),
            "vote 0 names class 2, but there are only 2"
        );
        assert_eq!(
            Votes::from_triplets(1, 1, 2, &[(0, 0, 0), (0, 0, 1)]).unwrap_err(),
            VotesError::Twice {
                annotator: 0,
                item: 0
            }
        );
    }
}
