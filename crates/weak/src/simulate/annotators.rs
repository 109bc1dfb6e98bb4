//! Simulated experts: habits, errors that grow with difficulty, and gaps.

use cleanslide_data::{Votes, VotesError};
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use thiserror::Error;

/// What went wrong when annotators were made or asked.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum AnnotatorError {
    /// A number that must lie in 0..=1 does not.
    #[error("{what} is {value}, but must lie between 0 and 1")]
    NotAShare {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: f64,
    },
    /// The confusion matrix is not square.
    #[error("the confusion matrix has {rows} rows and {columns} columns, but must be square")]
    NotSquare {
        /// Number of rows.
        rows: usize,
        /// Number of columns.
        columns: usize,
    },
    /// A row of the confusion matrix does not sum to one.
    #[error("row {row} of the confusion matrix sums to {sum}, but must sum to 1")]
    RowSum {
        /// The row: the true class.
        row: usize,
        /// Its sum.
        sum: f64,
    },
    /// Annotators who know different numbers of classes.
    #[error("annotator {annotator} knows {found} classes, but annotator 0 knows {expected}")]
    Classes {
        /// The annotator.
        annotator: usize,
        /// Classes of this annotator.
        found: usize,
        /// Classes of the first annotator.
        expected: usize,
    },
    /// Nobody to ask.
    #[error("there are no annotators; give at least one")]
    Nobody,
    /// One difficulty per item is needed.
    #[error("there are {truth} items but {difficulty} difficulties; give one for each item")]
    Length {
        /// Number of true labels.
        truth: usize,
        /// Number of difficulties.
        difficulty: usize,
    },
    /// A true label that the annotators do not know.
    #[error("item {item} has class {class}, but the annotators know only {classes} classes")]
    Truth {
        /// The item.
        item: usize,
        /// Its class.
        class: usize,
        /// Number of classes.
        classes: usize,
    },
    /// The votes could not be put together.
    #[error(transparent)]
    Votes(#[from] VotesError),
}

/// One expert.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotator {
    confusion: Array2<f64>,
    sensitivity: f64,
    coverage: f64,
}

impl Annotator {
    /// An expert with habits.
    ///
    /// - `confusion` [classes, classes]: row = true class, column = what is said, at difficulty
    ///   one half; rows sum to 1.
    /// - `sensitivity` 0..=1: how strongly errors follow difficulty `d`. Every probability of an
    ///   error is multiplied by `1 + sensitivity · (2d − 1)`: at 1, easy items are always right.
    ///   Over difficulties spread evenly in 0..=1 the mean is `confusion`, unless the errors of a
    ///   row would exceed 1 and are scaled back.
    /// - `coverage` 0..=1: share of the items that this expert labels.
    ///
    /// # Errors
    /// A matrix that is not square or has negative entries or rows that do not sum to 1 (within
    /// 1e-6); a share outside 0..=1.
    pub fn new(
        confusion: Array2<f64>,
        sensitivity: f64,
        coverage: f64,
    ) -> Result<Self, AnnotatorError> {
        let (rows, columns) = confusion.dim();
        if rows != columns {
            return Err(AnnotatorError::NotSquare { rows, columns });
        }
        share("the sensitivity to difficulty", sensitivity)?;
        share("the coverage", coverage)?;
        for (row, probabilities) in confusion.rows().into_iter().enumerate() {
            for &value in probabilities {
                share("an entry of the confusion matrix", value)?;
            }
            let sum = probabilities.sum();
            if (sum - 1.0).abs() > 1e-6 {
                return Err(AnnotatorError::RowSum { row, sum });
            }
        }
        Ok(Self {
            confusion,
            sensitivity,
            coverage,
        })
    }

    /// An expert who leans towards one class.
    ///
    /// Items of that class are right with probability `accuracy`, all others with
    /// `accuracy − extra`; the share `extra` goes to the class leaned towards, and what remains
    /// is spread evenly over the wrong classes. Sensitivity to difficulty is 0.8. With `extra`
    /// = 0 the expert has no leaning.
    ///
    /// # Errors
    /// Shares outside 0..=1, or `accuracy` smaller than `extra`.
    pub fn leaning(
        classes: usize,
        accuracy: f64,
        towards: usize,
        extra: f64,
        coverage: f64,
    ) -> Result<Self, AnnotatorError> {
        share("the accuracy", accuracy)?;
        share("the lean", extra)?;
        share("the accuracy less the lean", accuracy - extra)?;
        let others = classes.saturating_sub(1).max(1) as f64;
        let confusion = Array2::from_shape_fn((classes, classes), |(truth, said)| {
            if classes == 1 {
                return 1.0;
            }
            let lean = if towards < classes && truth != towards {
                extra
            } else {
                0.0
            };
            let even = if said == truth {
                accuracy - lean
            } else {
                (1.0 - accuracy) / others
            };
            even + if said == towards { lean } else { 0.0 }
        });
        Self::new(confusion, 0.8, coverage)
    }

    /// A panel of three as one meets it: a careful one who labels nearly everything, one who
    /// leans towards class 1, and a hasty one who labels half.
    ///
    /// # Errors
    /// None for one class or more.
    pub fn panel(classes: usize) -> Result<Vec<Self>, AnnotatorError> {
        Ok(vec![
            Self::leaning(classes, 0.93, 0, 0.0, 0.95)?,
            Self::leaning(classes, 0.92, 1, 0.14, 0.85)?,
            Self::leaning(classes, 0.72, 0, 0.0, 0.5)?,
        ])
    }

    /// Row = true class, column = what is said, at difficulty one half.
    pub fn confusion(&self) -> &Array2<f64> {
        &self.confusion
    }

    /// What is said of an item of class `truth`, for a number drawn evenly from 0..1.
    fn answer(&self, truth: usize, difficulty: f64, draw: f64) -> usize {
        let row = self.confusion.row(truth);
        let error = 1.0 - row[truth];
        let factor = 1.0 + self.sensitivity * (2.0 * difficulty - 1.0);
        let factor = if error * factor > 1.0 {
            1.0 / error
        } else {
            factor
        };
        let mut sum = 0.0;
        for (said, &probability) in row.iter().enumerate() {
            if said != truth {
                sum += factor * probability;
                if draw < sum {
                    return said;
                }
            }
        }
        truth
    }
}

/// Asks every annotator about every item. The truth stays with the caller: the votes hold none
/// of it.
///
/// `truth` are class indices, `difficulty` is 0..=1 per item. Every annotator draws from an own
/// stream of `seed`, so adding one changes nobody's answers.
///
/// # Errors
/// No annotators, or annotators who know different classes; truth and difficulty of different
/// lengths; a class the annotators do not know; a difficulty outside 0..=1.
pub fn simulate_votes(
    truth: &[usize],
    difficulty: &[f32],
    annotators: &[Annotator],
    seed: u64,
) -> Result<Votes, AnnotatorError> {
    let classes = match annotators.first() {
        Some(first) => first.confusion.nrows(),
        None => return Err(AnnotatorError::Nobody),
    };
    if truth.len() != difficulty.len() {
        return Err(AnnotatorError::Length {
            truth: truth.len(),
            difficulty: difficulty.len(),
        });
    }
    for (annotator, person) in annotators.iter().enumerate() {
        let found = person.confusion.nrows();
        if found != classes {
            return Err(AnnotatorError::Classes {
                annotator,
                found,
                expected: classes,
            });
        }
    }
    for (item, (&class, &difficulty)) in truth.iter().zip(difficulty).enumerate() {
        if class >= classes {
            return Err(AnnotatorError::Truth {
                item,
                class,
                classes,
            });
        }
        share("a difficulty", f64::from(difficulty))?;
    }
    let triplets: Vec<(usize, usize, usize)> = annotators
        .par_iter()
        .enumerate()
        .flat_map_iter(|(annotator, person)| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(annotator as u64);
            let items = truth.iter().zip(difficulty).enumerate();
            items.filter_map(move |(item, (&class, &difficulty))| {
                // Both numbers are drawn for every item, so that a change of coverage does not
                // change the other answers.
                let (asked, draw): (f64, f64) = (rng.random(), rng.random());
                let said = person.answer(class, f64::from(difficulty), draw);
                (asked < person.coverage).then_some((item, annotator, said))
            })
        })
        .collect();
    Ok(Votes::from_triplets(
        truth.len(),
        annotators.len(),
        classes,
        &triplets,
    )?)
}

fn share(what: &'static str, value: f64) -> Result<(), AnnotatorError> {
    if (0.0..=1.0).contains(&value) {
        Ok(())
    } else {
        Err(AnnotatorError::NotAShare { what, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    const ITEMS: usize = 40_000;

    fn items() -> (Vec<usize>, Vec<f32>) {
        let truth = (0..ITEMS).map(|i| i % 3).collect();
        // 0.618… steps through 0..1 evenly and independently of i mod 3.
        let difficulty = (0..ITEMS).map(|i| (i as f64 * 0.618_033_988_75).fract() as f32);
        (truth, difficulty.collect())
    }

    #[test]
    fn the_measured_confusion_is_the_given_one() {
        let (truth, difficulty) = items();
        let confusion = array![[0.8, 0.15, 0.05], [0.1, 0.9, 0.0], [0.3, 0.2, 0.5]];
        let annotator = Annotator::new(confusion.clone(), 0.7, 1.0).unwrap();
        let votes = simulate_votes(&truth, &difficulty, &[annotator], 1).unwrap();
        let mut counts = Array2::<f64>::zeros((3, 3));
        for (said, &truth) in votes.by(0).iter().zip(&truth) {
            counts[(truth, said.unwrap())] += 1.0;
        }
        for ((row, column), &expected) in confusion.indexed_iter() {
            let found = counts[(row, column)] / counts.row(row).sum();
            // Four standard errors of a share of 13,333 items are at most 0.018.
            assert!((found - expected).abs() < 0.018, "{row} {column} {found}");
        }
        assert_eq!(counts[(1, 2)], 0.0);
    }

    #[test]
    fn errors_grow_with_difficulty_and_gaps_have_the_wanted_share() {
        let (truth, difficulty) = items();
        let annotator = Annotator::leaning(3, 0.8, 9, 0.0, 0.6).unwrap();
        let votes = simulate_votes(&truth, &difficulty, &[annotator], 2).unwrap();
        assert!((votes.len() as f64 / ITEMS as f64 - 0.6).abs() < 0.01);
        let mut errors = [(0.0, 0.0); 4];
        for (item, said) in votes.by(0).iter().enumerate() {
            if let Some(said) = said {
                let bin = &mut errors[(difficulty[item] * 4.0) as usize];
                bin.0 += f64::from(u8::from(*said != truth[item]));
                bin.1 += 1.0;
            }
        }
        let rates = errors.map(|(wrong, all)| wrong / all);
        assert!(rates.windows(2).all(|pair| pair[0] < pair[1]), "{rates:?}");
    }

    #[test]
    fn another_annotator_changes_nobodys_answers() {
        let (truth, difficulty) = items();
        let panel = Annotator::panel(3).unwrap();
        let all = simulate_votes(&truth, &difficulty, &panel, 3).unwrap();
        let two = simulate_votes(&truth, &difficulty, &panel[..2], 3).unwrap();
        assert_eq!(all.by(1), two.by(1));
        let lean = |votes: &Votes, who: usize| {
            let said = votes.by(who);
            said.iter().filter(|s| **s == Some(1)).count() as f64
                / said.iter().flatten().count() as f64
        };
        // A third of the items are of class 1; the leaning expert says it far more often.
        assert!(lean(&all, 1) > 0.39);
        assert!((lean(&all, 0) - 1.0 / 3.0).abs() < 0.02);
    }

    #[test]
    fn bad_input_is_named() {
        let good = Annotator::panel(2).unwrap();
        let message = |result: Result<Votes, AnnotatorError>| result.unwrap_err().to_string();
        assert_eq!(
            message(simulate_votes(&[0, 2], &[0.0, 0.5], &good, 0)),
            "item 1 has class 2, but the annotators know only 2 classes"
        );
        assert_eq!(
            message(simulate_votes(&[0], &[], &good, 0)),
            "there are 1 items but 0 difficulties; give one for each item"
        );
        assert_eq!(
            message(simulate_votes(&[0], &[f32::NAN], &good, 0)),
            "a difficulty is NaN, but must lie between 0 and 1"
        );
        assert_eq!(
            message(simulate_votes(&[0], &[0.0], &[], 0)),
            "there are no annotators; give at least one"
        );
        assert_eq!(
            Annotator::new(array![[0.5, 0.4], [0.0, 1.0]], 0.0, 1.0)
                .unwrap_err()
                .to_string(),
            "row 0 of the confusion matrix sums to 0.9, but must sum to 1"
        );
    }
}
