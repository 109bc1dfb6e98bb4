//! Tables whose numbers align.

use maud::{Markup, html};

use crate::number::{Estimate, Format, MISSING};

/// A table with typed columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// What the table shows.
    pub title: String,
    /// How to read it; may be empty.
    pub caption: String,
    /// The columns. The first one names the rows.
    pub columns: Vec<Column>,
    /// One vector of cells per row. Rows that are too short end in dashes.
    pub rows: Vec<Vec<Cell>>,
    /// What applies to all of it; may be empty.
    pub footnote: String,
}

/// A column: its heading and how its cells are written.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// The heading, with the unit.
    pub heading: String,
    /// How numbers are written; `None` for text, which is aligned to the left.
    pub format: Option<Format>,
}

impl Column {
    /// A column of text.
    pub fn text(heading: impl Into<String>) -> Self {
        Self {
            heading: heading.into(),
            format: None,
        }
    }

    /// A column of numbers or estimates.
    pub fn number(heading: impl Into<String>, format: Format) -> Self {
        Self {
            heading: heading.into(),
            format: Some(format),
        }
    }
}

/// A cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Words.
    Text(String),
    /// Words that lead to another page: its address, relative to this one.
    Link(String, String),
    /// A number without an interval.
    Number(f64),
    /// A number with its 95 % interval.
    Estimate(Estimate),
}

impl Cell {
    /// Words.
    pub fn text(text: impl Into<String>) -> Self {
        Cell::Text(text.into())
    }

    /// A whole number.
    pub fn count(count: usize) -> Self {
        Cell::Number(count as f64)
    }
}

/// The table as HTML; nothing where it has no rows. Where scripts run, a click on a heading sorts.
pub fn table(table: &Table) -> Markup {
    let missing = Cell::Number(f64::NAN);
    html! {
        @if !table.rows.is_empty() {
            div class="table" tabindex="0" role="region" aria-label=(table.title) {
                table class=[(table.rows.len() > 2).then_some("sortable")] {
                    caption { span { strong { (table.title) } (table.caption) } }
                    thead {
                        tr {
                            @for column in &table.columns {
                                th scope="col" class=[column.format.map(|_| "number")] {
                                    (column.heading)
                                }
                            }
                        }
                    }
                    tbody {
                        @for row in &table.rows {
                            tr {
                                @for (index, column) in table.columns.iter().enumerate() {
                                    (cell(row.get(index).unwrap_or(&missing), column, index == 0))
                                }
                            }
                        }
                    }
                }
                @if !table.footnote.is_empty() { p class="footnote" { (table.footnote) } }
            }
        }
    }
}

fn cell(cell: &Cell, column: &Column, names_row: bool) -> Markup {
    let format = column.format.unwrap_or(Format::Decimal(2));
    let class = column.format.map(|_| "number");
    // What scripts sort by: empty for a missing number.
    let sorted_by = |value: f64| {
        if value.is_finite() {
            value.to_string()
        } else {
            String::new()
        }
    };
    match cell {
        Cell::Text(text) if names_row => html! { th scope="row" class=[class] { (text) } },
        Cell::Link(text, page) if names_row => {
            html! { th scope="row" class=[class] { a href=(page) { (text) } } }
        }
        Cell::Link(text, page) => html! { td class=[class] { a href=(page) { (text) } } },
        Cell::Text(text) => html! { td class=[class] { (text) } },
        Cell::Number(value) => html! {
            td class=[class] data-value=(sorted_by(*value)) {
                @if value.is_finite() { (format.write(*value)) } @else { (MISSING) }
            }
        },
        Cell::Estimate(estimate) => html! {
            td class=[class] data-value=(sorted_by(estimate.value)) {
                (format.write(estimate.value))
                span class="interval" { (format.write_interval(estimate).unwrap_or_default()) }
            }
        },
    }
}
