//! What each location of a detector without anchors answers for.

use burn::tensor::{Device, Tensor, TensorData};
use cleanslide_data::{Object, Point, Rectangle};
use cleanslide_nn::losses::FcosTargets;

use super::Unlabelled;

/// The reach of the middle of an object, in cells.
const RADIUS: f64 = 1.5;

/// Each level answers for objects whose farthest side is so many cells away.
const REACH: [f64; 2] = [4.0, 8.0];

/// What is said of the locations of one crop, levels one after the other; see
/// [`FcosTargets`](cleanslide_nn::losses::FcosTargets) for what each means.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CropTargets {
    /// `[locations, classes]`.
    pub classes: Vec<f32>,
    /// `[locations]`.
    pub known: Vec<f32>,
    /// `[locations, 4]`.
    pub distances: Vec<f32>,
    /// `[locations]`.
    pub centredness: Vec<f32>,
    /// `[locations]`.
    pub objects: Vec<f32>,
}

/// A place that answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Location {
    pub(super) point: Point,
    /// The side of its cell, in pixels.
    pub(super) stride: f64,
    /// The farthest side of the objects that it answers for lies between these, in pixels.
    reach: [f64; 2],
}

/// The locations of an image of so many rows and columns, the finest level first, row by row.
pub(super) fn locations(
    [height, width]: [usize; 2],
    strides: &[usize],
) -> impl Iterator<Item = Location> + '_ {
    let last = strides.len().saturating_sub(1);
    strides
        .iter()
        .enumerate()
        .flat_map(move |(level, &stride)| {
            let cells = move |length: usize| length.div_ceil(stride);
            let side = stride as f64;
            let reach = [
                if level == 0 { 0.0 } else { REACH[0] * side },
                if level == last {
                    f64::INFINITY
                } else {
                    REACH[1] * side
                },
            ];
            (0..cells(height)).flat_map(move |row| {
                (0..cells(width)).map(move |column| Location {
                    point: Point::new(column as f64 * side, row as f64 * side),
                    stride: side,
                    reach,
                })
            })
        })
}

impl Location {
    /// How far it is to the left, the top, the right and the bottom of a rectangle; negative outside.
    fn distances(&self, rectangle: &Rectangle) -> [f64; 4] {
        let Point { x, y } = self.point;
        [
            x - rectangle.left,
            y - rectangle.top,
            rectangle.right - x,
            rectangle.bottom - y,
        ]
    }

    /// The distances to the sides, if the location answers for this object.
    fn answers_for(&self, rectangle: &Rectangle) -> Option<[f64; 4]> {
        let distances = self.distances(rectangle);
        let least = distances.into_iter().fold(f64::INFINITY, f64::min);
        let most = distances.into_iter().fold(f64::NEG_INFINITY, f64::max);
        let [left, top, right, bottom] = distances;
        // The middle of the object is half of the difference away.
        let from_middle = ((left - right) / 2.0)
            .abs()
            .max(((top - bottom) / 2.0).abs());
        let answers = least > 0.0
            && from_middle < RADIUS * self.stride
            && most > self.reach[0]
            && most < self.reach[1];
        answers.then_some(distances)
    }
}

impl CropTargets {
    /// What the objects of a crop of so many rows and columns say to each location (Tian et al., arXiv 1904.01355,
    /// with torchvision 0.24's rule of the middle): it answers for the smallest object that it is in, of those
    /// whose middle is within 1.5 cells and whose farthest side is 4 to 8 cells away (nearer in the finest level,
    /// farther in the coarsest). Of equal areas the first one counts.
    ///
    /// `shows` says whether a place belongs to the image.
    pub fn new(
        objects: &[Object<Rectangle>],
        unlabelled: &Unlabelled,
        size: [usize; 2],
        strides: &[usize],
        classes: usize,
        shows: impl Fn(Point) -> bool,
    ) -> Self {
        let mut targets = Self::default();
        for location in locations(size, strides) {
            let mut best: Option<(&Object<Rectangle>, [f64; 4])> = None;
            for object in objects {
                let smaller =
                    |(best, _): &(&Object<Rectangle>, _)| object.shape.area() < best.shape.area();
                if let Some(distances) = location.answers_for(&object.shape)
                    && best.as_ref().is_none_or(smaller)
                {
                    best = Some((object, distances));
                }
            }
            match best {
                Some((object, distances)) => {
                    targets.push_object(object, distances, location.stride, classes);
                }
                None => {
                    let unknown = match unlabelled {
                        Unlabelled::Everywhere => true,
                        Unlabelled::Within(rectangles) => rectangles
                            .iter()
                            .any(|r| location.distances(r).iter().all(|&side| side >= 0.0)),
                    };
                    targets.push_nothing(!unknown && shows(location.point), classes);
                }
            }
        }
        targets
    }

    /// The targets of crops of one size, of so many classes.
    pub fn batch(crops: Vec<Self>, classes: usize, device: &Device) -> FcosTargets {
        let count = crops.len();
        let mut all = Self::default();
        for crop in crops {
            all.classes.extend(crop.classes);
            all.known.extend(crop.known);
            all.distances.extend(crop.distances);
            all.centredness.extend(crop.centredness);
            all.objects.extend(crop.objects);
        }
        let locations = all.known.len() / count.max(1);
        let tensor = |values: Vec<f32>, width: usize| {
            Tensor::<3>::from_data(TensorData::new(values, [count, locations, width]), device)
        };
        let total: f64 = all.objects.iter().map(|&trust| f64::from(trust)).sum();
        FcosTargets {
            classes: tensor(all.classes, classes),
            known: tensor(all.known, 1),
            distances: tensor(all.distances, 4),
            centredness: tensor(all.centredness, 1),
            objects: tensor(all.objects, 1),
            total: total.max(1.0),
        }
    }

    fn push_object(
        &mut self,
        object: &Object<Rectangle>,
        distances: [f64; 4],
        stride: f64,
        classes: usize,
    ) {
        let trust = object.trust.value();
        self.classes
            .extend((0..classes).map(|class| if class == object.class { 1.0 } else { 0.0 }));
        self.known.push(trust);
        self.objects.push(trust);
        self.distances
            .extend(distances.map(|side| (side / stride) as f32));
        let [left, top, right, bottom] = distances;
        let balance = |one: f64, other: f64| one.min(other) / one.max(other);
        let centred = (balance(left, right) * balance(top, bottom)).sqrt();
        self.centredness.push(centred as f32);
    }

    fn push_nothing(&mut self, known: bool, classes: usize) {
        self.classes.resize(self.classes.len() + classes, 0.0);
        self.known.push(if known { 1.0 } else { 0.0 });
        self.objects.push(0.0);
        self.distances.extend([1.0; 4]);
        self.centredness.push(0.0);
    }
}
