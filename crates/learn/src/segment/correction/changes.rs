//! What a correction did to each object.

use cleanslide_data::mask::UNLABELLED_OBJECT;
use cleanslide_eval::matching::{Instance, Overlaps};
use ndarray::{Array2, ArrayView2};

use super::CorrectedObject;
use crate::correction::{self, Change};
use crate::error::Result;

/// An object of a given mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenObject {
    /// Its number in the mask.
    pub number: u32,
    /// Its class.
    pub class: usize,
    /// Its pixels.
    pub area: u64,
}

/// What became of one object; a corrected one comes with its number in the corrected mask.
pub type ObjectChange = Change<GivenObject, (u32, CorrectedObject)>;

/// What became of each object of a given mask, object `i` of which has the number `i + 1` and the class `classes[i]`:
/// first the given ones, by their numbers, then the added ones. Objects are the same if their intersection over union is
/// above 0.5, and have the same outline if it is above 0.9.
///
/// What the network left open it did not find. Pixels that are unlabelled in the given mask, or of an object without a
/// class, do not count.
///
/// # Errors
/// Masks of different sizes.
pub fn changes(
    (mask, classes): (ArrayView2<'_, u32>, &[usize]),
    (corrected, objects): (ArrayView2<'_, u32>, &[CorrectedObject]),
) -> Result<Vec<ObjectChange>> {
    let mask = numbered(mask, classes.len(), UNLABELLED_OBJECT);
    let corrected = numbered(corrected, objects.len(), 0);
    let overlaps = Overlaps::new(mask.view(), corrected.view())?;
    let given: Vec<GivenObject> = (overlaps.truth.iter())
        .map(|&Instance { number, area }| GivenObject {
            number,
            class: classes[number as usize - 1],
            area,
        })
        .collect();
    let found: Vec<(u32, CorrectedObject)> = (overlaps.predicted.iter())
        .map(|object| (object.number, objects[object.number as usize - 1]))
        .collect();
    Ok(correction::changes(
        &given,
        &found,
        overlaps.pairs(),
        |given, (_, found)| given.class == found.class,
    ))
}

/// A mask with `otherwise` in the place of all numbers but those of so many objects.
fn numbered(mask: ArrayView2<'_, u32>, objects: usize, otherwise: u32) -> Array2<u32> {
    mask.mapv(|object| {
        if object as usize <= objects {
            object
        } else {
            otherwise
        }
    })
}

#[cfg(test)]
mod tests {
    use ndarray::s;

    use super::*;
    use crate::correction::ChangeCounts;

    /// Squares of 6 × 6 pixels side by side, with these numbers.
    fn squares(numbers: &[u32]) -> Array2<u32> {
        let mut mask = Array2::zeros((10, 10 * numbers.len()));
        for (place, &number) in numbers.iter().enumerate() {
            let columns = place * 10 + 2..place * 10 + 8;
            mask.slice_mut(s![2..8, columns]).fill(number);
        }
        mask
    }

    fn object(class: usize) -> CorrectedObject {
        CorrectedObject {
            class,
            score: 0.8,
            area: 36,
        }
    }

    #[test]
    fn what_is_left_open_was_not_found() {
        let given = squares(&[1, 2, 3, 0]);
        let mut corrected = squares(&[1, UNLABELLED_OBJECT, 2, 3]);
        let objects = [object(0), object(1), object(0)];
        let count = |corrected: &Array2<u32>, objects: &[CorrectedObject]| -> ChangeCounts {
            let changes = changes((given.view(), &[0; 3]), (corrected.view(), objects));
            changes.unwrap().iter().collect()
        };
        let counts = |kept, redrawn, added, dropped| ChangeCounts {
            kept,
            redrawn,
            added,
            dropped,
        };
        assert_eq!(count(&corrected, &objects), counts(1, 1, 1, 1));
        // Open pixels around an object are no part of it.
        corrected.slice_mut(s![2..5, 2..8]).fill(UNLABELLED_OBJECT);
        assert_eq!(count(&corrected, &objects), counts(0, 1, 2, 2));
        corrected.fill(UNLABELLED_OBJECT);
        assert_eq!(count(&corrected, &[]), counts(0, 0, 0, 3));
    }

    #[test]
    fn what_nobody_labelled_does_not_count() {
        // The second object has no class; what the network finds there is left out too.
        let given = squares(&[1, 5, UNLABELLED_OBJECT, 2]);
        let found = squares(&[0, 1, 2, 3]);
        let objects = [object(0); 3];
        let changes = changes((given.view(), &[0, 0]), (found.view(), &objects)).unwrap();
        let [Change::Dropped(first), Change::Kept(last, (3, _))] = changes.as_slice() else {
            panic!("{changes:?}");
        };
        assert_eq!([first.number, last.number], [1, 2]);
    }
}
