//! Thumbnails that open to full size, with outlines on them and a scale bar.

use cleanslide_data::Polygon;
use maud::{Markup, html};

use crate::number::Format;
use crate::picture::Picture;

/// Colours of outlines, from the palette of Okabe and Ito.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// Sky blue.
    Sky,
    /// Orange.
    Orange,
    /// Vermillion.
    Vermillion,
}

impl Ink {
    /// Its class in the style sheet.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Sky => "ink-sky",
            Self::Orange => "ink-orange",
            Self::Vermillion => "ink-vermillion",
        }
    }
}

/// Outlines drawn in one colour, in pixels of the original image.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlines {
    /// The colour.
    pub ink: Ink,
    /// The shapes.
    pub polygons: Vec<Polygon>,
}

/// A thumbnail that fills the screen when it is chosen and goes back when it is chosen again: the
/// same image in both sizes, without a script.
pub(crate) fn thumbnail(
    picture: &Picture,
    outlines: &[Outlines],
    words: &str,
    microns_per_pixel: Option<f64>,
) -> Markup {
    let aspect = f64::from(picture.width) / f64::from(picture.height.max(1));
    html! {
        details class="picture" {
            summary style=(format!("--aspect:{aspect:.4}")) {
                span class="image" {
                    img src=(picture.data_uri) width=(picture.width) height=(picture.height)
                        loading="lazy" alt=(words);
                    @if !outlines.is_empty() { (overlay(picture, outlines)) }
                    (scale_bar(picture.width, microns_per_pixel))
                }
                span class="large-words" { (words) }
            }
        }
    }
}

/// Outlines over the whole image, as thin in the thumbnail as at full size.
fn overlay(picture: &Picture, outlines: &[Outlines]) -> Markup {
    html! {
        svg class="overlay" viewBox=(format!("0 0 {} {}", picture.width, picture.height))
            preserveAspectRatio="none" aria-hidden="true" {
            @for outline in outlines {
                path class=(outline.ink.class()) d=(path(&outline.polygons)) {}
            }
        }
    }
}

fn path(polygons: &[Polygon]) -> String {
    let mut path = String::new();
    for ring in polygons.iter().flat_map(Polygon::rings) {
        for (index, point) in ring.iter().enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            // A tenth of a pixel is finer than the line.
            path.push_str(&format!("{command}{:.1} {:.1}", point.x, point.y));
        }
        path.push('Z');
    }
    path
}

/// A bar of a round length, about a quarter of the image; nothing where the scale is not known.
fn scale_bar(width: u32, microns_per_pixel: Option<f64>) -> Markup {
    let across = microns_per_pixel.unwrap_or(f64::NAN) * f64::from(width);
    if !(across.is_finite() && across > 0.0) {
        return html! {};
    }
    let power = 10_f64.powf((across / 4.0).log10().floor());
    let length = [10.0, 5.0, 2.0, 1.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|&length| length <= across / 3.0)
        .unwrap_or(power);
    let decimals = (-(length.log10() + 1e-9).floor()).max(0.0) as usize;
    let text = format!("{}\u{a0}µm", Format::Decimal(decimals).write(length));
    html! {
        span class="scale-bar" style=(format!("width:{:.2}%", 100.0 * length / across)) { (text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_are_closed_and_holes_are_drawn() {
        let square = |from: f64, to: f64| {
            [(from, from), (to, from), (to, to)]
                .map(|(x, y)| cleanslide_data::Point::new(x, y))
                .to_vec()
        };
        let polygon = Polygon {
            outline: square(0.0, 8.0),
            holes: vec![square(1.0, 2.25)],
        };
        let drawn = path(&[polygon]);
        assert_eq!(drawn, "M0.0 0.0L8.0 0.0L8.0 8.0ZM1.0 1.0L2.2 1.0L2.2 2.2Z");
    }

    #[test]
    fn a_scale_bar_is_round_and_a_quarter_wide() {
        let bar = |width, scale| scale_bar(width, scale).into_string();
        assert!(
            bar(128, Some(0.25)).contains("width:31.25%"),
            "{}",
            bar(128, Some(0.25))
        );
        assert!(bar(128, Some(0.25)).contains("10\u{a0}µm"));
        assert!(bar(1000, Some(1.0)).contains("200\u{a0}µm"));
        assert!(bar(10, Some(0.1)).contains("0.2\u{a0}µm"));
        for unknown in [None, Some(0.0), Some(f64::NAN), Some(-1.0)] {
            assert_eq!(bar(128, unknown), "");
        }
    }
}
