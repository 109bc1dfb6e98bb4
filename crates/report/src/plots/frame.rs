//! The frame that plots with two axes share: margins, grid, ticks and labels.

use super::axis::{Axis, Scale};
use super::svg::{Anchor, LINE, Svg, TEXT};
use super::text::{BOLD, width_of, wrapped};

/// Room above the plot for the label of the vertical axis.
const TOP: f64 = 30.0;

/// Room below the plot for ticks and the label of the horizontal axis.
const BOTTOM: f64 = 44.0;

/// Where the data are drawn, and how values become positions.
pub(crate) struct Frame {
    pub(crate) left: f64,
    pub(crate) right: f64,
    pub(crate) top: f64,
    pub(crate) bottom: f64,
    pub(crate) x: Scale,
    pub(crate) y: Scale,
}

/// What a frame is made for.
pub(crate) struct Layout<'a> {
    pub(crate) x: &'a Axis,
    pub(crate) y: &'a Axis,
    /// Width of the whole drawing.
    pub(crate) width: f64,
    /// Height of the field in which the data are drawn.
    pub(crate) field: f64,
    /// Room to the right of the field.
    pub(crate) right: f64,
    /// Room below the horizontal axis for a legend.
    pub(crate) below: f64,
}

impl Layout<'_> {
    /// Pixels of the lower and upper end of the field.
    pub(crate) fn vertical(&self) -> (f64, f64) {
        let top = TOP + more_lines(&self.vertical_label());
        (top + self.field, top)
    }

    /// Pixels at which the frame ends, with its labels and without the legend.
    pub(crate) fn end(&self) -> f64 {
        self.vertical().0 + BOTTOM + more_lines(&self.horizontal_label())
    }

    /// Height of the whole drawing.
    pub(crate) fn height(&self) -> f64 {
        self.end() + self.below
    }

    fn vertical_label(&self) -> Vec<String> {
        wrapped(&self.y.label, BOLD * TEXT, self.width - 4.0)
    }

    fn horizontal_label(&self) -> Vec<String> {
        // It stands in the middle of the field, which is left of the middle of the drawing.
        wrapped(&self.x.label, BOLD * TEXT, self.width - self.right - 10.0)
    }
}

/// Room that a label of more than one line needs more than one of one line.
fn more_lines(lines: &[String]) -> f64 {
    lines.len().saturating_sub(1) as f64 * LINE
}

impl Frame {
    /// A frame around these data.
    pub(crate) fn new(
        layout: &Layout,
        xs: impl Iterator<Item = f64>,
        ys: impl Iterator<Item = f64>,
    ) -> Self {
        let y = Scale::new(layout.y, ys, layout.vertical(), rows_of_ticks(layout.field));
        Self::with_vertical(layout, xs, y)
    }

    /// A frame whose vertical scale is at hand; it runs along [`Layout::vertical`].
    pub(crate) fn with_vertical(layout: &Layout, xs: impl Iterator<Item = f64>, y: Scale) -> Self {
        let (bottom, top) = layout.vertical();
        let labels = y.ticks(rows_of_ticks(layout.field));
        let left = 10.0
            + labels
                .iter()
                .map(|(_, label)| width_of(label, TEXT))
                .fold(0.0, f64::max)
                .max(14.0);
        // Half of the last tick label of the horizontal axis hangs over.
        let right = (layout.width - layout.right.max(22.0)).max(left + 40.0);
        let x = Scale::new(layout.x, xs, (left, right), columns_of_ticks(right - left));
        Self {
            left,
            right,
            top,
            bottom,
            x,
            y,
        }
    }

    /// Grid, ticks and labels of both axes.
    pub(crate) fn draw(&self, svg: &mut Svg, layout: &Layout) {
        for (value, label) in self.y.ticks(rows_of_ticks(layout.field)) {
            let y = self.y.position(value);
            svg.line("grid", (self.left, y), (self.right, y));
            svg.text("tick", Anchor::End, (self.left - 6.0, y + 4.0), &label);
        }
        for (x, label) in self.horizontal_ticks() {
            svg.line("axis", (x, self.bottom), (x, self.bottom + 4.0));
            svg.text("tick", Anchor::Middle, (x, self.bottom + 17.0), &label);
        }
        svg.line("axis", (self.left, self.bottom), (self.right, self.bottom));
        let above = layout.vertical_label();
        svg.lines("axis-label", Anchor::Start, (2.0, 14.0), &above);
        let middle = (self.left + self.right) / 2.0;
        let below = layout.horizontal_label();
        svg.lines(
            "axis-label",
            Anchor::Middle,
            (middle, self.bottom + 36.0),
            &below,
        );
    }

    /// Ticks of the horizontal axis whose labels have room side by side.
    fn horizontal_ticks(&self) -> Vec<(f64, String)> {
        let mut most = columns_of_ticks(self.right - self.left);
        loop {
            let ticks: Vec<_> = self
                .x
                .ticks(most)
                .into_iter()
                .map(|(value, label)| (self.x.position(value), label))
                .collect();
            let free = ticks.windows(2).all(|pair| {
                let half = (width_of(&pair[0].1, TEXT) + width_of(&pair[1].1, TEXT)) / 2.0;
                pair[1].0 - pair[0].0 >= half + 8.0
            });
            if free || most <= 1 {
                return ticks;
            }
            most -= 1;
        }
    }
}

fn rows_of_ticks(height: f64) -> usize {
    ((height / 44.0) as usize).clamp(2, 8)
}

fn columns_of_ticks(width: f64) -> usize {
    ((width / 64.0) as usize).clamp(2, 10)
}

/// Moves labels apart so that none overlaps: the order stays, and each stays as near to where it
/// wants to be as its neighbours let it. Returns nothing if they cannot all fit.
pub(crate) fn spread(wanted: &[f64], gap: f64, first: f64, last: f64) -> Option<Vec<f64>> {
    if wanted.is_empty() {
        return Some(Vec::new());
    }
    if (wanted.len() - 1) as f64 * gap > last - first {
        return None;
    }
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&a, &b| wanted[a].total_cmp(&wanted[b]).then(a.cmp(&b)));

    // Groups of touching labels, each centred on the mean of what its members want.
    let mut groups: Vec<(f64, usize)> = Vec::new();
    for &index in &order {
        let mut group = (wanted[index], 1);
        while let Some(&(mean, members)) = groups.last() {
            let apart = (members + group.1) as f64 / 2.0 * gap;
            if group.0 - mean >= apart {
                break;
            }
            let total = members + group.1;
            group.0 = (mean * members as f64 + group.0 * group.1 as f64) / total as f64;
            group.1 = total;
            groups.pop();
        }
        groups.push(group);
    }
    let mut placed = Vec::with_capacity(wanted.len());
    for (mean, members) in groups {
        let start = mean - (members - 1) as f64 / 2.0 * gap;
        placed.extend((0..members).map(|member| start + member as f64 * gap));
    }
    // Push back what hangs over either end.
    for (place, position) in placed.iter_mut().enumerate() {
        *position = position.max(first + place as f64 * gap);
    }
    for (place, position) in placed.iter_mut().rev().enumerate() {
        *position = position.min(last - place as f64 * gap);
    }
    let mut positions = vec![0.0; wanted.len()];
    for (place, &index) in order.iter().enumerate() {
        positions[index] = placed[place];
    }
    Some(positions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn labels_never_overlap(wanted in prop::collection::vec(0.0_f64..200.0, 0..14)) {
            let placed = spread(&wanted, 15.0, 0.0, 200.0).unwrap();
            let mut sorted = placed.clone();
            sorted.sort_by(f64::total_cmp);
            for pair in sorted.windows(2) {
                prop_assert!(pair[1] - pair[0] >= 15.0 - 1e-6);
            }
            for (index, &position) in placed.iter().enumerate() {
                prop_assert!((-1e-6..=200.0 + 1e-6).contains(&position));
                for (other, &there) in placed.iter().enumerate() {
                    if wanted[index] < wanted[other] {
                        prop_assert!(position < there);
                    }
                }
            }
        }
    }

    #[test]
    fn labels_with_room_stay_and_too_many_are_refused() {
        assert_eq!(
            spread(&[10.0, 80.0, 40.0], 15.0, 0.0, 100.0).unwrap(),
            [10.0, 80.0, 40.0]
        );
        assert_eq!(spread(&[50.0; 9], 15.0, 0.0, 100.0), None);
    }
}
