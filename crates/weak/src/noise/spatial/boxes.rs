//! Boxes on an image.

use cleanslide_data::{Object, Rectangle};

use super::record::Edit;
use super::{Annotation, NoiseError, NoisyObjects};

/// The boxes of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct BoxedImage {
    pub(super) size: (usize, usize),
    pub(super) objects: Vec<Object<Rectangle>>,
}

impl BoxedImage {
    /// Takes the boxes of an image of `size` (height, width).
    ///
    /// # Errors
    /// A box that is not finite, has no area or lies beside the image; a part of it may.
    pub fn new(size: (usize, usize), objects: Vec<Object<Rectangle>>) -> Result<Self, NoiseError> {
        for (object, Object { shape, .. }) in objects.iter().enumerate() {
            let problem = match Rectangle::new(shape.left, shape.top, shape.right, shape.bottom) {
                Err(_) => "has no area",
                Ok(_) if shape.on_image(size).is_none() => "lies beside the image",
                Ok(_) => continue,
            };
            return Err(NoiseError::Object {
                object,
                problem: format!("has the box {shape}, which {problem}"),
            });
        }
        Ok(Self { size, objects })
    }

    /// Height and width of the image in pixels.
    pub fn size(&self) -> (usize, usize) {
        self.size
    }

    /// The boxes.
    pub fn objects(&self) -> &[Object<Rectangle>] {
        &self.objects
    }

    /// The boxes.
    pub fn into_objects(self) -> Vec<Object<Rectangle>> {
        self.objects
    }
}

impl Annotation for BoxedImage {
    type Shape = Rectangle;

    fn count(&self) -> usize {
        self.objects.len()
    }

    fn class(&self, object: usize) -> usize {
        self.objects[object].class
    }

    fn object(&self, object: usize) -> Object<Rectangle> {
        self.objects[object].clone()
    }
}

impl Edit for BoxedImage {
    fn remove(&mut self, _: usize) {}

    fn set_class(&mut self, object: usize, class: usize) {
        self.objects[object].class = class;
    }

    fn area(&self, object: usize) -> f64 {
        self.objects[object].shape.area()
    }

    fn finish(mut self, gone: &[bool]) -> Result<Self, NoiseError> {
        let mut gone = gone.iter();
        self.objects.retain(|_| gone.next() != Some(&true));
        Ok(self)
    }
}

impl NoisyObjects<BoxedImage> {
    /// The clean images. For evaluation only.
    pub fn truth(&self) -> Vec<BoxedImage> {
        let mut lists: Vec<Vec<(usize, Object<Rectangle>)>> = self
            .unchanged()
            .iter()
            .zip(self.images())
            .map(|(indices, image)| {
                let kept = indices.iter().zip(&image.objects);
                kept.filter_map(|(index, object)| index.map(|index| (index, object.clone())))
                    .collect()
            })
            .collect();
        for change in self.changes() {
            let truth = change.truth.iter();
            lists[change.image].extend(truth.map(|was| (was.index, was.object.clone())));
        }
        lists
            .into_iter()
            .zip(self.images())
            .map(|(mut objects, image)| {
                objects.sort_by_key(|(index, _)| *index);
                BoxedImage {
                    size: image.size,
                    objects: objects.into_iter().map(|(_, object)| object).collect(),
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use cleanslide_data::Trust;

    use super::*;

    #[test]
    fn boxes_without_area_or_beside_the_image_are_refused() {
        let refused = |left, top, right, bottom| {
            let shape = Rectangle {
                left,
                top,
                right,
                bottom,
            };
            let object = Object {
                shape,
                class: 0,
                trust: Trust::FULL,
            };
            BoxedImage::new((8, 9), vec![object]).map_err(|error| error.to_string())
        };
        assert!(refused(-2.0, 1.0, 4.0, 5.0).is_ok());
        assert_eq!(
            refused(1.0, 1.0, 1.0, 5.0).unwrap_err(),
            "object 0 has the box 1 1 1 5, which has no area"
        );
        assert_eq!(
            refused(9.0, 1.0, 12.0, 5.0).unwrap_err(),
            "object 0 has the box 9 1 12 5, which lies beside the image"
        );
        assert!(refused(f64::NAN, 1.0, 12.0, 5.0).is_err());
    }
}
