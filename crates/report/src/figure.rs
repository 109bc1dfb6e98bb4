//! Plots in a page, with their captions, drawn for wide and for narrow screens.

use maud::{Markup, PreEscaped, html};

use crate::plots::Plot;

/// How much of the page a figure takes on a wide screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Two stand side by side.
    Half,
    /// One stands alone.
    Full,
}

impl Size {
    fn width(self) -> f64 {
        match self {
            Size::Half => 460.0,
            Size::Full => 760.0,
        }
    }
}

/// Width of the drawing for phones.
const NARROW: f64 = 350.0;

/// The plot with its title and caption.
pub fn figure(plot: &dyn Plot, caption: &str, size: Size) -> Markup {
    html! {
        figure {
            figcaption { strong { (plot.title()) } (caption) }
            // Style shows one of the two; the other is hidden from readers of the screen, too.
            div class="wide" { (PreEscaped(plot.svg(size.width()))) }
            div class="narrow" { (PreEscaped(plot.svg(NARROW))) }
        }
    }
}

/// Figures side by side where there is room.
pub fn figures(figures: &[Markup]) -> Markup {
    html! { div class="figures" { @for figure in figures { (figure) } } }
}
