//! Pages of cases: all of them, and one for each.

use maud::html;

use crate::contact_sheet::{Tile, colours, contact_sheet};
use crate::figure::{Size, figure, figures};
use crate::key_figures::{KeyFigure, KeyValue, key_figures};
use crate::measures::{first_measures, measures_table};
use crate::number::{Estimate, Format};
use crate::page::{Page, Provenance, Section, note, warnings};
use crate::plots::{Axis, Histogram, Reference};
use crate::table::{Cell, Column, Table, table};
use crate::thumbnail::Ink;

/// The page of all cases. Parts that are empty do not appear, nor do their headings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CasesReport {
    /// The title of the page.
    pub title: String,
    /// What was called and by what rule, in a sentence or two.
    pub lead: String,
    /// What the reader must know first.
    pub warnings: Vec<String>,
    /// Measures of the calls, the most telling first.
    pub measures: Vec<(String, Estimate)>,
    /// What the calls were measured against.
    pub against: String,
    /// The two tumours, or more.
    pub tumours: Vec<String>,
    /// Of two tumours, the share from which on the second is called.
    pub threshold: Option<f64>,
    /// The cases.
    pub cases: Vec<CaseRow>,
    /// The unit of areas.
    pub unit: String,
    /// Where the numbers come from.
    pub provenance: Provenance,
}

/// A line of the table of cases.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CaseRow {
    /// Its name.
    pub case: String,
    /// The file of its page.
    pub page: String,
    /// What part of the data it is in.
    pub split: String,
    /// The area of each tumour.
    pub areas: Vec<f64>,
    /// The share of all tumours in what was looked at.
    pub tumour: f64,
    /// Of two tumours, the share of the second.
    pub score: Option<f64>,
    /// What is called.
    pub call: Option<String>,
    /// What is diagnosed.
    pub diagnosis: Option<String>,
}

/// The page of one case: what is called, why, and how far that is to be trusted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CaseReport {
    /// The name of the case.
    pub case: String,
    /// What is called; nothing if too little was seen.
    pub call: Option<String>,
    /// By what rule, in a sentence.
    pub rule: String,
    /// What the reader must know first.
    pub warnings: Vec<String>,
    /// Answers beside the call.
    pub answers: Vec<KeyFigure>,
    /// The area of each class, and its share in what was looked at.
    pub areas: Vec<(String, f64, f64)>,
    /// The unit of areas.
    pub unit: String,
    /// What the colours of outlines on the images mean.
    pub legend: Vec<(Ink, String)>,
    /// What the colours that are in the images themselves mean: red, green, blue.
    pub colours: Vec<([u8; 3], String)>,
    /// Images with what was found.
    pub tiles: Vec<Tile>,
    /// Where the numbers come from.
    pub provenance: Provenance,
}

/// How areas of this unit are written.
fn of_areas(unit: &str) -> Format {
    match unit {
        "mm²" => Format::Decimal(3),
        _ => Format::Count,
    }
}

/// The page of all cases as one HTML file. The same report gives the same bytes.
pub fn render(report: &CasesReport) -> String {
    let sections = [measures(report), scores(report), cases(report)];
    Page {
        title: report.title.clone(),
        lead: html! {
            p class="lead" { (report.lead) }
            (key_figures(&first_measures(
                report.measures.iter().take(FIRST),
                Format::Decimal(2),
                &report.against,
            )))
            (warnings(&report.warnings))
        },
        sections: sections.into_iter().flatten().collect(),
        provenance: report.provenance.clone(),
    }
    .render()
}

/// Measures on the first screen.
const FIRST: usize = 2;

fn measures(report: &CasesReport) -> Option<Section> {
    (!report.measures.is_empty()).then(|| Section {
        anchor: "measures",
        heading: "How often calls are right".to_owned(),
        body: measures_table(&report.measures, Table {
            title: report.against.clone(),
            caption: "With 95 % intervals over cases.".to_owned(),
            footnote: "Where all calls are right, resampling cases shows no doubt: there, look at the intervals of the \
                       shares (Wilson)."
                .to_owned(),
            ..Table::default()
        }),
    })
}

/// How the share of the second tumour is spread in the cases of each diagnosis.
fn scores(report: &CasesReport) -> Option<Section> {
    let [_, second] = report.tumours.as_slice() else {
        return None;
    };
    let plots: Vec<Histogram> = report
        .tumours
        .iter()
        .filter_map(|diagnosis| {
            let of = report
                .cases
                .iter()
                .filter(|case| case.diagnosis.as_ref() == Some(diagnosis));
            let scores: Vec<f64> = of.filter_map(|case| case.score).collect();
            (!scores.is_empty()).then(|| Histogram {
                title: format!("Diagnosed: {diagnosis}"),
                axis: Axis::proportion(format!("share of {second}")),
                counted: "cases".to_owned(),
                from: 0.0,
                to: 1.0,
                counts: Histogram::count(&scores, (0.0, 1.0), 20),
                threshold: report.threshold.map(|value| Reference {
                    value,
                    label: "called from".to_owned(),
                }),
            })
        })
        .collect();
    (!plots.is_empty()).then(|| Section {
        anchor: "scores",
        heading: "How far diagnoses lie apart".to_owned(),
        body: figures(
            &plots
                .iter()
                .map(|plot| figure(plot, "", Size::Half))
                .collect::<Vec<_>>(),
        ),
    })
}

fn cases(report: &CasesReport) -> Option<Section> {
    let mut columns = vec![
        Column::text("case"),
        Column::text("part"),
        Column::text("call"),
        Column::text("diagnosis"),
        Column::number("tumour", Format::Percent(1)),
    ];
    columns.extend(report.tumours.iter().map(|tumour| {
        Column::number(format!("{tumour}, {}", report.unit), of_areas(&report.unit))
    }));
    if let [_, second] = report.tumours.as_slice() {
        columns.push(Column::number(
            format!("share of {second}"),
            Format::Decimal(3),
        ));
    }
    let row = |case: &CaseRow| {
        let known = |name: &Option<String>| name.clone().unwrap_or_else(|| "–".to_owned());
        let mut cells = vec![
            Cell::Link(case.case.clone(), case.page.clone()),
            Cell::Text(case.split.clone()),
            Cell::Text(case.call.clone().unwrap_or_else(|| "no call".to_owned())),
            Cell::Text(known(&case.diagnosis)),
            Cell::Number(case.tumour),
        ];
        cells.extend(case.areas.iter().map(|&area| Cell::Number(area)));
        if report.tumours.len() == 2 {
            cells.push(Cell::Number(case.score.unwrap_or(f64::NAN)));
        }
        cells
    };
    (!report.cases.is_empty()).then(|| Section {
        anchor: "cases",
        heading: "The cases".to_owned(),
        body: table(&Table {
            title: "Each has a page of its own".to_owned(),
            caption: " Tumour is its share in all that was looked at.".to_owned(),
            columns,
            rows: report.cases.iter().map(row).collect(),
            footnote: String::new(),
        }),
    })
}

/// The page of one case as one HTML file. The same report gives the same bytes.
pub fn render_case(report: &CaseReport) -> String {
    let call = KeyFigure {
        question: "What is called?".to_owned(),
        value: KeyValue::Text(report.call.clone().unwrap_or_else(|| "no call".to_owned())),
        what: report.rule.clone(),
        prose: Vec::new(),
    };
    let answers: Vec<KeyFigure> = std::iter::once(call)
        .chain(report.answers.iter().cloned())
        .collect();
    let sections = [pictures(report), areas(report)];
    Page {
        title: report.case.clone(),
        lead: html! {
            (key_figures(&answers))
            (warnings(&report.warnings))
            (note("What a network sees is no diagnosis: a person decides."))
        },
        sections: sections.into_iter().flatten().collect(),
        provenance: report.provenance.clone(),
    }
    .render()
}

fn pictures(report: &CaseReport) -> Option<Section> {
    (!report.tiles.is_empty()).then(|| Section {
        anchor: "pictures",
        heading: "What was found, where".to_owned(),
        body: html! {
            (colours(&report.colours))
            (contact_sheet(&report.legend, &report.tiles))
        },
    })
}

fn areas(report: &CaseReport) -> Option<Section> {
    let row = |(class, area, share): &(String, f64, f64)| {
        vec![
            Cell::Text(class.clone()),
            Cell::Number(*area),
            Cell::Number(*share),
        ]
    };
    (!report.areas.is_empty()).then(|| Section {
        anchor: "areas",
        heading: "How much there is of each class".to_owned(),
        body: table(&Table {
            title: "Areas".to_owned(),
            caption: String::new(),
            columns: vec![
                Column::text("class"),
                Column::number(format!("area, {}", report.unit), of_areas(&report.unit)),
                Column::number("share of what was looked at", Format::Percent(1)),
            ],
            rows: report.areas.iter().map(row).collect(),
            footnote: String::new(),
        }),
    })
}
