//! What a dataset is told more: images, labels and references, all in one step or nothing.

use std::fs;
use std::path::Path;

use super::{
    Dataset, NewVersion, Reference, check_unique, save_images, save_manifest, taken_reference,
};
use crate::difference::difference;
use crate::error::{Error, Result};
use crate::images::ImageRecord;
use crate::store::publish_together;
use crate::version::{Version, VersionId};

/// What is to be added to a dataset.
#[derive(Debug, Clone, Default)]
pub struct Addition {
    /// Images that are new, and what is known of those that are not. Their paths are relative to the dataset's folder or
    /// absolute.
    pub images: Vec<ImageRecord>,
    /// Labels to be kept apart for evaluation, each with its name.
    pub references: Vec<(String, Reference)>,
    /// Labels.
    pub version: Option<NewVersion>,
}

/// What an addition changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Added {
    /// How many images the dataset did not have.
    pub new_images: usize,
    /// Of how many images more is known than before: their case, slide, group, split or the size of their pixels.
    pub completed_images: usize,
    /// References of which the same labels were kept already.
    pub known_references: Vec<String>,
    /// The new version.
    pub version: Option<Version>,
}

/// What is known of an image, with its name for people: as it stands in `images.csv`, empty where it is not known.
type Field = (&'static str, fn(&ImageRecord) -> String);

const FIELDS: [Field; 5] = [
    ("case", |image| image.case.clone()),
    ("slide", |image| image.slide.clone()),
    ("group", |image| image.group.clone()),
    ("split", |image| {
        let split = image.split;
        split.map_or_else(String::new, |split| split.to_string())
    }),
    ("size of a pixel in microns", |image| {
        let scale = image.microns_per_pixel;
        scale.map_or_else(String::new, |scale| scale.to_string())
    }),
];

impl Dataset {
    /// Adds images, references and a version of labels in one step: all or nothing, also for a process that is killed.
    ///
    /// An image whose id the dataset has must be the same file, or a file of the same content; what is known of it is filled
    /// in where nothing was known. A reference that is kept already with the same labels is left as it is.
    ///
    /// # Errors
    /// Another image has the id; what is known of an image differs from what was known; a reference of the name has other
    /// labels; the labels name a source, image, slide or case that is not in the dataset; a source exists with another
    /// kind; the file system refuses. The dataset is then as it was.
    pub fn add(&mut self, addition: Addition) -> Result<Added> {
        let mut added = Added::default();
        let images = self.merged(&addition.images, &mut added)?;
        let sources = addition
            .version
            .as_ref()
            .map_or(&[][..], |new| &new.sources);
        let next = Self::from_parts(&self.folder, self.manifest_with(sources)?, images);
        let references = next.new_references(addition.references, &mut added)?;
        next.check_parts(&references, addition.version.as_ref())?;
        let version = match addition.version {
            Some(version) => Some((next.next_version()?, version)),
            None => None,
        };
        let changes_images = next.images != self.images;
        if !changes_images && references.is_empty() && version.is_none() {
            return Ok(added);
        }
        publish_together(&self.folder, |folder| {
            if next.manifest != self.manifest {
                save_manifest(folder, &next.manifest)?;
            }
            if changes_images {
                save_images(folder, &next.images)?;
            }
            added.version = next.write_parts(folder, &references, version)?;
            Ok(())
        })?;
        *self = next;
        Ok(added)
    }

    fn next_version(&self) -> Result<VersionId> {
        Ok(VersionId(
            self.versions()?.last().map_or(1, |last| last.0 + 1),
        ))
    }

    /// The images of the dataset with what is known of them now, and then the new ones.
    fn merged(&self, given: &[ImageRecord], added: &mut Added) -> Result<Vec<ImageRecord>> {
        let mut images = self.images.clone();
        for image in given {
            let Some(position) = self.position(&image.id) else {
                added.new_images += 1;
                images.push(image.clone());
                continue;
            };
            self.check_same(&self.images[position], image)?;
            let known = &mut images[position];
            let completed = self.completed(known, image)?;
            if completed != *known {
                added.completed_images += 1;
                *known = completed;
            }
        }
        check_unique(
            &images,
            |_| Error::file(&self.folder, ""),
            |index| format!("as image {}", index + 1),
        )?;
        Ok(images)
    }

    /// Refuses an image that has the id of another one.
    fn check_same(&self, known: &ImageRecord, given: &ImageRecord) -> Result<()> {
        let (old, new) = (self.image_path(known), self.image_path(given));
        if known.path == given.path || is_same_file(&old, &new) || has_same_content(&old, &new)? {
            return Ok(());
        }
        let gone = if old.exists() {
            ""
        } else {
            ", which is not there any more"
        };
        let problem = format!(
            "the id `{}` is that of {} in the dataset{gone}, and {} is another image",
            known.id,
            old.display(),
            new.display()
        );
        Err(Error::labels(problem).with_help(
            "Give every image an id of its own, by the column `id` or the name of its file. If images were moved, correct their paths in images.csv.",
        ))
    }

    /// What is known of an image from both.
    fn completed(&self, known: &ImageRecord, given: &ImageRecord) -> Result<ImageRecord> {
        for (name, field) in FIELDS {
            let (old, new) = (field(known), field(given));
            if !old.is_empty() && !new.is_empty() && old != new {
                let problem = format!(
                    "image `{}`: the {name} is `{old}` in the dataset and `{new}` here",
                    known.id
                );
                return Err(Error::labels(problem).with_help(format!(
                    "Correct what is wrong: here, or in {}.",
                    self.folder.join("images.csv").display()
                )));
            }
        }
        let either = |old: &String, new: &String| {
            let known = if old.is_empty() { new } else { old };
            known.clone()
        };
        Ok(ImageRecord {
            id: known.id.clone(),
            path: known.path.clone(),
            case: either(&known.case, &given.case),
            slide: either(&known.slide, &given.slide),
            group: either(&known.group, &given.group),
            split: known.split.or(given.split),
            microns_per_pixel: known.microns_per_pixel.or(given.microns_per_pixel),
        })
    }

    /// The references that are not kept already.
    fn new_references(
        &self,
        given: Vec<(String, Reference)>,
        added: &mut Added,
    ) -> Result<Vec<(String, Reference)>> {
        let known = self.references()?;
        let mut new = Vec::new();
        for (name, reference) in given {
            if !known.contains(&name) {
                new.push((name, reference));
                continue;
            }
            let kept = self.reference(&name)?;
            if !difference(&kept.0, &reference.0).0.is_empty() {
                return Err(taken_reference(&name));
            }
            added.known_references.push(name);
        }
        Ok(new)
    }
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// Whether two files are there and have the same bytes.
fn has_same_content(one: &Path, other: &Path) -> Result<bool> {
    let size = |path: &Path| fs::metadata(path).ok().map(|metadata| metadata.len());
    match (size(one), size(other)) {
        (Some(a), Some(b)) if a == b => {}
        _ => return Ok(false),
    }
    let read = |path: &Path| fs::read(path).map_err(|error| Error::io("read", path, error));
    Ok(read(one)? == read(other)?)
}
