//! Images worth a second look.

use maud::{Markup, html};

use crate::number::Format;
use crate::picture::Picture;

/// One image whose label is in doubt.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    /// The image; `None` where it could not be read.
    pub picture: Option<Picture>,
    /// Its id or file name.
    pub image: String,
    /// The case or slide that it belongs to.
    pub case: Option<String>,
    /// The label that it has.
    pub given: String,
    /// The label that the audit suggests.
    pub suggested: String,
    /// How much the given label is in doubt, from 0 to 1.
    pub suspicion: f64,
    /// Why, in a few words each.
    pub reasons: Vec<String>,
    /// Micrometres per pixel of the original image, for the scale bar.
    pub microns_per_pixel: Option<f64>,
}

/// The cards, the most suspicious first; ties by image. Suspicion that is not a number comes last.
pub fn gallery(cards: &[Card]) -> Markup {
    let mut sorted: Vec<&Card> = cards.iter().collect();
    let suspicion = |card: &Card| {
        if card.suspicion.is_nan() {
            -1.0
        } else {
            card.suspicion
        }
    };
    sorted.sort_by(|a, b| {
        suspicion(b)
            .total_cmp(&suspicion(a))
            .then_with(|| a.image.cmp(&b.image))
    });
    html! {
        @if !cards.is_empty() {
            ol class="gallery" { @for card in sorted { (markup(card)) } }
        }
    }
}

fn markup(card: &Card) -> Markup {
    let suspicion = Format::Proportion.write(card.suspicion);
    let change = format!("given {}, suggested {}", card.given, card.suggested);
    html! {
        li class="card" {
            @if let Some(picture) = &card.picture {
                (large_on_demand(card, picture, &format!("{change}, suspicion {suspicion}")))
            } @else {
                div class="no-picture" { "This image could not be read." }
            }
            div class="words" {
                p class="change" { "given " b { (card.given) } " → suggested " b { (card.suggested) } }
                p { "suspicion " b { (suspicion) } }
                @if card.suspicion.is_finite() {
                    span class="meter" aria-hidden="true" {
                        span style=(format!("width:{:.0}%", 100.0 * card.suspicion.clamp(0.0, 1.0))) {}
                    }
                }
                @if !card.reasons.is_empty() { p class="reasons" { (card.reasons.join("; ")) } }
                p class="from" {
                    @if let Some(case) = &card.case { "case " (case) br; }
                    (card.image)
                }
            }
        }
    }
}

/// A thumbnail that fills the screen when it is chosen and goes back when it is chosen again: the
/// same image in both sizes, without a script.
fn large_on_demand(card: &Card, picture: &Picture, words: &str) -> Markup {
    let aspect = f64::from(picture.width) / f64::from(picture.height.max(1));
    html! {
        details class="picture" {
            summary style=(format!("--aspect:{aspect:.4}")) {
                span class="image" {
                    img src=(picture.data_uri) width=(picture.width) height=(picture.height)
                        loading="lazy" alt=(format!("{}: {words}", card.image));
                    (scale_bar(picture.width, card.microns_per_pixel))
                }
                span class="large-words" { (card.image) ": " (words) }
            }
        }
    }
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
