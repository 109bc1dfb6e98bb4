//! The evidence of one label version.

mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::classes::Classes;
use crate::error::{Error, Result};
use crate::evidence::{Evidence, Family, Scope, Target};
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

    /// The class votes of several sources on images: item `i` is `images[i]`, annotator `j` is
    /// `sources[j]`.
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
            for (id, piece) in self.of_images(source, Family::Class) {
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
