//! Pixels of each class in two class masks.

use cleanslide_data::UNLABELLED_CLASS;
use ndarray::{ArrayView2, Axis};
use rayon::prelude::*;

use crate::confusion::ConfusionMatrix;
use crate::error::{Error, check_size};
use crate::weights::Weights;

/// Pixels that are counted together; each band of rows costs a table of pairs of classes.
const BAND_PIXELS: usize = 1 << 20;

/// Pixels of one class in two masks of an image.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ClassOverlap {
    /// Of this class in both.
    pub both: f64,
    /// Of this class in the truth.
    pub truth: f64,
    /// Of this class in the prediction.
    pub predicted: f64,
}

impl ClassOverlap {
    /// The pixels of several images together.
    ///
    /// # Errors
    /// Weights that do not fit the images.
    pub fn pool(images: &[ClassOverlap], weights: Weights<'_>) -> Result<ClassOverlap, Error> {
        weights.check(images.len())?;
        let mut sum = ClassOverlap::default();
        for (item, image) in images.iter().enumerate() {
            let weight = weights.of(item);
            sum.both += weight * image.both;
            sum.truth += weight * image.truth;
            sum.predicted += weight * image.predicted;
        }
        Ok(sum)
    }
}

/// The pixels of each class.
pub fn class_overlaps(confusion: &ConfusionMatrix) -> Vec<ClassOverlap> {
    let (truth, predicted) = (confusion.truth_totals(), confusion.predicted_totals());
    let overlap = |class: usize| ClassOverlap {
        both: confusion.counts()[(class, class)],
        truth: truth[class],
        predicted: predicted[class],
    };
    (0..confusion.classes()).map(overlap).collect()
}

/// Counts the pixels of each pair of true and predicted class.
///
/// Pixels that are unlabelled in either mask are left out. Matrices of tiles or images add up with
/// [`ConfusionMatrix::merge`]; memory is that of the pairs of classes.
///
/// # Errors
/// No classes or more than 255, masks of different sizes, or a class that is out of range, with its place.
pub fn pixel_confusion(
    truth: ArrayView2<'_, u8>,
    predicted: ArrayView2<'_, u8>,
    classes: usize,
) -> Result<ConfusionMatrix, Error> {
    if classes == 0 {
        return Err(Error::Zero { what: "classes" });
    }
    if classes > usize::from(UNLABELLED_CLASS) {
        return Err(Error::TooManyClasses { classes });
    }
    check_size("predicted mask", predicted.dim(), truth.dim())?;
    let table = Table::new(classes);
    let rows = (BAND_PIXELS / truth.ncols().max(1)).max(1);
    let bands = truth
        .axis_chunks_iter(Axis(0), rows)
        .into_par_iter()
        .zip(predicted.axis_chunks_iter(Axis(0), rows));
    let counts = bands
        .map(|(truth, predicted)| table.count(truth, predicted))
        .reduce(
            || vec![0; table.side * table.side],
            |mut sum, band| {
                sum.iter_mut()
                    .zip(band)
                    .for_each(|(sum, count)| *sum += count);
                sum
            },
        );
    if table.any_out_of_range(&counts) {
        check_classes("true", truth, classes)?;
        check_classes("predicted", predicted, classes)?;
    }
    let cells = (0..classes * classes)
        .map(|cell| counts[cell / classes * table.side + cell % classes] as f64)
        .collect();
    Ok(ConfusionMatrix::from_cells(cells, classes))
}

/// Counts of pairs of values; the last two rows and columns are for unlabelled and impossible ones,
/// so that the inner loop has no branch.
struct Table {
    side: usize,
    row_of: [usize; 256],
}

impl Table {
    fn new(classes: usize) -> Self {
        let mut row_of = [classes + 1; 256];
        for (value, row) in row_of.iter_mut().enumerate().take(classes) {
            *row = value;
        }
        row_of[usize::from(UNLABELLED_CLASS)] = classes;
        Table {
            side: classes + 2,
            row_of,
        }
    }

    fn count(&self, truth: ArrayView2<'_, u8>, predicted: ArrayView2<'_, u8>) -> Vec<u64> {
        let mut counts = vec![0; self.side * self.side];
        for (truth, predicted) in truth.rows().into_iter().zip(predicted.rows()) {
            for (&t, &p) in truth.iter().zip(predicted) {
                let (row, column) = (self.row_of[usize::from(t)], self.row_of[usize::from(p)]);
                counts[row * self.side + column] += 1;
            }
        }
        counts
    }

    fn any_out_of_range(&self, counts: &[u64]) -> bool {
        let last = self.side - 1;
        (0..self.side).any(|i| counts[last * self.side + i] + counts[i * self.side + last] > 0)
    }
}

/// Fails if a pixel has a class that does not exist.
pub(crate) fn check_classes(
    what: &'static str,
    mask: ArrayView2<'_, u8>,
    classes: usize,
) -> Result<(), Error> {
    let bad = |&(_, &class): &(_, &u8)| class != UNLABELLED_CLASS && usize::from(class) >= classes;
    match mask.indexed_iter().find(bad) {
        Some(((row, column), &class)) => Err(Error::PixelClassOutOfRange {
            what,
            row,
            column,
            class,
            classes,
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn unlabelled_pixels_are_in_no_cell() {
        let truth = array![[0, 0, 1, 255], [1, 1, 0, 255]];
        let predicted = array![[0, 1, 1, 1], [255, 1, 0, 255]];
        let confusion = pixel_confusion(truth.view(), predicted.view(), 2).unwrap();
        assert_eq!(confusion.counts(), array![[2.0, 1.0], [0.0, 2.0]]);
        let [background, cells] = class_overlaps(&confusion)[..] else {
            panic!("two classes");
        };
        assert_eq!(
            (background.both, background.truth, background.predicted),
            (2.0, 3.0, 2.0)
        );
        assert_eq!((cells.both, cells.truth, cells.predicted), (2.0, 2.0, 3.0));
    }

    #[test]
    fn bands_add_up_to_the_whole() {
        let size = (1500, 1400);
        let truth = Array2::from_shape_fn(size, |(y, x)| ((x * 7 + y * 3) % 5) as u8);
        let predicted = Array2::from_shape_fn(size, |(y, x)| ((x * 5 + y) % 5) as u8);
        let confusion = pixel_confusion(truth.view(), predicted.view(), 5).unwrap();
        let mut plain: Array2<f64> = Array2::zeros((5, 5));
        for (&t, &p) in truth.iter().zip(&predicted) {
            plain[(usize::from(t), usize::from(p))] += 1.0;
        }
        assert_eq!(confusion.counts(), plain);
    }

    #[test]
    fn many_classes_and_no_pixels() {
        let empty: Array2<u8> = Array2::zeros((0, 4));
        let confusion = pixel_confusion(empty.view(), empty.view(), 3).unwrap();
        assert_eq!((confusion.classes(), confusion.total()), (3, 0.0));
        let last = array![[254]];
        let confusion = pixel_confusion(last.view(), last.view(), 255).unwrap();
        assert_eq!(confusion.counts()[(254, 254)], 1.0);
    }

    #[test]
    fn bad_masks_are_named() {
        let (mask, other) = (array![[0, 1], [2, 255]], array![[0, 1]]);
        let message = |truth: &Array2<u8>, predicted: &Array2<u8>, classes| {
            let confusion = pixel_confusion(truth.view(), predicted.view(), classes);
            confusion.unwrap_err().to_string()
        };
        assert_eq!(
            message(&mask, &mask, 2),
            "the true mask has class 2 at row 1, column 0, but there are only 2 classes (255 is \
             unlabelled); check which mask this is, or raise the number of classes"
        );
        assert!(message(&mask, &other, 3).contains("the predicted mask is 1 x 2 pixels"));
        assert_eq!(message(&mask, &mask, 0), "the number of classes is zero");
        assert_eq!(
            message(&mask, &mask, 256),
            "there are 256 classes, but a class mask can hold only 255 (0 to 254)"
        );
    }
}
