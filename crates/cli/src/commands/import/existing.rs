//! Labels for a dataset that exists.

use std::path::Path;

use cleanslide_data::formats::Imported;
use cleanslide_data::{
    Addition, Dataset, ImageRecord, Labels, NewVersion, Provenance, Reference, Source,
};
use serde::Serialize;

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::output::count;

/// What an import says that is known already.
#[derive(Debug, Default, Serialize)]
pub struct Known {
    /// The dataset has all of it, so nothing was changed.
    nothing_new: bool,
    /// Labels that the dataset has.
    labels: usize,
    /// Images that the dataset has, of which it knew less.
    completed_images: usize,
    /// References that are kept already.
    pub references: Vec<String>,
}

impl Known {
    /// True where the dataset is as it was.
    pub fn is_all(&self) -> bool {
        self.nothing_new
    }

    /// What is told of it.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.labels > 0 && !self.nothing_new {
            lines.push(format!("{} known before", count(self.labels, "label")));
        }
        if self.completed_images > 0 {
            lines.push(format!(
                "of {} known before, the case, slide, group, split or size of pixels was filled in",
                count(self.completed_images, "image")
            ));
        }
        let references = self.references.iter();
        lines.extend(
            references.map(|name| format!("`{name}` was kept apart before, with the same labels")),
        );
        lines
    }
}

/// Adds labels, images that are new and what is known of others, all in one step. Nothing is added where all is known.
pub fn add(
    context: &Context,
    folder: &Path,
    imported: &Imported,
    provenance: Provenance,
) -> Result<(Dataset, Known)> {
    let mut dataset = context.open(folder)?;
    if dataset.classes() != &imported.classes {
        return Err(Failure::input(format!(
            "{} has the classes {}, the labels have {}",
            folder.display(),
            dataset.classes().names().join(", "),
            imported.classes.names().join(", ")
        ))
        .help("Give the classes of the dataset with `--classes`, in their order."));
    }
    let parent = dataset.versions()?.last().copied();
    let before = match parent {
        Some(parent) => dataset.labels(parent)?,
        None => Labels::default(),
    };
    let (labels, new) = before.with(imported.evidence.clone(), dataset.classes())?;
    let sources = &imported.sources;
    let says_more = new > 0 || !sources.iter().all(|source| knows(&dataset, source));
    let version = says_more.then(|| NewVersion {
        parent,
        produced: None,
        sources: sources.clone(),
        labels,
        provenance,
        notes: Vec::new(),
    });
    let mut references = Vec::new();
    for (name, evidence) in &imported.references {
        let labels = Labels::new(evidence.clone(), dataset.classes())?;
        references.push((name.clone(), Reference::new(labels)));
    }
    let new_references = references.len();
    let added = dataset.add(Addition {
        images: imported.images.clone(),
        references,
        version,
    })?;
    let known = Known {
        nothing_new: added.version.is_none()
            && added.new_images + added.completed_images == 0
            && added.known_references.len() == new_references,
        labels: imported.evidence.len() - new,
        completed_images: added.completed_images,
        references: added.known_references,
    };
    Ok((dataset, known))
}

fn knows(dataset: &Dataset, source: &Source) -> bool {
    let mut known = dataset.manifest().sources.iter();
    known.any(|known| {
        known.id == source.id
            && known.kind == source.kind
            && (source.values.is_none() || source.values == known.values)
    })
}

/// The images with what a dataset knows of them, where it exists.
pub fn known_images(
    context: &Context,
    folder: &Path,
    images: &[ImageRecord],
) -> Result<Vec<ImageRecord>> {
    if !folder.join("dataset.toml").exists() {
        return Ok(images.to_vec());
    }
    let dataset = context.open(folder)?;
    let known = images.iter().map(|image| {
        let known = dataset.position(&image.id);
        let known = known.filter(|_| image.belongs_to().next().is_none());
        known.map_or(image, |position| &dataset.images()[position])
    });
    Ok(known.cloned().collect())
}
