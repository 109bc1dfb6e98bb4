//! The page of slides on which something was found.

use maud::html;

use crate::contact_sheet::{Tile, colours, contact_sheet};
use crate::page::{Page, Provenance, Section, note, warnings};
use crate::table::{Table, table};

/// What was found on slides. Parts that are empty do not appear, nor do their headings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SlidesReport {
    /// The title of the page.
    pub title: String,
    /// What was done, in a sentence or two.
    pub lead: String,
    /// What the reader must know first.
    pub warnings: Vec<String>,
    /// How much there is on each slide.
    pub amounts: Table,
    /// What the colours on the slides mean: red, green, blue.
    pub colours: Vec<([u8; 3], String)>,
    /// The slides, small, with what was found.
    pub slides: Vec<Tile>,
    /// Where the numbers come from.
    pub provenance: Provenance,
}

/// The page as one HTML file. The same report gives the same bytes.
pub fn render(report: &SlidesReport) -> String {
    let pictures = (!report.slides.is_empty()).then(|| Section {
        anchor: "pictures",
        heading: "What was found, where".to_owned(),
        body: html! {
            (colours(&report.colours))
            (contact_sheet(&[], &report.slides))
        },
    });
    let amounts = (!report.amounts.rows.is_empty()).then(|| Section {
        anchor: "amounts",
        heading: "How much there is".to_owned(),
        body: table(&report.amounts),
    });
    Page {
        title: report.title.clone(),
        lead: html! {
            p class="lead" { (report.lead) }
            (warnings(&report.warnings))
            (note("What a network sees is no diagnosis: a person decides."))
        },
        sections: [pictures, amounts].into_iter().flatten().collect(),
        provenance: report.provenance.clone(),
    }
    .render()
}
