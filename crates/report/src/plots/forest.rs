//! Dots with intervals, one row each: the comparison of methods or experts (a forest plot).

use super::axis::{Axis, Scale};
use super::svg::{Anchor, LINE, Svg, TEXT};
use super::text::{BOLD, fitted, width_of, wrapped};
use super::{Plot, Reference};
use crate::number::Estimate;

/// Estimates with 95 % intervals under each other, with their numbers beside them.
#[derive(Clone, Debug, PartialEq)]
pub struct Forest {
    /// What the plot shows.
    pub title: String,
    /// The axis of the values.
    pub axis: Axis,
    /// Rows under their headings.
    pub groups: Vec<ForestGroup>,
    /// A vertical line to compare with, such as chance.
    pub reference: Option<Reference>,
}

/// Rows that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct ForestGroup {
    /// What they have in common; empty for no heading.
    pub heading: String,
    /// The rows from top to bottom.
    pub rows: Vec<ForestRow>,
}

/// One estimate.
#[derive(Clone, Debug, PartialEq)]
pub struct ForestRow {
    /// What was estimated.
    pub label: String,
    /// Its value; a row without one shows a dash.
    pub estimate: Estimate,
    /// What the others are compared with, such as plain training; its mark is a square.
    pub baseline: bool,
}

/// Below this width, names and numbers stand above their rows.
const NARROW: f64 = 460.0;

/// Room above the rows: for the name of the reference, or without one.
const TOP: (f64, f64) = (24.0, 4.0);

/// Height of a heading.
const HEADING: f64 = 26.0;

impl Plot for Forest {
    fn title(&self) -> &str {
        &self.title
    }

    fn description(&self) -> String {
        let mut text = format!("{}, with 95 % intervals.", self.axis.label);
        for group in &self.groups {
            if !group.heading.is_empty() {
                text.push_str(&format!(" {}:", group.heading));
            }
            for row in &group.rows {
                let value = row.estimate.write(self.axis.format());
                text.push_str(&format!(" {} {value};", row.label));
            }
        }
        if let Some(reference) = self.drawn_reference() {
            let value = self.axis.format().write(reference.value);
            text.push_str(&format!(" {} {value}.", reference.label));
        }
        text
    }

    fn svg(&self, width: f64) -> String {
        let narrow = width < NARROW;
        let row_height = if narrow { 42.0 } else { 24.0 };
        let rows = || self.groups.iter().flat_map(|group| &group.rows);
        let number = |row: &ForestRow| row.estimate.write(self.axis.format());
        let labels = rows()
            .map(|row| width_of(&row.label, TEXT))
            .fold(0.0, f64::max);
        let numbers = rows()
            .map(|row| width_of(&number(row), TEXT))
            .fold(0.0, f64::max);
        let (left, right) = if narrow {
            (14.0, width - 14.0)
        } else {
            ((labels + 18.0).min(0.36 * width), width - numbers - 18.0)
        };

        let values = rows()
            .filter(|row| row.estimate.value.is_finite())
            .flat_map(|row| [row.estimate.value, row.estimate.low, row.estimate.high])
            .chain(self.drawn_reference().map(|reference| reference.value));
        let most = (((right - left) / 60.0) as usize).clamp(2, 8);
        let scale = Scale::new(&self.axis, values, (left, right), most);

        let top = if self.drawn_reference().is_some() {
            TOP.0
        } else {
            TOP.1
        };
        let headings = self
            .groups
            .iter()
            .filter(|group| !group.heading.is_empty())
            .count();
        let bottom = top + headings as f64 * HEADING + rows().count() as f64 * row_height;
        // It stands in the middle of the field and may hang over both ends of it.
        let hang = left.min(width - right);
        let label = wrapped(
            &self.axis.label,
            BOLD * TEXT,
            right - left + 2.0 * hang - 4.0,
        );
        let more_lines = label.len().saturating_sub(1) as f64 * LINE;
        let mut svg = Svg::new(width, bottom + 44.0 + more_lines);
        draw_axis(
            &mut svg,
            &scale,
            &label,
            (left, right),
            (top, bottom),
            most,
            narrow,
        );
        if let Some(reference) = self.drawn_reference() {
            let x = scale.position_inside(reference.value);
            svg.line("reference", (x, top - 6.0), (x, bottom));
            let half = width_of(&reference.label, TEXT) / 2.0;
            let middle = x.clamp(half.min(width / 2.0), (width - half).max(width / 2.0));
            svg.text(
                "small",
                Anchor::Middle,
                (middle, top - 11.0),
                &reference.label,
            );
        }

        let mut y = top;
        for group in &self.groups {
            if !group.heading.is_empty() {
                let heading = fitted(&group.heading, 1.08 * TEXT, width - 4.0);
                svg.text("strong halo", Anchor::Start, (2.0, y + 17.0), &heading);
                y += HEADING;
            }
            for row in &group.rows {
                let middle = if narrow {
                    y + 28.0
                } else {
                    y + row_height / 2.0
                };
                let text_line = if narrow { y + 14.0 } else { middle + 4.0 };
                let room = if narrow {
                    width - numbers - 24.0
                } else {
                    left - 12.0
                };
                let label = fitted(&row.label, TEXT, room);
                svg.text("halo", Anchor::Start, (2.0, text_line), &label);
                svg.text(
                    "number halo",
                    Anchor::End,
                    (width - 2.0, text_line),
                    &number(row),
                );
                let tooltip = format!("{}: {}", row.label, number(row));
                svg.with_tooltip(&tooltip, |svg| draw_estimate(svg, &scale, row, middle));
                y += row_height;
            }
        }
        svg.finish(&self.title, &self.description())
    }
}

impl Forest {
    fn drawn_reference(&self) -> Option<&Reference> {
        self.reference
            .as_ref()
            .filter(|reference| reference.value.is_finite())
    }
}

fn draw_axis(
    svg: &mut Svg,
    scale: &Scale,
    label: &[String],
    (left, right): (f64, f64),
    (top, bottom): (f64, f64),
    most: usize,
    narrow: bool,
) {
    for (value, label) in scale.ticks(most) {
        let x = scale.position(value);
        // On a narrow plot the numbers stand over the field: there, lines would cross them.
        if narrow {
            svg.line("axis", (x, bottom), (x, bottom + 4.0));
        } else {
            svg.line("grid", (x, top), (x, bottom));
        }
        svg.text("tick", Anchor::Middle, (x, bottom + 17.0), &label);
    }
    svg.line("axis", (left, bottom), (right, bottom));
    let middle = (left + right) / 2.0;
    svg.lines("axis-label", Anchor::Middle, (middle, bottom + 36.0), label);
}

fn draw_estimate(svg: &mut Svg, scale: &Scale, row: &ForestRow, y: f64) {
    let series = usize::from(row.baseline);
    if let Some((low, high)) = row.estimate.interval() {
        let (low, high) = (scale.position_inside(low), scale.position_inside(high));
        let class = format!("interval colour{series}");
        svg.line(&class, (low, y), (high, y));
        svg.line(&class, (low, y - 4.0), (low, y + 4.0));
        svg.line(&class, (high, y - 4.0), (high, y + 4.0));
    }
    if row.estimate.value.is_finite() {
        svg.mark(series, (scale.position_inside(row.estimate.value), y), 5.0);
    }
}
