//! What was changed, and the truth of it.

use std::collections::BTreeMap;

use cleanslide_data::Object;

use super::{Annotation, Draft, NoiseError};

/// A way in which a given object is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mistake {
    /// There is a true object, but none is given.
    Missed,
    /// An object is given where there is none.
    False,
    /// It is not where the true object is.
    Shifted,
    /// It is larger than the true object.
    Larger,
    /// It is smaller than the true object.
    Smaller,
    /// Several true objects are given as one.
    Merged,
    /// One true object is given as several.
    Split,
    /// Its border runs otherwise than the true object's.
    Border,
    /// It has another class than the true object.
    Swapped,
}

impl Mistake {
    /// All, in order.
    pub const ALL: [Self; 9] = [
        Self::Missed,
        Self::False,
        Self::Shifted,
        Self::Larger,
        Self::Smaller,
        Self::Merged,
        Self::Split,
        Self::Border,
        Self::Swapped,
    ];

    /// The name used in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Missed => "missed",
            Self::False => "false",
            Self::Shifted => "shifted",
            Self::Larger => "larger",
            Self::Smaller => "smaller",
            Self::Merged => "merged",
            Self::Split => "split",
            Self::Border => "border",
            Self::Swapped => "swapped",
        }
    }
}

/// An object as it truly is.
#[derive(Debug, Clone, PartialEq)]
pub struct TrueObject<Shape> {
    /// Its index among the true objects of its image.
    pub index: usize,
    /// The object.
    pub object: Object<Shape>,
}

/// True objects that were made wrong, and what became of them.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectChange<Shape> {
    /// Index of the image.
    pub image: usize,
    /// What was done, in that order; each once.
    pub mistakes: Vec<Mistake>,
    /// The objects as they truly are, ascending: none if the given object is false.
    pub truth: Vec<TrueObject<Shape>>,
    /// The indices of the given objects that came of them, ascending: none if they are missed.
    pub given: Vec<usize>,
}

/// Images with wrong objects, and apart from them what was changed.
#[derive(Debug, Clone, PartialEq)]
pub struct NoisyObjects<A: Annotation> {
    images: Vec<A>,
    changes: Vec<ObjectChange<A::Shape>>,
}

impl<A: Annotation> NoisyObjects<A> {
    /// The images with noise.
    pub fn images(&self) -> &[A] {
        &self.images
    }

    /// Every change, by image and within it by the first true object; false objects come last. For
    /// evaluation only.
    pub fn changes(&self) -> &[ObjectChange<A::Shape>] {
        &self.changes
    }

    /// The images and the changes.
    pub fn into_parts(self) -> (Vec<A>, Vec<ObjectChange<A::Shape>>) {
        (self.images, self.changes)
    }

    /// Number of true objects in all images.
    pub fn true_objects(&self) -> usize {
        let given: usize = self.images.iter().map(A::count).sum();
        let gone: usize = self.changes.iter().map(|change| change.truth.len()).sum();
        let come: usize = self.changes.iter().map(|change| change.given.len()).sum();
        given + gone - come
    }

    /// True objects that were made wrong, and false objects, as a share of the true ones; 0 without
    /// any.
    pub fn rate(&self) -> f64 {
        let wrong = |change: &ObjectChange<A::Shape>| match change.truth.len() {
            0 => change.given.len(),
            several => several,
        };
        let wrong: usize = self.changes.iter().map(wrong).sum();
        wrong as f64 / self.true_objects().max(1) as f64
    }

    /// Adds noise to the noise: `next` gets these images. The record of both is that from the first
    /// truth to the last images: what an object went through is one change, an object that was added
    /// and dropped again is none.
    ///
    /// # Errors
    /// Those of `next`, and if it answers for other images than it was given.
    pub fn then(
        self,
        next: impl FnOnce(&[A]) -> Result<Self, NoiseError>,
    ) -> Result<Self, NoiseError> {
        let next = next(&self.images)?;
        let counts: Vec<usize> = self.images.iter().map(A::count).collect();
        let before = by_image(self.changes, counts.len());
        let after = by_image(next.changes, next.images.len());
        let expected: Vec<usize> = next
            .images
            .iter()
            .zip(&after)
            .map(|(image, changes)| others(image.count(), changes, come, gone))
            .collect();
        if expected != counts {
            return Err(NoiseError::Shape {
                what: "objects of the images to add noise to",
                found: expected,
                expected: counts,
            });
        }
        let changes = before
            .into_iter()
            .zip(after)
            .zip(counts.iter().zip(&next.images))
            .flat_map(|((before, after), (&between, image))| {
                chain(before, after, between, image.count())
            })
            .collect();
        Ok(Self {
            images: next.images,
            changes,
        })
    }

    /// For each given object that no change names, its index among the true objects, by image.
    pub(super) fn unchanged(&self) -> Vec<Vec<Option<usize>>> {
        let mut changes = self.changes.as_slice();
        let images = self.images.iter().enumerate();
        images
            .map(|(index, image)| {
                let own = changes.partition_point(|change| change.image <= index);
                let (own, later) = changes.split_at(own);
                changes = later;
                unchanged(own, image.count())
            })
            .collect()
    }
}

type Counted<Shape> = fn(&ObjectChange<Shape>) -> usize;

fn come<Shape>(change: &ObjectChange<Shape>) -> usize {
    change.given.len()
}

fn gone<Shape>(change: &ObjectChange<Shape>) -> usize {
    change.truth.len()
}

/// The number of objects on the other side of changes.
fn others<Shape>(
    count: usize,
    changes: &[ObjectChange<Shape>],
    here: Counted<Shape>,
    there: Counted<Shape>,
) -> usize {
    count + changes.iter().map(there).sum::<usize>() - changes.iter().map(here).sum::<usize>()
}

fn by_image<Shape>(
    changes: Vec<ObjectChange<Shape>>,
    images: usize,
) -> Vec<Vec<ObjectChange<Shape>>> {
    let mut lists: Vec<Vec<_>> = (0..images).map(|_| Vec::new()).collect();
    for change in changes {
        lists[change.image].push(change);
    }
    lists
}

/// For each given object that no change of its image names, its index among the true objects:
/// these keep their order.
fn unchanged<Shape>(changes: &[ObjectChange<Shape>], given: usize) -> Vec<Option<usize>> {
    let truth = others(given, changes, come, gone);
    let mut changed = vec![false; truth];
    for object in changes.iter().flat_map(|change| &change.truth) {
        changed[object.index] = true;
    }
    let mut indices: Vec<Option<usize>> = vec![Some(0); given];
    for &object in changes.iter().flat_map(|change| &change.given) {
        indices[object] = None;
    }
    let kept = (0..truth).filter(|&object| !changed[object]);
    for (index, object) in indices.iter_mut().flatten().zip(kept) {
        *index = object;
    }
    indices
}

/// Changes of one image and then others, as one record.
fn chain<Shape>(
    before: Vec<ObjectChange<Shape>>,
    after: Vec<ObjectChange<Shape>>,
    between: usize,
    given: usize,
) -> Vec<ObjectChange<Shape>> {
    let image = before
        .iter()
        .chain(&after)
        .map(|change| change.image)
        .next();
    let to_truth = unchanged(&before, between);
    let mut to_given = vec![None; between];
    for (object, index) in unchanged(&after, given).into_iter().enumerate() {
        if let Some(index) = index {
            to_given[index] = Some(object);
        }
    }

    // Changes that share an object in between are one.
    let mut maker = vec![None; between];
    for (change, record) in before.iter().enumerate() {
        for &object in &record.given {
            maker[object] = Some(change);
        }
    }
    let mut groups = Groups::new(before.len() + after.len());
    for (change, record) in after.iter().enumerate() {
        for object in &record.truth {
            if let Some(maker) = maker[object.index] {
                groups.join(maker, before.len() + change);
            }
        }
    }

    let mut chained: BTreeMap<usize, ObjectChange<Shape>> = BTreeMap::new();
    let mut note = |group: usize, mistakes: Vec<Mistake>, truth: Vec<_>, given: Vec<usize>| {
        let change = chained.entry(group).or_insert_with(|| ObjectChange {
            image: image.unwrap_or(0),
            mistakes: Vec::new(),
            truth: Vec::new(),
            given: Vec::new(),
        });
        for mistake in mistakes {
            if !change.mistakes.contains(&mistake) {
                change.mistakes.push(mistake);
            }
        }
        change.truth.extend(truth);
        change.given.extend(given);
    };
    let first = before.len();
    for (index, change) in before.into_iter().enumerate() {
        let given = change.given.iter().filter_map(|&object| to_given[object]);
        let given = given.collect();
        note(groups.of(index), change.mistakes, change.truth, given);
    }
    for (index, change) in after.into_iter().enumerate() {
        let truth = change.truth.into_iter().filter_map(|object| {
            to_truth[object.index].map(|index| TrueObject { index, ..object })
        });
        let truth = truth.collect();
        note(
            groups.of(first + index),
            change.mistakes,
            truth,
            change.given,
        );
    }
    let mut changes: Vec<_> = chained.into_values().collect();
    changes.retain(|change| !change.truth.is_empty() || !change.given.is_empty());
    sort(&mut changes);
    changes
}

/// Union-find.
struct Groups(Vec<usize>);

impl Groups {
    fn new(count: usize) -> Self {
        Self((0..count).collect())
    }

    fn of(&mut self, mut item: usize) -> usize {
        while self.0[item] != item {
            self.0[item] = self.0[self.0[item]];
            item = self.0[item];
        }
        item
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.of(one), self.of(other));
        self.0[one.max(other)] = one.min(other);
    }
}

/// The order of a record within an image.
fn sort<Shape>(changes: &mut [ObjectChange<Shape>]) {
    for change in changes.iter_mut() {
        change.truth.sort_by_key(|object| object.index);
        change.given.sort_unstable();
    }
    changes.sort_by_key(|change| {
        let first = change
            .truth
            .first()
            .map_or(usize::MAX, |object| object.index);
        (first, change.given.first().copied())
    });
}

/// A change in the numbers of a draft.
pub(super) struct Link {
    pub(super) mistake: Mistake,
    pub(super) truth: Vec<usize>,
    pub(super) given: Vec<usize>,
}

/// How images are edited while objects keep their numbers.
pub trait Edit: Sized {
    /// Takes an object away; its number stays until [`Self::finish`].
    fn remove(&mut self, object: usize);

    /// Gives an object another class.
    fn set_class(&mut self, object: usize, class: usize);

    /// The area of an object in square pixels.
    fn area(&self, object: usize) -> f64;

    /// Gives the objects that are not `gone` new numbers without gaps, in the same order.
    fn finish(self, gone: &[bool]) -> Result<Self, NoiseError>;
}

/// The images and the record of drafts.
pub(super) fn finish<A: Annotation>(
    images: &[A],
    drafts: Vec<Draft<A>>,
) -> Result<NoisyObjects<A>, NoiseError> {
    let mut noisy = NoisyObjects {
        images: Vec::with_capacity(images.len()),
        changes: Vec::new(),
    };
    for (truth, draft) in images.iter().zip(drafts) {
        let mut gone = vec![false; draft.given.count()];
        for link in &draft.changes {
            for &object in &link.truth {
                gone[object] = !link.given.contains(&object);
            }
        }
        let numbers: Vec<usize> = gone
            .iter()
            .scan(0, |next, &gone| {
                let number = *next;
                *next += usize::from(!gone);
                Some(number)
            })
            .collect();
        let mut changes: Vec<_> = draft
            .changes
            .into_iter()
            .map(|link| ObjectChange {
                image: draft.image,
                mistakes: vec![link.mistake],
                truth: link
                    .truth
                    .into_iter()
                    .map(|index| TrueObject {
                        index,
                        object: truth.object(index),
                    })
                    .collect(),
                given: link.given.iter().map(|&object| numbers[object]).collect(),
            })
            .collect();
        sort(&mut changes);
        noisy.changes.append(&mut changes);
        noisy.images.push(draft.given.finish(&gone)?);
    }
    Ok(noisy)
}
