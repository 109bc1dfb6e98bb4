//! The figures by which predictions are judged, each with its 95 % interval over cases.

use cleanslide_data::Classes;
use cleanslide_eval::{
    Bins, Bootstrap, Calibration, ConfusionMatrix, Estimate, Groups, KappaWeights, LabelPairs,
    OneVsRest, PairedComparison, ReliabilityDiagram, Undefined, Weights, ZeroDivision,
    mean_over_repeats, most_probable,
};
use ndarray::{Array2, ArrayView2};
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
    /// Its value where one case has no interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Why it has no value on these data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undefined: Option<String>,
}

impl Measure {
    /// A figure, or the reason why there is none.
    pub fn new(name: impl Into<String>, result: Defined<Estimate>) -> Self {
        Self::of(name, result.map(|estimate| (Some(estimate), None)), None)
    }

    /// A figure with its interval over cases; of one case, which has none, the value alone. Classes are named in the reason
    /// why there is none.
    pub fn over_cases(
        name: impl Into<String>,
        (groups, bootstrap): (&Groups, &Bootstrap),
        classes: Option<&Classes>,
        statistic: impl Fn(Weights<'_>) -> Defined<f64> + Sync,
    ) -> Self {
        let result = match groups.count() {
            1 => match statistic(Weights::Equal) {
                Ok(value) if !value.is_finite() => Err(Undefined::NotFinite.into()),
                value => value.map(|value| (None, Some(value))),
            },
            _ => bootstrap
                .estimate(groups, statistic)
                .map(|estimate| (Some(estimate), None)),
        };
        Self::of(name, result, classes)
    }

    fn of(
        name: impl Into<String>,
        result: Defined<(Option<Estimate>, Option<f64>)>,
        classes: Option<&Classes>,
    ) -> Self {
        let undefined = result.as_ref().err().map(|error| reason(error, classes));
        let (estimate, value) = result.unwrap_or_default();
        Self {
            name: name.into(),
            estimate,
            value,
            undefined,
        }
    }

    /// As text, if it has a value.
    pub fn figure(&self) -> Option<String> {
        let value = || self.value.map(|value| format!("{value:.3}"));
        let estimate = self.estimate.map(|estimate| format!("{estimate:.3}"));
        estimate.or_else(value)
    }
}

/// What is told once of values without an interval.
pub const ONE_CASE: &str = "one independent case: no intervals";

/// Why a figure has no value, in few words.
fn reason(error: &cleanslide_eval::Error, classes: Option<&Classes>) -> String {
    match error {
        cleanslide_eval::Error::Undefined(why) => in_words(*why, classes),
        cleanslide_eval::Error::TooManyUndefined {
            undefined,
            replicates,
            first,
            ..
        } => format!(
            "too few cases: in {undefined} of {replicates} resamples {}",
            in_words(*first, classes)
        ),
        other => other.to_string(),
    }
}

fn in_words(why: Undefined, classes: Option<&Classes>) -> String {
    match (why, classes) {
        (Undefined::AbsentClass { class }, Some(classes)) => {
            format!("nothing is truly `{}`", classes.name(class))
        }
        (Undefined::OnlyClass { class }, Some(classes)) => {
            format!("everything is truly `{}`", classes.name(class))
        }
        (Undefined::AbsentClass { .. }, None) => "a class does not occur in the truth".to_owned(),
        (Undefined::OnlyClass { .. }, None) => "everything is truly of one class".to_owned(),
        _ => why.to_string(),
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
        let mut measures = label_measures(self.truth, &predicted, self.cases, self.classes, seed)?;
        let groups = Groups::new(self.cases)?;
        let bootstrap = Bootstrap {
            seed,
            ..Bootstrap::default()
        };
        let over = (&groups, &bootstrap);
        let classes = Some(self.classes);
        let scores = OneVsRest::new(self.truth, self.probabilities)?.present_classes_only();
        measures.push(Measure::over_cases("AUROC", over, classes, |w| {
            scores.macro_auroc(w)
        }));
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
            measures.push(Measure::over_cases(name, over, classes, |w| {
                ranking.average_precision(w)
            }));
        } else {
            let name = "AUPRC, mean over classes";
            measures.push(Measure::over_cases(name, over, classes, |w| {
                scores.macro_average_precision(w)
            }));
        }
        let calibration = Calibration::new(self.truth, self.probabilities)?;
        let name = "expected calibration error";
        measures.push(Measure::over_cases(name, over, None, |w| {
            expected_calibration_error(&calibration, w)
        }));
        Ok(measures)
    }

    /// The expected calibration error.
    pub fn expected_calibration_error(&self, seed: u64) -> Result<Estimate> {
        let calibration = Calibration::new(self.truth, self.probabilities)?;
        let bootstrap = Bootstrap {
            seed,
            ..Bootstrap::default()
        };
        Ok(bootstrap.estimate(&Groups::new(self.cases)?, |w| {
            expected_calibration_error(&calibration, w)
        })?)
    }

    /// The reliability diagram in ten bins.
    pub fn reliability(&self) -> Result<ReliabilityDiagram> {
        let calibration = Calibration::new(self.truth, self.probabilities)?;
        Ok(calibration.reliability(Bins::EqualWidth(10), Weights::Equal)?)
    }
}

fn expected_calibration_error(calibration: &Calibration, weights: Weights<'_>) -> Defined<f64> {
    let diagram = calibration.reliability(Bins::default(), weights)?;
    Ok(diagram.expected_calibration_error())
}

/// Accuracy, balanced accuracy, F1 and Cohen's kappa of plain labels.
pub fn label_measures(
    truth: &[usize],
    predicted: &[usize],
    cases: &[usize],
    classes: &Classes,
    seed: u64,
) -> Result<Vec<Measure>> {
    let pairs = LabelPairs::new(truth, predicted, classes.len())?;
    let groups = Groups::new(cases)?;
    let bootstrap = Bootstrap {
        seed,
        ..Bootstrap::default()
    };
    let measure = |name, figure: fn(&ConfusionMatrix) -> Defined<f64>| {
        Measure::over_cases(name, (&groups, &bootstrap), Some(classes), |w| {
            figure(&pairs.confusion(w)?)
        })
    };
    Ok(vec![
        measure("accuracy", ConfusionMatrix::accuracy),
        measure("balanced accuracy", ConfusionMatrix::balanced_accuracy),
        measure("F1, mean over classes", |confusion| {
            confusion.macro_f1(ZeroDivision::default())
        }),
        measure("Cohen's kappa", |confusion| {
            Ok(confusion.cohen_kappa(KappaWeights::Unweighted)?.kappa)
        }),
    ])
}

/// Images with known truth, on which methods are compared. A method's predictions come as one array
/// `[images, classes]` of probabilities per seed.
pub struct Known {
    /// True class of each image.
    pub truth: Vec<usize>,
    /// The independent case of each image.
    pub cases: Vec<usize>,
    /// Number of classes.
    pub classes: usize,
}

impl Known {
    /// Balanced accuracy, mean over seeds.
    pub fn balanced_accuracy(
        &self,
        predicted: &[Array2<f32>],
        bootstrap: &Bootstrap,
    ) -> Result<Estimate> {
        let repeats = self.repeats(predicted)?;
        Ok(bootstrap.estimate(&self.groups()?, |w| mean_balanced_accuracy(&repeats, w))?)
    }

    /// The balanced accuracies at several rates of noise, of the predictions at each rate.
    pub fn over_noise(&self, predicted: &[Vec<Array2<f32>>]) -> Result<OverNoise> {
        let rates = predicted.iter().map(|repeats| self.repeats(repeats));
        Ok(OverNoise {
            rates: rates.collect::<Result<_>>()?,
            groups: self.groups()?,
        })
    }

    /// AUROC, mean over classes and seeds.
    pub fn auroc(&self, predicted: &[Array2<f32>], bootstrap: &Bootstrap) -> Result<Estimate> {
        let scores = predicted
            .iter()
            .map(|probabilities| {
                Ok(OneVsRest::new(&self.truth, probabilities.view())?.present_classes_only())
            })
            .collect::<Result<Vec<_>>>()?;
        let repeats: Vec<_> = scores
            .iter()
            .map(|scores| |w: Weights<'_>| scores.macro_auroc(w))
            .collect();
        Ok(bootstrap.estimate(&self.groups()?, mean_over_repeats(&repeats))?)
    }

    /// Balanced accuracy of one method minus that of another with the same seeds.
    pub fn difference(
        &self,
        first: &[Array2<f32>],
        second: &[Array2<f32>],
        bootstrap: &Bootstrap,
    ) -> Result<PairedComparison> {
        let pairs = first
            .iter()
            .zip(second)
            .map(|(first, second)| self.pairs(&[first, second]))
            .collect::<Result<Vec<_>>>()?;
        Ok(bootstrap.compare(&self.groups()?, |w| mean_balanced_accuracy(&pairs, w))?)
    }

    /// Truth and prediction of each seed.
    fn repeats(&self, predicted: &[Array2<f32>]) -> Result<Vec<LabelPairs>> {
        let pairs = predicted
            .iter()
            .map(|probabilities| self.pairs(&[probabilities]));
        pairs.collect()
    }

    /// Truth and prediction, for one or, one after the other, two methods.
    fn pairs(&self, methods: &[&Array2<f32>]) -> Result<LabelPairs> {
        let mut predicted = Vec::new();
        for probabilities in methods {
            predicted.extend(most_probable(probabilities.view())?);
        }
        let truth = self.truth.repeat(methods.len());
        Ok(LabelPairs::new(&truth, &predicted, self.classes)?)
    }

    fn groups(&self) -> Result<Groups> {
        Ok(Groups::new(&self.cases)?)
    }
}

/// What is known of one method at several rates of noise.
pub struct OverNoise {
    /// Truth and prediction of each seed, for each rate.
    rates: Vec<Vec<LabelPairs>>,
    groups: Groups,
}

impl OverNoise {
    /// A statistic of the balanced accuracies at all rates, each the mean over seeds.
    pub fn estimate(
        &self,
        bootstrap: &Bootstrap,
        statistic: impl Fn(&[f64]) -> Defined<f64> + Sync,
    ) -> Defined<Estimate> {
        bootstrap.estimate(&self.groups, |w| {
            let rates = self.rates.iter();
            let values = rates.map(|repeats| mean_balanced_accuracy(repeats, w));
            statistic(&values.collect::<Defined<Vec<f64>>>()?)
        })
    }
}

/// A figure, or why there is none.
type Defined<T> = std::result::Result<T, cleanslide_eval::Error>;

/// Balanced accuracy, mean over seeds.
fn mean_balanced_accuracy(repeats: &[LabelPairs], weights: Weights<'_>) -> Defined<f64> {
    let of_one = |pairs| move |w: Weights<'_>| LabelPairs::confusion(pairs, w)?.balanced_accuracy();
    let statistics: Vec<_> = repeats.iter().map(of_one).collect();
    mean_over_repeats(&statistics)(weights)
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
        let cells = runs.iter().map(|measures| match measures.get(index) {
            Some(measure) => measure.figure().unwrap_or_else(|| "–".to_owned()),
            None => String::new(),
        });
        table.row(std::iter::once(first.name.clone()).chain(cells));
    }
    let reasons = footnotes(runs);
    let of_one = runs.iter().copied().flatten().any(|of| of.value.is_some());
    std::iter::once(table.text())
        .chain(reasons)
        .chain(of_one.then(|| format!("  – {ONE_CASE}")))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Why measures have no value: each reason once, with the measures that it is of.
fn footnotes(runs: &[&[Measure]]) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for measure in runs.iter().copied().flatten() {
        let Some(reason) = &measure.undefined else {
            continue;
        };
        match reasons.iter_mut().find(|(known, _)| known == reason) {
            Some((_, names)) if names.contains(&measure.name.as_str()) => {}
            Some((_, names)) => names.push(&measure.name),
            None => reasons.push((reason.as_str(), vec![measure.name.as_str()])),
        }
    }
    let line = |(reason, names): (&str, Vec<&str>)| format!("  – {}: {reason}", names.join("; "));
    reasons.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_value_is_a_dash_with_a_footnote() {
        let classes = Classes::new(vec!["normal".into(), "tumour".into()]).unwrap();
        let none = || {
            Err(cleanslide_eval::Error::TooManyUndefined {
                undefined: 253,
                replicates: 2000,
                allowed: 100,
                first: Undefined::AbsentClass { class: 1 },
            })
        };
        let measures = ["AUROC", "AUPRC"].map(|name| Measure::of(name, none(), Some(&classes)));
        let text = table(&["value"], &[&measures]);
        let last = text.lines().last().unwrap();
        let reason = "too few cases: in 253 of 2000 resamples nothing is truly `tumour`";
        assert_eq!(last, format!("  – AUROC; AUPRC: {reason}"));
        assert_eq!(text.matches("253").count(), 1, "{text}");
    }

    #[test]
    fn one_case_has_values_without_intervals() {
        let classes = Classes::new(vec!["normal".into(), "tumour".into()]).unwrap();
        let probabilities = ndarray::array![[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]];
        let judged = Judged {
            truth: &[0, 1, 1],
            probabilities: probabilities.view(),
            cases: &[4, 4, 4],
            classes: &classes,
        };
        let measures = judged.measures(0).unwrap();
        assert!(measures.iter().all(|of| of.value.is_some()));
        assert_eq!(measures[1].figure().unwrap(), "0.750");
        let text = table(&["value"], &[&measures]);
        assert_eq!(text.matches(ONE_CASE).count(), 1, "{text}");
    }
}
