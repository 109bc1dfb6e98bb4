//! Which labels to look at again, and how well suspicion ranks known errors.

use super::{ClassificationReport, SMALL};
use crate::figure::{Size, figure};
use crate::gallery::{Card, gallery};
use crate::key_figures::{KeyFigure, KeyValue};
use crate::number::{Format, count, share};
use crate::page::{Section, note};
use crate::plots::{Axis, Histogram, PrecisionRecall, PrecisionRecallCurve, Reference};
use crate::table::{Cell, Column, Table, table};
use maud::html;

/// Which labels are in doubt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Suspicious {
    /// How many labels were checked.
    pub checked: usize,
    /// How many of them are suspicious.
    pub flagged: usize,
    /// The most suspicious, in any order.
    pub cards: Vec<Card>,
    /// Suspicion of every checked label, from 0 to 1.
    pub scores: Vec<f64>,
    /// Suspicion from which a label counts as suspicious, where it is one number.
    pub threshold: Option<f64>,
    /// How suspicion was computed, in one sentence.
    pub method: String,
}

/// How well suspicion ranks labels that are known to be wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    /// What is taken for an error, as in `expert 1 differs from the majority`.
    pub truth: String,
    /// How many labels are wrong.
    pub errors: usize,
    /// Out of how many.
    pub checked: usize,
    /// The ways of ranking.
    pub curves: Vec<PrecisionRecallCurve>,
}

pub(super) fn what_to_look_at(report: &ClassificationReport) -> Option<KeyFigure> {
    let suspicious = report.suspicious.as_ref()?;
    let many = &report.items.plural;
    let mut prose = match suspicious.cards.len() {
        0 => Vec::new(),
        shown => vec![format!(
            "Start with the {} most suspicious, shown below.",
            count(shown)
        )],
    };
    let few = few_labels(report);
    let noise = report.noise.as_ref();
    prose.extend(noise.and_then(|noise| noise.sentence(few.as_deref())));
    Some(KeyFigure {
        question: format!("Which {many} must we look at again?"),
        value: KeyValue::Text(format!("{} {many}", count(suspicious.flagged))),
        what: format!(
            "have a suspicious label: {}",
            share(suspicious.flagged, suspicious.checked, "labels")
        ),
        prose,
    })
}

/// That a class has few labels, if one does.
fn few_labels(report: &ClassificationReport) -> Option<String> {
    let data = &report.dataset;
    let mut classes = data.classes.iter().zip(&data.counts);
    let (class, &labels) = classes.find(|(_, labels)| **labels < SMALL)?;
    Some(format!("{class} has only {} labels", count(labels)))
}

pub(super) fn suspicious_section(report: &ClassificationReport) -> Option<Section> {
    let suspicious = report.suspicious.as_ref()?;
    let many = &report.items.plural;
    let shown = suspicious.cards.len();
    let histogram = Histogram {
        title: "Suspicion of all labels".to_owned(),
        axis: Axis::proportion("suspicion"),
        counted: many.clone(),
        from: 0.0,
        to: 1.0,
        counts: Histogram::count(&suspicious.scores, (0.0, 1.0), 40),
        threshold: suspicious.threshold.map(|value| Reference {
            value,
            label: "suspicious from".to_owned(),
        }),
    };
    Some(Section {
        anchor: "suspicious",
        heading: format!("Which {many} to look at again"),
        body: html! {
            (note(&format!(
                "{} are suspicious. {}",
                share(suspicious.flagged, suspicious.checked, "labels"),
                suspicious.method
            )))
            @if !suspicious.scores.is_empty() {
                (figure(
                    &histogram,
                    "0: nothing speaks against the given label. 1: everything does.",
                    Size::Full,
                ))
            }
            @if shown > 0 {
                h3 {
                    "The " (count(shown)) " most suspicious " (many)
                }
                (note("The most suspicious first. Choose an image to see it large."))
                (gallery(&suspicious.cards))
            }
        },
    })
}

pub(super) fn ranking_section(report: &ClassificationReport) -> Option<Section> {
    let ranking = report
        .ranking
        .as_ref()
        .filter(|ranking| !ranking.curves.is_empty())?;
    let chance = if ranking.checked > 0 {
        ranking.errors as f64 / ranking.checked as f64
    } else {
        f64::NAN
    };
    let plot = PrecisionRecall {
        title: "Errors found by looking at the most suspicious first".to_owned(),
        curves: ranking.curves.clone(),
        chance,
    };
    let rows = ranking.curves.iter().map(|curve| {
        vec![
            Cell::text(&curve.name),
            Cell::Estimate(curve.average_precision),
        ]
    });
    let scores = Table {
        title: "Average precision".to_owned(),
        caption: format!("A random order has {}.", Format::Proportion.write(chance)),
        columns: vec![
            Column::text("ranked by"),
            Column::number("average precision", Format::Proportion),
        ],
        rows: rows.collect(),
        footnote: String::new(),
    };
    Some(Section {
        anchor: "ranking",
        heading: "How well suspicion finds known errors".to_owned(),
        body: html! {
            (note(&format!(
                "Counted as an error where {}: {}.",
                ranking.truth,
                share(ranking.errors, ranking.checked, "labels")
            )))
            (figure(&plot, "", Size::Full))
            (table(&scores))
        },
    })
}
