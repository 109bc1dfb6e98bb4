//! Items as marks in a plane without axes: a map of embeddings.

use super::Plot;
use super::svg::{Entry, LEGEND_ROW, Svg, draw_legend_of_marks, legend_rows};

/// Marks of several series; some have a ring. Axes have no meaning and are not drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Scatter {
    /// What the plot shows.
    pub title: String,
    /// Names of the series, in the order of the legend.
    pub series: Vec<String>,
    /// The marks.
    pub marks: Vec<Mark>,
    /// What a ring means.
    pub ring: String,
}

/// A mark of a [`Scatter`].
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Its place, to any scale; not drawn if not finite.
    pub place: (f64, f64),
    /// Its series.
    pub series: usize,
    /// Whether it has a ring.
    pub ring: bool,
    /// What is told of it where the pointer rests.
    pub name: String,
}

/// Room for marks at the edge.
const MARGIN: f64 = 8.0;

impl Plot for Scatter {
    fn title(&self) -> &str {
        &self.title
    }

    fn description(&self) -> String {
        let count =
            |test: &dyn Fn(&Mark) -> bool| self.marks.iter().filter(|mark| test(mark)).count();
        let mut text = String::new();
        for (series, name) in self.series.iter().enumerate() {
            text.push_str(&format!(
                "{}: {}. ",
                name,
                count(&|mark| mark.series == series)
            ));
        }
        text.push_str(&format!("{}: {}.", self.ring, count(&|mark| mark.ring)));
        text
    }

    fn svg(&self, width: f64) -> String {
        let entries: Vec<Entry> = self
            .series
            .iter()
            .enumerate()
            .map(|(series, name)| Entry { series, name })
            .collect();
        let rows = legend_rows(&entries, width - 8.0);
        let drawn = || {
            let finite = |mark: &&Mark| mark.place.0.is_finite() && mark.place.1.is_finite();
            self.marks.iter().filter(finite)
        };
        let range = |of: fn(&Mark) -> f64| {
            drawn()
                .map(of)
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), at| {
                    (low.min(at), high.max(at))
                })
        };
        let (left, right) = range(|mark| mark.place.0);
        let (low, high) = range(|mark| mark.place.1);
        // One scale for both directions: distances are to be compared.
        let room = width - 2.0 * MARGIN;
        let most = 0.75 * width;
        // Items at one place need no scale.
        let span = |from: f64, to: f64| if to > from { to - from } else { 1.0 };
        let scale = (room / span(left, right)).min((most - 2.0 * MARGIN) / span(low, high));
        let aside = (room - scale * (right - left)) / 2.0;
        let field = if drawn().next().is_some() {
            scale * (high - low)
        } else {
            0.0
        };
        let field = field + 2.0 * MARGIN;
        let height = field + rows.len() as f64 * LEGEND_ROW + MARGIN;
        let mut svg = Svg::new(width, height);
        let radius = if self.marks.len() > 600 { 2.2 } else { 3.2 };
        // Those with a ring lie on top.
        for ring in [false, true] {
            for mark in drawn().filter(|mark| mark.ring == ring) {
                let at = (
                    MARGIN + aside + scale * (mark.place.0 - left),
                    MARGIN + scale * (high - mark.place.1),
                );
                svg.with_tooltip(&mark.name, |svg| {
                    svg.mark(mark.series, at, radius);
                    if ring {
                        svg.circle("ring", at, radius + 2.4);
                    }
                });
            }
        }
        draw_legend_of_marks(&mut svg, &rows, 4.0, field + LEGEND_ROW / 2.0);
        svg.finish(&self.title, &self.description())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scatter(places: &[(f64, f64)]) -> Scatter {
        let mark = |(index, &place): (usize, &(f64, f64))| Mark {
            place,
            series: index % 2,
            ring: index == 1,
            name: format!("item {index}, <b>"),
        };
        Scatter {
            title: "A map".to_owned(),
            series: vec!["normal".to_owned(), "atypical".to_owned()],
            marks: places.iter().enumerate().map(mark).collect(),
            ring: "label in doubt".to_owned(),
        }
    }

    #[test]
    fn marks_are_inside_whatever_their_scale() {
        for scale in [1e-6, 1.0, 1e6] {
            let places = [
                (0.0, 0.0),
                (3.0 * scale, scale),
                (scale, -scale),
                (f64::NAN, 1.0),
            ];
            let svg = scatter(&places).svg(400.0);
            assert_eq!(svg.matches("<g><title>item").count(), 3);
            assert_eq!(svg.matches("class=\"ring\"").count(), 1);
            assert!(svg.contains("item 1, &lt;b&gt;"));
            for part in svg.split("cx=\"").skip(1) {
                let x: f64 = part.split('"').next().unwrap().parse().unwrap();
                assert!((0.0..=400.0).contains(&x), "{x}");
            }
        }
    }

    #[test]
    fn one_place_and_none_can_be_drawn() {
        let one = scatter(&[(2.0, 3.0)]).svg(300.0);
        assert!(one.contains("<circle") && !one.contains("NaN"));
        let none = scatter(&[]).svg(300.0);
        assert!(!none.contains("NaN") && !none.contains("inf"));
        let described = scatter(&[(0.0, 0.0), (1.0, 1.0)]).description();
        assert_eq!(described, "normal: 1. atypical: 1. label in doubt: 1.");
    }
}
