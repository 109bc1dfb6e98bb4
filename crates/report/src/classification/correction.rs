//! What a correction changed.

use super::ClassificationReport;
use crate::number::{Format, share};
use crate::page::{Section, note};
use crate::table::{Cell, Column, Table, table};
use maud::html;

/// What a correction changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correction {
    /// The policy in words, as in `relabel above .90`.
    pub policy: String,
    /// The version that it read.
    pub from: String,
    /// The version that it wrote.
    pub to: String,
    /// How many labels it read.
    pub labels: usize,
    /// (class before, class after, how many); only those that changed.
    pub relabelled: Vec<(usize, usize, usize)>,
    /// Labels that were taken away.
    pub removed: usize,
    /// Labels that were made soft or given less weight.
    pub softened: usize,
}

pub(super) fn correction_section(report: &ClassificationReport) -> Option<Section> {
    let correction = report.correction.as_ref()?;
    let classes = &report.dataset.classes;
    let name = |class: usize| classes.get(class).map_or("unknown class", String::as_str);
    let relabelled: usize = correction
        .relabelled
        .iter()
        .map(|(_, _, number)| number)
        .sum();
    let changed = relabelled + correction.removed + correction.softened;
    let of_all = |number: usize| number as f64 / correction.labels.max(1) as f64;
    let line = |what: String, number: usize| {
        vec![
            Cell::Text(what),
            Cell::count(number),
            Cell::Number(of_all(number)),
        ]
    };
    let mut rows: Vec<Vec<Cell>> = correction
        .relabelled
        .iter()
        .map(|&(from, to, number)| {
            line(format!("relabelled {} → {}", name(from), name(to)), number)
        })
        .collect();
    for (what, number) in [
        ("removed", correction.removed),
        ("softened or given less weight", correction.softened),
    ] {
        if number > 0 {
            rows.push(line(what.to_owned(), number));
        }
    }
    let changes = Table {
        title: "Changes".to_owned(),
        caption: String::new(),
        columns: vec![
            Column::text("what"),
            Column::number("labels", Format::Count),
            Column::number("of all", Format::Percent(1)),
        ],
        rows,
        footnote: String::new(),
    };
    Some(Section {
        anchor: "correction",
        heading: "What was corrected".to_owned(),
        body: html! {
            (note(&format!(
                "{} changed from version {} to version {} by the policy “{}”. Version {} \
                 is kept as it was.",
                share(changed, correction.labels, "labels"),
                correction.from,
                correction.to,
                correction.policy,
                correction.from
            )))
            (table(&changes))
        },
    })
}
