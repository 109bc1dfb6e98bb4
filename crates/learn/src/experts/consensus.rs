//! One mask from several, of one image: what others say of other images changes nothing.

use cleanslide_weak::fusion::FusionError;
use cleanslide_weak::fusion::masks::{
    MaskMajority, MaskTie, MultiLabelStaple, Staple, VotePatterns,
};
use ndarray::Array2;

use super::ExpertMask;

/// STAPLE's probability of foreground from which a pixel is foreground.
const THRESHOLD: f64 = 0.5;

/// The class that most experts gave each pixel of an image; where several are tied, none (255). Equation (1) of Xiao et
/// al. (arXiv 2104.02602), which does not say what becomes of ties.
///
/// # Errors
/// No mask, masks of different sizes, or a class that does not exist.
pub fn majority(masks: &[Option<ExpertMask>], classes: usize) -> Result<Array2<u8>, FusionError> {
    let (patterns, map) = patterns(masks, classes)?;
    let majority = MaskMajority {
        tie: MaskTie::Unlabelled,
    };
    Ok(majority.fuse(&patterns)?.mask(map.view()))
}

/// The consensus of STAPLE; with more than two classes, none (255) where several are tied.
///
/// # Errors
/// No mask, masks of different sizes, or a class that does not exist.
pub(super) fn staple(
    masks: &[Option<ExpertMask>],
    classes: usize,
) -> Result<Array2<u8>, FusionError> {
    let (patterns, map) = patterns(masks, classes)?;
    if classes == 2 {
        let consensus = Staple::default().fuse(&patterns)?;
        return Ok(consensus.mask(map.view(), THRESHOLD));
    }
    Ok(MultiLabelStaple::default()
        .fuse(&patterns)?
        .mask(map.view()))
}

fn patterns(
    masks: &[Option<ExpertMask>],
    classes: usize,
) -> Result<(VotePatterns, Array2<u32>), FusionError> {
    let masks: Vec<_> = masks
        .iter()
        .map(|mask| mask.as_ref().map(|mask| mask.classes.view()))
        .collect();
    let mut patterns = VotePatterns::new(masks.len(), classes)?;
    let map = patterns.add(&masks)?;
    Ok((patterns, map))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cleanslide_data::UNLABELLED_CLASS;
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
}
