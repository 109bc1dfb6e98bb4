//! Steps from a mask to objects that several generators share.

use std::f64::consts::FRAC_PI_4;
use std::ops::RangeInclusive;

use cleanslide_image::morphology::{Element, open};
use cleanslide_image::region::{
    Neighbours, Watershed, components, distance, fill_holes, high_maxima, statistics, watershed,
};
use ndarray::{Array2, ArrayView2};

use super::GenerateError;

/// The mask without what is thinner than a third of a diameter, and without holes.
pub(super) fn tidy(
    mask: ArrayView2<'_, bool>,
    smallest: f64,
) -> Result<Array2<bool>, GenerateError> {
    let disk = Element::disk((smallest / 6.0).round().max(1.0) as usize)?;
    Ok(fill_holes(open(mask, &disk).view(), Neighbours::Four)?)
}

/// Each connected part of a mask as one object.
pub(super) fn whole(mask: ArrayView2<'_, bool>) -> Result<Array2<u32>, GenerateError> {
    Ok(components(mask, Neighbours::Four)?.labels)
}

/// The parts of a mask, cut where they are narrow: a watershed of the distance to the background from
/// the maxima that stand out by more than a tenth of the smallest diameter.
///
/// N. Malpica et al., "Applying watershed algorithms to the segmentation of clustered nuclei",
/// Cytometry 28, 1997.
pub(super) fn apart(
    mask: ArrayView2<'_, bool>,
    smallest: f64,
) -> Result<Array2<u32>, GenerateError> {
    // A mask without background has infinite distances and nothing to cut.
    if mask.iter().all(|&inside| inside) {
        return whole(mask);
    }
    let depth = distance(mask);
    let peaks = high_maxima(depth.view(), Neighbours::Eight, smallest / 10.0)?;
    let seeds = components(peaks.view(), Neighbours::Eight)?.labels;
    let settings = Watershed {
        mask: Some(mask),
        ..Watershed::default()
    };
    let basins = depth.mapv(|depth| -depth);
    Ok(watershed(basins.view(), seeds.view(), &settings)?)
}

/// The objects whose diameter is in the range, numbered anew from 1 in the same order.
pub(super) fn sized(mut labels: Array2<u32>, diameters: &RangeInclusive<f64>) -> Array2<u32> {
    let objects = statistics(labels.view());
    let last = objects.last().map_or(0, |object| object.label as usize);
    let mut numbers = vec![0; last + 1];
    let mut kept = 0;
    for object in &objects {
        let diameter = (object.area as f64 / FRAC_PI_4).sqrt();
        if diameters.contains(&diameter) {
            kept += 1;
            numbers[object.label as usize] = kept;
        }
    }
    labels.mapv_inplace(|label| numbers[label as usize]);
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disks(centres: &[(f64, f64)], radius: f64) -> Array2<bool> {
        Array2::from_shape_fn((40, 60), |(y, x)| {
            centres
                .iter()
                .any(|(cx, cy)| (x as f64 - cx).hypot(y as f64 - cy) <= radius)
        })
    }

    #[test]
    fn touching_disks_are_cut_apart_and_measured() -> Result<(), GenerateError> {
        let mask = disks(&[(15.0, 20.0), (33.0, 20.0)], 10.0);
        assert_eq!(whole(mask.view())?.iter().max(), Some(&1));
        let cut = apart(mask.view(), 16.0)?;
        assert_eq!(cut.iter().max(), Some(&2));
        assert_ne!(cut[[20, 15]], cut[[20, 33]]);
        let kept = sized(cut.clone(), &(16.0..=24.0));
        assert_eq!(kept, cut);
        assert_eq!(sized(cut, &(24.0..=30.0)).iter().max(), Some(&0));
        Ok(())
    }

    #[test]
    fn a_full_mask_is_one_object() -> Result<(), GenerateError> {
        let mask = Array2::from_elem((5, 7), true);
        assert_eq!(apart(mask.view(), 3.0)?, Array2::from_elem((5, 7), 1));
        assert_eq!(
            apart(mask.mapv(|_| false).view(), 3.0)?,
            Array2::<u32>::zeros((5, 7))
        );
        Ok(())
    }
}
