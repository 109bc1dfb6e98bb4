//! Images worth a second look.

use maud::{Markup, html};

use crate::number::Format;
use crate::picture::Picture;
use crate::thumbnail::thumbnail;

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
                (thumbnail(picture, &[], &format!("{}: {change}, suspicion {suspicion}", card.image), card.microns_per_pixel))
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
