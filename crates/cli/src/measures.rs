//! The figures by which predictions are judged, each with its 95 % interval over cases.

use cleanslide_data::Classes;
use cleanslide_eval::{
    Bins, Bootstrap, Calibration, Estimate, Groups, KappaWeights, LabelPairs, OneVsRest,
    ReliabilityDiagram, Weights, ZeroDivision, most_probable,
};
use ndarray::ArrayView2;
use serde::Serialize;

use crate::failure::Result;
use crate::text_table::TextTable;

/// A figure, or why there is none.
#[derive(Debug, Clone, Serialize)]
pub struct Measure {
    /// What it is, with the class that it is about.
    pub name: String,
    /// Its value and interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
    /// Why it has no value on these data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undefined: Option<String>,
}

impl Measure {
    fn new(
        name: impl Into<String>,
        result: std::result::Result<Estimate, cleanslide_eval::Error>,
    ) -> Self {
        let name = name.into();
        match result {
            Ok(estimate) => Self {
                name,
                estimate: Some(estimate),
                undefined: None,
            },
            Err(error) => Self {
                name,
                estimate: None,
                undefined: Some(error.to_string()),
            },
        }
    }
}

/// Images with known truth and a probability for each class.
pub struct Judged<'a> {
    /// True class of each image.
    pub truth: &'a [usize],
    /// Probabilities, `[images, classes]`.
    pub probabilities: ArrayView2<'a, f32>,
    /// The independent case of each image.
    pub cases: &'a [usize],
    /// The classes.
    pub classes: &'a Classes,
}

impl Judged<'_> {
    /// Accuracy, balanced accuracy, AUROC, AUPRC, F1, Cohen's kappa, calibration.
    pub fn measures(&self, seed: u64) -> Result<Vec<Measure>> {
        let predicted = most_probable(self.probabilities)?;
        let mut measures =
            label_measures(self.truth, &predicted, self.cases, self.classes.len(), seed)?;
        let groups = Groups::new(self.cases)?;
        let bootstrap = Bootstrap {
            seed,
            ..Bootstrap::default()
        };
        let scores = OneVsRest::new(self.truth, self.probabilities)?.present_classes_only();
        measures.push(Measure::new(
            "AUROC",
            bootstrap.estimate(&groups, |w| scores.macro_auroc(w)),
        ));
        if self.classes.len() == 2 {
            let positive = rarer_class(self.truth);
            let ranking = cleanslide_eval::Ranking::new(
                &self
                    .truth
                    .iter()
                    .map(|&class| class == positive)
                    .collect::<Vec<_>>(),
                &self.probabilities.column(positive).to_vec(),
            )?;
            let name = format!("AUPRC of {}", self.classes.name(positive));
            measures.push(Measure::new(
                name,
                bootstrap.estimate(&groups, |w| ranking.average_precision(w)),
            ));
        } else {
            let estimate = bootstrap.estimate(&groups, |w| scores.macro_average_precision(w));
            measures.push(Measure::new("AUPRC, mean over classes", estimate));
        }
        let calibration = Calibration::new(self.truth, self.probabilities)?;
        let estimate = bootstrap.estimate(&groups, |w| {
            Ok(calibration
                .reliability(Bins::default(), w)?
                .expected_calibration_error())
        });
        measures.push(Measure::new("expected calibration error", estimate));
        Ok(measures)
    }

    /// The reliability diagram in ten bins.
    pub fn reliability(&self) -> Result<ReliabilityDiagram> {
        let calibration = Calibration::new(self.truth, self.probabilities)?;
        Ok(calibration.reliability(Bins::EqualWidth(10), Weights::Equal)?)
    }
}

/// Accuracy, balanced accuracy, F1 and Cohen's kappa of plain labels.
pub fn label_measures(
    truth: &[usize],
    predicted: &[usize],
    cases: &[usize],
    classes: usize,
    seed: u64,
) -> Result<Vec<Measure>> {
    let pairs = LabelPairs::new(truth, predicted, classes)?;
    let groups = Groups::new(cases)?;
    let bootstrap = Bootstrap {
        seed,
        ..Bootstrap::default()
    };
    let zero = ZeroDivision::default();
    Ok(vec![
        Measure::new(
            "accuracy",
            bootstrap.estimate(&groups, |w| pairs.confusion(w)?.accuracy()),
        ),
        Measure::new(
            "balanced accuracy",
            bootstrap.estimate(&groups, |w| pairs.confusion(w)?.balanced_accuracy()),
        ),
        Measure::new(
            "F1, mean over classes",
            bootstrap.estimate(&groups, |w| pairs.confusion(w)?.macro_f1(zero)),
        ),
        Measure::new(
            "Cohen's kappa",
            bootstrap.estimate(&groups, |w| {
                Ok(pairs
                    .confusion(w)?
                    .cohen_kappa(KappaWeights::Unweighted)?
                    .kappa)
            }),
        ),
    ])
}

/// The class with fewer images, the later of equals.
fn rarer_class(truth: &[usize]) -> usize {
    let ones = truth.iter().filter(|&&class| class == 1).count();
    usize::from(2 * ones <= truth.len())
}

/// The measures of one or several runs, as lines of a table.
pub fn table(columns: &[&str], runs: &[&[Measure]]) -> String {
    let header: Vec<String> = std::iter::once("measure".to_owned())
        .chain(columns.iter().map(|name| format!("{name} [95 % interval]")))
        .collect();
    let mut table = TextTable::new(&header.iter().map(String::as_str).collect::<Vec<_>>());
    for (index, first) in runs[0].iter().enumerate() {
        let cells = runs
            .iter()
            .map(|measures| measures.get(index).map_or_else(String::new, show));
        table.row(std::iter::once(first.name.clone()).chain(cells));
    }
    table.text()
}

fn show(measure: &Measure) -> String {
    match (&measure.estimate, &measure.undefined) {
        (Some(estimate), _) => format!("{estimate:.3}"),
        (None, Some(reason)) => format!("– ({reason})"),
        (None, None) => "–".into(),
    }
}
