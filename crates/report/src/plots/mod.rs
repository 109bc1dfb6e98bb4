//! Plots: plain data in, SVG out.
//!
//! Every plot is drawn for a given width, because text does not shrink with the screen: a page holds
//! a wide and a narrow drawing and shows the one that fits ([`crate::figure`]). Series are told
//! apart by shape and name as well as by colour. Values that are not finite are left out.

mod axis;
mod bars;
mod forest;
mod frame;
mod heat_map;
mod histogram;
mod line;
mod precision_recall;
mod reliability;
mod scatter;
mod svg;
mod text;

pub use axis::{Axis, Unit};
pub use bars::{Bar, StackedBars};
pub use forest::{Forest, ForestGroup, ForestRow};
pub use heat_map::{HeatMap, Shading};
pub use histogram::Histogram;
pub use line::{Line, LineChart};
pub use precision_recall::{PrecisionRecall, PrecisionRecallCurve};
pub use reliability::{Reliability, ReliabilityBin};
pub use scatter::{Mark, Scatter};

/// A value drawn as a line across the plot, such as chance or plain training.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// Where the line stands; not drawn if not finite.
    pub value: f64,
    /// What it is.
    pub label: String,
}

/// Something that can be drawn.
pub trait Plot {
    /// What the plot shows, in a few words.
    fn title(&self) -> &str;

    /// What a reader who cannot see the plot needs to know: its axes and its main values.
    fn description(&self) -> String;

    /// The drawing as an `<svg>` element of this width in pixels, without colours of its own: the
    /// page's style sheet gives them. The same data give the same bytes.
    fn svg(&self, width: f64) -> String;
}

/// The drawing as a file of its own, with the style sheet inside: light or dark as the viewer is.
pub fn standalone(plot: &dyn Plot, width: f64) -> String {
    let drawing = plot.svg(width);
    let style = concat!(
        "<style>",
        include_str!("../colours.css"),
        include_str!("plot.css")
    );
    match drawing.find('>') {
        Some(end) => {
            let (opening, rest) = drawing.split_at(end + 1);
            format!("{opening}{style}svg{{background:var(--paper)}}</style>{rest}\n")
        }
        None => drawing,
    }
}
