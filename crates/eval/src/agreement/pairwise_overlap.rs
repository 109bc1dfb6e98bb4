//! Dice and IoU of every two experts.
//!
//! ```text
//! Dice = 2 |A ∩ B| / (|A| + |B|),  IoU = |A ∩ B| / |A ∪ B|
//! ```
//!
//! with A and B the pixels that the experts gave the class, among those that both labelled.

use cleanslide_data::UNLABELLED_CLASS;
use ndarray::{Array2, Array3, ArrayView2, Zip};
use rayon::prelude::*;

use super::check;
use crate::error::Error;

/// What the masks of every two experts have in common, added up over images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairwiseOverlap {
    /// Pixels to which both experts gave the class, \[classes, experts, experts\].
    common: Array3<u64>,
    /// Pixels to which the first gave the class, among those that the second labelled.
    area: Array3<u64>,
}

impl PairwiseOverlap {
    /// Nothing counted yet.
    pub fn new(experts: usize, classes: usize) -> Self {
        Self {
            common: Array3::zeros((classes, experts, experts)),
            area: Array3::zeros((classes, experts, experts)),
        }
    }

    /// Adds one image: the mask of each expert, `None` for those who did not see it.
    ///
    /// # Errors
    /// Another number of masks than of experts, masks of different sizes, or a class that does not
    /// exist; then nothing is added.
    pub fn add(&mut self, masks: &[Option<ArrayView2<'_, u8>>]) -> Result<(), Error> {
        let (classes, experts, _) = self.common.dim();
        if masks.len() != experts {
            return Err(Error::ExpertMasks {
                found: masks.len(),
                expected: experts,
            });
        }
        check(masks, classes)?;
        let pairs: Vec<(usize, usize)> = (0..experts)
            .flat_map(|one| (one..experts).map(move |other| (one, other)))
            .collect();
        let tables: Vec<Option<Array2<u64>>> = pairs
            .par_iter()
            .map(|&(one, other)| Some(table(masks[one]?, masks[other]?, classes)))
            .collect();
        for ((one, other), table) in pairs.into_iter().zip(tables) {
            let Some(table) = table else { continue };
            for class in 0..classes {
                let sums = (table.row(class).sum(), table.column(class).sum());
                self.common[[class, one, other]] += table[[class, class]];
                self.area[[class, one, other]] += sums.0;
                if one != other {
                    self.common[[class, other, one]] += table[[class, class]];
                    self.area[[class, other, one]] += sums.1;
                }
            }
        }
        Ok(())
    }

    /// Dice coefficients of a class, \[experts, experts\], from 0 to 1; NaN where neither expert
    /// drew it, or there is no such class.
    pub fn dice(&self, class: usize) -> Array2<f64> {
        self.ratios(class, |common, sum| 2.0 * common / sum)
    }

    /// As [`PairwiseOverlap::dice`], intersection over union (Jaccard index).
    pub fn iou(&self, class: usize) -> Array2<f64> {
        self.ratios(class, |common, sum| common / (sum - common))
    }

    fn ratios(&self, class: usize, ratio: impl Fn(f64, f64) -> f64) -> Array2<f64> {
        let (classes, experts, _) = self.common.dim();
        Array2::from_shape_fn((experts, experts), |(one, other)| {
            if class >= classes {
                return f64::NAN;
            }
            let sum = self.area[[class, one, other]] + self.area[[class, other, one]];
            // 0 / 0 is NaN.
            ratio(self.common[[class, one, other]] as f64, sum as f64)
        })
    }
}

/// How many pixels have which two classes, of those that both experts labelled.
fn table(one: ArrayView2<'_, u8>, other: ArrayView2<'_, u8>, classes: usize) -> Array2<u64> {
    // One more row and column take what is unlabelled.
    let mut table = Array2::zeros((classes + 1, classes + 1));
    let place = |class: u8| {
        if class == UNLABELLED_CLASS {
            classes
        } else {
            usize::from(class)
        }
    };
    Zip::from(one).and(other).for_each(|&one, &other| {
        table[[place(one), place(other)]] += 1;
    });
    table.slice_move(ndarray::s![..classes, ..classes])
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn unlabelled_pixels_are_not_compared() {
        let one = array![[0, 1, 1, 1, 255, 1]];
        let other = array![[0, 1, 0, 255, 1, 1]];
        let mut overlap = PairwiseOverlap::new(3, 3);
        overlap
            .add(&[Some(one.view()), Some(other.view()), None])
            .unwrap();
        // Compared: four pixels, three of class 1 by one and two by the other.
        assert_eq!(overlap.dice(1)[[0, 1]], 4.0 / 5.0);
        assert_eq!(overlap.iou(1)[[1, 0]], 2.0 / 3.0);
        assert_eq!(overlap.dice(1)[[0, 0]], 1.0);
        assert!(overlap.dice(2)[[0, 1]].is_nan() && overlap.dice(3)[[0, 0]].is_nan());
        assert!(overlap.dice(1)[[2, 2]].is_nan());

        // Added up over images, not averaged.
        overlap
            .add(&[Some(array![[1]].view()), Some(array![[0]].view()), None])
            .unwrap();
        assert_eq!(overlap.dice(1)[[0, 1]], 4.0 / 6.0);
    }

    #[test]
    fn bad_masks_are_refused() {
        let mut overlap = PairwiseOverlap::new(2, 2);
        let (one, other) = (array![[0, 2]], array![[0]]);
        let mut error =
            |masks: &[Option<ArrayView2<'_, u8>>]| overlap.add(masks).unwrap_err().to_string();
        assert_eq!(
            error(&[Some(one.view())]),
            "there are 1 masks, but 2 experts: pass `None` for those without one"
        );
        assert_eq!(
            error(&[Some(one.view()), None]),
            "expert 0 gave class 2, but there are 2 classes (255: unlabelled)"
        );
        assert!(error(&[Some(other.view()), Some(array![[0, 1]].view())]).contains("(1, 2)"));
        assert_eq!(overlap, PairwiseOverlap::new(2, 2));
    }
}
