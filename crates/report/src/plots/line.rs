//! Lines with interval bands: accuracy over noise rate, learning curves over epochs.

use super::axis::Axis;
use super::frame::{Frame, Layout, spread};
use super::svg::{
    Anchor, Entry, LEGEND_ROW, Svg, TEXT, colour_class, draw_legend, legend_rows, line_class,
};
use super::text::width_of;
use super::{Plot, Reference};
use crate::number::Estimate;

/// Lines over a common horizontal axis, each with its 95 % intervals where they are known: as bands
/// up to four lines, as whiskers beyond. A line is interrupted where a value is not finite.
#[derive(Clone, Debug, PartialEq)]
pub struct LineChart {
    /// What the chart shows.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The lines, in the order of the legend.
    pub lines: Vec<Line>,
    /// A horizontal line to compare with.
    pub reference: Option<Reference>,
}

/// One line of a [`LineChart`].
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The name beside the line.
    pub name: String,
    /// Position on the horizontal axis, and value; in the order in which they are joined.
    pub points: Vec<(f64, Estimate)>,
}

/// More bands than this cover each other.
const BANDS: usize = 4;

/// Lines with more points than this carry marks only at some of them.
const MARKED_POINTS: usize = 12;

impl Plot for LineChart {
    fn title(&self) -> &str {
        &self.title
    }

    fn description(&self) -> String {
        let mut text = format!("{} over {}.", self.y.label, self.x.label);
        let format = self.y.format();
        for line in &self.lines {
            let drawn = || line.points.iter().filter(|point| is_drawn(point));
            match (drawn().next(), drawn().next_back()) {
                (Some(first), Some(last)) if first != last => text.push_str(&format!(
                    " {}: from {} to {}.",
                    line.name,
                    first.1.write(format),
                    last.1.write(format)
                )),
                (Some(only), _) => {
                    text.push_str(&format!(" {}: {}.", line.name, only.1.write(format)));
                }
                _ => {}
            }
        }
        if let Some(reference) = self.drawn_reference() {
            let value = format.write(reference.value);
            text.push_str(&format!(" {}: {value}.", reference.label));
        }
        text
    }

    fn svg(&self, width: f64) -> String {
        let field = (0.52 * width).clamp(200.0, 300.0);
        let beside = self
            .lines
            .iter()
            .map(|line| width_of(&line.name, TEXT))
            .fold(0.0, f64::max);
        let direct = beside + 40.0 <= 0.34 * width && self.lines.len() as f64 * 15.0 <= field;
        let entries: Vec<Entry> = self
            .lines
            .iter()
            .enumerate()
            .map(|(series, line)| Entry {
                series,
                name: &line.name,
            })
            .collect();
        let rows = if direct {
            Vec::new()
        } else {
            legend_rows(&entries, width - 8.0)
        };
        let layout = Layout {
            x: &self.x,
            y: &self.y,
            width,
            field,
            right: if direct { beside + 40.0 } else { 0.0 },
            below: rows.len() as f64 * LEGEND_ROW,
        };
        let points = || {
            self.lines
                .iter()
                .flat_map(|line| &line.points)
                .filter(|p| is_drawn(p))
        };
        let ys = points()
            .flat_map(|(_, y)| [y.value, y.low, y.high])
            .chain(self.drawn_reference().map(|reference| reference.value));
        let frame = Frame::new(&layout, points().map(|(x, _)| *x), ys);
        let height = layout.height();
        let mut svg = Svg::new(width, height);
        frame.draw(&mut svg, &layout);
        if self.lines.len() <= BANDS {
            for (series, line) in self.lines.iter().enumerate() {
                draw_band(&mut svg, &frame, series, line);
            }
        }
        for (series, line) in self.lines.iter().enumerate() {
            self.draw_line(&mut svg, &frame, series, line);
        }
        if let Some(reference) = self.drawn_reference() {
            draw_horizontal_reference(&mut svg, &frame, reference);
        }
        if direct {
            self.draw_names(&mut svg, &frame);
        } else {
            let top = height - layout.below + LEGEND_ROW / 2.0;
            draw_legend(&mut svg, &rows, 4.0, top);
        }
        svg.finish(&self.title, &self.description())
    }
}

impl LineChart {
    fn drawn_reference(&self) -> Option<&Reference> {
        self.reference
            .as_ref()
            .filter(|reference| reference.value.is_finite())
    }

    fn draw_line(&self, svg: &mut Svg, frame: &Frame, series: usize, line: &Line) {
        let at = |point: &(f64, Estimate)| {
            (
                frame.x.position_inside(point.0),
                frame.y.position_inside(point.1.value),
            )
        };
        if self.lines.len() > BANDS {
            // Side by side, so that whiskers at the same place do not cover each other.
            let aside = 2.0 * (series as f64 - (self.lines.len() - 1) as f64 / 2.0);
            for point in line.points.iter().filter(|point| is_drawn(point)) {
                if let Some((low, high)) = point.1.interval() {
                    let x = at(point).0 + aside;
                    let ends = (frame.y.position_inside(low), frame.y.position_inside(high));
                    let class = format!("whisker {}", colour_class(series));
                    svg.line(&class, (x, ends.0), (x, ends.1));
                }
            }
        }
        let path: Vec<_> = line.points.iter().map(at).collect();
        svg.polyline(&line_class(series), &path);

        let every = line.points.len().div_ceil(MARKED_POINTS).max(1);
        for (index, point) in line.points.iter().enumerate() {
            let alone = {
                let missing = |other: Option<usize>| {
                    !other
                        .and_then(|index| line.points.get(index))
                        .is_some_and(is_drawn)
                };
                missing(index.checked_sub(1)) && missing(Some(index + 1))
            };
            if is_drawn(point) && (index % every == 0 || alone || index + 1 == line.points.len()) {
                let value = point.1.write(self.y.format());
                let x = self.x.tick_text(point.0);
                let tooltip = format!("{}, {} {x}: {value}", line.name, self.x.label);
                svg.with_tooltip(&tooltip, |svg| svg.mark(series, at(point), 4.0));
            }
        }
    }

    fn draw_names(&self, svg: &mut Svg, frame: &Frame) {
        let ends: Vec<(usize, (f64, f64))> = self
            .lines
            .iter()
            .enumerate()
            .filter_map(|(series, line)| {
                let (x, y) = line.points.iter().rfind(|point| is_drawn(point))?;
                Some((
                    series,
                    (
                        frame.x.position_inside(*x),
                        frame.y.position_inside(y.value),
                    ),
                ))
            })
            .collect();
        let wanted: Vec<f64> = ends.iter().map(|(_, end)| end.1).collect();
        let Some(places) = spread(&wanted, 15.0, frame.top, frame.bottom) else {
            return;
        };
        for ((series, end), y) in ends.into_iter().zip(places) {
            let x = frame.right + 24.0;
            svg.line("leader", (end.0 + 7.0, end.1), (x - 8.0, y));
            svg.mark(series, (x, y), 4.0);
            svg.text(
                "",
                Anchor::Start,
                (x + 8.0, y + 4.0),
                &self.lines[series].name,
            );
        }
    }
}

/// The interval of a line, interrupted where an interval is not known.
fn draw_band(svg: &mut Svg, frame: &Frame, series: usize, line: &Line) {
    let class = format!("band {}", colour_class(series));
    let known: Vec<Option<(f64, f64, f64)>> = line
        .points
        .iter()
        .map(|(x, y)| {
            let (low, high) = y.interval().filter(|_| x.is_finite())?;
            let end = |value| frame.y.position_inside(value);
            Some((frame.x.position_inside(*x), end(low), end(high)))
        })
        .collect();
    for run in known.split(Option::is_none) {
        let run: Vec<_> = run.iter().flatten().collect();
        if let [(x, low, high)] = run[..] {
            svg.line(
                &format!("whisker {}", colour_class(series)),
                (*x, *low),
                (*x, *high),
            );
            continue;
        }
        let outline: Vec<(f64, f64)> = run
            .iter()
            .map(|(x, _, high)| (*x, *high))
            .chain(run.iter().rev().map(|(x, low, _)| (*x, *low)))
            .collect();
        svg.polygon(&class, &outline);
    }
}

/// A dashed line at the value, named above its left end.
fn draw_horizontal_reference(svg: &mut Svg, frame: &Frame, reference: &Reference) {
    let y = frame.y.position_inside(reference.value);
    svg.line("reference", (frame.left, y), (frame.right, y));
    svg.text(
        "halo small",
        Anchor::Start,
        (frame.left + 6.0, y - 5.0),
        &reference.label,
    );
}

fn is_drawn(point: &(f64, Estimate)) -> bool {
    point.0.is_finite() && point.1.value.is_finite()
}
