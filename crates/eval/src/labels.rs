//! Truth and prediction of the same items, checked once.

use ndarray::ArrayView2;

use crate::confusion::ConfusionMatrix;
use crate::error::{Error, check_length};
use crate::weights::Weights;

/// Truth and predicted class of each item.
///
/// Metrics of hard labels are functions of the [`ConfusionMatrix`] that
/// [`LabelPairs::confusion`] makes.
#[derive(Debug, Clone)]
pub struct LabelPairs {
    classes: usize,
    /// `truth * classes + predicted` of each item: its cell in the confusion matrix.
    cells: Vec<usize>,
}

impl LabelPairs {
    /// Pairs `truth` with `predicted`; both are class indices below `classes`.
    ///
    /// # Errors
    /// No items, no classes, lengths that differ, or a class out of range.
    pub fn new(truth: &[usize], predicted: &[usize], classes: usize) -> Result<Self, Error> {
        check_classes("truth", truth, classes)?;
        check_length("prediction", predicted.len(), truth.len())?;
        check_classes("prediction", predicted, classes)?;
        let cells = truth
            .iter()
            .zip(predicted)
            .map(|(t, p)| t * classes + p)
            .collect();
        Ok(LabelPairs { classes, cells })
    }

    /// The number of items.
    pub fn items(&self) -> usize {
        self.cells.len()
    }

    /// The confusion matrix of the weighted items.
    ///
    /// # Errors
    /// Weights of another length or invalid ones.
    pub fn confusion(&self, weights: Weights<'_>) -> Result<ConfusionMatrix, Error> {
        weights.check(self.cells.len())?;
        let mut counts = vec![0.0; self.classes * self.classes];
        for (item, &cell) in self.cells.iter().enumerate() {
            counts[cell] += weights.of(item);
        }
        Ok(ConfusionMatrix::from_cells(counts, self.classes))
    }
}

/// Fails if there is no item, or a class index is not below `classes`.
pub(crate) fn check_classes(
    what: &'static str,
    labels: &[usize],
    classes: usize,
) -> Result<(), Error> {
    if classes == 0 {
        return Err(Error::Zero { what: "classes" });
    }
    if labels.is_empty() {
        return Err(Error::Empty { what });
    }
    match labels.iter().position(|&class| class >= classes) {
        Some(item) => Err(Error::ClassOutOfRange {
            what,
            item,
            class: labels[item],
            classes,
        }),
        None => Ok(()),
    }
}

/// Fails if a probability or score is NaN.
pub(crate) fn check_scores(scores: ArrayView2<'_, f32>) -> Result<(), Error> {
    match scores.indexed_iter().find(|(_, score)| score.is_nan()) {
        Some(((item, class), _)) => Err(Error::ScoreIsNan { item, class }),
        None => Ok(()),
    }
}

/// The class with the highest probability of each item; the lowest index wins a tie, as in numpy.
///
/// `probabilities` has the shape [items, classes].
///
/// # Errors
/// No items, no classes, or a probability that is NaN.
pub fn most_probable(probabilities: ArrayView2<'_, f32>) -> Result<Vec<usize>, Error> {
    if probabilities.ncols() == 0 {
        return Err(Error::Zero { what: "classes" });
    }
    if probabilities.nrows() == 0 {
        return Err(Error::Empty {
            what: "probabilities",
        });
    }
    check_scores(probabilities)?;
    Ok(probabilities
        .rows()
        .into_iter()
        .map(|row| {
            let mut best = 0;
            for (class, &probability) in row.iter().enumerate() {
                if probability > row[best] {
                    best = class;
                }
            }
            best
        })
        .collect())
}

/// The items whose truth is known.
///
/// Unlabelled is a state of its own: such items are left out of every metric, never counted as
/// some class. Use `items` to select predictions, groups and weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Indices of the items whose truth is known, ascending.
    pub items: Vec<usize>,
    /// Their truth.
    pub truth: Vec<usize>,
}

impl Known {
    /// Keeps the items with a truth.
    ///
    /// # Errors
    /// No item has one.
    pub fn new(truth: &[Option<usize>]) -> Result<Self, Error> {
        let (items, truth): (Vec<_>, Vec<_>) = truth
            .iter()
            .enumerate()
            .filter_map(|(item, class)| class.map(|class| (item, class)))
            .unzip();
        if items.is_empty() {
            return Err(Error::Empty {
                what: "known truth",
            });
        }
        Ok(Known { items, truth })
    }

    /// The entries of `values`, one per original item, that belong to the known items.
    ///
    /// # Errors
    /// `values` is shorter than the last known item.
    pub fn select<T: Clone>(&self, values: &[T]) -> Result<Vec<T>, Error> {
        self.items
            .iter()
            .map(|&item| {
                values.get(item).cloned().ok_or(Error::LengthsDiffer {
                    what: "values",
                    found: values.len(),
                    expected: item + 1,
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn unknown_truth_is_left_out() {
        let known = Known::new(&[None, Some(2), Some(0), None]).unwrap();
        assert_eq!(known.items, [1, 2]);
        assert_eq!(known.truth, [2, 0]);
        assert_eq!(known.select(&['a', 'b', 'c', 'd']).unwrap(), ['b', 'c']);
        assert!(known.select(&['a', 'b']).is_err());
        assert_eq!(
            Known::new(&[None]).unwrap_err().to_string(),
            "known truth is empty"
        );
    }

    #[test]
    fn bad_labels_are_named() {
        let message = |truth: &[usize], predicted: &[usize], classes| {
            LabelPairs::new(truth, predicted, classes)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(message(&[], &[], 2), "truth is empty");
        assert_eq!(message(&[0], &[0], 0), "the number of classes is zero");
        assert_eq!(
            message(&[0, 1], &[0], 2),
            "prediction has 1 entries, but there are 2 items"
        );
        assert_eq!(
            message(&[0, 2], &[0, 1], 2),
            "truth of item 1 is class 2, but there are only 2 classes"
        );
        assert_eq!(
            message(&[0, 1], &[5, 1], 2),
            "prediction of item 0 is class 5, but there are only 2 classes"
        );
    }

    #[test]
    fn first_class_wins_a_tie() {
        let probabilities = array![[0.4, 0.4, 0.2], [0.1, 0.2, 0.7]];
        assert_eq!(most_probable(probabilities.view()).unwrap(), [0, 2]);
        let probabilities = array![[0.4, 0.6], [f32::NAN, 0.2]];
        assert_eq!(
            most_probable(probabilities.view()).unwrap_err().to_string(),
            "the score of item 1 for class 0 is not a number"
        );
    }
}
