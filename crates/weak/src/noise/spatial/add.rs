//! False objects, where the image looks as if there were one.
//!
//! ```text
//! added    = round(rate · objects)
//! template = a true object of the same image, drawn without replacement over the set
//! place    = of 1,000 random ones, among those that are free the one that looks most like it:
//!            least |mean − mean'| + |deviation − deviation'| + |contrast − contrast'|
//! ```
//!
//! Mean and standard deviation are those of the picture under the template, the contrast is the mean
//! less that of the rest of its rectangle with 3 pixels around; primes are the template's at home. The
//! picture is a plane in which objects stand out: the amount of haematoxylin for nuclei in H&E
//! ([`cleanslide_image::stain::separate_stains`]), brightness in fluorescence. It is not changed.
//!
//! An instance is turned over at random (left to right, top to bottom, both or not), and a place is
//! free if the copy covers and touches nothing but background. A box keeps its size, and a place is
//! free if it overlaps no box. The false object has the class of its template, and comes after all
//! other objects. Images without objects get none.

use cleanslide_data::Rectangle;
use cleanslide_image::region::Bounds;
use ndarray::{Array2, ArrayView2, s};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::instances::{places, widened};
use super::{Annotation, BoxedImage, InstanceMask, Mistake, NoiseError, NoisyObjects, inject_each};

/// Places that are looked at for each false object.
const PLACES: usize = 1000;

/// Pixels around an object with which it is compared.
const SURROUNDINGS: usize = 3;

/// Adds `round(rate · objects)` false objects; `pictures` has one plane \[height, width\] per image.
///
/// # Errors
/// A rate outside 0 to 1; another number of pictures than of images, or one of another size than its
/// image or with a value that is not finite; fewer objects than that have a free place.
pub fn add_objects<A: Annotation>(
    images: &[A],
    pictures: &[ArrayView2<'_, f32>],
    rate: f64,
    rng: &mut ChaCha8Rng,
) -> Result<NoisyObjects<A>, NoiseError> {
    check_pictures(images, pictures)?;
    inject_each(images, rate, "false objects", rng, |draft, object| {
        let picture = pictures[draft.image];
        let home = draft.given.footprint(object);
        let copy = draft.given.turned(&home, &mut draft.rng);
        let looks = Looks::of(picture, &home);
        let best = (0..PLACES)
            .map(|_| copy.at(picture.dim(), &mut draft.rng))
            .filter(|copy| draft.given.is_free(object, &home, copy))
            .map(|copy| (looks.difference(&Looks::of(picture, &copy)), copy))
            .min_by(|one, other| one.0.total_cmp(&other.0));
        let Some((_, copy)) = best else {
            return false;
        };
        let added = draft.given.place(object, &home, &copy);
        draft.record(Mistake::False, &[], &[added]);
        true
    })
}

fn check_pictures<A: Annotation>(
    images: &[A],
    pictures: &[ArrayView2<'_, f32>],
) -> Result<(), NoiseError> {
    let shape = |what, found: Vec<usize>, expected: Vec<usize>| {
        if found == expected {
            return Ok(());
        }
        Err(NoiseError::Shape {
            what,
            found,
            expected,
        })
    };
    shape("pictures", vec![pictures.len()], vec![images.len()])?;
    for (image, (annotation, picture)) in images.iter().zip(pictures).enumerate() {
        let (height, width) = annotation.dimensions();
        shape(
            "picture of an image",
            picture.shape().to_vec(),
            vec![height, width],
        )?;
        let wrong = picture.indexed_iter().find(|(_, value)| !value.is_finite());
        if let Some(((row, column), &value)) = wrong {
            return Err(NoiseError::Picture {
                image,
                row,
                column,
                value,
            });
        }
    }
    Ok(())
}

/// The pixels that an object covers, somewhere on the image.
#[derive(Clone)]
pub struct Footprint {
    top: usize,
    left: usize,
    mask: Array2<bool>,
}

impl Footprint {
    /// The same at a random place on the image.
    fn at(&self, (height, width): (usize, usize), rng: &mut ChaCha8Rng) -> Self {
        let (rows, columns) = self.mask.dim();
        Self {
            top: rng.random_range(0..=height.saturating_sub(rows)),
            left: rng.random_range(0..=width.saturating_sub(columns)),
            mask: self.mask.clone(),
        }
    }

    fn bounds(&self) -> Bounds {
        let (rows, columns) = self.mask.dim();
        Bounds {
            left: self.left,
            top: self.top,
            right: self.left + columns,
            bottom: self.top + rows,
        }
    }

    fn covers(&self, (row, column): (usize, usize)) -> bool {
        let inside = row.checked_sub(self.top).zip(column.checked_sub(self.left));
        inside.and_then(|at| self.mask.get(at)) == Some(&true)
    }

    fn pixels(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        places(self.bounds()).filter(|&at| self.covers(at))
    }
}

/// How a picture looks at a place.
struct Looks {
    mean: f64,
    deviation: f64,
    contrast: f64,
}

impl Looks {
    fn of(picture: ArrayView2<'_, f32>, footprint: &Footprint) -> Self {
        let mut inside = Sums::default();
        let mut outside = Sums::default();
        for at in places(widened(footprint.bounds(), SURROUNDINGS, picture.dim())) {
            let sums = if footprint.covers(at) {
                &mut inside
            } else {
                &mut outside
            };
            sums.add(f64::from(picture[at]));
        }
        Self {
            mean: inside.mean(),
            deviation: inside.deviation(),
            contrast: inside.mean() - outside.mean(),
        }
    }

    fn difference(&self, other: &Self) -> f64 {
        (self.mean - other.mean).abs()
            + (self.deviation - other.deviation).abs()
            + (self.contrast - other.contrast).abs()
    }
}

#[derive(Default)]
struct Sums {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Sums {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        self.sum += value;
        self.squares += value * value;
    }

    /// 0 without values: an object that fills its image has nothing around.
    fn mean(&self) -> f64 {
        self.sum / self.count.max(1.0)
    }

    fn deviation(&self) -> f64 {
        let mean = self.mean();
        (self.squares / self.count.max(1.0) - mean * mean)
            .max(0.0)
            .sqrt()
    }
}

/// Where copies of objects can be placed.
pub trait Place {
    /// Height and width of the image.
    fn dimensions(&self) -> (usize, usize);

    /// The pixels of an object.
    fn footprint(&self, object: usize) -> Footprint;

    /// Those of its copy.
    fn turned(&self, footprint: &Footprint, rng: &mut ChaCha8Rng) -> Footprint;

    /// Whether the copy of an object meets no other.
    fn is_free(&self, object: usize, home: &Footprint, copy: &Footprint) -> bool;

    /// Adds the copy; its number.
    fn place(&mut self, object: usize, home: &Footprint, copy: &Footprint) -> usize;
}

impl BoxedImage {
    fn moved(&self, object: usize, home: &Footprint, copy: &Footprint) -> Option<Rectangle> {
        let old = self.objects[object].shape.on_image(self.size)?;
        let x = copy.left as f64 - home.left as f64;
        let y = copy.top as f64 - home.top as f64;
        Rectangle::new(old.left + x, old.top + y, old.right + x, old.bottom + y).ok()
    }
}

impl Place for BoxedImage {
    fn dimensions(&self) -> (usize, usize) {
        self.size
    }

    fn footprint(&self, object: usize) -> Footprint {
        let (height, width) = self.size;
        let shape = self.objects[object].shape;
        // On the image, because every box has a part there.
        let (top, left) = (shape.top.max(0.0) as usize, shape.left.max(0.0) as usize);
        let bottom = (shape.bottom.ceil() as usize).min(height);
        let right = (shape.right.ceil() as usize).min(width);
        Footprint {
            top,
            left,
            mask: Array2::from_elem((bottom - top, right - left), true),
        }
    }

    fn turned(&self, footprint: &Footprint, _: &mut ChaCha8Rng) -> Footprint {
        footprint.clone()
    }

    fn is_free(&self, object: usize, home: &Footprint, copy: &Footprint) -> bool {
        let Some(moved) = self.moved(object, home, copy) else {
            return false;
        };
        let mut others = self.objects.iter();
        others.all(|other| moved.intersection(&other.shape).is_none())
    }

    fn place(&mut self, object: usize, home: &Footprint, copy: &Footprint) -> usize {
        let mut added = self.objects[object].clone();
        added.shape = self.moved(object, home, copy).unwrap_or(added.shape);
        self.objects.push(added);
        self.objects.len() - 1
    }
}

impl Place for InstanceMask {
    fn dimensions(&self) -> (usize, usize) {
        self.mask.dim()
    }

    fn footprint(&self, object: usize) -> Footprint {
        let bounds = self.bounds[object];
        Footprint {
            top: bounds.top,
            left: bounds.left,
            mask: self.cut_out(bounds, |value| value == Self::value(object)),
        }
    }

    fn turned(&self, footprint: &Footprint, rng: &mut ChaCha8Rng) -> Footprint {
        let mut turned = footprint.clone();
        for axis in 0..2 {
            if rng.random() {
                turned.mask.invert_axis(ndarray::Axis(axis));
            }
        }
        turned
    }

    fn is_free(&self, _: usize, _: &Footprint, copy: &Footprint) -> bool {
        let background = |(y, x): (usize, usize)| {
            let rows = y.saturating_sub(1)..(y + 2).min(self.mask.nrows());
            let columns = x.saturating_sub(1)..(x + 2).min(self.mask.ncols());
            self.mask
                .slice(s![rows, columns])
                .iter()
                .all(|&value| value == 0)
        };
        copy.pixels().all(background)
    }

    fn place(&mut self, object: usize, _: &Footprint, copy: &Footprint) -> usize {
        let number = self.push(self.classes[object], copy.bounds());
        for at in copy.pixels() {
            self.mask[at] = Self::value(number);
        }
        number
    }
}
