//! The evidence of one label version.

mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::classes::Classes;
use crate::difference::same;
use crate::error::{Error, Result};
use crate::evidence::{Evidence, Family, Scope, Target, Trust};
use crate::geometry::Polygon;
use crate::images::ImageRecord;
use crate::votes::Votes;

pub use tables::parse_trust;

/// Evidence sorted by [`Evidence::key`], no key twice.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Labels(Vec<Evidence>);

impl Labels {
    /// Sorts the evidence and checks it.
    ///
    /// # Errors
    /// One source says two things of one family about one scope; a class that does not exist; an
    /// empty or improper distribution or class set; an instance without class.
    pub fn new(mut evidence: Vec<Evidence>, classes: &Classes) -> Result<Self> {
        for piece in &evidence {
            check_target(piece, classes.len())?;
        }
        evidence.sort_by(|a, b| a.key().cmp(&b.key()));
        if let Some(pair) = evidence
            .windows(2)
            .find(|pair| pair[0].key() == pair[1].key())
        {
            return Err(Error::labels(format!("{} is given twice", pair[0].key()))
                .with_help("Remove one of the two, or give the second a source of its own."));
        }
        Ok(Self(evidence))
    }

    /// These labels and more. What is said already is not said twice; returned is also how many pieces are new.
    ///
    /// # Errors
    /// A source said something else about the same scope before; what [`Self::new`] refuses.
    pub fn with(&self, more: Vec<Evidence>, classes: &Classes) -> Result<(Self, usize)> {
        let mut all = self.0.clone();
        for piece in more {
            let known = self
                .0
                .binary_search_by(|known| known.key().cmp(&piece.key()));
            match known.ok().map(|position| &self.0[position]) {
                Some(known) if same(known, &piece) => {}
                Some(known) => return Err(said_otherwise(known, &piece, classes)),
                None => all.push(piece),
            }
        }
        let new = all.len() - self.0.len();
        Ok((Self::new(all, classes)?, new))
    }

    /// All evidence, sorted.
    pub fn evidence(&self) -> &[Evidence] {
        &self.0
    }

    /// The evidence, to build another version from.
    pub fn into_evidence(self) -> Vec<Evidence> {
        self.0
    }

    /// The evidence of one source and family about images, by image id.
    pub fn of_images<'a>(
        &'a self,
        source: &str,
        family: Family,
    ) -> BTreeMap<&'a str, &'a Evidence> {
        self.0
            .iter()
            .filter(|piece| piece.source == source && piece.target.family() == family)
            .filter_map(|piece| match &piece.scope {
                Scope::Image(id) => Some((id.as_str(), piece)),
                _ => None,
            })
            .collect()
    }

    /// Ids of the sources that say something of this family, sorted.
    pub fn sources(&self, family: Family) -> Vec<&str> {
        let ids: BTreeSet<&str> = self
            .0
            .iter()
            .filter(|piece| piece.target.family() == family)
            .map(|piece| piece.source.as_str())
            .collect();
        ids.into_iter().collect()
    }

    /// The same without what is not believed at all: evidence of trust 0, and objects of trust 0. Where an object is left
    /// out, the others are not all there are.
    #[must_use]
    pub fn believed(self) -> Self {
        let believed = |trust: Trust| trust.value() > 0.0;
        let mut evidence = self.0;
        evidence.retain(|piece| believed(piece.trust));
        for piece in &mut evidence {
            match &mut piece.target {
                Target::Boxes(boxes) => boxes.retain(|object| believed(object.trust)),
                Target::Points(points) => points.retain(|object| believed(object.trust)),
                Target::Polygons(polygons) => polygons.retain(|object| believed(object.trust)),
                _ => {}
            }
        }
        Self(evidence)
    }

    /// The class votes of several sources on images: item `i` is `images[i]`, annotator `j` is
    /// `sources[j]`. What has a trust of 0 is no vote.
    ///
    /// # Errors
    /// A source says something about an image that is not one class, so it is no vote.
    pub fn votes(&self, images: &[ImageRecord], sources: &[&str], classes: usize) -> Result<Votes> {
        let items: BTreeMap<&str, usize> = images
            .iter()
            .enumerate()
            .map(|(item, image)| (image.id.as_str(), item))
            .collect();
        let mut triplets = Vec::new();
        for (annotator, source) in sources.iter().enumerate() {
            let said = self.of_images(source, Family::Class).into_iter();
            for (id, piece) in said.filter(|(_, piece)| piece.trust.value() > 0.0) {
                let Target::Class(class) = piece.target else {
                    return Err(Error::labels(format!(
                        "{}: not a vote for one class",
                        piece.key()
                    )));
                };
                if let Some(&item) = items.get(id) {
                    triplets.push((item, annotator, class));
                }
            }
        }
        Votes::from_triplets(images.len(), sources.len(), classes, &triplets)
            .map_err(|error| Error::labels(error.to_string()))
    }

    /// Writes the tables, and copies the masks, into a folder: that of a version, or of what a run predicts.
    ///
    /// # Errors
    /// A mask is not what its hash says, or the file system refuses.
    pub fn write(&self, folder: &Path, classes: &Classes) -> Result<()> {
        tables::write(&self.0, folder, classes)
    }

    /// Reads the tables of such a folder.
    ///
    /// # Errors
    /// A table is damaged, or says what these classes cannot.
    pub fn read(folder: &Path, classes: &Classes) -> Result<Self> {
        Self::new(tables::read(folder, classes)?, classes)
    }
}

fn said_otherwise(known: &Evidence, given: &Evidence, classes: &Classes) -> Error {
    let says = match (&known.target, &given.target) {
        (Target::Class(old), Target::Class(new)) if old != new => format!(
            "is `{}` in the dataset and `{}` here",
            classes.name(*old),
            classes.name(*new)
        ),
        _ if known.trust != given.trust => format!(
            "has a trust of {} in the dataset and of {} here",
            known.trust.value(),
            given.trust.value()
        ),
        _ => "differs from what the dataset has already".to_owned(),
    };
    Error::labels(format!("{}: it {says}", known.key())).with_help(
        "A source says one thing of an image: give other labels a source of their own, by `--source` or the name of their column.",
    )
}

/// Probabilities are stored as decimal text, so sums are allowed to be off by rounding.
const SUM_TOLERANCE: f32 = 1e-4;

fn check_target(piece: &Evidence, classes: usize) -> Result<()> {
    let fail = |problem: String| Err(Error::labels(format!("{}: {problem}", piece.key())));
    let used: Vec<usize> = match &piece.target {
        Target::Class(class) => vec![*class],
        Target::Distribution(probabilities) => {
            let sum: f32 = probabilities.iter().sum();
            let proper = probabilities.iter().all(|p| (0.0..=1.0).contains(p));
            if probabilities.len() != classes || !proper || (sum - 1.0).abs() > SUM_TOLERANCE {
                return fail(format!(
                    "{} probabilities that sum to {sum} are not a distribution over {classes} classes",
                    probabilities.len()
                ));
            }
            Vec::new()
        }
        Target::OneOf(set) | Target::NoneOf(set) => {
            if set.is_empty() || (matches!(piece.target, Target::NoneOf(_)) && set.len() >= classes)
            {
                return fail(format!(
                    "{} of {classes} classes say nothing, or exclude everything",
                    set.len()
                ));
            }
            set.iter().copied().collect()
        }
        Target::Boxes(objects) => objects.objects.iter().map(|object| object.class).collect(),
        Target::Points(objects) => objects.objects.iter().map(|object| object.class).collect(),
        Target::Polygons(objects) => {
            let rings = |polygon: &Polygon| {
                polygon.outline.len() >= 3 && polygon.holes.iter().all(|hole| hole.len() >= 3)
            };
            if !objects.objects.iter().all(|object| rings(&object.shape)) {
                return fail("a ring of a polygon has fewer than three points".into());
            }
            objects.objects.iter().map(|object| object.class).collect()
        }
        Target::Instances { classes, .. } => classes.clone(),
        Target::Dense(_) | Target::Partial(_) => Vec::new(),
    };
    match used.iter().find(|&&class| class >= classes) {
        Some(class) => fail(format!("class {class} does not exist; there are {classes}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Object, Objects};
    use crate::geometry::Point;

    fn classes() -> Classes {
        Classes::new(vec!["normal".into(), "tumour".into()]).unwrap()
    }

    fn labels(evidence: Vec<Evidence>) -> Labels {
        Labels::new(evidence, &classes()).unwrap()
    }

    fn trusted(piece: Evidence, trust: f32) -> Evidence {
        let trust = Trust::new(trust).unwrap();
        Evidence { trust, ..piece }
    }

    #[test]
    fn what_is_not_believed_at_all_is_no_vote() {
        let images = ["a", "b"].map(|id| ImageRecord {
            id: id.into(),
            ..ImageRecord::default()
        });
        let labels = labels(vec![
            trusted(Evidence::class("anna", "a", 0), 0.1),
            trusted(Evidence::class("ben", "a", 1), 0.0),
            trusted(Evidence::class("ben", "b", 1), 0.5),
        ]);
        let votes = labels.votes(&images, &["anna", "ben"], 2).unwrap();
        assert_eq!(votes.by(0), [Some(0), None]);
        assert_eq!(votes.by(1), [None, Some(1)]);
        assert_eq!(labels.believed().evidence().len(), 2);
    }

    #[test]
    fn objects_that_are_not_believed_are_left_out_and_the_others_are_not_all() {
        let points = |trusts: &[f32]| {
            let object = |&trust| Object {
                shape: Point { x: 1.0, y: 2.0 },
                class: 0,
                trust: Trust::new(trust).unwrap(),
            };
            Target::Points(Objects {
                objects: trusts.iter().map(object).collect(),
                complete: true,
            })
        };
        let piece = |image, trusts| Evidence {
            target: points(trusts),
            ..Evidence::class("anna", image, 0)
        };
        let labels = labels(vec![piece("a", &[0.5, 1.0]), piece("b", &[0.5, 0.0])]).believed();
        let left: Vec<(usize, bool)> = labels
            .evidence()
            .iter()
            .map(|piece| match &piece.target {
                Target::Points(points) => (points.objects.len(), points.complete),
                _ => (0, false),
            })
            .collect();
        assert_eq!(left, [(2, true), (1, false)]);
    }

    #[test]
    fn what_is_known_is_not_said_twice_and_contradictions_are_named() {
        let before = labels(vec![Evidence::class("anna", "a", 0)]);
        let more = vec![
            Evidence::class("anna", "a", 0),
            Evidence::class("anna", "b", 1),
        ];
        let (both, new) = before.with(more, &classes()).unwrap();
        assert_eq!((both.evidence().len(), new), (2, 1));
        let refused = |piece| {
            let error = before.with(vec![piece], &classes()).unwrap_err();
            assert!(error.help().unwrap().contains("--source"));
            error.to_string()
        };
        assert_eq!(
            refused(Evidence::class("anna", "a", 1)),
            "class of image a by anna: it is `normal` in the dataset and `tumour` here"
        );
        assert_eq!(
            refused(trusted(Evidence::class("anna", "a", 0), 0.5)),
            "class of image a by anna: it has a trust of 1 in the dataset and of 0.5 here"
        );
        assert_eq!(
            refused(Evidence {
                target: Target::OneOf(BTreeSet::from([0])),
                ..Evidence::class("anna", "a", 0)
            }),
            "class of image a by anna: it differs from what the dataset has already"
        );
    }
}
