//! `cleanslide status`: what is in a dataset.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use cleanslide_data::{Dataset, Family, ImageRecord, Labels, Split, Target, leaks};
use serde::Serialize;

use crate::arguments::DatasetArgument;
use crate::context::Context;
use crate::failure::Result;
use crate::output::{Show, count, thousands};
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
    labels: String,
    versions: usize,
    sources: Vec<SourceLine>,
    labelled_images: usize,
    references: Vec<String>,
    leaks: Vec<String>,
}

#[derive(Debug, Serialize)]
struct SourceLine {
    source: String,
    kind: String,
    labels: usize,
    per_class: Vec<usize>,
}

impl Status {
    pub fn run(self, context: &Context) -> Result<()> {
        let dataset = context.open(&self.dataset.dataset)?;
        let latest = dataset.latest()?;
        let labels = dataset.labels(latest)?;
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
        let sides: Vec<Option<Split>> = images.iter().map(|image| image.split).collect();
        let leaks = leaks(images, &sides)
            .iter()
            .map(|leak| {
                format!(
                    "{} {}: {} and {}",
                    leak.level, leak.name, leak.first, leak.second
                )
            })
            .collect();
        let labelled: BTreeSet<&str> = labels
            .evidence()
            .iter()
            .map(|piece| piece.scope.item())
            .collect();
        context.output.show(&Summary {
            dataset: dataset.folder().to_owned(),
            classes: dataset.classes().names().to_vec(),
            images: images.len(),
            cases: distinct(|image| &image.case),
            slides: distinct(|image| &image.slide),
            splits,
            labels: latest.to_string(),
            versions: dataset.versions()?.len(),
            sources: source_lines(&dataset, &labels),
            labelled_images: images
                .iter()
                .filter(|image| labelled.contains(image.id.as_str()))
                .count(),
            references: dataset.references()?,
            leaks,
        })
    }
}

fn source_lines(dataset: &Dataset, labels: &Labels) -> Vec<SourceLine> {
    dataset
        .manifest()
        .sources
        .iter()
        .map(|source| {
            let said = labels.of_images(&source.id, Family::Class);
            let mut per_class = vec![0; dataset.classes().len()];
            for piece in said.values() {
                if let Target::Class(class) = piece.target {
                    per_class[class] += 1;
                }
            }
            SourceLine {
                source: source.id.clone(),
                kind: source.kind.to_string(),
                labels: said.len(),
                per_class,
            }
        })
        .collect()
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
            format!(
                "labels: {} ({} in all), {} unlabelled",
                self.labels,
                count(self.versions, "version"),
                count(self.images - self.labelled_images, "image")
            ),
        ];
        if !self.references.is_empty() {
            lines.push(format!(
                "kept apart for evaluation: {}",
                self.references.join(", ")
            ));
        }
        let mut columns = vec!["source", "<kind", "labels"];
        columns.extend(self.classes.iter().map(String::as_str));
        let mut table = TextTable::new(&columns);
        for source in &self.sources {
            let numbers = std::iter::once(source.labels).chain(source.per_class.iter().copied());
            table.row(
                [source.source.clone(), source.kind.clone()]
                    .into_iter()
                    .chain(numbers.map(thousands)),
            );
        }
        lines.push(String::new());
        lines.push(table.text());
        for leak in &self.leaks {
            lines.push(format!("warning: the split leaks: {leak} are on two sides"));
        }
        lines.join("\n")
    }
}
