//! Matrices as coloured cells with their numbers: confusion and transition matrices.

use super::Plot;
use super::svg::{Anchor, LINE, Svg, TEXT};
use super::text::{BOLD, fitted, width_of, wrapped};
use crate::number::{Format, MISSING};

/// A matrix as a table of shaded cells. The text stays readable on every shade: the darkest shade
/// is chosen so (`style.css`).
#[derive(Clone, Debug, PartialEq)]
pub struct HeatMap {
    /// What the matrix shows.
    pub title: String,
    /// What the rows are, such as `given label`.
    pub row_axis: String,
    /// What the columns are, such as `suggested label`.
    pub column_axis: String,
    /// Names of the rows.
    pub rows: Vec<String>,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The numbers, one vector per row. Cells that are missing or not finite show a dash.
    pub values: Vec<Vec<f64>>,
    /// What the shade and the numbers mean.
    pub shading: Shading,
}

/// How the numbers of a [`HeatMap`] become shades.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shading {
    /// Counts; the shade and the second line of a cell are its share of its row.
    ShareOfRow,
    /// Proportions; the shade is the number itself.
    Proportion,
}

/// The opacity of a cell that holds everything.
pub(crate) const DARKEST: f64 = 0.75;

/// Cells narrower than this carry their number only as a tooltip.
const LEGIBLE: f64 = 27.0;

impl HeatMap {
    fn value(&self, row: usize, column: usize) -> f64 {
        self.values
            .get(row)
            .and_then(|row| row.get(column))
            .copied()
            .unwrap_or(f64::NAN)
    }

    /// The part of its row that a cell holds; 0 in an empty row.
    fn share(&self, row: usize, column: usize) -> f64 {
        let value = self.value(row, column);
        match self.shading {
            Shading::Proportion => value,
            Shading::ShareOfRow => {
                let sum: f64 = (0..self.columns.len())
                    .map(|column| self.value(row, column))
                    .filter(|value| value.is_finite())
                    .sum();
                if sum > 0.0 { value / sum } else { 0.0 * value }
            }
        }
    }

    fn number(&self, row: usize, column: usize) -> String {
        match self.shading {
            Shading::Proportion => Format::Proportion.write(self.value(row, column)),
            Shading::ShareOfRow => Format::Count.write(self.value(row, column)),
        }
    }

    fn spoken(&self, row: usize, column: usize) -> String {
        let number = self.number(row, column);
        let share = match self.shading {
            Shading::ShareOfRow if number != MISSING => {
                format!(
                    " ({} of the row)",
                    Format::Percent(1).write(self.share(row, column))
                )
            }
            _ => String::new(),
        };
        format!(
            "{} {}, {} {}: {number}{share}",
            self.row_axis, self.rows[row], self.column_axis, self.columns[column]
        )
    }
}

impl Plot for HeatMap {
    fn title(&self) -> &str {
        &self.title
    }

    fn description(&self) -> String {
        let mut text = format!("Rows: {}. Columns: {}.", self.row_axis, self.column_axis);
        for row in 0..self.rows.len() {
            for column in 0..self.columns.len() {
                text.push_str(&format!(" {}.", self.spoken(row, column)));
            }
        }
        text
    }

    fn svg(&self, width: f64) -> String {
        let names = |names: &[String]| names.iter().map(|n| width_of(n, TEXT)).fold(0.0, f64::max);
        let row_axis = format!("{} ↓", self.row_axis);
        let left = (names(&self.rows) + 14.0)
            .max(BOLD * width_of(&row_axis, TEXT) + 12.0)
            .min(0.36 * width);
        let widest = if self.columns.len() <= 3 { 120.0 } else { 84.0 };
        let columns = self.columns.len().max(1) as f64;
        let cell = ((width - left - 4.0) / columns).clamp(6.0, widest);
        let tall = if cell >= 60.0 {
            52.0
        } else {
            cell.clamp(14.0, 52.0)
        };
        // Names that do not fit above their columns are turned, then shortened.
        let turned = names(&self.columns) > cell - 6.0;
        let room = names(&self.columns).min(110.0);
        let row_axis = wrapped(&row_axis, BOLD * TEXT, left - 8.0);
        let column_axis = format!("{} →", self.column_axis);
        let column_axis = wrapped(&column_axis, BOLD * TEXT, width - left - 4.0);
        let heads = if turned { 18.0 + 0.75 * room } else { 18.0 };
        let top = (13.0 + LINE * column_axis.len() as f64 + heads)
            .max(13.0 + LINE * row_axis.len() as f64);
        let height = top + self.rows.len() as f64 * tall + 6.0;

        let mut svg = Svg::new(width, height);
        svg.lines("axis-label", Anchor::Start, (left, 13.0), &column_axis);
        let first = top - 8.0 - LINE * row_axis.len().saturating_sub(1) as f64;
        svg.lines("axis-label", Anchor::Start, (2.0, first), &row_axis);
        for (column, name) in self.columns.iter().enumerate() {
            let x = left + (column as f64 + 0.5) * cell;
            if turned {
                let name = fitted(name, TEXT, room);
                svg.turned_text("tick", Anchor::Start, (x, top - 8.0), -45.0, &name);
            } else {
                svg.text("tick", Anchor::Middle, (x, top - 8.0), name);
            }
        }
        for (row, name) in self.rows.iter().enumerate() {
            let y = top + row as f64 * tall;
            let name = fitted(name, TEXT, left - 10.0);
            svg.text(
                "tick",
                Anchor::End,
                (left - 8.0, y + tall / 2.0 + 4.0),
                &name,
            );
            for column in 0..self.columns.len() {
                let corner = (left + column as f64 * cell, y);
                let tooltip = self.spoken(row, column);
                svg.with_tooltip(&tooltip, |svg| {
                    self.draw_cell(svg, (row, column), corner, (cell, tall));
                });
            }
        }
        svg.finish(&self.title, &self.description())
    }
}

impl HeatMap {
    fn draw_cell(
        &self,
        svg: &mut Svg,
        (row, column): (usize, usize),
        corner: (f64, f64),
        (width, height): (f64, f64),
    ) {
        let share = self.share(row, column);
        let inner = ((width - 2.0).max(1.0), (height - 2.0).max(1.0));
        let agrees = self.rows[row] == self.columns[column];
        let class = if agrees { "cell agrees" } else { "cell" };
        let opacity = if share.is_finite() {
            DARKEST * share.clamp(0.0, 1.0)
        } else {
            0.0
        };
        svg.shaded(
            class,
            (corner.0 + 1.0, corner.1 + 1.0),
            inner,
            Some(opacity),
        );
        let number = self.number(row, column);
        if width < LEGIBLE || width_of(&number, TEXT) > width - 2.0 {
            return;
        }
        let (x, y) = (corner.0 + width / 2.0, corner.1 + height / 2.0);
        let percent = Format::Percent(0).write(share);
        let two_lines = self.shading == Shading::ShareOfRow
            && height >= 34.0
            && number != MISSING
            && width_of(&percent, TEXT) <= width - 2.0;
        if two_lines {
            svg.text("number", Anchor::Middle, (x, y - 2.0), &number);
            svg.text("number small", Anchor::Middle, (x, y + 13.0), &percent);
        } else {
            svg.text("number", Anchor::Middle, (x, y + 4.0), &number);
        }
    }
}
