//! How far several experts who labelled the same images agree.
//!
//! | question | answer |
//! |---|---|
//! | How alike are the masks of two experts? | [`PairwiseOverlap`]: Dice and IoU of each pair and class |
//! | Do they agree more than chance would? | [`FleissMap`]: Fleiss' kappa of an image |
//! | Where do they agree? | [`FleissMap`]: the local kappa around each pixel |
//! | Any other measure of two experts | [`pairwise`], for example of surface distances |
//!
//! Masks are pictures of class indices in which 255 is unlabelled; an expert who did not see an image
//! has none (`None`). Pixels that one of two experts left unlabelled are not compared: unlabelled is
//! never background.

mod fleiss_map;
mod pairwise_overlap;

use cleanslide_data::UNLABELLED_CLASS;
use ndarray::{Array2, ArrayView2};

use crate::error::Error;

pub use fleiss_map::{FleissMap, KappaMap};
pub use pairwise_overlap::PairwiseOverlap;

/// A symmetric measure of every two experts, and of each with themselves, \[experts, experts\]; NaN
/// where one of them has nothing to measure.
///
/// # Errors
/// The first error of the measure.
pub fn pairwise<T, E>(
    experts: &[Option<T>],
    measure: impl Fn(&T, &T) -> Result<f64, E>,
) -> Result<Array2<f64>, E> {
    let mut matrix = Array2::from_elem((experts.len(), experts.len()), f64::NAN);
    for (one, first) in experts.iter().enumerate() {
        for (other, second) in experts.iter().enumerate().skip(one) {
            if let (Some(first), Some(second)) = (first, second) {
                let value = measure(first, second)?;
                matrix[[one, other]] = value;
                matrix[[other, one]] = value;
            }
        }
    }
    Ok(matrix)
}

/// The size of the masks; `None` if there is none.
fn check(
    masks: &[Option<ArrayView2<'_, u8>>],
    classes: usize,
) -> Result<Option<(usize, usize)>, Error> {
    let mut size = None;
    for (expert, mask) in masks.iter().enumerate() {
        let Some(mask) = mask else { continue };
        let expected = *size.get_or_insert(mask.dim());
        if mask.dim() != expected {
            return Err(Error::ExpertMaskSize {
                expert,
                found: mask.dim(),
                expected,
            });
        }
        let highest = mask.fold(0, |highest, &class| {
            if class == UNLABELLED_CLASS {
                highest
            } else {
                class.max(highest)
            }
        });
        if usize::from(highest) >= classes {
            return Err(Error::ExpertMaskClass {
                expert,
                class: highest,
                classes,
            });
        }
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_symmetric() {
        let experts = [Some(1.0), None, Some(4.0)];
        let matrix = pairwise(&experts, |a: &f64, b: &f64| Ok::<_, ()>((a - b).abs())).unwrap();
        assert_eq!(
            (matrix[[0, 2]], matrix[[2, 0]], matrix[[2, 2]]),
            (3.0, 3.0, 0.0)
        );
        assert!(matrix[[1, 1]].is_nan() && matrix[[0, 1]].is_nan());
        assert_eq!(pairwise(&experts, |_, _| Err("no")), Err("no"));
    }
}
