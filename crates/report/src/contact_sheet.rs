//! Contact sheets: many images with what was found on them, to judge and tune by eye.

use maud::{Markup, html};

use crate::picture::Picture;
use crate::thumbnail::{Ink, Outlines, thumbnail};

/// One image of a contact sheet.
#[derive(Clone, Debug, PartialEq)]
pub struct Tile {
    /// The image.
    pub picture: Picture,
    /// Its id or file name.
    pub image: String,
    /// What was found, in a few words: `42 boxes`.
    pub words: String,
    /// What was found, where.
    pub outlines: Vec<Outlines>,
    /// Micrometres per pixel of the original image, for the scale bar.
    pub microns_per_pixel: Option<f64>,
}

/// What colours that are in pictures mean: red, green, blue.
pub(crate) fn colours(meanings: &[([u8; 3], String)]) -> Markup {
    html! {
        @if !meanings.is_empty() {
            ul class="legend" {
                @for ([red, green, blue], meaning) in meanings {
                    li {
                        svg viewBox="0 0 16 16" aria-hidden="true" {
                            circle cx="8" cy="8" r="7" fill=(format!("rgb({red},{green},{blue})")) {}
                        }
                        (meaning)
                    }
                }
            }
        }
    }
}

/// The tiles in their order, below what their colours mean.
pub fn contact_sheet(legend: &[(Ink, String)], tiles: &[Tile]) -> Markup {
    html! {
        @if !legend.is_empty() {
            ul class="legend" {
                @for (ink, meaning) in legend {
                    li { svg viewBox="0 0 16 16" aria-hidden="true" { rect class=(ink.class()) x="2" y="2" width="12" height="12" {} } (meaning) }
                }
            }
        }
        ol class="gallery contact-sheet" {
            @for tile in tiles {
                li class="card" {
                    (thumbnail(&tile.picture, &tile.outlines, &format!("{}: {}", tile.image, tile.words), tile.microns_per_pixel))
                    div class="words" {
                        p class="change" { (tile.words) }
                        p class="from" { (tile.image) }
                    }
                }
            }
        }
    }
}
