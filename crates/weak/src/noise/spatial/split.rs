//! Objects given as two.
//!
//! ```text
//! split = round(rate · objects), all equally likely
//! cut   = the line through the centroid, across the long axis
//! ```
//!
//! The long axis is that of the ellipse with the same second moments
//! ([`cleanslide_image::region::shapes`]); pixels whose centres are on the line belong to the lower or,
//! if the cut is upright, right part. A box is halved across its longer side, a square one by an
//! upright cut. The parts share no pixel and make up the whole. The first keeps the object's place in
//! the order, the second comes after all other objects; both have its class.

use cleanslide_image::region::{shapes, statistics};
use rand_chacha::ChaCha8Rng;

use super::{Annotation, BoxedImage, InstanceMask, Mistake, NoiseError, NoisyObjects, inject_each};

/// Splits `round(rate · objects)` objects in two.
///
/// # Errors
/// A rate outside 0 to 1; fewer objects than that have two pixels.
pub fn split_objects<A: Annotation>(
    images: &[A],
    rate: f64,
    rng: &mut ChaCha8Rng,
) -> Result<NoisyObjects<A>, NoiseError> {
    inject_each(images, rate, "split objects", rng, |draft, object| {
        let Some(second) = draft.given.cut(object) else {
            return false;
        };
        draft.record(Mistake::Split, &[object], &[object, second]);
        true
    })
}

/// What can be cut in two.
pub trait Cut {
    /// Cuts an object in two; the number of the second part, or `None` if it is too small.
    fn cut(&mut self, object: usize) -> Option<usize>;
}

impl Cut for BoxedImage {
    fn cut(&mut self, object: usize) -> Option<usize> {
        let first = &mut self.objects[object];
        let mut second = first.clone();
        let middle = first.shape.centre();
        if first.shape.width() >= first.shape.height() {
            (first.shape.right, second.shape.left) = (middle.x, middle.x);
        } else {
            (first.shape.bottom, second.shape.top) = (middle.y, middle.y);
        }
        // The middle of two neighbouring numbers is one of them.
        if first.shape.area() <= 0.0 || second.shape.area() <= 0.0 {
            first.shape = cleanslide_data::Rectangle {
                right: second.shape.right,
                bottom: second.shape.bottom,
                ..first.shape
            };
            return None;
        }
        self.objects.push(second);
        Some(self.objects.len() - 1)
    }
}

impl Cut for InstanceMask {
    fn cut(&mut self, object: usize) -> Option<usize> {
        let bounds = self.bounds[object];
        let alone = self.cut_out(bounds, |value| u32::from(value == Self::value(object)));
        let shape = *shapes(alone.view()).first()?;
        let centroid = statistics(alone.view()).first()?.centroid;
        // The angle runs from the vertical towards the right.
        let (right, down) = shape.orientation.sin_cos();
        let along = |(y, x): (usize, usize)| {
            let offset = (x as f64 + 0.5 - centroid.0, y as f64 + 0.5 - centroid.1);
            offset.0 * right + offset.1 * down
        };
        // Upwards or to the left is first, whichever way the axis points.
        let sign = if (down, right) < (0.0, 0.0) {
            -1.0
        } else {
            1.0
        };
        let is_second = |at| sign * along(at) > -1e-9;
        let pixels = alone.indexed_iter().filter(|(_, inside)| **inside == 1);
        let (second, first): (Vec<_>, Vec<_>) =
            pixels.map(|(at, _)| at).partition(|&at| is_second(at));
        if first.is_empty() || second.is_empty() {
            return None;
        }
        let number = self.push(self.classes[object], bounds);
        for (y, x) in second {
            self.mask[(bounds.top + y, bounds.left + x)] = Self::value(number);
        }
        Some(number)
    }
}
