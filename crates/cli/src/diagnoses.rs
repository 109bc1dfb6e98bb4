//! What is known of whole images: classes that a diagnosis, or anyone else, excludes from a case, a slide or an image.

use std::collections::{BTreeMap, BTreeSet};

use cleanslide_data::{
    Dataset, Evidence, Family, ImageRecord, Labels, Scope, SourceKind, Target, Version,
};

use crate::failure::{Failure, Result};

/// Classes that no pixel of an image is of, and how far that is believed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Exclusion {
    /// The classes.
    pub classes: BTreeSet<usize>,
    /// From 0 to 1.
    pub trust: f32,
}

impl Exclusion {
    /// What two statements say together.
    fn with(self, other: &Self) -> Self {
        Self {
            classes: &self.classes | &other.classes,
            trust: self.trust.min(other.trust),
        }
    }
}

/// What one source says of cases, slides and images.
pub struct Diagnoses {
    /// The source.
    pub source: String,
    /// By kind and name of what it is about.
    said: BTreeMap<(&'static str, String), Exclusion>,
}

impl Diagnoses {
    /// Reads what a source says: the one that is asked for, or else the only one of kind diagnosis, or the only one that
    /// names classes at all.
    pub fn read(
        dataset: &Dataset,
        (version, labels): (&Version, &Labels),
        asked: Option<&str>,
    ) -> Result<Self> {
        let sources = dataset.manifest().sources.iter();
        let says = labels.sources(Family::Class);
        let mut clinical = sources.filter(|source| {
            source.kind == SourceKind::Diagnosis && says.contains(&source.id.as_str())
        });
        let only = match (asked, clinical.next(), clinical.next()) {
            (None, Some(only), None) => Some(only.id.as_str()),
            _ => asked,
        };
        if says.is_empty() {
            return Err(Failure::input(format!(
                "{} of {} has no diagnosis",
                version.id,
                dataset.folder().display()
            ))
            .help("Add some: `cleanslide import diagnoses TABLE DATASET --excludes DIAGNOSIS=CLASS,…`."));
        }
        let source = dataset.choose_source(version, labels, Family::Class, only)?;
        let all = 0..dataset.classes().len();
        let mut said = BTreeMap::new();
        let pieces = labels.evidence().iter();
        for piece in pieces.filter(|piece| piece.source == source) {
            if piece.target.family() == Family::Class {
                let classes = excluded(piece, all.clone())?;
                let key = (piece.scope.kind(), piece.scope.item().to_owned());
                let trust = piece.trust.value();
                said.insert(key, Exclusion { classes, trust });
            }
        }
        Ok(Self { source, said })
    }

    /// What is said of an image, by its case, its slide and itself; none of one of which nothing is said.
    pub fn of_image(&self, image: &ImageRecord) -> Option<Exclusion> {
        let about = [
            ("case", &image.case),
            ("slide", &image.slide),
            ("image", &image.id),
        ];
        let said = about
            .into_iter()
            .filter_map(|(kind, name)| self.said.get(&(kind, name.clone())));
        said.fold(None, |sum: Option<Exclusion>, said| {
            Some(match sum {
                Some(sum) => sum.with(said),
                None => said.clone(),
            })
        })
    }

    /// All classes that are excluded from something: those that diagnoses tell apart.
    pub fn entities(&self) -> BTreeSet<usize> {
        let classes = self.said.values().flat_map(|said| &said.classes);
        classes.copied().collect()
    }
}

/// Which images are told the same by their diagnoses, in numbers from 0; none where nothing is said, or where several
/// sources say something.
pub fn strata(dataset: &Dataset, version: &Version, labels: &Labels) -> Result<Vec<Option<usize>>> {
    let images = dataset.images();
    let clinical = dataset.manifest().sources.iter();
    let clinical = clinical.filter(|source| source.kind == SourceKind::Diagnosis);
    let clinical: Vec<&str> = clinical.map(|source| source.id.as_str()).collect();
    let says = labels.sources(Family::Class);
    if says.len() != 1 || !clinical.contains(&says[0]) {
        return Ok(vec![None; images.len()]);
    }
    let diagnoses = Diagnoses::read(dataset, (version, labels), None)?;
    let of_images: Vec<Option<BTreeSet<usize>>> = images
        .iter()
        .map(|image| Some(diagnoses.of_image(image)?.classes))
        .collect();
    let known: BTreeSet<&BTreeSet<usize>> = of_images.iter().flatten().collect();
    let place = |of: &BTreeSet<usize>| known.iter().position(|&other| other == of);
    Ok(of_images.iter().map(|of| place(of.as_ref()?)).collect())
}

/// The classes that something is not of.
fn excluded(piece: &Evidence, all: std::ops::Range<usize>) -> Result<BTreeSet<usize>> {
    let refused = |problem: &str| Err(Failure::input(format!("{}: {problem}", piece.key())));
    match (&piece.scope, &piece.target) {
        (Scope::Region(..), _) => refused("what is said of a region is no diagnosis"),
        (_, Target::NoneOf(classes)) => Ok(classes.clone()),
        (_, Target::OneOf(classes)) => Ok(all.filter(|class| !classes.contains(class)).collect()),
        _ => refused(
            "expected classes that it is none of, or one of: a class of a whole case is no class of each of its pixels",
        ),
    }
}
