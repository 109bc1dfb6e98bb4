//! A small writer of SVG: shapes with a class, text as text, one decimal in coordinates.
//!
//! Colours and fonts are set by the style sheet (`style.css`), so that the same drawing serves in
//! light, in dark and on paper. A shape with a coordinate that is not finite is not drawn.

use super::text::width_of;

/// Size of the text in a plot, in pixels.
pub(crate) const TEXT: f64 = 12.0;

/// Distance of lines of text.
pub(crate) const LINE: f64 = 15.0;

/// Where a text stands relative to its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// Number of the series that a mark, line or bar belongs to: it fixes colour, shape and dashes.
pub(crate) type Series = usize;

/// Colours that the style sheet tells apart; see `style.css`. Green is left out on purpose: beside
/// vermillion it is the one pair of the palette that could be taken for red and green.
const COLOURS: usize = 6;

/// Shapes of [`Svg::mark`].
const SHAPES: usize = 7;

/// Kinds of dashes; see `style.css`.
const DASHES: usize = 4;

pub(crate) struct Svg {
    width: f64,
    height: f64,
    body: String,
}

impl Svg {
    pub(crate) fn new(width: f64, height: f64) -> Self {
        Self {
            width,
            height,
            body: String::new(),
        }
    }

    pub(crate) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        if !finite(&[from, to]) {
            return;
        }
        self.body.push_str(&format!(
            r#"<line class="{class}" x1="{}" y1="{}" x2="{}" y2="{}"/>"#,
            coordinate(from.0),
            coordinate(from.1),
            coordinate(to.0),
            coordinate(to.1)
        ));
    }

    pub(crate) fn rectangle(&mut self, class: &str, corner: (f64, f64), size: (f64, f64)) {
        self.shaded(class, corner, size, None);
    }

    /// A rectangle whose fill has this opacity.
    pub(crate) fn shaded(
        &mut self,
        class: &str,
        corner: (f64, f64),
        size: (f64, f64),
        opacity: Option<f64>,
    ) {
        if !finite(&[corner, size]) || size.0 <= 0.0 || size.1 <= 0.0 {
            return;
        }
        let opacity = opacity
            .filter(|opacity| opacity.is_finite())
            .map(|opacity| format!(r#" fill-opacity="{opacity:.3}""#))
            .unwrap_or_default();
        self.body.push_str(&format!(
            r#"<rect class="{class}" x="{}" y="{}" width="{}" height="{}"{opacity}/>"#,
            coordinate(corner.0),
            coordinate(corner.1),
            coordinate(size.0),
            coordinate(size.1)
        ));
    }

    /// A line through the points; it is interrupted where a point is not finite. Points closer to
    /// the last one drawn than a third of a pixel are left out.
    pub(crate) fn polyline(&mut self, class: &str, points: &[(f64, f64)]) {
        let mut path = String::new();
        for run in points.split(|point| !finite(&[*point])) {
            if run.len() > 1 {
                path.push_str(&path_through(run));
            }
        }
        if !path.is_empty() {
            self.body
                .push_str(&format!(r#"<path class="{class}" d="{path}"/>"#));
        }
    }

    /// The area inside the points, which are finite or nothing is drawn.
    pub(crate) fn polygon(&mut self, class: &str, points: &[(f64, f64)]) {
        if points.len() > 2 && finite(points) {
            self.body.push_str(&format!(
                r#"<path class="{class}" d="{}Z"/>"#,
                path_through(points)
            ));
        }
    }

    /// The mark of a series: its shape says which one as well as its colour does.
    pub(crate) fn mark(&mut self, series: Series, at: (f64, f64), radius: f64) {
        let class = format!("mark {}", colour_class(series));
        let (x, y) = at;
        let r = radius;
        let around = |corners: &[(f64, f64)]| -> Vec<(f64, f64)> {
            corners
                .iter()
                .map(|(dx, dy)| (x + r * dx, y + r * dy))
                .collect()
        };
        match series % SHAPES {
            0 => self.circle(&class, at, r),
            1 => self.rectangle(&class, (x - 0.88 * r, y - 0.88 * r), (1.76 * r, 1.76 * r)),
            2 => self.polygon(&class, &around(&[(0.0, -1.2), (1.1, 0.8), (-1.1, 0.8)])),
            3 => {
                self.polygon(
                    &class,
                    &around(&[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)]),
                );
            }
            4 => self.polygon(&class, &around(&[(0.0, 1.2), (1.1, -0.8), (-1.1, -0.8)])),
            5 => self.polygon(
                &class,
                &around(&[
                    (-0.4, -1.2),
                    (0.4, -1.2),
                    (0.4, -0.4),
                    (1.2, -0.4),
                    (1.2, 0.4),
                    (0.4, 0.4),
                    (0.4, 1.2),
                    (-0.4, 1.2),
                    (-0.4, 0.4),
                    (-1.2, 0.4),
                    (-1.2, -0.4),
                    (-0.4, -0.4),
                ]),
            ),
            _ => self.rectangle(&class, (x - 0.5 * r, y - 1.2 * r), (r, 2.4 * r)),
        }
    }

    pub(crate) fn circle(&mut self, class: &str, centre: (f64, f64), radius: f64) {
        if !finite(&[centre]) || !radius.is_finite() || radius <= 0.0 {
            return;
        }
        self.body.push_str(&format!(
            r#"<circle class="{class}" cx="{}" cy="{}" r="{}"/>"#,
            coordinate(centre.0),
            coordinate(centre.1),
            coordinate(radius)
        ));
    }

    pub(crate) fn text(&mut self, class: &str, anchor: Anchor, at: (f64, f64), text: &str) {
        self.turned_text(class, anchor, at, 0.0, text);
    }

    /// Lines of text under each other, the first one at the position.
    pub(crate) fn lines(&mut self, class: &str, anchor: Anchor, at: (f64, f64), lines: &[String]) {
        for (index, line) in lines.iter().enumerate() {
            self.text(class, anchor, (at.0, at.1 + index as f64 * LINE), line);
        }
    }

    /// Text turned by this many degrees clockwise about its position.
    pub(crate) fn turned_text(
        &mut self,
        class: &str,
        anchor: Anchor,
        at: (f64, f64),
        degrees: f64,
        text: &str,
    ) {
        if !finite(&[at]) {
            return;
        }
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => r#" text-anchor="middle""#,
            Anchor::End => r#" text-anchor="end""#,
        };
        let (x, y) = (coordinate(at.0), coordinate(at.1));
        let turn = if degrees == 0.0 {
            String::new()
        } else {
            format!(r#" transform="rotate({} {x} {y})""#, coordinate(degrees))
        };
        let class = if class.is_empty() {
            String::new()
        } else {
            format!(r#" class="{class}""#)
        };
        self.body.push_str(&format!(
            r#"<text{class} x="{x}" y="{y}"{anchor}{turn}>{}</text>"#,
            escaped(text)
        ));
    }

    /// Everything drawn in `draw` shows this text when the pointer rests on it.
    pub(crate) fn with_tooltip(&mut self, tooltip: &str, draw: impl FnOnce(&mut Self)) {
        self.body
            .push_str(&format!("<g><title>{}</title>", escaped(tooltip)));
        draw(self);
        self.body.push_str("</g>");
    }

    /// The drawing with its title and description for those who do not see it.
    pub(crate) fn finish(self, title: &str, description: &str) -> String {
        let (width, height) = (coordinate(self.width), coordinate(self.height));
        format!(
            concat!(
                r#"<svg xmlns="http://www.w3.org/2000/svg" class="plot" role="img" "#,
                r#"viewBox="0 0 {} {}" width="{}" height="{}">"#,
                "<title>{}</title><desc>{}</desc>{}</svg>"
            ),
            width,
            height,
            width,
            height,
            escaped(title),
            escaped(description),
            self.body
        )
    }
}

/// The classes of a line of this series.
pub(crate) fn line_class(series: Series) -> String {
    format!(
        "line {} dash{}",
        colour_class(series),
        series / COLOURS % DASHES
    )
}

/// The class that gives this series its colour.
pub(crate) fn colour_class(series: Series) -> String {
    format!("colour{}", series % COLOURS)
}

/// One entry of a legend: a mark and the name of its series.
pub(crate) struct Entry<'a> {
    pub(crate) series: Series,
    pub(crate) name: &'a str,
}

/// Rows of a legend that is at most `width` wide.
pub(crate) fn legend_rows<'a, 'b>(entries: &'b [Entry<'a>], width: f64) -> Vec<Vec<&'b Entry<'a>>> {
    let mut rows: Vec<Vec<&Entry>> = Vec::new();
    let mut used = f64::INFINITY;
    for entry in entries {
        let needed = legend_entry_width(entry.name);
        if used + needed > width {
            rows.push(Vec::new());
            used = 0.0;
        }
        if let Some(row) = rows.last_mut() {
            row.push(entry);
        }
        used += needed;
    }
    rows
}

/// Height of one row of a legend.
pub(crate) const LEGEND_ROW: f64 = 19.0;

/// Draws rows made by [`legend_rows`], the first one around `top`.
pub(crate) fn draw_legend(svg: &mut Svg, rows: &[Vec<&Entry>], left: f64, top: f64) {
    draw_keys(svg, rows, (left, top), |svg, series, (x, y)| {
        svg.line(&line_class(series), (x - 11.0, y), (x + 11.0, y));
        svg.mark(series, (x, y), 4.0);
    });
}

/// As [`draw_legend`], of marks that no lines join.
pub(crate) fn draw_legend_of_marks(svg: &mut Svg, rows: &[Vec<&Entry>], left: f64, top: f64) {
    draw_keys(svg, rows, (left, top), |svg, series, at| {
        svg.mark(series, at, 4.0)
    });
}

fn draw_keys(
    svg: &mut Svg,
    rows: &[Vec<&Entry>],
    (left, top): (f64, f64),
    key: impl Fn(&mut Svg, Series, (f64, f64)),
) {
    for (row, entries) in rows.iter().enumerate() {
        let y = top + row as f64 * LEGEND_ROW;
        let mut x = left;
        for entry in entries {
            key(svg, entry.series, (x + 11.0, y));
            svg.text("", Anchor::Start, (x + 27.0, y + 4.0), entry.name);
            x += legend_entry_width(entry.name);
        }
    }
}

fn legend_entry_width(name: &str) -> f64 {
    27.0 + width_of(name, TEXT) + 16.0
}

fn path_through(points: &[(f64, f64)]) -> String {
    let mut path = String::new();
    let mut last = (f64::INFINITY, f64::INFINITY);
    for (index, &(x, y)) in points.iter().enumerate() {
        let ends = index == 0 || index + 1 == points.len();
        if ends || (x - last.0).abs() > 0.33 || (y - last.1).abs() > 0.33 {
            let command = if index == 0 { 'M' } else { 'L' };
            path.push_str(&format!("{command}{} {}", coordinate(x), coordinate(y)));
            last = (x, y);
        }
    }
    path
}

fn finite(points: &[(f64, f64)]) -> bool {
    points.iter().all(|(x, y)| x.is_finite() && y.is_finite())
}

/// One decimal, without a trailing zero and without a negative zero.
fn coordinate(value: f64) -> String {
    let tenths = (value * 10.0).round();
    let whole = tenths / 10.0 + 0.0;
    if tenths.rem_euclid(10.0) == 0.0 {
        format!("{whole:.0}")
    } else {
        format!("{whole:.1}")
    }
}

/// Text that is safe inside an element: markup escaped, characters that XML forbids replaced.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\t' | '\n' | '\r' => safe.push(' '),
            '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => {
                safe.push(char::REPLACEMENT_CHARACTER);
            }
            _ => safe.push(character),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_have_at_most_one_decimal() {
        assert_eq!(coordinate(12.0), "12");
        assert_eq!(coordinate(12.04), "12");
        assert_eq!(coordinate(-0.01), "0");
        assert_eq!(coordinate(-3.25), "-3.3");
    }

    #[test]
    fn a_line_is_interrupted_where_a_point_is_missing() {
        let mut svg = Svg::new(10.0, 10.0);
        let nan = (3.0, f64::NAN);
        svg.polyline(
            "line",
            &[
                (0.0, 0.0),
                (1.0, 1.0),
                nan,
                (4.0, 4.0),
                (5.0, 5.0),
                nan,
                (9.0, 9.0),
            ],
        );
        assert!(svg.body.contains(r#"d="M0 0L1 1M4 4L5 5""#), "{}", svg.body);
    }

    #[test]
    fn what_is_not_finite_is_not_drawn() {
        let mut svg = Svg::new(10.0, 10.0);
        svg.line("line", (0.0, f64::INFINITY), (1.0, 1.0));
        svg.rectangle("bar", (0.0, 0.0), (f64::NAN, 1.0));
        svg.polygon("band", &[(0.0, 0.0), (1.0, f64::NAN), (2.0, 2.0)]);
        svg.circle("mark", (f64::NAN, 0.0), 2.0);
        svg.text("", Anchor::Start, (f64::NAN, 0.0), "text");
        svg.polyline("line", &[(f64::NAN, 0.0)]);
        for shape in 0..SHAPES {
            svg.mark(shape, (f64::NAN, 1.0), 4.0);
        }
        assert_eq!(svg.body, "");
    }

    #[test]
    fn no_two_of_forty_series_look_alike() {
        let looks: std::collections::BTreeSet<_> = (0..42)
            .map(|series| (colour_class(series), series % SHAPES))
            .collect();
        assert_eq!(looks.len(), 42);
    }
}
