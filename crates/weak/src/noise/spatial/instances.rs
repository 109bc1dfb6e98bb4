//! Instance masks.

use cleanslide_data::mask::UNLABELLED_OBJECT;
use cleanslide_data::{Object, Trust};
use cleanslide_image::region::{Bounds, statistics};
use ndarray::{Array2, ArrayView2};

use super::record::Edit;
use super::{Annotation, NoiseError, NoisyObjects};

/// The objects of one image as a mask, with their classes.
///
/// Object `i` has the pixels of value `i + 1` and the class `classes()[i]`; 0 is background and
/// [`UNLABELLED_OBJECT`] unlabelled.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceMask {
    pub(super) mask: Array2<u32>,
    pub(super) classes: Vec<usize>,
    /// A rectangle that holds each object; the smallest one unless the mask is being edited.
    pub(super) bounds: Vec<Bounds>,
}

impl InstanceMask {
    /// Takes a mask, \[height, width\], and the class of each object.
    ///
    /// # Errors
    /// The objects of the mask are not numbered from 1 to the number of classes, or one has no
    /// pixels.
    pub fn new(mask: Array2<u32>, classes: Vec<usize>) -> Result<Self, NoiseError> {
        let mut bounds = Vec::with_capacity(classes.len());
        let labels = statistics(mask.view());
        for found in labels
            .iter()
            .filter(|found| found.label != UNLABELLED_OBJECT)
        {
            let object = found.label as usize - 1;
            if object >= classes.len() {
                let problem = format!("is in the mask, but there are {} classes", classes.len());
                return Err(NoiseError::Object { object, problem });
            }
            if object != bounds.len() {
                break;
            }
            bounds.push(found.bounds);
        }
        if bounds.len() < classes.len() {
            return Err(NoiseError::Object {
                object: bounds.len(),
                problem: "has a class, but no pixels in the mask".to_owned(),
            });
        }
        Ok(Self {
            mask,
            classes,
            bounds,
        })
    }

    /// The mask, \[height, width\].
    pub fn mask(&self) -> ArrayView2<'_, u32> {
        self.mask.view()
    }

    /// The class of each object.
    pub fn classes(&self) -> &[usize] {
        &self.classes
    }

    /// The mask and the classes.
    pub fn into_parts(self) -> (Array2<u32>, Vec<usize>) {
        (self.mask, self.classes)
    }

    /// The value of an object's pixels.
    pub(super) fn value(object: usize) -> u32 {
        // Fits: every object has come from a mask, or shares one with those that have.
        object as u32 + 1
    }

    /// The pixels (row, column) of an object in raster order.
    pub(super) fn pixels(&self, object: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        let value = Self::value(object);
        places(self.bounds[object]).filter(move |&at| self.mask[at] == value)
    }

    /// An object's rectangle with a margin, on the image.
    pub(super) fn window(&self, object: usize, margin: usize) -> Bounds {
        widened(self.bounds[object], margin, self.mask.dim())
    }

    /// A part of the mask, each pixel as `value` says.
    pub(super) fn cut_out<T>(&self, window: Bounds, mut value: impl FnMut(u32) -> T) -> Array2<T> {
        let size = (window.bottom - window.top, window.right - window.left);
        Array2::from_shape_fn(size, |(y, x)| {
            value(self.mask[(window.top + y, window.left + x)])
        })
    }

    /// Adds an object, whose pixels are set by the caller.
    pub(super) fn push(&mut self, class: usize, bounds: Bounds) -> usize {
        self.classes.push(class);
        self.bounds.push(bounds);
        self.classes.len() - 1
    }
}

/// The pixels (row, column) of a rectangle in raster order.
pub(super) fn places(bounds: Bounds) -> impl Iterator<Item = (usize, usize)> {
    let columns = bounds.left..bounds.right;
    (bounds.top..bounds.bottom).flat_map(move |y| columns.clone().map(move |x| (y, x)))
}

/// A rectangle with a margin, on an image.
pub(super) fn widened(bounds: Bounds, margin: usize, (height, width): (usize, usize)) -> Bounds {
    Bounds {
        left: bounds.left.saturating_sub(margin),
        top: bounds.top.saturating_sub(margin),
        right: bounds.right.saturating_add(margin).min(width),
        bottom: bounds.bottom.saturating_add(margin).min(height),
    }
}

/// The smallest rectangle that holds two.
pub(super) fn around(one: Bounds, other: Bounds) -> Bounds {
    Bounds {
        left: one.left.min(other.left),
        top: one.top.min(other.top),
        right: one.right.max(other.right),
        bottom: one.bottom.max(other.bottom),
    }
}

/// The pixels of one object, cut out of its mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cutout {
    /// First row in the image.
    pub top: usize,
    /// First column in the image.
    pub left: usize,
    /// Which pixels of the smallest rectangle around the object are the object's.
    pub mask: Array2<bool>,
}

impl Cutout {
    /// The object's pixels (row, column) in the image, in raster order.
    pub fn pixels(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let pixels = self.mask.indexed_iter().filter(|(_, inside)| **inside);
        pixels.map(|((y, x), _)| (self.top + y, self.left + x))
    }

    /// The number of the object's pixels.
    pub fn area(&self) -> usize {
        self.mask.iter().filter(|&&inside| inside).count()
    }
}

impl Annotation for InstanceMask {
    type Shape = Cutout;

    fn count(&self) -> usize {
        self.classes.len()
    }

    fn class(&self, object: usize) -> usize {
        self.classes[object]
    }

    fn object(&self, object: usize) -> Object<Cutout> {
        let bounds = self.bounds[object];
        Object {
            shape: Cutout {
                top: bounds.top,
                left: bounds.left,
                mask: self.cut_out(bounds, |value| value == Self::value(object)),
            },
            class: self.classes[object],
            trust: Trust::FULL,
        }
    }
}

impl Edit for InstanceMask {
    fn remove(&mut self, object: usize) {
        for at in places(self.bounds[object]) {
            if self.mask[at] == Self::value(object) {
                self.mask[at] = 0;
            }
        }
    }

    fn set_class(&mut self, object: usize, class: usize) {
        self.classes[object] = class;
    }

    fn area(&self, object: usize) -> f64 {
        self.pixels(object).count() as f64
    }

    fn finish(mut self, gone: &[bool]) -> Result<Self, NoiseError> {
        let numbers = renumbering(gone.iter().scan(0, |next, &gone| {
            let index = *next;
            *next += usize::from(!gone);
            Some((!gone).then_some(index))
        }));
        self.mask
            .par_mapv_inplace(|value| renumbered(&numbers, value));
        let mut gone = gone.iter();
        self.classes.retain(|_| gone.next() != Some(&true));
        Self::new(self.mask, self.classes)
    }
}

/// The new value of each old one, from the new index of each old object.
fn renumbering(indices: impl Iterator<Item = Option<usize>>) -> Vec<u32> {
    let values = indices.map(|index| index.map_or(0, InstanceMask::value));
    std::iter::once(0).chain(values).collect()
}

fn renumbered(numbers: &[u32], value: u32) -> u32 {
    match value {
        UNLABELLED_OBJECT => UNLABELLED_OBJECT,
        value => numbers[value as usize],
    }
}

impl NoisyObjects<InstanceMask> {
    /// The clean images. For evaluation only.
    ///
    /// # Errors
    /// None, as long as the record is that of these images.
    pub fn truth(&self) -> Result<Vec<InstanceMask>, NoiseError> {
        let mut masks = Vec::new();
        let mut classes: Vec<Vec<(usize, usize)>> = Vec::new();
        for (image, indices) in self.images().iter().zip(self.unchanged()) {
            let numbers = renumbering(indices.iter().copied());
            masks.push(image.mask.mapv(|value| renumbered(&numbers, value)));
            let kept = indices.iter().zip(&image.classes);
            let kept = kept.filter_map(|(index, &class)| index.map(|index| (index, class)));
            classes.push(kept.collect());
        }
        for change in self.changes() {
            for was in &change.truth {
                for at in was.object.shape.pixels() {
                    masks[change.image][at] = InstanceMask::value(was.index);
                }
                classes[change.image].push((was.index, was.object.class));
            }
        }
        masks
            .into_iter()
            .zip(classes)
            .map(|(mask, mut classes)| {
                classes.sort_unstable();
                let classes = classes.into_iter().map(|(_, class)| class).collect();
                InstanceMask::new(mask, classes)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn objects_are_numbered_from_one_and_have_pixels() {
        let refused = |mask: Array2<u32>, objects: usize| {
            InstanceMask::new(mask, vec![0; objects]).map_err(|error| error.to_string())
        };
        assert!(refused(array![[0, 1, UNLABELLED_OBJECT, 2]], 2).is_ok());
        assert!(refused(Array2::zeros((0, 3)), 0).is_ok());
        assert_eq!(
            refused(array![[0, 1, 3]], 3).unwrap_err(),
            "object 1 has a class, but no pixels in the mask"
        );
        assert_eq!(
            refused(array![[0, 1, 3]], 2).unwrap_err(),
            "object 2 is in the mask, but there are 2 classes"
        );
        assert!(refused(array![[0, 0, UNLABELLED_OBJECT]], 1).is_err());
    }
}
