//! How well suspicion ranks known errors: precision over recall.

use super::axis::Axis;
use super::line::{Line, LineChart};
use super::{Plot, Reference};
use crate::number::{Estimate, Format};

/// Precision–recall curves with the line of chance, which is the share of errors.
#[derive(Clone, Debug, PartialEq)]
pub struct PrecisionRecall {
    /// What is ranked.
    pub title: String,
    /// One curve per way of ranking.
    pub curves: Vec<PrecisionRecallCurve>,
    /// Precision of a random order: the share of errors among all items.
    pub chance: f64,
}

/// One way of ranking.
#[derive(Clone, Debug, PartialEq)]
pub struct PrecisionRecallCurve {
    /// What orders the items.
    pub name: String,
    /// (recall, precision), by rising recall.
    pub points: Vec<(f64, f64)>,
    /// Average precision.
    pub average_precision: Estimate,
}

impl PrecisionRecall {
    fn chart(&self) -> LineChart {
        let line = |curve: &PrecisionRecallCurve| Line {
            name: format!(
                "{}, average precision {}",
                curve.name,
                curve.average_precision.write(Format::Proportion)
            ),
            points: curve
                .points
                .iter()
                .map(|&(recall, precision)| (recall, Estimate::without_interval(precision)))
                .collect(),
        };
        LineChart {
            title: self.title.clone(),
            x: Axis::proportion("recall (share of the errors found)").from_to(0.0, 1.0),
            y: Axis::proportion("precision (share of errors among those looked at)")
                .from_to(0.0, 1.0),
            lines: self.curves.iter().map(line).collect(),
            reference: Some(Reference {
                value: self.chance,
                label: format!("chance {}", Format::Proportion.write(self.chance)),
            }),
        }
    }
}

impl Plot for PrecisionRecall {
    fn title(&self) -> &str {
        &self.title
    }

    fn description(&self) -> String {
        self.chart().description()
    }

    fn svg(&self, width: f64) -> String {
        self.chart().svg(width)
    }
}
