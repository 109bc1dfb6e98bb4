//! How training went.

use maud::Markup;

use crate::figure::{Size, figure, figures};
use crate::page::Section;
use crate::plots::{Axis, Line, LineChart};

/// How one quantity developed in training.
#[derive(Clone, Debug, PartialEq)]
pub struct LearningCurves {
    /// What is shown.
    pub title: String,
    /// The quantity with its unit; names the labels if they are noisy.
    pub quantity: String,
    /// One line per part or method, over epochs.
    pub lines: Vec<Line>,
}

/// A chart of each; nothing where there are none.
pub(crate) fn learning_section(curves: &[LearningCurves]) -> Option<Section> {
    let charts: Vec<Markup> = curves
        .iter()
        .map(|curves| {
            let chart = LineChart {
                title: curves.title.clone(),
                x: Axis::number("epoch"),
                y: Axis::number(&curves.quantity),
                lines: curves.lines.clone(),
                reference: None,
            };
            figure(&chart, "", Size::Half)
        })
        .collect();
    (!charts.is_empty()).then(|| Section {
        anchor: "learning",
        heading: "How training went".to_owned(),
        body: figures(&charts),
    })
}
