//! Objects that lie close together given as one.
//!
//! ```text
//! merges  = round(rate / 2 · objects): each makes two objects wrong
//! one     = drawn, all equally likely
//! other   = its nearest neighbour that has not been merged, at most `gap` pixels away
//! ```
//!
//! The distance of two instances is that of their nearest pixel centres less 1, so that 0 is sharing
//! an edge; that of two boxes is the distance of their edges, 0 if they overlap. Of neighbours equally
//! near the first in order is taken. Merged boxes are the smallest box around both. Merged instances
//! that touch, even by a corner only, are the pixels of both; others are joined by a neck of
//! background pixels between their nearest points, which have at most
//! [`NECK`] pixels more to go to both than the shortest way. The merged object has the class of the
//! larger (of the first if equal) and the place of the first.

use cleanslide_data::Rectangle;
use cleanslide_data::mask::UNLABELLED_OBJECT;
use cleanslide_image::region::{Neighbours, components, distance, squared_distance};
use ndarray::{Array2, Zip};
use rand_chacha::ChaCha8Rng;

use super::instances::{around, widened};
use super::{
    Annotation, BoxedImage, InstanceMask, Mistake, NoiseError, NoisyObjects, check_rate,
    check_setting, count, inject,
};

/// How many pixels the way over a pixel of a neck may be longer than the shortest one.
const NECK: f32 = 1.5;

/// Merges `round(rate / 2 · objects)` pairs of neighbours at most `gap` pixels apart.
///
/// # Errors
/// A rate outside 0 to 1; a gap that is negative or not finite; fewer pairs than that, as they were
/// drawn: another seed may find a few more.
pub fn merge_objects<A: Annotation>(
    images: &[A],
    rate: f64,
    gap: f64,
    rng: &mut ChaCha8Rng,
) -> Result<NoisyObjects<A>, NoiseError> {
    check_rate(rate)?;
    let valid = gap >= 0.0 && gap.is_finite();
    check_setting("gap", gap, valid, "pixels, 0 or more")?;
    let wanted = count(rate / 2.0, images.iter().map(A::count).sum());
    inject(images, wanted, "merged pairs", rng, |draft, objects| {
        let mut merges = 0;
        for &object in objects {
            if draft.hit[object] {
                continue;
            }
            let Some(other) = draft.given.neighbour(object, gap, &draft.hit) else {
                continue;
            };
            let (first, second) = (object.min(other), object.max(other));
            if draft.given.join(first, second) {
                draft.record(Mistake::Merged, &[first, second], &[first]);
                merges += 1;
            }
        }
        merges
    })
}

/// What can be merged.
pub trait Join {
    /// The nearest object at most `gap` away that has not been `hit`.
    fn neighbour(&self, object: usize, gap: f64, hit: &[bool]) -> Option<usize>;

    /// Makes two objects one, under the number of the first; whether that was possible.
    fn join(&mut self, first: usize, second: usize) -> bool;
}

impl Join for BoxedImage {
    fn neighbour(&self, object: usize, gap: f64, hit: &[bool]) -> Option<usize> {
        let own = &self.objects[object].shape;
        let distances = self.objects.iter().enumerate().map(|(other, neighbour)| {
            let shape = &neighbour.shape;
            let right = (own.left - shape.right)
                .max(shape.left - own.right)
                .max(0.0);
            let down = (own.top - shape.bottom)
                .max(shape.top - own.bottom)
                .max(0.0);
            (right.hypot(down), other)
        });
        distances
            .filter(|&(apart, other)| other != object && !hit[other] && apart <= gap)
            .min_by(|one, other| one.0.total_cmp(&other.0))
            .map(|(_, other)| other)
    }

    fn join(&mut self, first: usize, second: usize) -> bool {
        let (one, other) = (self.objects[first].clone(), &self.objects[second]);
        let shape = Rectangle {
            left: one.shape.left.min(other.shape.left),
            top: one.shape.top.min(other.shape.top),
            right: one.shape.right.max(other.shape.right),
            bottom: one.shape.bottom.max(other.shape.bottom),
        };
        let class = larger_class(self, first, second);
        let merged = &mut self.objects[first];
        (merged.shape, merged.class) = (shape, class);
        true
    }
}

fn larger_class<A: Annotation>(image: &A, first: usize, second: usize) -> usize {
    let second_is_larger = image.area(second) > image.area(first);
    image.class(if second_is_larger { second } else { first })
}

impl Join for InstanceMask {
    fn neighbour(&self, object: usize, gap: f64, hit: &[bool]) -> Option<usize> {
        let reach = gap + 1.0;
        // A float converts to the nearest integer there is; no image is larger.
        let window = self.window(object, reach.ceil() as usize);
        let own = Self::value(object);
        let squared = squared_distance(self.cut_out(window, |value| value != own).view());
        let labels = self.cut_out(window, |value| value);
        let mut nearest: Option<(u64, u32)> = None;
        Zip::from(&squared)
            .and(&labels)
            .for_each(|&squared, &label| {
                let free = label != 0
                    && label != own
                    && label != UNLABELLED_OBJECT
                    && hit.get(label as usize - 1) == Some(&false);
                if free && (squared as f64) <= reach * reach {
                    let candidate = (squared, label);
                    nearest = Some(nearest.map_or(candidate, |nearest| nearest.min(candidate)));
                }
            });
        nearest.map(|(_, label)| label as usize - 1)
    }

    fn join(&mut self, first: usize, second: usize) -> bool {
        let both = around(self.bounds[first], self.bounds[second]);
        let window = widened(both, NECK.ceil() as usize, self.mask.dim());
        let [one, other] = [first, second]
            .map(|object| self.cut_out(window, |value| value == Self::value(object)));
        let joined = match neck(&one, &other, &self.cut_out(window, |value| value == 0)) {
            Some(neck) => neck,
            None => return false,
        };
        let class = larger_class(self, first, second);
        for ((y, x), &neck) in joined.indexed_iter() {
            if neck || other[(y, x)] {
                self.mask[(window.top + y, window.left + x)] = Self::value(first);
            }
        }
        self.classes[first] = class;
        self.bounds[first] = window;
        true
    }
}

/// The pixels that join two objects; `None` if something else is in between.
fn neck(
    one: &Array2<bool>,
    other: &Array2<bool>,
    background: &Array2<bool>,
) -> Option<Array2<bool>> {
    let [to_one, to_other] = [one, other].map(|object| distance(object.map(|own| !own).view()));
    let between = |distances: &Array2<f32>, object: &Array2<bool>| {
        let inside = distances.iter().zip(object).filter(|(_, inside)| **inside);
        inside.fold(f32::INFINITY, |least, (&distance, _)| least.min(distance))
    };
    let shortest = between(&to_one, other);
    if shortest * shortest < 2.5 {
        return Some(Array2::default(one.dim()));
    }
    let neck = Zip::from(&to_one)
        .and(&to_other)
        .and(background)
        .map_collect(|one, other, &free| free && one + other <= shortest + NECK);
    let parts = |mask: &Array2<bool>| {
        components(mask.view(), Neighbours::Eight)
            .map(|found| found.count)
            .unwrap_or(usize::MAX)
    };
    let joined = Zip::from(one)
        .and(other)
        .and(&neck)
        .map_collect(|&one, &other, &neck| one || other || neck);
    (parts(&joined) < parts(one).saturating_add(parts(other))).then_some(neck)
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use rand::SeedableRng;

    use super::*;

    fn merged(mask: Array2<u32>, classes: Vec<usize>, gap: f64) -> Result<InstanceMask, String> {
        let images = [InstanceMask::new(mask, classes).unwrap()];
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        match merge_objects(&images, 1.0, gap, &mut rng) {
            Ok(noisy) => Ok(noisy.images()[0].clone()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn touching_objects_become_one_of_the_larger_class() {
        let whole = merged(array![[1, 1, 2, 2, 0], [0, 0, 0, 2, 0]], vec![4, 7], 0.0).unwrap();
        assert_eq!(whole.mask(), array![[1, 1, 1, 1, 0], [0, 0, 0, 1, 0]]);
        assert_eq!(whole.classes(), [7]);
    }

    #[test]
    fn a_gap_is_bridged_if_it_is_allowed() {
        let apart = array![[1, 1, 0, 0, 2, 2], [1, 1, 0, 0, 2, 2]];
        let whole = merged(apart.clone(), vec![4, 7], 2.0).unwrap();
        assert_eq!(whole.mask(), Array2::<u32>::ones((2, 6)));
        assert_eq!(whole.classes(), [4]);
        assert_eq!(
            merged(apart, vec![4, 7], 1.9).unwrap_err(),
            "the rate asks for 1 merged pairs, but these images allow 0: lower the rate or widen \
             the settings"
        );
        let barred = array![[1, UNLABELLED_OBJECT, 2], [1, UNLABELLED_OBJECT, 2]];
        assert!(merged(barred, vec![0, 0], 5.0).is_err());
    }
}
