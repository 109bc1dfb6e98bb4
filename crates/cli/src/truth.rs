//! What predictions and labels are measured against.

use std::collections::BTreeMap;
use std::path::Path;

use cleanslide_data::formats::{ClassColumns, read_class_table};
use cleanslide_data::{
    Classes, Dataset, Family, ImageRecord, Source, Target, VersionId, independent_units,
};
use cleanslide_learn::image_labels::ImageLabels;

use crate::failure::{Failure, Result};
use crate::output::quoted;

/// The truth, by image id.
pub struct Truth {
    /// How it is called in results.
    pub name: String,
    /// The classes.
    pub classes: Classes,
    /// True class and independent case of each image.
    pub images: BTreeMap<String, (usize, usize)>,
    /// Whether it is known which images are of one case.
    pub knows_cases: bool,
}

/// Whether an image at least has a case, a slide or a group; otherwise each counts as a case of its own.
pub fn knows_cases(images: &[ImageRecord]) -> bool {
    images
        .iter()
        .any(|image| image.belongs_to().next().is_some())
}

impl Truth {
    /// The truth of a dataset: a reference.
    pub fn of_dataset(dataset: &Dataset, reference: Option<&str>) -> Result<Self> {
        let name = reference_name(dataset, reference)?;
        let reference = dataset.reference(&name)?;
        let labels = reference.for_evaluation();
        let mut classes = BTreeMap::new();
        for source in labels.sources(Family::Class) {
            for (id, piece) in labels.of_images(source, Family::Class) {
                if let Target::Class(class) = piece.target {
                    classes.insert(id.to_owned(), class);
                }
            }
        }
        Ok(Self::new(format!("reference `{name}`"), dataset, &classes))
    }

    /// Given labels in the place of the truth, for want of better ones.
    pub fn of_given(dataset: &Dataset, version: Option<VersionId>, source: &str) -> Result<Self> {
        let labels = ImageLabels::load(dataset, version, Some(source))?;
        let classes: BTreeMap<String, usize> = dataset
            .images()
            .iter()
            .zip(labels.classes())
            .filter_map(|(image, class)| Some((image.id.clone(), class?)))
            .collect();
        let name = format!(
            "given labels of `{source}` in {}, which may be wrong",
            labels.version
        );
        Ok(Self::new(name, dataset, &classes))
    }

    fn new(name: String, dataset: &Dataset, classes: &BTreeMap<String, usize>) -> Self {
        let units = independent_units(dataset.images());
        let images = dataset
            .images()
            .iter()
            .zip(units)
            .filter_map(|(image, unit)| Some((image.id.clone(), (*classes.get(&image.id)?, unit))))
            .collect();
        Self {
            name,
            classes: dataset.classes().clone(),
            images,
            knows_cases: knows_cases(dataset.images()),
        }
    }

    /// The truth of a csv table with the columns image and class, and perhaps case or slide.
    pub fn of_table(path: &Path) -> Result<Self> {
        let found = read_class_table(
            path,
            &Source::expert("truth"),
            &ClassColumns::default(),
            None,
        )?;
        let units = independent_units(&found.images);
        let unit_of: BTreeMap<&str, usize> = found
            .images
            .iter()
            .zip(units)
            .map(|(image, unit)| (image.id.as_str(), unit))
            .collect();
        let images = found
            .evidence
            .iter()
            .filter_map(|piece| match piece.target {
                Target::Class(class) => {
                    let id = piece.scope.item();
                    Some((id.to_owned(), (class, *unit_of.get(id)?)))
                }
                _ => None,
            })
            .collect();
        Ok(Self {
            name: path.display().to_string(),
            knows_cases: knows_cases(&found.images),
            classes: found.classes,
            images,
        })
    }
}

/// The command that measures a run by a reference, the first of several; none where there is none.
pub fn how_to_evaluate(dataset: &Dataset, run: &Path) -> Result<Option<String>> {
    let references = dataset.references()?;
    let command = references.first().map(|reference| {
        format!(
            "cleanslide evaluate {} {} --reference {}",
            quoted(&dataset.folder().to_string_lossy()),
            quoted(&run.to_string_lossy()),
            quoted(reference)
        )
    });
    Ok(command)
}

/// The reference that was asked for, or the only one.
pub fn reference_name(dataset: &Dataset, asked: Option<&str>) -> Result<String> {
    match asked {
        Some(name) => Ok(name.to_owned()),
        None => match dataset.references()?.as_slice() {
            [only] => Ok(only.clone()),
            [] => Err(Failure::usage(format!(
                "{} has no reference to measure against",
                dataset.folder().display()
            ))
            .help(format!(
                "Either {}, or measure against given labels with `--given SOURCE`.",
                dataset.manifest().task.how_to_keep_a_reference()
            ))),
            names => Err(Failure::usage("there are several references").help(format!(
                "Choose one with `--reference`: {}.",
                names.join(", ")
            ))),
        },
    }
}
