//! How images lie in the embedding.

use super::ClassificationReport;
use crate::figure::{Size, figure};
use crate::number::{Estimate, Format, count};
use crate::page::{Section, note};
use crate::plots::{Mark, Scatter};
use crate::table::{Cell, Column, Table, table};
use maud::html;

/// A map of images by their embeddings, and how often neighbours have the same label.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddingMap {
    /// What embeds.
    pub encoder: String,
    /// Of how many images those on the map are chosen.
    pub of: usize,
    /// The classes, by number.
    pub classes: Vec<String>,
    /// The images; a ring says that the label is suspicious.
    pub marks: Vec<Mark>,
    /// How many neighbours are asked.
    pub neighbours: usize,
    /// Purity of each class.
    pub purity: Vec<ClassPurity>,
}

/// How often neighbours of a class have its label.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassPurity {
    /// The class.
    pub class: String,
    /// Images with its label on the map.
    pub images: usize,
    /// The share of their neighbours that have it too.
    pub share: Estimate,
    /// This share if labels were dealt at random.
    pub by_chance: f64,
}

pub(super) fn embedding_section(report: &ClassificationReport) -> Option<Section> {
    let map = report.embedding_map.as_ref()?;
    let many = &report.items.plural;
    let scatter = Scatter {
        title: format!(
            "{} {many} by the encoder {}",
            count(map.marks.len()),
            map.encoder
        ),
        series: map.classes.clone(),
        marks: map.marks.clone(),
        ring: "suspicious label".to_owned(),
    };
    let chosen = if map.marks.len() < map.of {
        format!(" Evenly chosen of {}.", count(map.of))
    } else {
        String::new()
    };
    let rows = map.purity.iter().map(|of| {
        vec![
            Cell::text(&of.class),
            Cell::count(of.images),
            Cell::Estimate(of.share),
            Cell::Number(of.by_chance),
        ]
    });
    Some(Section {
        anchor: "embedding",
        heading: format!("How {many} lie in the embedding"),
        body: html! {
            (note(
                "Where classes lie apart, an encoder tells them apart and wrong labels stand out; where they are mixed, \
                 neither models nor audits on it can know more."
            ))
            (figure(
                &scatter,
                &format!(
                    "Colours are given labels, rings suspicious ones. Neighbours on the map are alike (t-SNE); distances \
                     between groups and their sizes mean little.{chosen}"
                ),
                Size::Full,
            ))
            @if !map.purity.is_empty() {
                (table(&Table {
                    title: "Neighbours with the same label".to_owned(),
                    caption: format!("Of the {} most similar {many} of other cases.", map.neighbours),
                    columns: vec![
                        Column::text("given label"),
                        Column::number(many.as_str(), Format::Count),
                        Column::number("same label", Format::Percent(0)),
                        Column::number("by chance", Format::Percent(0)),
                    ],
                    rows: rows.collect(),
                    footnote: "Given labels, of which some are wrong; 95 % intervals over cases.".to_owned(),
                }))
            }
        },
    })
}
