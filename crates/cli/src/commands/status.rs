//! `cleanslide status`: what is in a dataset.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args;
use cleanslide_data::{Dataset, ImageRecord, Labels, Objects, Scope, Split, Target};
use serde::Serialize;

use crate::arguments::DatasetArgument;
use crate::context::Context;
use crate::failure::Result;
use crate::output::{Show, count, thousands};
use crate::pipeline::split_leaks;
use crate::text_table::TextTable;

/// Show what is in a dataset
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cleanslide status mitoses")]
pub struct Status {
    #[command(flatten)]
    dataset: DatasetArgument,
}

#[derive(Debug, Serialize)]
struct Summary {
    dataset: PathBuf,
    classes: Vec<String>,
    images: usize,
    cases: usize,
    slides: usize,
    splits: Vec<(String, usize)>,
    /// `None` before there are any.
    labels: Option<String>,
    versions: usize,
    sources: Vec<SourceLine>,
    /// What diagnoses exclude, in words.
    diagnoses: Vec<String>,
    labelled_images: usize,
    references: Vec<String>,
    leaks: Vec<String>,
}

#[derive(Debug, Serialize)]
struct SourceLine {
    source: String,
    kind: String,
    /// Images about which it says something, be it of their case or slide.
    images: usize,
    /// Images, or objects on them, of each class; `None` where it names none, as class masks and diagnoses.
    per_class: Option<Vec<usize>>,
}

impl Status {
    pub fn run(self, context: &Context) -> Result<()> {
        let dataset = context.open(&self.dataset.dataset)?;
        let latest = dataset.versions()?.last().copied();
        let labels = match latest {
            Some(latest) => dataset.labels(latest)?,
            None => Labels::default(),
        };
        let images = dataset.images();
        let distinct = |key: fn(&ImageRecord) -> &str| {
            images
                .iter()
                .map(key)
                .filter(|name| !name.is_empty())
                .collect::<BTreeSet<_>>()
                .len()
        };
        let splits = [
            Some(Split::Train),
            Some(Split::Validation),
            Some(Split::Test),
            None,
        ];
        let splits = splits
            .into_iter()
            .map(|split| {
                let name = split.map_or_else(|| "not split".to_owned(), |split| split.to_string());
                (
                    name,
                    images.iter().filter(|image| image.split == split).count(),
                )
            })
            .filter(|(_, number)| *number > 0)
            .collect();
        let leaks = split_leaks(&dataset).into_iter().map(|leak| leak.text);
        let labelled: BTreeSet<&str> = labels
            .evidence()
            .iter()
            .filter_map(|piece| match &piece.scope {
                Scope::Image(image) | Scope::Region(image, _) => Some(image.as_str()),
                Scope::Case(_) | Scope::Slide(_) => None,
            })
            .collect();
        context.output.show(&Summary {
            dataset: dataset.folder().to_owned(),
            classes: dataset.classes().names().to_vec(),
            images: images.len(),
            cases: distinct(|image| &image.case),
            slides: distinct(|image| &image.slide),
            splits,
            labels: latest.map(|latest| latest.to_string()),
            versions: dataset.versions()?.len(),
            sources: source_lines(&dataset, &labels),
            diagnoses: diagnosis_lines(&dataset, &labels),
            labelled_images: images
                .iter()
                .filter(|image| labelled.contains(image.id.as_str()))
                .count(),
            references: dataset.references()?,
            leaks: leaks.collect(),
        })
    }
}

fn source_lines(dataset: &Dataset, labels: &Labels) -> Vec<SourceLine> {
    dataset
        .manifest()
        .sources
        .iter()
        .map(|source| {
            let said = || {
                let all = labels.evidence().iter();
                all.filter(|piece| piece.source == source.id)
            };
            let about: BTreeSet<(&str, &str)> = said()
                .map(|piece| match &piece.scope {
                    Scope::Region(image, _) => ("image", image.as_str()),
                    scope => (scope.kind(), scope.item()),
                })
                .collect();
            let images = dataset.images().iter().filter(|image| {
                about.contains(&("image", &image.id))
                    || about.contains(&("case", &image.case))
                    || about.contains(&("slide", &image.slide))
            });
            let none = || vec![0; dataset.classes().len()];
            let mut per_class = said().next().is_none().then(none);
            for classes in said().filter_map(|piece| classes(&piece.target)) {
                let counts = per_class.get_or_insert_with(none);
                for class in classes {
                    counts[class] += 1;
                }
            }
            SourceLine {
                source: source.id.clone(),
                kind: source.kind.to_string(),
                images: images.count(),
                per_class,
            }
        })
        .collect()
}

/// Of cases, slides and images, how many are said to be none of which classes.
fn diagnosis_lines(dataset: &Dataset, labels: &Labels) -> Vec<String> {
    let mut counts: BTreeMap<(&str, &str, String), usize> = BTreeMap::new();
    for piece in labels.evidence() {
        if let Target::NoneOf(classes) = &piece.target {
            let names: Vec<String> = classes
                .iter()
                .map(|&class| dataset.classes().name(class))
                .collect();
            let key = (piece.source.as_str(), piece.scope.kind(), names.join(", "));
            *counts.entry(key).or_default() += 1;
        }
    }
    let lines = counts.into_iter();
    lines
        .map(|((source, kind, classes), number)| {
            format!("{} without {classes}, by {source}", count(number, kind))
        })
        .collect()
}

/// The class of the image, or that of each object; `None` of what names neither.
fn classes(target: &Target) -> Option<Vec<usize>> {
    fn of<Shape>(objects: &Objects<Shape>) -> Vec<usize> {
        objects.objects.iter().map(|object| object.class).collect()
    }
    match target {
        Target::Class(class) => Some(vec![*class]),
        Target::Boxes(boxes) => Some(of(boxes)),
        Target::Points(points) => Some(of(points)),
        Target::Polygons(polygons) => Some(of(polygons)),
        Target::Instances { classes, .. } => Some(classes.clone()),
        _ => None,
    }
}

impl Show for Summary {
    fn text(&self) -> String {
        let splits: Vec<String> = self
            .splits
            .iter()
            .map(|(name, number)| format!("{} {name}", thousands(*number)))
            .collect();
        let mut lines = vec![
            format!(
                "{}: {}, {}, {}",
                self.dataset.display(),
                count(self.images, "image"),
                count(self.cases, "case"),
                count(self.slides, "slide")
            ),
            format!("split: {}", splits.join(", ")),
            match &self.labels {
                Some(version) => format!(
                    "labels: {version} ({} in all), {} unlabelled",
                    count(self.versions, "version"),
                    count(self.images - self.labelled_images, "image")
                ),
                None => "labels: none yet".to_owned(),
            },
        ];
        if !self.references.is_empty() {
            lines.push(format!(
                "kept apart for evaluation: {}",
                self.references.join(", ")
            ));
        }
        let mut columns = vec!["source", "<kind", "images"];
        columns.extend(self.classes.iter().map(String::as_str));
        let mut table = TextTable::new(&columns);
        for source in &self.sources {
            let per_class = match &source.per_class {
                Some(counts) => counts.iter().copied().map(thousands).collect(),
                None => vec!["–".to_owned(); self.classes.len()],
            };
            let start = [
                source.source.clone(),
                source.kind.clone(),
                thousands(source.images),
            ];
            table.row(start.into_iter().chain(per_class));
        }
        lines.push(String::new());
        lines.push(table.text());
        if !self.diagnoses.is_empty() {
            lines.push(String::new());
            lines.push(self.diagnoses.join("\n"));
        }
        for leak in &self.leaks {
            lines.push(format!("warning: the split leaks: {leak}"));
        }
        lines.join("\n")
    }
}
