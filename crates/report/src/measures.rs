//! Measures with their intervals, as pages show them.

use maud::Markup;

use crate::key_figures::{KeyFigure, KeyValue};
use crate::number::{Estimate, Format};
use crate::table::{Cell, Column, Table, table};

/// Measures of the first screen; `what` says what they were measured against.
pub(crate) fn first_measures<'a>(
    measures: impl Iterator<Item = &'a (String, Estimate)>,
    format: Format,
    what: &str,
) -> Vec<KeyFigure> {
    measures
        .map(|(name, estimate)| KeyFigure {
            question: name.clone(),
            value: KeyValue::Estimate(*estimate, format),
            what: what.to_owned(),
            prose: Vec::new(),
        })
        .collect()
}

/// All measures, in a table with this title, caption and footnote.
pub(crate) fn measures_table(measures: &[(String, Estimate)], titled: Table) -> Markup {
    let row = |(name, estimate): &(String, Estimate)| {
        vec![Cell::Text(name.clone()), Cell::Estimate(*estimate)]
    };
    table(&Table {
        columns: vec![
            Column::text("measure"),
            Column::number("value", Format::Decimal(3)),
        ],
        rows: measures.iter().map(row).collect(),
        ..titled
    })
}
