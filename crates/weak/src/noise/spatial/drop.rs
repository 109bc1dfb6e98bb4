//! Missed objects: some objects are not given.
//!
//! ```text
//! missed = round(rate · objects), all equally likely
//! ```
//!
//! The pixels of a missed object become background: who missed it took them for that.

use rand_chacha::ChaCha8Rng;

use super::{Annotation, Mistake, NoiseError, NoisyObjects, inject_each};

/// Drops `round(rate · objects)` objects.
///
/// # Errors
/// A rate outside 0 to 1.
pub fn drop_objects<A: Annotation>(
    images: &[A],
    rate: f64,
    rng: &mut ChaCha8Rng,
) -> Result<NoisyObjects<A>, NoiseError> {
    inject_each(images, rate, "missed objects", rng, |draft, object| {
        draft.given.remove(object);
        draft.record(Mistake::Missed, &[object], &[]);
        true
    })
}

#[cfg(test)]
mod tests {
    use cleanslide_data::{Object, Rectangle, Trust};
    use rand::SeedableRng;

    use super::*;
    use crate::noise::spatial::BoxedImage;

    #[test]
    fn a_fifth_of_a_thousand_objects_is_two_hundred() {
        let shape = Rectangle::new(0.0, 0.0, 4.0, 4.0).unwrap();
        let object = Object {
            shape,
            class: 0,
            trust: Trust::FULL,
        };
        let sizes = [700, 0, 299, 1];
        let images = sizes.map(|size| BoxedImage::new((9, 9), vec![object.clone(); size]).unwrap());
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let noisy = drop_objects(&images, 0.2, &mut rng).unwrap();
        assert_eq!(noisy.changes().len(), 200);
        assert_eq!(noisy.rate(), 0.2);
        assert_eq!(noisy.true_objects(), 1000);
        assert_eq!(noisy.truth(), images);
        let error = drop_objects(&images, 1.2, &mut rng).unwrap_err();
        assert_eq!(error, NoiseError::Rate { rate: 1.2 });
        assert_eq!(
            drop_objects::<BoxedImage>(&[], 0.5, &mut rng)
                .unwrap()
                .rate(),
            0.0
        );
    }
}
