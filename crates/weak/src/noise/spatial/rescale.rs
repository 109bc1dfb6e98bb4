//! Boxes too large or too small for their objects.
//!
//! ```text
//! rescaled = round(rate · boxes), all equally likely
//! sides    · f about the centre, or / f           f from the range, its logarithm uniform
//! ```
//!
//! A box with both sides f times as long has an IoU of 1 / f² with the true one. What grows over the
//! edge of the image is cut off.

use std::ops::RangeInclusive;

use cleanslide_data::Rectangle;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{BoxedImage, Direction, Mistake, NoiseError, NoisyObjects, check_range, inject_each};

/// Makes `round(rate · boxes)` boxes larger or smaller by a factor from `factor` for each side.
///
/// # Errors
/// A rate outside 0 to 1; factors that are not above 1 or not finite; fewer boxes than that can be
/// changed (one that covers its image cannot grow).
pub fn rescale_boxes(
    images: &[BoxedImage],
    rate: f64,
    factor: RangeInclusive<f64>,
    direction: Direction,
    rng: &mut ChaCha8Rng,
) -> Result<NoisyObjects<BoxedImage>, NoiseError> {
    check_range("factor", &factor, 1.0, "factors above 1")?;
    inject_each(images, rate, "rescaled boxes", rng, |draft, object| {
        let size = draft.given.size;
        let old = draft.given.objects[object].shape;
        let larger = direction.larger(&mut draft.rng);
        let logarithm = draft
            .rng
            .random_range(factor.start().ln()..=factor.end().ln());
        let scale = if larger { logarithm } else { -logarithm }.exp();
        let (x, y) = (
            (scale - 1.0) * old.width() / 2.0,
            (scale - 1.0) * old.height() / 2.0,
        );
        let scaled = Rectangle {
            left: old.left - x,
            top: old.top - y,
            right: old.right + x,
            bottom: old.bottom + y,
        };
        let changed = |new: &Rectangle| {
            new.area() > 0.0 && (new.area() > old.area()) == larger && new.area() != old.area()
        };
        let Some(new) = scaled.on_image(size).filter(changed) else {
            return false;
        };
        draft.given.objects[object].shape = new;
        let mistake = if larger {
            Mistake::Larger
        } else {
            Mistake::Smaller
        };
        draft.record_in_place(mistake, object);
        true
    })
}
