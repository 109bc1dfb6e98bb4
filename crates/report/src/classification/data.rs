//! What the data are: images, cases, classes, who labelled how much, and the history of the labels.

use super::ClassificationReport;
use crate::figure::{Size, figure};
use crate::number::Format;
use crate::page::Section;
use crate::plots::{Bar, StackedBars};
use crate::table::{Cell, Column, Table, table};
use maud::html;

/// What the data are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dataset {
    /// How many images.
    pub images: usize,
    /// How many cases they come from, where that is known.
    pub cases: Option<usize>,
    /// How many slides they come from, where that is known.
    pub slides: Option<usize>,
    /// Names of the classes. Every vector over classes in the report has their order.
    pub classes: Vec<String>,
    /// Images per class in the label version that the report is about.
    pub counts: Vec<usize>,
    /// Images without a label in that version.
    pub unlabelled: usize,
    /// The labels of each source.
    pub sources: Vec<SourceCounts>,
    /// Name of the label version.
    pub version: String,
    /// Its history, the oldest version first.
    pub history: Vec<HistoryLine>,
}

/// What one source says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceCounts {
    /// Its name.
    pub name: String,
    /// Images per class.
    pub counts: Vec<usize>,
    /// Images that it does not label.
    pub unlabelled: usize,
}

/// One label version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryLine {
    /// Its name.
    pub version: String,
    /// The command that made it.
    pub command: String,
    /// How many labels differ from its parent; `None` for the first.
    pub changed: Option<usize>,
}

pub(super) fn data_section(report: &ClassificationReport) -> Option<Section> {
    let data = &report.dataset;
    let used = Bar {
        name: if data.version.is_empty() {
            "labels used".to_owned()
        } else {
            data.version.clone()
        },
        counts: data.counts.clone(),
        unlabelled: data.unlabelled,
    };
    let sources = data.sources.iter().map(|source| Bar {
        name: source.name.clone(),
        counts: source.counts.clone(),
        unlabelled: source.unlabelled,
    });
    let bars = StackedBars {
        title: "Labels by source".to_owned(),
        counted: report.items.plural.clone(),
        parts: data.classes.clone(),
        bars: std::iter::once(used).chain(sources).collect(),
    };
    let caption = format!(
        "Number of {} per class: the label version that this report is about{}.",
        report.items.plural,
        if data.sources.is_empty() {
            ""
        } else {
            ", then what each source says"
        }
    );
    let history = Table {
        title: "History of the labels".to_owned(),
        caption: "Versions are never edited; each correction adds one.".to_owned(),
        columns: vec![
            Column::text("version"),
            Column::text("made by"),
            Column::number("labels changed", Format::Count),
        ],
        rows: data
            .history
            .iter()
            .map(|line| {
                let changed = line.changed.map_or(f64::NAN, |changed| changed as f64);
                vec![
                    Cell::text(&line.version),
                    Cell::text(&line.command),
                    Cell::Number(changed),
                ]
            })
            .collect(),
        footnote: String::new(),
    };
    (!data.classes.is_empty()).then(|| Section {
        anchor: "data",
        heading: "The data".to_owned(),
        body: html! { (figure(&bars, &caption, Size::Full)) (table(&history)) },
    })
}
