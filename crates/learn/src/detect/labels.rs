//! What is said of a crop.

use cleanslide_data::{Object, Objects, Point, Rectangle};

use crate::augment::Placement;

/// Where it is not known whether there is an object.
#[derive(Debug, Clone, PartialEq)]
pub enum Unlabelled {
    /// In these rectangles.
    Within(Vec<Rectangle>),
    /// Everywhere but in the objects.
    Everywhere,
}

/// The objects of a crop, and what nobody knows.
#[derive(Debug, Clone)]
pub(super) struct CropLabels {
    /// Those whose middle is in the crop, cut off at its edges.
    pub(super) objects: Vec<Object<Rectangle>>,
    pub(super) unlabelled: Unlabelled,
    pub(super) placement: Placement,
    /// Rows and columns of the image.
    pub(super) image: [usize; 2],
}

impl CropLabels {
    /// The labels of a crop of `size` × `size` pixels of an image of so many rows and columns. An object whose middle is
    /// outside of the crop is neither an object nor background where it is to be seen.
    pub(super) fn new(
        labels: &Objects<Rectangle>,
        image: [usize; 2],
        size: usize,
        placement: Placement,
    ) -> Self {
        let (mut objects, mut cut_off) = (Vec::new(), Vec::new());
        for object in &labels.objects {
            let Some(shape) = placement.rectangle(object.shape) else {
                continue;
            };
            let Point { x, y } = placement.point(object.shape.centre());
            let within = 0.0..size as f64;
            if within.contains(&x) && within.contains(&y) {
                objects.push(Object {
                    shape,
                    ..object.clone()
                });
            } else {
                cut_off.push(shape);
            }
        }
        let unlabelled = match labels.complete {
            true => Unlabelled::Within(cut_off),
            false => Unlabelled::Everywhere,
        };
        Self {
            objects,
            unlabelled,
            placement,
            image,
        }
    }

    /// The same with rectangles of the image of which nobody knows what they are.
    pub(super) fn leaving_open(mut self, rectangles: impl Iterator<Item = Rectangle>) -> Self {
        let placement = &self.placement;
        if let Unlabelled::Within(unlabelled) = &mut self.unlabelled {
            unlabelled.extend(rectangles.filter_map(|open| placement.rectangle(open)));
        }
        self
    }

    /// Whether a place shows the image, and not its mirror image beyond the edge, of which nothing is said.
    pub(super) fn shows(&self, point: Point) -> bool {
        let place = [point.y as f32 - 0.5, point.x as f32 - 0.5];
        self.placement.shows(place, self.image)
    }

    /// Whether nobody knows if a box that is none of the objects is background: its middle is where nothing is
    /// labelled, or it would not be background if there was an object, from which it is told by an overlap of
    /// `background`.
    pub(super) fn leaves_open(&self, rectangle: &Rectangle, background: f64) -> bool {
        let middle = rectangle.centre();
        let open = match &self.unlabelled {
            Unlabelled::Everywhere => true,
            Unlabelled::Within(rectangles) => rectangles.iter().any(|unlabelled| {
                let across = unlabelled.left..=unlabelled.right;
                let down = unlabelled.top..=unlabelled.bottom;
                across.contains(&middle.x) && down.contains(&middle.y)
                    || unlabelled.iou(rectangle) >= background
            }),
        };
        open || !self.shows(middle)
    }
}
