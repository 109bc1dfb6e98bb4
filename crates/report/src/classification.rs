//! The page about class labels: whom to believe, what to look at again, and how good a classifier
//! is that was trained in spite of the labels.
//!
//! The caller fills [`ClassificationReport`] with what it knows; parts that it leaves out do not
//! appear, nor do their headings.

use maud::html;

use crate::key_figures::{KeyFigure, key_figures};
use crate::learning_curves::{LearningCurves, learning_section};
use crate::number::count;
use crate::page::{Page, Provenance, warnings};

mod calibration;
mod comparison;
mod correction;
mod data;
mod embedding_map;
mod experts;
mod noise;
mod suspicious;

pub use calibration::Calibration;
use calibration::calibration_section;
pub use comparison::{Against, Comparison, MethodResult, NoiseCurve, PLAIN, Setting};
use comparison::{comparison_section, how_good};
pub use correction::Correction;
use correction::correction_section;
use data::data_section;
pub use data::{Dataset, HistoryLine, SourceCounts};
use embedding_map::embedding_section;
pub use embedding_map::{ClassPurity, EmbeddingMap};
pub use experts::{ClassSkill, Expert, Experts, KappaPair};
use experts::{expert_section, whom_to_believe};
pub use noise::{Confusion, Noise, NoiseEstimate};
use noise::{confusion_section, noise_section};
pub use suspicious::{Ranking, Suspicious};
use suspicious::{ranking_section, suspicious_section, what_to_look_at};

/// Fewer items or cases than this are called few.
const SMALL: usize = 30;

/// Everything that the page can show.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClassificationReport {
    /// The title of the page.
    pub title: String,
    /// What an image is called.
    pub items: Noun,
    /// What the data are.
    pub dataset: Dataset,
    /// Who gives labels, and how each of them errs.
    pub experts: Option<Experts>,
    /// Which labels are in doubt.
    pub suspicious: Option<Suspicious>,
    /// How well suspicion ranks known errors.
    pub ranking: Option<Ranking>,
    /// How images lie in the embedding.
    pub embedding_map: Option<EmbeddingMap>,
    /// How many labels are wrong.
    pub noise: Option<Noise>,
    /// Which classes are taken for which.
    pub confusions: Vec<Confusion>,
    /// How good classifiers are.
    pub comparison: Option<Comparison>,
    /// How training went.
    pub learning_curves: Vec<LearningCurves>,
    /// Whether probabilities mean what they say.
    pub calibrations: Vec<Calibration>,
    /// What was changed.
    pub correction: Option<Correction>,
    /// What the reader must know first. Small samples are added by the page itself.
    pub warnings: Vec<String>,
    /// Where the numbers come from.
    pub provenance: Provenance,
}

/// A word with its plural.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noun {
    /// As in `patch`.
    pub singular: String,
    /// As in `patches`.
    pub plural: String,
}

impl Default for Noun {
    fn default() -> Self {
        Self {
            singular: "image".to_owned(),
            plural: "images".to_owned(),
        }
    }
}

/// The page as one HTML file. The same report gives the same bytes.
pub fn render(report: &ClassificationReport) -> String {
    let sections = [
        data_section(report),
        expert_section(report),
        suspicious_section(report),
        ranking_section(report),
        embedding_section(report),
        noise_section(report),
        confusion_section(report),
        comparison_section(report),
        learning_section(&report.learning_curves),
        calibration_section(report),
        correction_section(report),
    ];
    let lead = html! {
        p class="lead" { (summary(report)) }
        (key_figures(&answers(report)))
        (warnings(&all_warnings(report)))
    };
    Page {
        title: report.title.clone(),
        lead,
        sections: sections.into_iter().flatten().collect(),
        provenance: report.provenance.clone(),
    }
    .render()
}

fn summary(report: &ClassificationReport) -> String {
    let data = &report.dataset;
    let mut parts = vec![format!("{} {}", count(data.images), report.items.plural)];
    let mut counted = |number: Option<usize>, one: &str, many: &str| {
        if let Some(number) = number {
            parts.push(format!(
                "{} {}",
                count(number),
                if number == 1 { one } else { many }
            ));
        }
    };
    counted(data.cases, "case", "cases");
    counted(data.slides, "slide", "slides");
    counted(
        Some(data.sources.len()).filter(|&n| n > 0),
        "source of labels",
        "sources of labels",
    );
    let mut text = parts.join(", ");
    if !data.version.is_empty() {
        text.push_str(&format!("; label version {}", data.version));
    }
    text.push('.');
    text
}

fn answers(report: &ClassificationReport) -> Vec<KeyFigure> {
    [
        whom_to_believe(report),
        what_to_look_at(report),
        how_good(report),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn all_warnings(report: &ClassificationReport) -> Vec<String> {
    let mut all = report.warnings.clone();
    let data = &report.dataset;
    for (class, &images) in data.classes.iter().zip(&data.counts) {
        if images < SMALL {
            all.push(format!(
                "Small sample: class {class} has only {} labelled {}; whatever is said of it is \
                 uncertain.",
                count(images),
                if images == 1 {
                    &report.items.singular
                } else {
                    &report.items.plural
                }
            ));
        }
    }
    let groups = data.cases.map(|cases| (cases, "case", "cases"));
    let groups = groups.or(data.slides.map(|slides| (slides, "slide", "slides")));
    if let Some((number, one, many)) = groups.filter(|(number, _, _)| *number < SMALL) {
        let name = if number == 1 { one } else { many };
        all.push(format!(
            "Small sample: only {} {name}; intervals that resample {many} are rough.",
            count(number)
        ));
    }
    if let Some(comparison) = &report.comparison
        && let Against::NoisyLabels(name) = &comparison.against
    {
        all.push(format!(
            "Classifiers are measured against {name}, which is wrong in part: the figures say how \
             well they agree with it, not how often they are right."
        ));
    }
    all
}

/// `a`, `a and b`, `a, b and c`.
fn join(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_joined_as_in_prose() {
        assert_eq!(join(&["a"]), "a");
        assert_eq!(join(&["a", "b", "c"]), "a, b and c");
    }
}
