//! The page of a run of networks for pixels or boxes: what they predict, how well that agrees with labels, how training
//! went, and the recipe.

use maud::html;

use crate::contact_sheet::{Tile, contact_sheet};
use crate::key_figures::key_figures;
use crate::learning_curves::{LearningCurves, learning_section};
use crate::measures::{first_measures, measures_table};
use crate::number::{Estimate, Format};
use crate::page::{Page, Provenance, Section, capitalised, note, warnings};
use crate::table::{Cell, Column, Table, table};
use crate::thumbnail::Ink;

/// Measures on the first screen.
const FIRST: usize = 3;

/// Everything that the page shows. Parts that are empty do not appear, nor do their headings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrainingReport {
    /// The title of the page.
    pub title: String,
    /// What was trained, on what, in a sentence.
    pub lead: String,
    /// What the reader must know first.
    pub warnings: Vec<String>,
    /// Measures of predictions out of sample, the most telling first.
    pub measures: Vec<(String, Estimate)>,
    /// How the predictions were measured and against what, as in `out of sample, against the given labels of anna`.
    pub protocol: String,
    /// What the colours on the images mean.
    pub legend: Vec<(Ink, String)>,
    /// Images with what is given and what is predicted.
    pub tiles: Vec<Tile>,
    /// How far experts are believed, if there are several.
    pub beliefs: Option<Beliefs>,
    /// What became of the labels, if they were corrected meanwhile.
    pub corrections: Option<Corrections>,
    /// How training went.
    pub learning_curves: Vec<LearningCurves>,
    /// The recipe as a file.
    pub recipe: String,
    /// Where the numbers come from.
    pub provenance: Provenance,
}

/// How far experts are believed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Beliefs {
    /// One row for each expert.
    pub experts: Vec<BeliefRow>,
    /// Where: pictures from black (not at all) to white (wholly).
    pub tiles: Vec<Tile>,
}

/// What became of labels that were corrected while a network learned from them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Corrections {
    /// Which network did it.
    pub network: String,
    /// One row for each time.
    pub rows: Vec<CorrectionRow>,
    /// Images with what was given (sky) and what is there in the end (orange).
    pub tiles: Vec<Tile>,
}

/// What became of the given objects once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CorrectionRow {
    /// After which epoch.
    pub epoch: usize,
    /// Objects that stayed as they were, give or take a tenth.
    pub kept: usize,
    /// Objects that have another shape or class.
    pub redrawn: usize,
    /// Objects in whose place nothing was found.
    pub dropped: usize,
    /// Objects where nothing was given.
    pub added: usize,
}

/// An expert.
#[derive(Clone, Debug, PartialEq)]
pub struct BeliefRow {
    /// The name.
    pub expert: String,
    /// How far the expert is believed, from 0 to 1: in all pixels, in those where the expert says what most say, and
    /// in the others; and the share of the others.
    pub believed: [Option<f64>; 4],
}

/// The page as one HTML file. The same report gives the same bytes.
pub fn render(report: &TrainingReport) -> String {
    let sections = [
        pictures(report),
        measures(report),
        beliefs(report),
        corrections(report),
        learning_section(&report.learning_curves),
        recipe(report),
    ];
    Page {
        title: report.title.clone(),
        lead: html! {
            p class="lead" { (report.lead) }
            (key_figures(&first_measures(
                report.measures.iter().take(FIRST),
                Format::Decimal(3),
                &report.protocol,
            )))
            (warnings(&report.warnings))
        },
        sections: sections.into_iter().flatten().collect(),
        provenance: report.provenance.clone(),
    }
    .render()
}

fn pictures(report: &TrainingReport) -> Option<Section> {
    (!report.tiles.is_empty()).then(|| Section {
        anchor: "pictures",
        heading: "What is predicted".to_owned(),
        body: contact_sheet(&report.legend, &report.tiles),
    })
}

fn measures(report: &TrainingReport) -> Option<Section> {
    (!report.measures.is_empty()).then(|| Section {
        anchor: "measures",
        heading: "How well predictions agree".to_owned(),
        body: measures_table(
            &report.measures,
            Table {
                title: capitalised(&report.protocol),
                ..Table::default()
            },
        ),
    })
}

fn corrections(report: &TrainingReport) -> Option<Section> {
    let corrections = report.corrections.as_ref()?;
    let row = |row: &CorrectionRow| {
        let all = [row.kept, row.redrawn, row.added, row.dropped];
        std::iter::once(Cell::Text(row.epoch.to_string()))
            .chain(all.map(Cell::count))
            .collect()
    };
    let legend = [
        (Ink::Sky, "given".to_owned()),
        (Ink::Orange, "corrected in the end".to_owned()),
    ];
    Some(Section {
        anchor: "corrections",
        heading: "What became of the labels".to_owned(),
        body: html! {
            (contact_sheet(&legend, &corrections.tiles))
            (table(&Table {
                title: format!("Objects of the images that `{}` learned from", corrections.network),
                caption: "Each time against the labels that were given.".to_owned(),
                columns: vec![
                    Column::text("after epoch"),
                    Column::number("kept", Format::Count),
                    Column::number("redrawn", Format::Count),
                    Column::number("added", Format::Count),
                    Column::number("dropped", Format::Count),
                ],
                rows: corrections.rows.iter().map(row).collect(),
                footnote: "Kept: overlap by 0.9 at least (intersection over union). Redrawn: the same object has \
                           another shape or class. Dropped: nothing was found in its place."
                    .to_owned(),
            }))
        },
    })
}

fn beliefs(report: &TrainingReport) -> Option<Section> {
    let beliefs = report.beliefs.as_ref()?;
    let row = |row: &BeliefRow| {
        let mut cells = vec![Cell::Text(row.expert.clone())];
        cells.extend(row.believed.map(|of| match of {
            Some(of) => Cell::Estimate(Estimate::without_interval(of)),
            None => Cell::Text("–".to_owned()),
        }));
        cells
    };
    Some(Section {
        anchor: "experts",
        heading: "Whom the network believes".to_owned(),
        body: html! {
            (table(&Table {
                title: "How far each expert is believed, from 0 to 1".to_owned(),
                caption: "Means over pixels.".to_owned(),
                columns: vec![
                    Column::text("expert"),
                    Column::number("everywhere", Format::Decimal(3)),
                    Column::number("with the majority", Format::Decimal(3)),
                    Column::number("against the majority", Format::Decimal(3)),
                    Column::number("share of pixels against it", Format::Decimal(4)),
                ],
                rows: beliefs.experts.iter().map(row).collect(),
                footnote: String::new(),
            }))
            (note("Where: black is not at all, white is wholly; outlines are what the expert drew."))
            (contact_sheet(&[], &beliefs.tiles))
        },
    })
}

fn recipe(report: &TrainingReport) -> Option<Section> {
    (!report.recipe.is_empty()).then(|| Section {
        anchor: "recipe",
        heading: "The recipe".to_owned(),
        body: html! { pre class="listing" { (report.recipe) } },
    })
}
