//! Instances drawn too large or too small.
//!
//! ```text
//! changed = round(rate · objects), all equally likely
//! r       uniform in the range, in pixels
//! larger  : and every background pixel whose centre is at most r from that of a pixel of the object
//! smaller : less every pixel whose centre is at most r from that of a pixel beside the object
//! ```
//!
//! For whole `r` these are dilation and erosion with the disc of that radius. Objects that grow
//! towards each other meet halfway: a pixel that several reach goes to the nearest, the first in order
//! among equals, as in scikit-image's `expand_labels`. Nothing is eroded from the edge of the image or
//! of an unlabelled area, where nobody knows the border of an object; an object that would vanish is
//! passed over.
//!
//! The noise that Yao et al. (*Learning to segment from noisy annotations: a spatial correction
//! approach*, ICLR 2023) compare theirs with has `r` in \[7, 9\] on organs of some 100 pixels.

use std::ops::RangeInclusive;

use cleanslide_data::mask::UNLABELLED_OBJECT;
use cleanslide_image::region::squared_distance;
use ndarray::Array2;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::instances::places;
use super::{
    Direction, InstanceMask, Mistake, NoiseError, NoisyObjects, check_range, inject, wanted,
};

/// Makes `round(rate · objects)` instances larger or smaller by a distance from `radius`.
///
/// # Errors
/// A rate outside 0 to 1; radii below 1 or not finite; fewer objects than that have room to grow or
/// pixels to spare.
pub fn dilate_erode(
    images: &[InstanceMask],
    rate: f64,
    radius: RangeInclusive<f64>,
    direction: Direction,
    rng: &mut ChaCha8Rng,
) -> Result<NoisyObjects<InstanceMask>, NoiseError> {
    // The pixels beside a pixel are 1 away.
    let below_one = 1.0 - f64::EPSILON;
    check_range("radius", &radius, below_one, "pixels, 1 or more")?;
    let wanted = wanted(images, rate)?;
    inject(
        images,
        wanted,
        "larger or smaller objects",
        rng,
        |draft, objects| {
            let mut growing = Vec::new();
            let mut changed = 0;
            for &object in objects {
                let larger = direction.larger(&mut draft.rng);
                let radius = draft.rng.random_range(radius.clone());
                if larger {
                    growing.push((object, radius));
                } else if let Some(rest) = eroded(&draft.given, object, radius)
                    && !rest.is_empty()
                {
                    keep(&mut draft.given, object, &rest);
                    draft.record_in_place(Mistake::Smaller, object);
                    changed += 1;
                }
            }
            for object in grow(&mut draft.given, &growing) {
                draft.record_in_place(Mistake::Larger, object);
                changed += 1;
            }
            changed
        },
    )
}

/// Lets objects grow over background, each by its radius; those that did.
pub(super) fn grow(image: &mut InstanceMask, objects: &[(usize, f64)]) -> Vec<usize> {
    if objects.is_empty() {
        return Vec::new();
    }
    // The squared distance to the nearest object so far, and its number.
    let nobody = (u64::MAX, usize::MAX);
    let mut nearest: Array2<(u64, usize)> = Array2::from_elem(image.mask.dim(), nobody);
    for &(object, radius) in objects {
        let window = image.window(object, radius.floor() as usize);
        let own = InstanceMask::value(object);
        let squared = squared_distance(image.cut_out(window, |value| value != own).view());
        for (at, &squared) in places(window).zip(&squared) {
            if image.mask[at] == 0 && squared as f64 <= radius * radius {
                nearest[at] = nearest[at].min((squared, object));
            }
        }
    }
    let mut grown = vec![false; image.classes.len()];
    for &(object, radius) in objects {
        let window = image.window(object, radius.floor() as usize);
        for at in places(window) {
            if nearest[at].1 == object {
                image.mask[at] = InstanceMask::value(object);
                grown[object] = true;
            }
        }
        image.bounds[object] = window;
    }
    let objects = objects.iter().map(|&(object, _)| object);
    objects.filter(|&object| grown[object]).collect()
}

/// What an erosion leaves of an object; `None` if it takes nothing.
pub(super) fn eroded(
    image: &InstanceMask,
    object: usize,
    radius: f64,
) -> Option<Vec<(usize, usize)>> {
    let window = image.window(object, radius.ceil() as usize);
    let own = InstanceMask::value(object);
    let inside = image.cut_out(window, |value| value == own || value == UNLABELLED_OBJECT);
    let squared = squared_distance(inside.view());
    let pixels = places(window).zip(&squared);
    let own: Vec<_> = pixels.filter(|(at, _)| image.mask[*at] == own).collect();
    let rest: Vec<_> = own
        .iter()
        .filter(|(_, squared)| **squared as f64 > radius * radius)
        .map(|(at, _)| *at)
        .collect();
    (rest.len() < own.len()).then_some(rest)
}

/// Gives an object these of its pixels only.
pub(super) fn keep(image: &mut InstanceMask, object: usize, pixels: &[(usize, usize)]) {
    let value = InstanceMask::value(object);
    for at in places(image.bounds[object]) {
        if image.mask[at] == value {
            image.mask[at] = 0;
        }
    }
    for &at in pixels {
        image.mask[at] = value;
    }
}
