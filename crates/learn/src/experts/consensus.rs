//! One mask from several, of one image: what others say of other images changes nothing.

use cleanslide_data::UNLABELLED_CLASS;
use cleanslide_weak::fusion::FusionError;
use cleanslide_weak::fusion::masks::{
    MaskMajority, MaskTie, MultiLabelStaple, Staple, VotePatterns,
};
use ndarray::{Array2, ArrayView2};

use super::ExpertMask;

/// STAPLE's probability of foreground from which a pixel is foreground.
const THRESHOLD: f64 = 0.5;

/// The class that most experts gave each pixel of an image; where several are tied, none (255). Equation (1) of Xiao et
/// al. (arXiv 2104.02602), which does not say what becomes of ties. A mask of trust 0 says nothing.
///
/// # Errors
/// No mask, masks of different sizes, or a class that does not exist.
pub fn majority(masks: &[Option<ExpertMask>], classes: usize) -> Result<Array2<u8>, FusionError> {
    let majority = MaskMajority {
        tie: MaskTie::Unlabelled,
    };
    of_believed(masks, classes, |patterns, map| {
        Ok(majority.fuse(patterns)?.mask(map))
    })
}

/// The consensus of STAPLE; with more than two classes, none (255) where several are tied. A mask of trust 0 says nothing.
///
/// # Errors
/// No mask, masks of different sizes, or a class that does not exist.
pub(super) fn staple(
    masks: &[Option<ExpertMask>],
    classes: usize,
) -> Result<Array2<u8>, FusionError> {
    of_believed(masks, classes, |patterns, map| {
        Ok(if classes == 2 {
            let consensus = Staple::default().fuse(patterns)?;
            consensus.mask(map, THRESHOLD)
        } else {
            MultiLabelStaple::default().fuse(patterns)?.mask(map)
        })
    })
}

/// Fuses the masks of an image that are believed at all; if none is, nothing is said of any pixel.
fn of_believed(
    masks: &[Option<ExpertMask>],
    classes: usize,
    fuse: impl FnOnce(&VotePatterns, ArrayView2<'_, u32>) -> Result<Array2<u8>, FusionError>,
) -> Result<Array2<u8>, FusionError> {
    let believed = |mask: &&ExpertMask| mask.trust > 0.0;
    let views: Vec<_> = masks
        .iter()
        .map(|mask| {
            mask.as_ref()
                .filter(believed)
                .map(|mask| mask.classes.view())
        })
        .collect();
    if views.iter().all(Option::is_none)
        && let Some(mask) = masks.iter().flatten().next()
    {
        return Ok(Array2::from_elem(mask.classes.dim(), UNLABELLED_CLASS));
    }
    let mut patterns = VotePatterns::new(masks.len(), classes)?;
    let map = patterns.add(&views)?;
    fuse(&patterns, map.view())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn masks(of: [Array2<u8>; 3]) -> Vec<Option<ExpertMask>> {
        let mask = |classes| ExpertMask {
            classes,
            trust: 1.0,
        };
        of.map(|classes| Some(mask(classes))).into()
    }

    #[test]
    fn equation_1_is_the_majority_of_those_who_looked() {
        let second = array![[0, 1, 1, 1]];
        let mut masks = masks([
            array![[0, 1, 2, 0]],
            second.clone(),
            array![[1, 1, UNLABELLED_CLASS, UNLABELLED_CLASS]],
        ]);
        assert_eq!(
            majority(&masks, 3).unwrap(),
            array![[0, 1, UNLABELLED_CLASS, UNLABELLED_CLASS]]
        );
        (masks[0], masks[2]) = (None, None);
        assert_eq!(majority(&masks, 3).unwrap(), second);
    }

    #[test]
    fn staple_is_the_same_of_two_classes_and_of_more() {
        // Two who see little, and one who sees all that either sees.
        let careful = array![[1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]];
        let masks = masks([
            array![[1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
            array![[1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
            careful.clone(),
        ]);
        assert_eq!(majority(&masks, 2).unwrap(), careful);
        assert_eq!(staple(&masks, 2).unwrap(), careful);
        assert_eq!(staple(&masks, 3).unwrap(), careful);
    }

    #[test]
    fn who_is_not_believed_has_no_vote() {
        let right = array![[1, 1, 0, 0]];
        let wrong = array![[0, 0, 1, 1]];
        let mut masks = masks([right.clone(), wrong.clone(), wrong]);
        let unbelieve = |mask: &mut Option<ExpertMask>| {
            mask.iter_mut().for_each(|mask| mask.trust = 0.0);
        };
        masks[1..].iter_mut().for_each(unbelieve);
        for classes in [2, 3] {
            assert_eq!(majority(&masks, classes).unwrap(), right);
            assert_eq!(staple(&masks, classes).unwrap(), right);
        }
        unbelieve(&mut masks[0]);
        let nothing = Array2::from_elem((1, 4), UNLABELLED_CLASS);
        assert_eq!(majority(&masks, 2).unwrap(), nothing);
        assert_eq!(staple(&masks, 2).unwrap(), nothing);
    }
}
