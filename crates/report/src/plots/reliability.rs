//! Whether probabilities mean what they say: the reliability diagram.

use super::Plot;
use super::axis::{Axis, Scale, Unit};
use super::frame::{Frame, Layout};
use super::svg::{Anchor, Svg, TEXT};
use super::text::width_of;
use crate::number::{Estimate, Format, count};

/// Observed frequency over predicted probability, with the number of predictions in each bin below.
#[derive(Clone, Debug, PartialEq)]
pub struct Reliability {
    /// Whose probabilities.
    pub title: String,
    /// What the horizontal axis is, such as `predicted probability of the chosen class`.
    pub predicted: String,
    /// What the vertical axis is, such as `share that is correct`.
    pub observed: String,
    /// What is counted, in the plural: `patches`.
    pub counted: String,
    /// The bins, by rising probability.
    pub bins: Vec<ReliabilityBin>,
}

/// Predictions of similar probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReliabilityBin {
    /// Lower end of the bin.
    pub from: f64,
    /// Upper end of the bin.
    pub to: f64,
    /// Mean probability of its predictions.
    pub predicted: f64,
    /// Observed frequency.
    pub observed: Estimate,
    /// How many predictions.
    pub count: usize,
}

/// Height of the histogram below.
const STRIP: f64 = 56.0;

/// Room between the two parts.
const GAP: f64 = 26.0;

impl Plot for Reliability {
    fn title(&self) -> &str {
        &self.title
    }

    fn description(&self) -> String {
        let mut text = format!(
            "{} over {}; on the diagonal both are equal.",
            self.observed, self.predicted
        );
        for bin in self.bins.iter().filter(|bin| bin.count > 0) {
            text.push_str(&format!(
                " Predicted {}: observed {}, {} {}.",
                Format::Proportion.write(bin.predicted),
                bin.observed.write(Format::Proportion),
                count(bin.count),
                self.counted
            ));
        }
        text
    }

    fn svg(&self, width: f64) -> String {
        let x_axis = Axis::proportion(self.predicted.as_str()).from_to(0.0, 1.0);
        let y_axis = Axis::proportion(self.observed.as_str()).from_to(0.0, 1.0);
        let field = (0.62 * width).clamp(200.0, 300.0);
        let layout = Layout {
            x: &x_axis,
            y: &y_axis,
            width,
            field,
            right: 0.0,
            below: GAP + STRIP,
        };
        let frame = Frame::new(&layout, std::iter::empty(), std::iter::empty());
        let mut svg = Svg::new(width, layout.height());
        frame.draw(&mut svg, &layout);
        svg.line(
            "reference",
            (frame.left, frame.bottom),
            (frame.right, frame.top),
        );
        let label = "predicted = observed";
        let turn = ((frame.top - frame.bottom) / (frame.right - frame.left))
            .atan()
            .to_degrees();
        let at = (frame.x.position(0.06), frame.y.position(0.06) - 6.0);
        svg.turned_text("halo small", Anchor::Start, at, turn, label);

        let joined: Vec<(f64, f64)> = self
            .bins
            .iter()
            .filter(|bin| bin.count > 0)
            .map(|bin| {
                let x = frame.x.position_inside(bin.predicted);
                (x, frame.y.position_inside(bin.observed.value))
            })
            .collect();
        svg.polyline("line colour0 dash0", &joined);
        for bin in self.bins.iter().filter(|bin| bin.count > 0) {
            draw_bin(&mut svg, &frame, bin);
        }
        self.draw_counts(&mut svg, &frame, layout.end());
        svg.finish(&self.title, &self.description())
    }
}

impl Reliability {
    fn draw_counts(&self, svg: &mut Svg, frame: &Frame, end: f64) {
        let top = end + GAP;
        let bottom = top + STRIP - 8.0;
        let fullest = self.bins.iter().map(|bin| bin.count).max().unwrap_or(0);
        let axis = Axis {
            unit: Unit::Count,
            ..Axis::number("")
        }
        .from_to(0.0, fullest.max(1) as f64);
        let scale = Scale::new(&axis, std::iter::empty(), (bottom, top), 2);
        svg.text(
            "axis-label",
            Anchor::Start,
            (2.0, top - 12.0),
            &self.counted,
        );
        for bin in self.bins.iter().filter(|bin| bin.count > 0) {
            let (left, right) = (
                frame.x.position_inside(bin.from),
                frame.x.position_inside(bin.to),
            );
            let height = (bottom - scale.position(bin.count as f64)).max(1.0);
            let number = count(bin.count);
            svg.with_tooltip(&format!("{number} {}", self.counted), |svg| {
                let size = (right - left - 1.0, height);
                svg.rectangle("bar", (left + 0.5, bottom - height), size);
            });
            if width_of(&number, 0.9 * TEXT) <= right - left {
                let at = ((left + right) / 2.0, bottom - height - 3.0);
                svg.text("number small", Anchor::Middle, at, &number);
            }
        }
        svg.line("axis", (frame.left, bottom), (frame.right, bottom));
    }
}

fn draw_bin(svg: &mut Svg, frame: &Frame, bin: &ReliabilityBin) {
    let x = frame.x.position_inside(bin.predicted);
    let tooltip = format!(
        "predicted {}, observed {}, n = {}",
        Format::Proportion.write(bin.predicted),
        bin.observed.write(Format::Proportion),
        count(bin.count)
    );
    svg.with_tooltip(&tooltip, |svg| {
        if let Some((low, high)) = bin.observed.interval() {
            let ends = (frame.y.position_inside(low), frame.y.position_inside(high));
            svg.line("interval colour0", (x, ends.0), (x, ends.1));
        }
        svg.mark(0, (x, frame.y.position_inside(bin.observed.value)), 4.5);
    });
}
