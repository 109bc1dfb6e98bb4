//! How often each value occurs, with a threshold: suspicion scores.

use super::axis::{Axis, Scale, Unit};
use super::frame::{Frame, Layout};
use super::svg::{Anchor, Svg, TEXT};
use super::text::width_of;
use super::{Plot, Reference};
use crate::number::{Format, count};

/// Counts of values in bins of equal width. Where the fullest bin holds more than fifty times the
/// emptiest one that is not empty, the counts are drawn on a logarithmic axis, which then says so.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// What the histogram shows.
    pub title: String,
    /// The axis of the values.
    pub axis: Axis,
    /// What is counted, in the plural: `patches`.
    pub counted: String,
    /// Lower end of the first bin.
    pub from: f64,
    /// Upper end of the last bin.
    pub to: f64,
    /// How many values lie in each bin.
    pub counts: Vec<usize>,
    /// Bins from here on are marked as beyond the threshold; a bin that it divides is not.
    pub threshold: Option<Reference>,
}

impl Histogram {
    /// Counts values in `bins` bins of equal width from `from` to `to`; the last bin includes its
    /// upper end. Values outside, and values that are not finite, are not counted.
    pub fn count(values: &[f64], (from, to): (f64, f64), bins: usize) -> Vec<usize> {
        let mut counts = vec![0; bins];
        let wide = to - from;
        for value in values
            .iter()
            .filter(|&&value| wide > 0.0 && value >= from && value <= to)
        {
            let bin = ((value - from) / wide * bins as f64) as usize;
            if let Some(count) = counts.get_mut(bin.min(bins.saturating_sub(1))) {
                *count += 1;
            }
        }
        counts
    }

    fn edge(&self, bin: usize) -> f64 {
        self.from + (self.to - self.from) * bin as f64 / self.counts.len().max(1) as f64
    }

    fn is_beyond(&self, bin: usize) -> bool {
        // The factor forgives rounding where the threshold is an edge.
        let width = self.edge(1) - self.edge(0);
        self.drawn_threshold()
            .is_some_and(|at| self.edge(bin) >= at.value - 1e-6 * width)
    }

    fn drawn_threshold(&self) -> Option<&Reference> {
        self.threshold
            .as_ref()
            .filter(|threshold| threshold.value.is_finite())
    }

    fn is_logarithmic(&self) -> bool {
        let fullest = self.counts.iter().copied().max().unwrap_or(0);
        let emptiest = self
            .counts
            .iter()
            .copied()
            .filter(|&count| count > 0)
            .min()
            .unwrap_or(0);
        emptiest > 0 && fullest > 50 * emptiest
    }
}

impl Plot for Histogram {
    fn title(&self) -> &str {
        &self.title
    }

    fn description(&self) -> String {
        let total: usize = self.counts.iter().sum();
        let mut text = format!("{} {} by {}.", count(total), self.counted, self.axis.label);
        if let Some(threshold) = self.drawn_threshold() {
            let value = self.axis.format().write(threshold.value);
            text.push_str(&format!(" {}: {value}.", threshold.label));
        }
        for (bin, &size) in self
            .counts
            .iter()
            .enumerate()
            .filter(|(_, size)| **size > 0)
        {
            let format = self.axis.format();
            let (from, to) = (
                format.write(self.edge(bin)),
                format.write(self.edge(bin + 1)),
            );
            text.push_str(&format!(" {from} to {to}: {}.", count(size)));
        }
        text
    }

    fn svg(&self, width: f64) -> String {
        let logarithmic = self.is_logarithmic();
        let suffix = if logarithmic {
            " (logarithmic scale)"
        } else {
            ""
        };
        let y_axis = Axis {
            unit: Unit::Count,
            ..Axis::number(format!("{}{suffix}", self.counted))
        };
        let x_axis = self.axis.clone().from_to(self.from, self.to);
        let field = (0.42 * width).clamp(150.0, 220.0);
        let layout = Layout {
            x: &x_axis,
            y: &y_axis,
            width,
            field,
            right: 0.0,
            below: 0.0,
        };
        let fullest = self.counts.iter().copied().max().unwrap_or(0);
        let vertical = layout.vertical();
        let y = if logarithmic {
            Scale::counts_logarithmic(fullest, vertical)
        } else {
            let ends = [0.0, fullest.max(1) as f64];
            Scale::new(&y_axis, ends.into_iter(), vertical, 5)
        };
        let frame = Frame::with_vertical(&layout, [self.from, self.to].into_iter(), y);
        let mut svg = Svg::new(width, layout.height());
        frame.draw(&mut svg, &layout);
        for (bin, &size) in self.counts.iter().enumerate() {
            let (left, right) = (
                frame.x.position(self.edge(bin)),
                frame.x.position(self.edge(bin + 1)),
            );
            let top = frame.y.position_inside(size as f64);
            let class = if self.is_beyond(bin) {
                "bar beyond"
            } else {
                "bar"
            };
            let gap = if right - left > 4.0 { 1.0 } else { 0.0 };
            let format = self.axis.format();
            let tooltip = format!(
                "{} to {}: {}",
                format.write(self.edge(bin)),
                format.write(self.edge(bin + 1)),
                count(size)
            );
            if size > 0 {
                svg.with_tooltip(&tooltip, |svg| {
                    let size = (right - left - gap, frame.bottom - top);
                    svg.rectangle(class, (left + gap / 2.0, top), size);
                });
            }
        }
        if let Some(threshold) = self.drawn_threshold() {
            draw_threshold(&mut svg, &frame, threshold, self.axis.format());
        }
        svg.finish(&self.title, &self.description())
    }
}

/// A dashed line at the threshold, named on whichever side has room.
fn draw_threshold(svg: &mut Svg, frame: &Frame, threshold: &Reference, format: Format) {
    let x = frame.x.position_inside(threshold.value);
    svg.line("reference", (x, frame.top - 6.0), (x, frame.bottom));
    let label = format!("{} {}", threshold.label, format.write(threshold.value));
    let fits = x + 6.0 + width_of(&label, TEXT) <= frame.right + 20.0;
    let (anchor, x) = if fits {
        (Anchor::Start, x + 6.0)
    } else {
        (Anchor::End, x - 6.0)
    };
    svg.text("halo small", anchor, (x, frame.top + 4.0), &label);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_inside_is_counted_once() {
        let values = [0.0, 0.1, 0.25, 0.5, 0.999, 1.0, 1.5, -0.1, f64::NAN];
        assert_eq!(Histogram::count(&values, (0.0, 1.0), 4), [2, 1, 1, 2]);
        assert_eq!(
            Histogram::count(&values, (0.0, 1.0), 0),
            Vec::<usize>::new()
        );
        assert_eq!(Histogram::count(&values, (1.0, 1.0), 2), [0, 0]);
    }
}
