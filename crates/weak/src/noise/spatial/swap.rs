//! Objects of the wrong class.
//!
//! The label noise is that of [`crate::noise::uniform`], [`crate::noise::asymmetric`] or
//! [`crate::noise::instance_dependent`], over the objects of all images.

use super::{Annotation, Mistake, NoiseError, NoisyObjects, change_all};
use crate::noise::Noisy;

/// The classes of all objects: one image after the other, in the order of its objects.
pub fn object_classes<A: Annotation>(images: &[A]) -> Vec<usize> {
    let classes = |image: &A| -> Vec<usize> {
        (0..image.count())
            .map(|object| image.class(object))
            .collect()
    };
    images.iter().flat_map(classes).collect()
}

/// Gives objects the classes of `noisy`, which was made from [`object_classes`].
///
/// ```
/// # use cleanslide_data::{Object, Rectangle, Trust};
/// # use cleanslide_weak::noise::{Uniform, uniform};
/// # use cleanslide_weak::noise::spatial::{BoxedImage, object_classes, swap_classes};
/// # use rand::SeedableRng;
/// # let shape = Rectangle::new(1.0, 1.0, 9.0, 9.0)?;
/// # let object = Object { shape, class: 1, trust: Trust::FULL };
/// # let images = [BoxedImage::new((32, 32), vec![object; 10])?];
/// let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
/// let classes = uniform(&object_classes(&images), 3, 0.2, Uniform::PerClass, &mut rng)?;
/// let noisy = swap_classes(&images, &classes)?;
/// assert_eq!(noisy.rate(), 0.2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Another number of labels than objects.
pub fn swap_classes<A: Annotation>(
    images: &[A],
    noisy: &Noisy,
) -> Result<NoisyObjects<A>, NoiseError> {
    let counts: Vec<usize> = images.iter().map(A::count).collect();
    let objects = counts.iter().sum();
    if noisy.labels.len() != objects {
        return Err(NoiseError::Shape {
            what: "labels of objects",
            found: vec![noisy.labels.len()],
            expected: vec![objects],
        });
    }
    let mut rest = noisy.labels.as_slice();
    let labels: Vec<&[usize]> = counts
        .iter()
        .map(|&count| {
            let (own, later) = rest.split_at(count);
            rest = later;
            own
        })
        .collect();
    change_all(images, |draft| {
        for (object, &class) in labels[draft.image].iter().enumerate() {
            if draft.given.class(object) != class {
                draft.given.set_class(object, class);
                draft.record_in_place(Mistake::Swapped, object);
            }
        }
    })
}
