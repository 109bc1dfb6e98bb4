//! The boxes, instance masks or class masks of one source.

use cleanslide_data::{Dataset, Evidence, Family, ImageRecord, VersionId, independent_units};

use crate::arguments::LabelsArguments;
use crate::context::Context;
use crate::experts::{Experts, FamilyName, listed};
use crate::failure::{Failure, Result};

const FAMILIES: [Family; 3] = [Family::Boxes, Family::Instances, Family::Mask];

/// The class masks of one expert.
pub struct ExpertLabels {
    /// The source.
    pub name: String,
    /// What the expert says of each image, in the order of [`ShapeLabels::images`]; nothing of some.
    pub pieces: Vec<Option<Evidence>>,
}

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
    /// What is said of each; by several experts, what the first of them says who labelled it.
    pub pieces: Vec<Evidence>,
    /// Several experts, if they are asked for.
    pub experts: Vec<ExpertLabels>,
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
            experts: Vec::new(),
        })
    }

    /// The class masks of several experts: those that are asked for, or all of kind expert.
    pub fn of_experts(
        context: &Context,
        dataset: &Dataset,
        version: Option<VersionId>,
        annotators: &[String],
    ) -> Result<Self> {
        let version = match version {
            Some(version) => version,
            None => dataset.latest()?,
        };
        let labels = dataset.labels(version)?;
        let asked = (!annotators.is_empty()).then_some(annotators);
        let experts = Experts::choose(
            dataset,
            &labels,
            asked,
            Some(FamilyName::Mask),
            "learn from together",
        )?;
        experts.warn_of_regions(context, &labels);
        let family = experts.family;
        let of_experts: Vec<_> = experts
            .names
            .iter()
            .map(|name| labels.of_images(name, family))
            .collect();
        let mut found = Self {
            version,
            source: listed(&experts.names.iter().map(String::as_str).collect::<Vec<_>>()),
            family,
            images: Vec::new(),
            pieces: Vec::new(),
            experts: experts
                .names
                .into_iter()
                .map(|name| ExpertLabels {
                    name,
                    pieces: Vec::new(),
                })
                .collect(),
        };
        for image in dataset.images() {
            let said: Vec<Option<&Evidence>> = of_experts
                .iter()
                .map(|of| of.get(image.id.as_str()).copied())
                .collect();
            let Some(first) = said.iter().flatten().next() else {
                continue;
            };
            found.images.push(image.clone());
            found.pieces.push((*first).clone());
            for (expert, said) in found.experts.iter_mut().zip(said) {
                expert.pieces.push(said.cloned());
            }
        }
        Ok(found)
    }

    /// Leaves out the other images.
    pub fn keep(&mut self, wanted: impl Fn(&ImageRecord) -> bool) {
        let wanted: Vec<bool> = self.images.iter().map(wanted).collect();
        retain(&mut self.images, &wanted);
        retain(&mut self.pieces, &wanted);
        for expert in &mut self.experts {
            retain(&mut expert.pieces, &wanted);
        }
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

fn retain<T>(all: &mut Vec<T>, wanted: &[bool]) {
    let mut wanted = wanted.iter();
    all.retain(|_| wanted.next() == Some(&true));
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
