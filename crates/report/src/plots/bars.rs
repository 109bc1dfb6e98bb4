//! What a whole is made of: class counts per source as stacked horizontal bars.

use super::Plot;
use super::svg::{Anchor, LEGEND_ROW, Svg, TEXT, colour_class};
use super::text::{fitted, width_of};
use crate::number::{Format, count};

/// Horizontal bars, all divided into the same parts in the same order.
#[derive(Clone, Debug, PartialEq)]
pub struct StackedBars {
    /// What the bars show.
    pub title: String,
    /// What is counted, in the plural: `patches`.
    pub counted: String,
    /// Names of the parts.
    pub parts: Vec<String>,
    /// The bars from top to bottom.
    pub bars: Vec<Bar>,
}

/// One bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// What is counted in it.
    pub name: String,
    /// One count per part.
    pub counts: Vec<usize>,
    /// What belongs to no part: drawn hollow at the end, named `unlabelled`.
    pub unlabelled: usize,
}

/// The name of the hollow part.
const UNLABELLED: &str = "unlabelled";

/// Below this width the name stands above its bar.
const NARROW: f64 = 460.0;

impl StackedBars {
    fn total(bar: &Bar) -> usize {
        bar.counts.iter().sum::<usize>() + bar.unlabelled
    }

    /// Name, count and class of each part of a bar.
    fn parts_of<'a>(&'a self, bar: &'a Bar) -> impl Iterator<Item = (&'a str, usize, String)> {
        self.parts
            .iter()
            .zip(&bar.counts)
            .enumerate()
            .map(|(part, (name, &size))| {
                (name.as_str(), size, format!("part {}", colour_class(part)))
            })
            .chain(std::iter::once((
                UNLABELLED,
                bar.unlabelled,
                "part hollow".to_owned(),
            )))
            .filter(|(_, size, _)| *size > 0)
    }
}

impl Plot for StackedBars {
    fn title(&self) -> &str {
        &self.title
    }

    fn description(&self) -> String {
        let mut text = format!("Number of {}.", self.counted);
        for bar in &self.bars {
            let parts: Vec<String> = self
                .parts_of(bar)
                .map(|(name, size, _)| format!("{name} {}", count(size)))
                .collect();
            text.push_str(&format!(" {}: {}.", bar.name, parts.join(", ")));
        }
        text
    }

    fn svg(&self, width: f64) -> String {
        let narrow = width < NARROW;
        let names = self
            .bars
            .iter()
            .map(|bar| width_of(&bar.name, TEXT))
            .fold(0.0, f64::max);
        let left = if narrow {
            2.0
        } else {
            (names + 14.0).min(0.3 * width)
        };
        let fullest = self
            .bars
            .iter()
            .map(StackedBars::total)
            .max()
            .unwrap_or(0)
            .max(1);
        let room = |bar: &Bar| width_of(&count(Self::total(bar)), TEXT) + 10.0;
        let right = width - self.bars.iter().map(room).fold(0.0, f64::max);
        let (row, thick) = if narrow { (48.0, 24.0) } else { (34.0, 26.0) };

        let legend = self.legend(width);
        let rows = legend
            .last()
            .map_or(0.0, |(row, _, _, _)| *row as f64 + 1.0);
        let top = rows * LEGEND_ROW + 8.0;
        let mut svg = Svg::new(width, top + self.bars.len() as f64 * row + 4.0);
        for (row, x, name, class) in &legend {
            let y = *row as f64 * LEGEND_ROW + 3.0;
            svg.rectangle(class, (*x, y), (13.0, 11.0));
            svg.text("", Anchor::Start, (x + 19.0, y + 10.0), name);
        }
        for (index, bar) in self.bars.iter().enumerate() {
            let mut y = top + index as f64 * row;
            let name = fitted(
                &bar.name,
                TEXT,
                if narrow { width - 4.0 } else { left - 10.0 },
            );
            if narrow {
                svg.text("", Anchor::Start, (2.0, y + 13.0), &name);
                y += 19.0;
            } else {
                svg.text("", Anchor::End, (left - 8.0, y + thick / 2.0 + 4.0), &name);
            }
            let total = Self::total(bar);
            let mut x = left;
            for (part, size, class) in self.parts_of(bar) {
                let wide = (right - left) * size as f64 / fullest as f64;
                let percent = Format::Percent(1).write(size as f64 / total.max(1) as f64);
                let tooltip = format!("{}, {part}: {} ({percent})", bar.name, count(size));
                svg.with_tooltip(&tooltip, |svg| {
                    draw_part(svg, &class, (x, y), (wide, thick), part, size, &percent);
                });
                x += wide;
            }
            svg.text(
                "number",
                Anchor::Start,
                (x + 6.0, y + thick / 2.0 + 4.0),
                &count(total),
            );
        }
        svg.finish(&self.title, &self.description())
    }
}

impl StackedBars {
    /// Row, left end, name and class of each entry of the legend.
    fn legend(&self, width: f64) -> Vec<(usize, f64, &str, String)> {
        let some_unlabelled = self.bars.iter().any(|bar| bar.unlabelled > 0);
        let parts = self
            .parts
            .iter()
            .enumerate()
            .map(|(part, name)| (name.as_str(), format!("part {}", colour_class(part))))
            .chain(some_unlabelled.then(|| (UNLABELLED, "part hollow".to_owned())));
        let (mut row, mut x) = (0, 2.0);
        let mut entries = Vec::new();
        for (name, class) in parts {
            let needed = 19.0 + width_of(name, TEXT) + 18.0;
            if x > 2.0 && x + needed > width {
                row += 1;
                x = 2.0;
            }
            entries.push((row, x, name, class));
            x += needed;
        }
        entries
    }
}

/// A part with as much of its name, count and share as fits inside.
fn draw_part(
    svg: &mut Svg,
    class: &str,
    corner: (f64, f64),
    (wide, thick): (f64, f64),
    name: &str,
    size: usize,
    percent: &str,
) {
    svg.rectangle(
        class,
        (corner.0 + 1.0, corner.1),
        ((wide - 2.0).max(1.0), thick),
    );
    let number = count(size);
    let texts = [
        format!("{name} {number} ({percent})"),
        format!("{name} {number}"),
        number,
    ];
    if let Some(text) = texts.iter().find(|text| width_of(text, TEXT) <= wide - 8.0) {
        let at = (corner.0 + wide / 2.0, corner.1 + thick / 2.0 + 4.0);
        svg.text("number", Anchor::Middle, at, text);
    }
}
