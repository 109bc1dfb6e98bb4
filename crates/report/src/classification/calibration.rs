//! Whether probabilities mean what they say.

use super::ClassificationReport;
use super::comparison::Against;
use crate::figure::{Size, figure, figures};
use crate::number::{Estimate, Format};
use crate::page::Section;
use crate::plots::{Reliability, ReliabilityBin};
use maud::Markup;

/// Whether the probabilities of one classifier mean what they say.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// The classifier.
    pub classifier: String,
    /// What it was measured against.
    pub against: Against,
    /// Expected calibration error.
    pub expected_error: Estimate,
    /// Bins of the reliability diagram.
    pub bins: Vec<ReliabilityBin>,
}

pub(super) fn calibration_section(report: &ClassificationReport) -> Option<Section> {
    let diagrams: Vec<Markup> = report
        .calibrations
        .iter()
        .map(|calibration| {
            let against = calibration.against.words();
            let diagram = Reliability {
                title: calibration.classifier.clone(),
                predicted: "predicted probability".to_owned(),
                observed: format!("share correct {against}"),
                counted: report.items.plural.clone(),
                bins: calibration.bins.clone(),
            };
            let caption = format!(
                "Expected calibration error {} {against}.",
                calibration.expected_error.write(Format::Decimal(3))
            );
            figure(&diagram, &caption, Size::Half)
        })
        .collect();
    (!diagrams.is_empty()).then(|| Section {
        anchor: "calibration",
        heading: "Whether probabilities mean what they say".to_owned(),
        body: figures(&diagrams),
    })
}
