//! A dataset: a folder with `dataset.toml`, `images.csv`, `labels/<version>/` and
//! `reference/<name>/`.

mod addition;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::classes::{Classes, nearest};
use crate::difference::difference;
use crate::error::{Error, Result};
use crate::evidence::{Scope, Source};
use crate::images::{ImageRecord, check_unique, images_to_csv, read_images};
use crate::labels::Labels;
use crate::store::{finish_publishing, is_partial, publish_folder, write_file};
use crate::version::{Provenance, VERSION_FILE, Version, VersionId, content_hash};

pub use addition::{Added, Addition};

/// What is to be learned from the dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// One class per image.
    Classification,
    /// Boxes around objects.
    Detection,
    /// Classes of pixels, or masks of objects.
    Segmentation,
}

impl Task {
    /// How a dataset gets a reference, as a clause for messages.
    pub fn how_to_keep_a_reference(self) -> &'static str {
        match self {
            Self::Classification => "keep a column apart on import with `--reference COLUMN`",
            Self::Detection | Self::Segmentation => {
                "import the true labels with `--as-reference NAME`"
            }
        }
    }
}

/// `dataset.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this folder format.
    pub format: u32,
    /// What is to be learned.
    pub task: Task,
    /// Names of the classes, in order.
    pub classes: Classes,
    /// Who and what made labels.
    #[serde(default)]
    pub sources: Vec<Source>,
}

/// The folder format that this build writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// Labels that are true as far as anyone knows: for evaluation only.
///
/// A type of its own, so that no function that trains, proposes or corrects can be handed truth
/// by mistake: they take [`Labels`].
#[derive(Debug, Clone, PartialEq)]
pub struct Reference(Labels);

impl Reference {
    /// Marks labels as truth for evaluation.
    pub fn new(labels: Labels) -> Self {
        Self(labels)
    }

    /// The labels, for evaluation.
    pub fn for_evaluation(&self) -> &Labels {
        &self.0
    }
}

/// Labels that are about to become a version.
#[derive(Debug, Clone)]
pub struct NewVersion {
    /// The version that they were made from.
    pub parent: Option<VersionId>,
    /// See [`Version::produced`].
    pub produced: Option<String>,
    /// Sources that the dataset may not know yet.
    pub sources: Vec<Source>,
    /// The evidence.
    pub labels: Labels,
    /// How it came about.
    pub provenance: Provenance,
    /// Further tables for people, as (name, bytes): for example what a correction changed and why.
    pub notes: Vec<(String, Vec<u8>)>,
}

/// An open dataset.
#[derive(Debug, Clone)]
pub struct Dataset {
    folder: PathBuf,
    manifest: Manifest,
    images: Vec<ImageRecord>,
    positions: BTreeMap<String, usize>,
}

impl Dataset {
    /// Makes a new dataset, with a first version of labels and any references, in one atomic step.
    ///
    /// # Errors
    /// The folder exists, ids are not unique, labels name sources or images that are not there,
    /// or the file system refuses.
    pub fn create(
        folder: &Path,
        manifest: Manifest,
        images: Vec<ImageRecord>,
        first: Option<NewVersion>,
        references: &[(String, Reference)],
    ) -> Result<Self> {
        if folder.exists() {
            return Err(Error::file(folder, "exists already")
                .with_help("Choose another folder for the dataset, or remove this one."));
        }
        check_unique(
            &images,
            |_| Error::file(folder, ""),
            |index| format!("as image {}", index + 1),
        )?;
        let mut dataset = Self::from_parts(folder, manifest, images);
        if let Some(first) = &first {
            dataset.manifest = dataset.manifest_with(&first.sources)?;
        }
        dataset.check_parts(references, first.as_ref())?;
        let id = VersionId(1);
        publish_folder(folder, |folder| {
            save_manifest(folder, &dataset.manifest)?;
            save_images(folder, &dataset.images)?;
            dataset.write_parts(folder, references, first.map(|first| (id, first)))?;
            Ok(())
        })?;
        Ok(dataset)
    }

    /// Opens a dataset.
    ///
    /// # Errors
    /// The folder is not a dataset, was written by a newer build, or is malformed.
    pub fn open(folder: &Path) -> Result<Self> {
        finish_publishing(folder)?;
        let path = folder.join("dataset.toml");
        if !path.exists() {
            let problem = if folder.exists() {
                "is not a dataset: it has no dataset.toml"
            } else {
                "does not exist"
            };
            return Err(Error::file(folder, problem).with_help(
                "Make a dataset with `cleanslide import`, or try one with `cleanslide simulate`.",
            ));
        }
        let text = fs::read_to_string(&path).map_err(|error| Error::io("read", &path, error))?;
        let manifest: Manifest =
            toml::from_str(&text).map_err(|error| Error::file(&path, error.to_string()))?;
        if manifest.format > FORMAT {
            return Err(Error::file(
                &path,
                format!(
                    "has format {}; this build reads up to {FORMAT}",
                    manifest.format
                ),
            )
            .with_help("Use a newer build of cleanslide."));
        }
        let images = read_images(&folder.join("images.csv"))?;
        Ok(Self::from_parts(folder, manifest, images))
    }

    fn from_parts(folder: &Path, manifest: Manifest, images: Vec<ImageRecord>) -> Self {
        let positions = images
            .iter()
            .enumerate()
            .map(|(position, image)| (image.id.clone(), position))
            .collect();
        Self {
            folder: folder.to_owned(),
            manifest,
            images,
            positions,
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Task, classes and sources.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The classes.
    pub fn classes(&self) -> &Classes {
        &self.manifest.classes
    }

    /// The images, in the order of `images.csv`.
    pub fn images(&self) -> &[ImageRecord] {
        &self.images
    }

    /// Position of an image by its id.
    pub fn position(&self, id: &str) -> Option<usize> {
        self.positions.get(id).copied()
    }

    /// The file of an image.
    pub fn image_path(&self, image: &ImageRecord) -> PathBuf {
        self.folder.join(&image.path)
    }

    /// The manifest with these sources too; the same where the very same ones are known. A source that says nothing
    /// of its numbers may be known with them, since it may draw boxes too.
    fn manifest_with(&self, sources: &[Source]) -> Result<Manifest> {
        let mut manifest = self.manifest.clone();
        for source in sources {
            match manifest.sources.iter().find(|known| known.id == source.id) {
                Some(known) if known.kind == source.kind => {
                    if source.values.is_some() && source.values != known.values {
                        return Err(other_numbers(known));
                    }
                }
                Some(known) => {
                    return Err(Error::request(format!(
                        "the source `{}` exists already and is of kind {}",
                        known.id, known.kind
                    ))
                    .with_help("Choose another name for the new source."));
                }
                None => manifest.sources.push(source.clone()),
            }
        }
        Ok(manifest)
    }

    /// Replaces the records of the images, for example to record a split.
    ///
    /// # Errors
    /// Ids are not unique, or the table cannot be written.
    pub fn replace_images(&mut self, images: Vec<ImageRecord>) -> Result<()> {
        check_unique(
            &images,
            |_| Error::file(&self.folder, ""),
            |index| format!("as image {}", index + 1),
        )?;
        *self = Self::from_parts(&self.folder.clone(), self.manifest.clone(), images);
        save_images(&self.folder, &self.images)
    }

    /// Numbers of the label versions, oldest first.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn versions(&self) -> Result<Vec<VersionId>> {
        let mut versions: Vec<VersionId> = names_in(&self.folder.join("labels"))?
            .iter()
            .filter_map(|name| name.parse().ok())
            .collect();
        versions.sort();
        Ok(versions)
    }

    /// The newest label version.
    ///
    /// # Errors
    /// There is none, or the folder cannot be read.
    pub fn latest(&self) -> Result<VersionId> {
        self.versions()?.last().copied().ok_or_else(|| {
            Error::file(&self.folder, "has no labels yet")
                .with_help("Add some with `cleanslide import`.")
        })
    }

    /// Metadata of a version; its tables are checked against their hash.
    ///
    /// # Errors
    /// There is no such version, it is malformed, or it was edited.
    pub fn version(&self, id: VersionId) -> Result<Version> {
        let folder = self.version_folder(id);
        if !folder.join(VERSION_FILE).exists() {
            let known: Vec<String> = self.versions()?.iter().map(ToString::to_string).collect();
            return Err(Error::request(format!("there is no label version {id}"))
                .with_help(format!("There are: {}.", known.join(", "))));
        }
        Version::read(&folder)
    }

    /// The folder of a version.
    pub fn version_folder(&self, id: VersionId) -> PathBuf {
        self.folder.join("labels").join(id.to_string())
    }

    /// The labels of a version.
    ///
    /// # Errors
    /// There is no such version, it was edited, or it does not fit the dataset.
    pub fn labels(&self, id: VersionId) -> Result<Labels> {
        self.version(id)?;
        let labels = Labels::read(&self.version_folder(id), self.classes())?;
        self.check(&labels, &self.manifest.sources)?;
        Ok(labels)
    }

    /// Writes a new version, with its new sources. It becomes the latest.
    ///
    /// # Errors
    /// The labels name a source, image, slide or case that is not in the dataset; a source exists
    /// with another kind; another process wrote a version of the same number first; the file system
    /// refuses.
    pub fn add_version(&mut self, new: NewVersion) -> Result<Version> {
        let added = self.add(Addition {
            version: Some(new),
            ..Addition::default()
        })?;
        added
            .version
            .ok_or_else(|| Error::file(&self.folder, "no version was written"))
    }

    /// Checks references and a version that are to be added.
    fn check_parts(
        &self,
        references: &[(String, Reference)],
        version: Option<&NewVersion>,
    ) -> Result<()> {
        for (name, reference) in references {
            check_reference_name(name)?;
            self.check_scopes(&reference.0)?;
        }
        match version {
            Some(version) => self.check(&version.labels, &self.manifest.sources),
            None => Ok(()),
        }
    }

    /// Writes references and a version into a folder, at the places that they have in that of a dataset.
    fn write_parts(
        &self,
        folder: &Path,
        references: &[(String, Reference)],
        version: Option<(VersionId, NewVersion)>,
    ) -> Result<Option<Version>> {
        for (name, reference) in references {
            let folder = folder.join("reference").join(name);
            fs::create_dir_all(&folder).map_err(|error| Error::io("create", &folder, error))?;
            reference.0.write(&folder, self.classes())?;
        }
        version
            .map(|(id, version)| self.write_version(folder, id, version))
            .transpose()
    }

    fn write_version(&self, folder: &Path, id: VersionId, new: NewVersion) -> Result<Version> {
        let old = match new.parent {
            Some(parent) => self.labels(parent)?,
            None => Labels::default(),
        };
        let folder = folder.join("labels").join(id.to_string());
        fs::create_dir_all(&folder).map_err(|error| Error::io("create", &folder, error))?;
        new.labels.write(&folder, self.classes())?;
        let save = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            fs::write(&path, bytes).map_err(|error| Error::io("write", &path, error))
        };
        for (name, bytes) in &new.notes {
            save(name, bytes)?;
        }
        let version = Version {
            id,
            parent: new.parent,
            produced: new.produced,
            hash: content_hash(&folder)?,
            provenance: new.provenance,
            counts: difference(&old, &new.labels).1,
        };
        let text =
            toml::to_string(&version).map_err(|error| Error::file(&folder, error.to_string()))?;
        save(VERSION_FILE, text.as_bytes())?;
        Ok(version)
    }

    /// Names of the references, sorted.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn references(&self) -> Result<Vec<String>> {
        names_in(&self.folder.join("reference"))
    }

    /// Labels that are kept apart for evaluation.
    ///
    /// # Errors
    /// There is no such reference, or it is malformed.
    pub fn reference(&self, name: &str) -> Result<Reference> {
        let folder = self.folder.join("reference").join(name);
        let known = self.references()?;
        if !known.iter().any(|reference| reference == name) {
            let help = if known.is_empty() {
                format!(
                    "This dataset has none; {}.",
                    self.manifest.task.how_to_keep_a_reference()
                )
            } else {
                format!("There are: {}.", known.join(", "))
            };
            return Err(Error::request(format!("there is no reference `{name}`")).with_help(help));
        }
        let labels = Labels::read(&folder, self.classes())?;
        self.check_scopes(&labels)?;
        Ok(Reference(labels))
    }

    /// Keeps labels apart for evaluation under a name.
    ///
    /// # Errors
    /// The name is taken or not a legal one, or the file system refuses.
    pub fn add_reference(&self, name: &str, reference: &Reference) -> Result<()> {
        check_reference_name(name)?;
        self.check_scopes(&reference.0)?;
        let folder = self.folder.join("reference").join(name);
        if folder.exists() {
            return Err(taken_reference(name));
        }
        publish_folder(&folder, |folder| reference.0.write(folder, self.classes()))
    }

    fn check(&self, labels: &Labels, sources: &[Source]) -> Result<()> {
        let known: Vec<String> = sources.iter().map(|source| source.id.clone()).collect();
        for piece in labels.evidence() {
            if !known.contains(&piece.source) {
                return Err(Error::labels(format!(
                    "{}: the source is not in dataset.toml",
                    piece.key()
                ))
                .with_help(format!("The sources are: {}.", known.join(", "))));
            }
        }
        self.check_scopes(labels)
    }

    fn check_scopes(&self, labels: &Labels) -> Result<()> {
        let mut cases: Vec<&str> = self
            .images
            .iter()
            .map(|image| image.case.as_str())
            .collect();
        let mut slides: Vec<&str> = self
            .images
            .iter()
            .map(|image| image.slide.as_str())
            .collect();
        cases.sort_unstable();
        slides.sort_unstable();
        for piece in labels.evidence() {
            let item = piece.scope.item();
            let known = match piece.scope {
                Scope::Case(_) => !item.is_empty() && cases.binary_search(&item).is_ok(),
                Scope::Slide(_) => !item.is_empty() && slides.binary_search(&item).is_ok(),
                Scope::Image(_) | Scope::Region(..) => self.positions.contains_key(item),
            };
            if !known {
                let problem = format!("{}: there is no such {}", piece.key(), piece.scope.kind());
                return Err(Error::labels(problem)
                    .with_help("Labels must name cases, slides and images of images.csv."));
            }
        }
        Ok(())
    }

    /// The latest version in which a source says something of this family.
    fn version_with(&self, source: &str, family: crate::evidence::Family) -> Option<VersionId> {
        let versions = self.versions().ok()?;
        versions.into_iter().rev().find(|&version| {
            let labels = self.labels(version);
            labels.is_ok_and(|labels| labels.sources(family).contains(&source))
        })
    }

    /// The source to use: the one that was asked for, the one that the version is about, or the
    /// only one.
    ///
    /// # Errors
    /// The one that was asked for says nothing of this family in this version, or there are
    /// several and no reason to prefer one.
    pub fn choose_source(
        &self,
        version: &Version,
        labels: &Labels,
        family: crate::evidence::Family,
        asked: Option<&str>,
    ) -> Result<String> {
        let known: Vec<String> = labels
            .sources(family)
            .into_iter()
            .map(String::from)
            .collect();
        let listed = format!("The sources in {} are: {}.", version.id, known.join(", "));
        if let Some(asked) = asked {
            if known.iter().any(|id| id == asked) {
                return Ok(asked.to_owned());
            }
            let help = match (self.version_with(asked, family), nearest(asked, &known)) {
                (Some(other), _) => format!("{other} has them: `--labels {other}`. {listed}"),
                (None, Some(close)) => format!("Did you mean `{close}`? {listed}"),
                (None, None) => listed,
            };
            return Err(Error::request(format!(
                "no {} labels of `{asked}` in {}",
                family.name(),
                version.id
            ))
            .with_help(help));
        }
        match (&version.produced, known.as_slice()) {
            (Some(produced), known) if known.contains(produced) => Ok(produced.clone()),
            (_, [only]) => Ok(only.clone()),
            (_, []) => Err(Error::request(format!("{} has no {} labels", version.id, family.name()))),
            _ => Err(Error::request(format!("{} sources label these images", known.len())).with_help(
                format!("Choose one with `--source`, or combine them with `cleanslide fuse`. {listed}"),
            )),
        }
    }
}

fn save_manifest(folder: &Path, manifest: &Manifest) -> Result<()> {
    let text = toml::to_string(manifest).map_err(|error| Error::file(folder, error.to_string()))?;
    write_file(&folder.join("dataset.toml"), text.as_bytes())
}

fn save_images(folder: &Path, images: &[ImageRecord]) -> Result<()> {
    write_file(&folder.join("images.csv"), &images_to_csv(images))
}

fn check_reference_name(name: &str) -> Result<()> {
    let legal = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(legal) {
        return Err(
            Error::request(format!("`{name}` cannot be the name of a reference"))
                .with_help("Use letters, digits, `-`, `_` and `.`."),
        );
    }
    Ok(())
}

fn taken_reference(name: &str) -> Error {
    Error::request(format!(
        "the reference `{name}` exists already, with other labels"
    ))
    .with_help("Choose another name.")
}

fn other_numbers(known: &Source) -> Error {
    let numbers = match &known.values {
        Some(values) => values.to_string(),
        None => "those of the classes".to_owned(),
    };
    Error::request(format!(
        "the source `{}` exists already, and the numbers in its masks are {numbers}",
        known.id
    ))
    .with_help("Name masks with other numbers after another source.")
}

/// Names in a folder, sorted, without what a killed process left; none if it does not exist.
fn names_in(folder: &Path) -> Result<Vec<String>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| Error::io("read", folder, error))? {
        let entry = entry.map_err(|error| Error::io("read", folder, error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() && !is_partial(&name) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
