//! The boxes, instance masks or class masks of one source.

use cleanslide_data::{Dataset, Evidence, Family, ImageRecord, VersionId, independent_units};

use crate::arguments::LabelsArguments;
use crate::failure::{Failure, Result};

const FAMILIES: [Family; 3] = [Family::Boxes, Family::Instances, Family::Mask];

/// One piece of evidence for each image that a source labelled.
pub struct ShapeLabels {
    /// The version.
    pub version: VersionId,
    /// The source.
    pub source: String,
    /// Boxes, instances or masks.
    pub family: Family,
    /// The labelled images, in the order of the dataset.
    pub images: Vec<ImageRecord>,
    /// What is said of each.
    pub pieces: Vec<Evidence>,
}

impl ShapeLabels {
    /// Finds the labels that are asked for: those of the only family of shapes that the source has,
    /// or of the only source.
    pub fn load(dataset: &Dataset, asked: &LabelsArguments) -> Result<Self> {
        let version = match asked.labels {
            Some(version) => version,
            None => dataset.latest()?,
        };
        let labels = dataset.labels(version)?;
        let source = asked.source.as_deref();
        let held: Vec<Family> = FAMILIES
            .into_iter()
            .filter(|&family| {
                let known = labels.sources(family);
                source.map_or(!known.is_empty(), |source| known.contains(&source))
            })
            .collect();
        let family = match held.as_slice() {
            [only] => *only,
            [] => {
                return Err(Failure::input(format!(
                    "{version} has no boxes, instance masks or class masks{}",
                    source.map_or_else(String::new, |source| format!(" of `{source}`"))
                ))
                .help("`cleanslide status DATASET` lists who labelled what."));
            }
            _ => {
                let names: Vec<&str> = held.iter().map(|family| family.name()).collect();
                return Err(Failure::usage(format!(
                    "{version} has several kinds of labels: {}",
                    names.join(", ")
                ))
                .help("Choose a source of one kind with `--source`."));
            }
        };
        let source = dataset.choose_source(&dataset.version(version)?, &labels, family, source)?;
        let of_images = labels.of_images(&source, family);
        let all = labels.evidence().iter();
        let whole = all.filter(|piece| piece.source == source && piece.target.family() == family);
        if whole.count() != of_images.len() {
            return Err(Failure::input(format!(
                "`{source}` labelled regions of images in {version}"
            ))
            .help("This command takes labels of whole images only."));
        }
        let (images, pieces) = dataset
            .images()
            .iter()
            .filter_map(|image| {
                let piece = of_images.get(image.id.as_str())?;
                Some((image.clone(), (*piece).clone()))
            })
            .unzip();
        Ok(Self {
            version,
            source,
            family,
            images,
            pieces,
        })
    }

    /// Leaves out the other images.
    pub fn keep(&mut self, wanted: impl Fn(&ImageRecord) -> bool) {
        let all = self.images.drain(..).zip(self.pieces.drain(..));
        let kept: Vec<_> = all.filter(|(image, _)| wanted(image)).collect();
        (self.images, self.pieces) = kept.into_iter().unzip();
    }

    /// The independent case of each labelled image, numbered from 0.
    pub fn cases(&self, dataset: &Dataset) -> Vec<usize> {
        let of_all = independent_units(dataset.images());
        let of_labelled: Vec<usize> = self
            .images
            .iter()
            .filter_map(|image| dataset.position(&image.id))
            .map(|position| of_all[position])
            .collect();
        dense(&of_labelled)
    }
}

/// The same numbers without gaps, in the same order.
pub fn dense(numbers: &[usize]) -> Vec<usize> {
    let mut known = numbers.to_vec();
    known.sort_unstable();
    known.dedup();
    numbers
        .iter()
        .map(|number| known.partition_point(|other| other < number))
        .collect()
}

/// A problem with an image, named by its id.
pub fn about(image: &ImageRecord, error: impl std::fmt::Display) -> Failure {
    Failure::input(format!("image {}: {error}", image.id))
}
