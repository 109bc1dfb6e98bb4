//! What a correction did to each object.

use cleanslide_eval::matching::{Instance, Overlaps, Pair};
use ndarray::ArrayView2;

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
/// Pixels that are unlabelled in either mask do not count: an object that lies in them altogether is left out.
///
/// # Errors
/// Masks of different sizes.
pub fn changes(
    (mask, classes): (ArrayView2<'_, u32>, &[usize]),
    (corrected, objects): (ArrayView2<'_, u32>, &[CorrectedObject]),
) -> Result<Vec<ObjectChange>> {
    let overlaps = Overlaps::new(mask, corrected)?;
    let given: Vec<GivenObject> = (overlaps.truth.iter())
        .filter_map(|&Instance { number, area }| {
            let class = *classes.get(number as usize - 1)?;
            Some(GivenObject {
                number,
                class,
                area,
            })
        })
        .collect();
    let found: Vec<(u32, CorrectedObject)> = (overlaps.predicted.iter())
        .filter_map(|object| Some((object.number, *objects.get(object.number as usize - 1)?)))
        .collect();
    let pairs: Vec<Pair> = overlaps.pairs();
    Ok(correction::changes(
        &given,
        &found,
        pairs,
        |given, (_, found)| given.class == found.class,
    ))
}
