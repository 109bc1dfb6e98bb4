//! How many pixels each true instance shares with each found one.

use std::collections::HashMap;

use cleanslide_data::mask::UNLABELLED_OBJECT;
use ndarray::ArrayView2;

use super::Pair;
use crate::error::{Error, check_size};

/// An instance of a mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instance {
    /// Its number in the mask.
    pub number: u32,
    /// Its pixels that are labelled in both masks.
    pub area: u64,
}

/// Pixels that a true and a found instance share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlap {
    /// Position in [`Overlaps::truth`].
    pub truth: usize,
    /// Position in [`Overlaps::predicted`].
    pub predicted: usize,
    /// How many they share, at least 1.
    pub pixels: u64,
}

/// Two instance masks of one image, reduced to their overlaps.
///
/// Numbers need not be consecutive, and instances need not be connected. Pixels that are unlabelled
/// in either mask are left out of every area, so an instance that lies in them altogether does not
/// appear.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overlaps {
    /// The instances of the truth, by number.
    pub truth: Vec<Instance>,
    /// The instances that were found, by number.
    pub predicted: Vec<Instance>,
    /// What they share, by true, then by found instance.
    pub shared: Vec<Overlap>,
}

impl Overlaps {
    /// Reads both masks once. Memory is that of the distinct pairs of numbers.
    ///
    /// # Errors
    /// Masks of different sizes.
    pub fn new(truth: ArrayView2<'_, u32>, predicted: ArrayView2<'_, u32>) -> Result<Self, Error> {
        check_size("predicted mask", predicted.dim(), truth.dim())?;
        let table = count_pairs(truth, predicted);
        let instances = |numbers: Vec<(u32, u64)>| {
            let mut instances: Vec<Instance> = Vec::new();
            for (number, area) in numbers {
                match instances.last_mut() {
                    Some(last) if last.number == number => last.area += area,
                    _ => instances.push(Instance { number, area }),
                }
            }
            instances
        };
        let side = |number: fn(&(u32, u32, u64)) -> u32| {
            let mut numbers: Vec<(u32, u64)> =
                table.iter().map(|cell| (number(cell), cell.2)).collect();
            numbers.retain(|&(number, _)| number != 0);
            numbers.sort_unstable();
            instances(numbers)
        };
        let (truth, predicted) = (side(|cell| cell.0), side(|cell| cell.1));
        let place = |instances: &[Instance], number: u32| {
            instances.partition_point(|instance| instance.number < number)
        };
        let shared = table
            .iter()
            .filter(|cell| cell.0 != 0 && cell.1 != 0)
            .map(|&(t, p, pixels)| Overlap {
                truth: place(&truth, t),
                predicted: place(&predicted, p),
                pixels,
            })
            .collect();
        Ok(Overlaps {
            truth,
            predicted,
            shared,
        })
    }

    /// The number of true and of found instances.
    pub fn counts(&self) -> (usize, usize) {
        (self.truth.len(), self.predicted.len())
    }

    /// The pixels that are in a true instance, a found one, or both.
    pub fn union(&self, overlap: &Overlap) -> u64 {
        let (truth, predicted) = (self.truth[overlap.truth], self.predicted[overlap.predicted]);
        truth.area + predicted.area - overlap.pixels
    }

    /// The instances that overlap, with their IoU; in the order of [`Overlaps::shared`].
    pub fn pairs(&self) -> Vec<Pair> {
        let pair = |overlap: &Overlap| Pair {
            truth: overlap.truth,
            predicted: overlap.predicted,
            iou: overlap.pixels as f64 / self.union(overlap) as f64,
        };
        self.shared.iter().map(pair).collect()
    }
}

/// Pixels of each pair of numbers that occurs, by truth, then by prediction.
fn count_pairs(truth: ArrayView2<'_, u32>, predicted: ArrayView2<'_, u32>) -> Vec<(u32, u32, u64)> {
    let mut table: Vec<(u32, u32, u64)> = Vec::new();
    let mut places: HashMap<(u32, u32), usize> = HashMap::new();
    // Neighbours mostly hold the same pair, so the map is asked once per run of pixels.
    let mut run = (0, 0, 0);
    let mut end_run = |(t, p, pixels): (u32, u32, u64)| {
        if pixels == 0 || t == UNLABELLED_OBJECT || p == UNLABELLED_OBJECT {
            return;
        }
        let place = *places.entry((t, p)).or_insert(table.len());
        match table.get_mut(place) {
            Some(cell) => cell.2 += pixels,
            None => table.push((t, p, pixels)),
        }
    };
    for (truth, predicted) in truth.rows().into_iter().zip(predicted.rows()) {
        for (&t, &p) in truth.iter().zip(predicted) {
            if (t, p) != (run.0, run.1) {
                end_run(run);
                run = (t, p, 0);
            }
            run.2 += 1;
        }
    }
    end_run(run);
    table.sort_unstable();
    table
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn unlabelled_pixels_belong_to_nothing() {
        const NONE: u32 = UNLABELLED_OBJECT;
        let truth = array![[9, 9, NONE, NONE], [0, 2, 2, 0]];
        let predicted = array![[1, 0, 1, 5], [1, 1, 3, NONE]];
        let overlaps = Overlaps::new(truth.view(), predicted.view()).unwrap();
        let instances = |list: &[Instance]| -> Vec<(u32, u64)> {
            list.iter().map(|i| (i.number, i.area)).collect()
        };
        assert_eq!(instances(&overlaps.truth), [(2, 2), (9, 2)]);
        assert_eq!(instances(&overlaps.predicted), [(1, 3), (3, 1)]);
        let shared: Vec<_> = overlaps
            .shared
            .iter()
            .map(|o| (o.truth, o.predicted, o.pixels))
            .collect();
        assert_eq!(shared, [(0, 0, 1), (0, 1, 1), (1, 0, 1)]);
        let ious: Vec<f64> = overlaps.pairs().iter().map(|pair| pair.iou).collect();
        assert_eq!(ious, [0.25, 0.5, 0.25]);
    }

    #[test]
    fn empty_masks_and_other_sizes() {
        let empty: Array2<u32> = Array2::zeros((0, 3));
        let overlaps = Overlaps::new(empty.view(), empty.view()).unwrap();
        assert_eq!(overlaps, Overlaps::default());
        let other = Array2::zeros((1, 3));
        assert_eq!(
            Overlaps::new(empty.view(), other.view())
                .unwrap_err()
                .to_string(),
            "the predicted mask is 1 x 3 pixels (height x width), but the truth is 0 x 3; compare \
             masks of the same image at the same scale"
        );
    }
}
