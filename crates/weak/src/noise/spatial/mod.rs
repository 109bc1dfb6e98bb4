//! Boxes and masks made wrong on purpose, with a record of what was changed.
//!
//! An injector takes the clean objects of a set of images, as [`BoxedImage`] or [`InstanceMask`],
//! and returns [`NoisyObjects`]: the images that a method may see, and apart from them the list of
//! changes with the true objects, which only an evaluation may see. [`markov_masks`] does the same
//! for class masks.
//!
//! ```text
//! changed = round(rate · objects of all images), halves away from zero, drawn without replacement
//! ```
//!
//! Counts are exact over the whole set. An object that cannot be changed in the wanted way (nothing
//! to merge with, too small to erode) is passed over for another one, and if the images do not
//! allow as many changes as were asked for, that is an error which says how many they allow.
//!
//! What holds for every injector:
//! - Objects that are not in the record are what they were, and keep their order. Objects of an
//!   [`InstanceMask`] stay numbered from 1 without gaps, and every object has a pixel.
//! - Masks never overlap: an object grows over background only. Unlabelled pixels stay unlabelled,
//!   and the edge of an image or of an unlabelled area is no border of an object that could move.
//! - Every image draws from its own ChaCha8 stream, named by one number from the generator passed
//!   in and the image's index: results do not depend on the number of threads.
//!
//! Several kinds of noise are put together with [`NoisyObjects::then`], which keeps one record of
//! all. False objects come first then, while every true object is still in its place.

mod add;
mod boxes;
mod dilate_erode;
mod drop;
mod expert;
mod instances;
mod jitter;
mod markov;
mod merge;
mod record;
mod rescale;
mod split;
mod swap;

use std::fmt::Debug;
use std::ops::RangeInclusive;

use cleanslide_data::Object;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{NoiseError, check_rate, count, sample_front};

pub use add::add_objects;
pub use boxes::BoxedImage;
pub use dilate_erode::dilate_erode;
pub use drop::drop_objects;
pub use expert::{Habit, expert_bias};
pub use instances::{Cutout, InstanceMask};
pub use jitter::jitter_boxes;
pub use markov::{MarkovBorder, NoisyMasks, markov_borders, markov_masks};
pub use merge::merge_objects;
pub use record::{Mistake, NoisyObjects, ObjectChange, TrueObject};
pub use rescale::rescale_boxes;
pub use split::split_objects;
pub use swap::{object_classes, swap_classes};

/// The objects of one image, as boxes or as an instance mask; implemented by [`BoxedImage`] and
/// [`InstanceMask`] alone.
pub trait Annotation:
    Clone
    + Debug
    + PartialEq
    + Send
    + Sync
    + record::Edit
    + add::Place
    + merge::Join
    + split::Cut
    + expert::Redraw
{
    /// How an object is described by itself.
    type Shape: Clone + Debug + PartialEq + Send + Sync;

    /// Number of objects.
    fn count(&self) -> usize;

    /// Class of an object.
    ///
    /// # Panics
    /// If there is no such object, as indexing does.
    fn class(&self, object: usize) -> usize;

    /// One object by itself.
    ///
    /// # Panics
    /// If there is no such object, as indexing does.
    fn object(&self, object: usize) -> Object<Self::Shape>;
}

/// Which way sizes change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Objects become larger.
    Larger,
    /// Objects become smaller.
    Smaller,
    /// Either, equally likely for every object.
    #[default]
    Either,
}

impl Direction {
    fn larger(self, rng: &mut ChaCha8Rng) -> bool {
        match self {
            Self::Larger => true,
            Self::Smaller => false,
            Self::Either => rng.random(),
        }
    }
}

/// One image while it is being changed. Objects keep their numbers; new ones come after them.
struct Draft<A> {
    image: usize,
    given: A,
    /// True objects that have been changed.
    hit: Vec<bool>,
    changes: Vec<record::Link>,
    rng: ChaCha8Rng,
}

impl<A: Annotation> Draft<A> {
    fn new(image: usize, truth: &A, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(image as u64);
        Self {
            image,
            given: truth.clone(),
            hit: vec![false; truth.count()],
            changes: Vec::new(),
            rng,
        }
    }

    /// Notes that the objects `truth` have become the objects `given`.
    fn record(&mut self, mistake: Mistake, truth: &[usize], given: &[usize]) {
        for &object in truth {
            self.hit[object] = true;
        }
        self.changes.push(record::Link {
            mistake,
            truth: truth.to_vec(),
            given: given.to_vec(),
        });
    }

    /// As [`Self::record`], for an object that has changed in its place.
    fn record_in_place(&mut self, mistake: Mistake, object: usize) {
        self.record(mistake, &[object], &[object]);
    }
}

/// Changes objects drawn at random until `wanted` changes are made. `change` gets an image with some
/// of its objects, and says how many changes it made to them.
fn inject<A: Annotation>(
    images: &[A],
    wanted: usize,
    what: &'static str,
    rng: &mut ChaCha8Rng,
    change: impl Fn(&mut Draft<A>, &[usize]) -> usize + Sync,
) -> Result<NoisyObjects<A>, NoiseError> {
    let ends: Vec<usize> = images
        .iter()
        .scan(0, |end, image| {
            *end += image.count();
            Some(*end)
        })
        .collect();
    let mut order: Vec<usize> = (0..ends.last().copied().unwrap_or(0)).collect();
    let all = order.len();
    sample_front(&mut order, all, rng);
    let seed = rng.random();
    let mut drafts: Vec<Draft<A>> = images
        .par_iter()
        .enumerate()
        .map(|(image, truth)| Draft::new(image, truth, seed))
        .collect();

    let mut rest = order.as_slice();
    let mut done = 0;
    while done < wanted && !rest.is_empty() {
        let (drawn, later) = rest.split_at((wanted - done).min(rest.len()));
        rest = later;
        let mut lists = vec![Vec::new(); images.len()];
        for &object in drawn {
            let image = ends.partition_point(|&end| end <= object);
            let first = image.checked_sub(1).map_or(0, |before| ends[before]);
            lists[image].push(object - first);
        }
        done += drafts
            .par_iter_mut()
            .zip(&lists)
            .map(|(draft, objects)| change(draft, objects))
            .sum::<usize>();
    }
    if done < wanted {
        return Err(NoiseError::TooFewObjects {
            what,
            wanted,
            possible: done,
        });
    }
    record::finish(images, drafts)
}

/// As [`inject`], one object after the other; `change` says whether it changed the object.
fn inject_each<A: Annotation>(
    images: &[A],
    rate: f64,
    what: &'static str,
    rng: &mut ChaCha8Rng,
    change: impl Fn(&mut Draft<A>, usize) -> bool + Sync,
) -> Result<NoisyObjects<A>, NoiseError> {
    let wanted = wanted(images, rate)?;
    inject(images, wanted, what, rng, |draft, objects| {
        let changed = |&&object: &&usize| change(draft, object);
        objects.iter().filter(changed).count()
    })
}

/// Changes every image as a whole, without chance.
fn change_all<A: Annotation>(
    images: &[A],
    change: impl Fn(&mut Draft<A>) + Sync,
) -> Result<NoisyObjects<A>, NoiseError> {
    let drafts = images
        .par_iter()
        .enumerate()
        .map(|(image, truth)| {
            let mut draft = Draft::new(image, truth, 0);
            change(&mut draft);
            draft
        })
        .collect();
    record::finish(images, drafts)
}

/// The number of objects that a rate means.
fn wanted<A: Annotation>(images: &[A], rate: f64) -> Result<usize, NoiseError> {
    check_rate(rate)?;
    Ok(count(rate, images.iter().map(A::count).sum()))
}

fn check_setting(
    name: &'static str,
    value: impl ToString,
    valid: bool,
    expected: &'static str,
) -> Result<(), NoiseError> {
    if valid {
        return Ok(());
    }
    Err(NoiseError::Setting {
        name,
        value: value.to_string(),
        expected,
    })
}

/// Refuses ranges that are empty, not finite or not above `above`.
fn check_range(
    name: &'static str,
    range: &RangeInclusive<f64>,
    above: f64,
    expected: &'static str,
) -> Result<(), NoiseError> {
    let (start, end) = (*range.start(), *range.end());
    let valid = start > above && start <= end && end.is_finite();
    check_setting(name, format!("{start} to {end}"), valid, expected)
}
