//! `cleanslide export`: labels in the formats of other programs.

mod annotations;
mod files;
mod format;
mod losses;

use std::path::{Path, PathBuf};

use clap::Args;
use cleanslide_data::store::write_file;
use cleanslide_data::{Dataset, Family, Labels, Version, to_csv};
use cleanslide_learn::image_labels::ImageLabels;
use serde::Serialize;

use super::import::Corners;
use crate::arguments::{DatasetArgument, LabelsArguments};
use crate::context::Context;
use crate::experts::{FamilyName, all_words, listed, words};
use crate::failure::{Failure, Result};
use crate::new_folder::refuse_existing;
use crate::output::{Show, count};
use annotations::Conversion;
use format::Format;

/// Write the labels of one source in a format of other programs
///
/// Classes of images become a csv table: image, path, case, slide, class, trust and the probability of each
/// class; paths are those of images.csv, from the folder of the dataset. Boxes, points, outlines and masks become files that are called like the images; coco, voc and labelme name an image
/// by its path below the folder that all images are in. What a format cannot hold is told; images that nobody labelled get no
/// file. Nothing is overwritten.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cleanslide export mitoses corrected.csv --labels v3\n  \
cleanslide export smears voc/ --format voc --source hough\n  \
cleanslide export nuclei nuclei.json --format coco --labels v2\n  \
cleanslide export nuclei qupath/ --format geojson"
)]
pub struct Export {
    #[command(flatten)]
    dataset: DatasetArgument,
    /// The file (csv, coco) or folder (all others) to write
    #[arg(value_name = "FILE|FOLDER")]
    out: PathBuf,
    /// What is written
    #[arg(long, value_enum, default_value = "csv")]
    format: Format,
    #[command(flatten)]
    labels: LabelsArguments,
    /// Which kind of labels, where the source gave several
    #[arg(long, value_enum)]
    family: Option<FamilyName>,
    /// Write the boxes around outlines and instances instead of their shapes; voc always does
    #[arg(long)]
    boxes: bool,
    /// Fill holes in objects where the format has none: labelme, yolo and asap
    #[arg(long)]
    fill_holes: bool,
    /// Class masks as outlines: the class that is what is left between them; by default the one
    /// called `background` or `0`, if there is one
    #[arg(long, value_name = "CLASS")]
    background: Option<String>,
    /// voc: what the corners of boxes mean
    #[arg(long, value_enum, default_value = "one-based")]
    corners: Corners,
}

#[derive(Debug, Serialize)]
struct Table {
    table: PathBuf,
    labels: String,
    source: String,
    labelled: usize,
    unlabelled: usize,
}

/// What was written of shapes or masks.
#[derive(Debug, Serialize)]
struct Summary {
    out: PathBuf,
    format: &'static str,
    labels: String,
    source: String,
    images: usize,
    objects: usize,
    /// Images about which the source says nothing.
    unlabelled: usize,
    /// What the format cannot hold.
    notices: Vec<String>,
    #[serde(skip)]
    shapes: bool,
}

impl Export {
    pub fn run(self, context: &Context) -> Result<()> {
        let dataset = context.open(&self.dataset.dataset)?;
        refuse_existing(&self.out)?;
        let version = match self.labels.labels {
            Some(version) => version,
            None => dataset.latest()?,
        };
        let labels = dataset.labels(version)?;
        let version = dataset.version(version)?;
        self.check_options()?;
        if self.format == Format::Csv {
            return self.table(context, &dataset, &version, &labels);
        }
        let (source, families) = self.choose(&dataset, &version, &labels)?;
        let left_out = match self.family {
            Some(_) => None,
            None => left_out(&labels, &source, &families),
        };
        let conversion = Conversion {
            format: self.format,
            classes: dataset.classes(),
            background: self.background(&dataset)?,
            boxes: self.boxes || self.format == Format::Voc,
            fill_holes: self.fill_holes,
        };
        let request = files::Request {
            dataset: &dataset,
            labels: &labels,
            source: &source,
            families: &families,
            conversion: &conversion,
            corners: self.corners,
        };
        let written = files::write(&request, &self.out)?;
        let mut notices: Vec<String> = left_out.into_iter().collect();
        if let Some(background) = conversion.background
            && families.contains(&Family::Mask)
            && self.format.has_shapes()
        {
            notices.push(format!(
                "the class `{}` is what is left between the outlines",
                dataset.classes().name(background)
            ));
        }
        notices.extend(written.losses.notices(self.format));
        for notice in &notices {
            context.output.warn(notice);
        }
        context.output.show(&Summary {
            out: self.out,
            format: self.format.name(),
            labels: version.id.to_string(),
            source,
            images: written.images,
            objects: written.objects,
            unlabelled: dataset.images().len() - written.images,
            notices,
            shapes: self.format.has_shapes(),
        })
    }

    fn check_options(&self) -> Result<()> {
        let shapes = self.format.has_shapes();
        let given = [
            ("--boxes", self.boxes, shapes),
            ("--fill-holes", self.fill_holes, shapes),
            ("--background", self.background.is_some(), shapes),
        ];
        match given.iter().find(|(_, given, fits)| *given && !fits) {
            Some((option, ..)) => Err(Failure::usage(format!(
                "`{option}` is not an option of the format `{}`",
                self.format.name()
            ))),
            None => Ok(()),
        }
    }

    /// The kinds of labels that can be written.
    fn writable(&self) -> Vec<Family> {
        let asked = self.family.map(Family::from);
        let held = self.format.holds().iter().copied();
        held.filter(|family| asked.is_none_or(|asked| asked == *family))
            .filter(|family| !self.boxes || !matches!(family, Family::Points | Family::Mask))
            .collect()
    }

    /// Whose labels, and which kinds of them.
    fn choose(
        &self,
        dataset: &Dataset,
        version: &Version,
        labels: &Labels,
    ) -> Result<(String, Vec<Family>)> {
        let asked = self.labels.source.as_deref();
        let writable = self.writable();
        let present = |family: &Family| match asked {
            Some(source) => labels.sources(*family).contains(&source),
            None => !labels.sources(*family).is_empty(),
        };
        let candidates: Vec<Family> = writable.iter().copied().filter(present).collect();
        let Some(first) = candidates.first() else {
            return Err(self.nothing_to_write(dataset, version, labels));
        };
        let mut chosen = dataset.choose_source(version, labels, *first, asked);
        for family in &candidates[1..] {
            if chosen.is_err() {
                chosen = dataset.choose_source(version, labels, *family, asked);
            }
        }
        let source = chosen?;
        let families: Vec<Family> = candidates
            .into_iter()
            .filter(|family| labels.sources(*family).contains(&source.as_str()))
            .collect();
        let is_mask = |family: &Family| matches!(family, Family::Instances | Family::Mask);
        if families.len() > 1 && families.iter().any(is_mask) {
            let flags: Vec<String> = families
                .iter()
                .map(|family| format!("`--family {}`", family.name()))
                .collect();
            return Err(Failure::usage(format!(
                "`{source}` gave {}",
                all_words(families.iter().copied())
            ))
            .help(format!("Choose one kind: {}.", flags.join(" or "))));
        }
        Ok((source, families))
    }

    /// What there is instead of what could be written.
    fn nothing_to_write(&self, dataset: &Dataset, version: &Version, labels: &Labels) -> Failure {
        const FAMILIES: [Family; 6] = [
            Family::Class,
            Family::Boxes,
            Family::Points,
            Family::Polygons,
            Family::Instances,
            Family::Mask,
        ];
        let asked = self.labels.source.as_deref();
        let asked_family = self.family.map(Family::from);
        if let Some(family) = asked_family.filter(|family| !self.format.holds().contains(family)) {
            let formats = Format::holding(family);
            return Failure::usage(format!(
                "{} does not hold {}",
                self.format.name(),
                words(family)
            ))
            .help(format!("These formats do: {}.", listed(&formats)));
        }
        let present: Vec<Family> = FAMILIES
            .into_iter()
            .filter(|family| match asked {
                Some(source) => labels.sources(*family).contains(&source),
                None => !labels.sources(*family).is_empty(),
            })
            .collect();
        if present.is_empty() || asked_family.is_some() {
            // Nobody has heard of this source, or nobody has given such labels.
            let family = asked_family.unwrap_or(self.format.holds()[0]);
            return match dataset.choose_source(version, labels, family, asked) {
                Err(error) => error.into(),
                Ok(_) => Failure::usage(format!("{} has no labels", version.id)),
            };
        }
        let whose = match asked {
            Some(source) => format!("`{source}` gave"),
            None => format!("{} has", version.id),
        };
        let held = if self.boxes {
            "the boxes around outlines and instance masks".to_owned()
        } else {
            all_words(self.format.holds().iter().copied())
        };
        let remedies: Vec<String> = present
            .iter()
            .map(|&family| {
                format!(
                    "For {} there are the formats {}.",
                    words(family),
                    listed(&Format::holding(family))
                )
            })
            .collect();
        Failure::usage(format!(
            "{whose} {}, but {} holds {held}",
            all_words(present),
            self.format.name(),
        ))
        .help(remedies.join(" "))
    }

    /// The class that gets no outlines.
    fn background(&self, dataset: &Dataset) -> Result<Option<usize>> {
        let classes = dataset.classes();
        match &self.background {
            Some(name) => Ok(Some(classes.index(name)?)),
            None => Ok(["background", "Background", "0"]
                .iter()
                .find_map(|name| classes.find(name))),
        }
    }

    /// Writes the classes of images.
    fn table(
        self,
        context: &Context,
        dataset: &Dataset,
        version: &Version,
        labels: &Labels,
    ) -> Result<()> {
        if labels.sources(Family::Class).is_empty() && !labels.evidence().is_empty() {
            return Err(self.nothing_to_write(dataset, version, labels));
        }
        let labels = ImageLabels::load(dataset, Some(version.id), self.labels.source.as_deref())?;
        write_table(dataset, &labels, &self.out)?;
        let labelled = labels.labels.iter().flatten().count();
        context.output.show(&Table {
            table: self.out,
            labels: labels.version.to_string(),
            source: labels.source,
            labelled,
            unlabelled: dataset.images().len() - labelled,
        })
    }
}

/// What the source said besides, which is not written.
fn left_out(labels: &Labels, source: &str, families: &[Family]) -> Option<String> {
    let shapes = [Family::Boxes, Family::Points, Family::Polygons];
    let rest: Vec<Family> = shapes
        .into_iter()
        .filter(|family| !families.contains(family))
        .filter(|family| labels.sources(*family).contains(&source))
        .collect();
    (!rest.is_empty()).then(|| format!("the {} of `{source}` are left out", all_words(rest)))
}

fn write_table(dataset: &Dataset, labels: &ImageLabels, path: &Path) -> Result<()> {
    let classes = dataset.classes();
    let probabilities: Vec<String> = classes
        .names()
        .iter()
        .map(|name| format!("probability {name}"))
        .collect();
    let mut header = vec!["image", "path", "case", "slide", "class", "trust"];
    header.extend(probabilities.iter().map(String::as_str));
    let rows = dataset
        .images()
        .iter()
        .zip(&labels.labels)
        .map(|(image, label)| {
            let mut row = vec![
                image.id.clone(),
                image.path.clone(),
                image.case.clone(),
                image.slide.clone(),
            ];
            match label {
                Some(label) => {
                    row.push(classes.name(label.class()));
                    row.push(label.trust.to_string());
                    row.extend(label.distribution.iter().map(f32::to_string));
                }
                None => row.resize(header.len(), String::new()),
            }
            row
        });
    Ok(write_file(path, &to_csv(&header, rows))?)
}

impl Show for Table {
    fn text(&self) -> String {
        format!(
            "{}: {} of `{}` in {}, {} unlabelled",
            self.table.display(),
            count(self.labelled, "label"),
            self.source,
            self.labels,
            count(self.unlabelled, "image")
        )
    }
}

impl Show for Summary {
    fn text(&self) -> String {
        let what = if self.shapes {
            format!(
                "{} on {}",
                count(self.objects, "object"),
                count(self.images, "image")
            )
        } else {
            count(self.images, "mask")
        };
        let mut text = format!(
            "{}: {what} of `{}` in {} as {}",
            self.out.display(),
            self.source,
            self.labels,
            self.format,
        );
        if self.unlabelled > 0 {
            text.push_str(&format!(
                ", {} unlabelled and without a file",
                count(self.unlabelled, "image")
            ));
        }
        text
    }
}
