//! `cleanslide report`: runs side by side, as one HTML file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use cleanslide_data::store::write_file;
use cleanslide_data::{Dataset, Split, independent_units};
use cleanslide_eval::Bootstrap;
use cleanslide_learn::methods::MethodSettings;
use cleanslide_learn::predictions::Predictions;
use cleanslide_report::classification::{
    Against, Calibration, Comparison, MethodResult, Noise, PLAIN, Setting, render,
};
use ndarray::{Array2, Axis};
use serde::Serialize;

use super::audit::{FilterName, doubt_of, from_run, warning_of, weak_judge};
use crate::arguments::DatasetArgument;
use crate::context::Context;
use crate::corrected_labels;
use crate::failure::{Failure, Result};
use crate::measures::Known;
use crate::network_run::is_network_run;
use crate::output::{Show, count, thousands};
use crate::page;
use crate::pipeline::audit_study;
use crate::run_folder::{read_metrics, read_run};
use crate::truth::Truth;

/// Write what runs found as one HTML file: data, annotators, suspicious labels, comparison, curves
///
/// The first run is the one whose labels are audited, and to which the others are compared.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
cleanslide report mitoses --run runs/plain --run runs/robust --reference majority --out report.html")]
pub struct Report {
    #[command(flatten)]
    dataset: DatasetArgument,
    /// Folder of a run, as often as needed
    #[arg(long = "run", required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// What runs are measured against; without it, their given labels, which may be wrong
    #[arg(long, value_name = "NAME")]
    reference: Option<String>,
    /// File to write
    #[arg(long, value_name = "HTML")]
    out: PathBuf,
}

#[derive(Debug, Serialize)]
struct Summary {
    report: PathBuf,
    runs: usize,
    images: usize,
}

/// One run's predictions for the images that can be judged, in the order of the dataset.
struct Shown {
    described: Described,
    probabilities: Array2<f32>,
    images: Vec<usize>,
}

impl Report {
    pub fn run(self, context: &Context) -> Result<()> {
        let dataset = context.open(&self.dataset.dataset)?;
        if let Some(run) = self.runs.iter().find(|run| is_network_run(run)) {
            return Err(Failure::usage(format!(
                "{} is a run of networks, and this page compares classifiers of images",
                run.display()
            ))
            .help(format!(
                "Such a run has a page of its own: {}",
                run.join("report.html").display()
            )));
        }
        let judged = from_run(context, &dataset, &self.runs[0], false)?;
        let audit = audit_study(
            &judged.study,
            &judged.embeddings,
            judged.judgement.probabilities.view(),
            FilterName::PruneByNoiseRate.options(),
        )?;
        let version = judged.labels.version;
        let mut report = page::start(context, &dataset, version, &judged.labels)?;
        let all = dataset.labels(version)?;
        if let Some((name, consensus)) = super::audit::consensus(&dataset, &all)? {
            let units = independent_units(dataset.images());
            report.experts = page::experts(context, &dataset, &all, &consensus, &name, &units)?;
        }
        report.suspicious = Some(page::suspicious(&dataset, &judged.study, &audit));
        let weak = weak_judge(&judged)?;
        report.noise = Some(Noise {
            doubt: weak.map(doubt_of),
            ..page::noise(&format!("labels of {}", judged.labels.source), &audit)
        });
        report.warnings.extend(weak.map(warning_of));
        report.confusions = vec![page::joint_confusion(&audit, judged.study.len())];
        for run in &self.runs {
            report.learning_curves.extend(page::learning_curves(
                &self.name_of(run),
                &read_metrics(run)?,
            ));
        }
        let truth = match &self.reference {
            Some(name) => Truth::of_dataset(&dataset, Some(name))?,
            None => Truth::of_given(&dataset, Some(version), &judged.labels.source)?,
        };
        let against = match &self.reference {
            Some(_) => Against::Truth(truth.name.clone()),
            None => Against::NoisyLabels(truth.name.clone()),
        };
        let (shown, measured) = self.read_runs(&dataset, &truth)?;
        if measured == MeasuredOn::Folds {
            let corrected: BTreeSet<&str> = shown
                .iter()
                .filter(|run| run.described.corrected)
                .map(|run| run.described.source.as_str())
                .collect();
            report
                .warnings
                .extend(corrected.into_iter().map(corrected_labels::warning));
        }
        let (comparison, calibrations) =
            compare(context, &dataset, &truth, (&shown, measured), &against)?;
        report.comparison = Some(comparison);
        report.calibrations = calibrations;
        let (manifest, _) = read_run(&self.runs[0])?;
        report.provenance.config_hash = Some(manifest.config_hash);
        write_file(&self.out, render(&report).as_bytes())?;
        context.output.show(&Summary {
            report: self.out,
            runs: self.runs.len(),
            images: shown[0].images.len(),
        })
    }

    /// Predictions of every run for the images that all of them predict and whose truth is known: out of sample, or where a
    /// model corrected the labels of a run those for test, if there are any.
    fn read_runs(&self, dataset: &Dataset, truth: &Truth) -> Result<(Vec<Shown>, MeasuredOn)> {
        let mut tables = Vec::new();
        let mut shared: Option<BTreeSet<usize>> = None;
        for run in &self.runs {
            let predictions = Predictions::read(&run.join("predictions.csv"))?;
            let positions: Vec<Option<usize>> = predictions
                .images
                .iter()
                .map(|id| {
                    dataset
                        .position(id)
                        .filter(|_| truth.images.contains_key(id))
                })
                .collect();
            let known: BTreeSet<usize> = positions.iter().copied().flatten().collect();
            shared = Some(match shared {
                Some(shared) => shared.intersection(&known).copied().collect(),
                None => known,
            });
            let (manifest, recipe) = read_run(run)?;
            let described = Described {
                name: self.name_of(run),
                method: recipe.method.name(),
                labels: format!("labels of {} in {}", manifest.source, manifest.labels),
                source: manifest.source,
                corrected: manifest.corrected,
            };
            tables.push((described, predictions, positions));
        }
        let mut images: Vec<usize> = shared.unwrap_or_default().into_iter().collect();
        let any_corrected = tables.iter().any(|(described, ..)| described.corrected);
        let for_test = |image: &usize| dataset.images()[*image].split == Some(Split::Test);
        let mut measured = MeasuredOn::Folds;
        if any_corrected && images.iter().any(for_test) {
            images.retain(for_test);
            measured = MeasuredOn::Test;
        }
        if images.is_empty() {
            return Err(Failure::input(format!(
                "no image is both in all runs and in the {}",
                truth.name
            )));
        }
        let shown = tables
            .into_iter()
            .map(|(described, predictions, positions)| {
                let row_of: std::collections::BTreeMap<usize, usize> = positions
                    .iter()
                    .enumerate()
                    .filter_map(|(row, position)| position.map(|position| (position, row)))
                    .collect();
                let rows: Vec<usize> = images.iter().map(|image| row_of[image]).collect();
                let probabilities = predictions.probabilities.select(Axis(0), &rows);
                Shown {
                    described,
                    probabilities,
                    images: images.clone(),
                }
            })
            .collect();
        Ok((shown, measured))
    }

    /// The name of a run's folder, or where several are called so its path.
    fn name_of(&self, run: &Path) -> String {
        let same = self
            .runs
            .iter()
            .filter(|other| other.file_name() == run.file_name());
        match run.file_name() {
            Some(name) if same.count() == 1 => name.to_string_lossy().into_owned(),
            _ => run.display().to_string(),
        }
    }
}

/// What a run is.
struct Described {
    /// The name of its folder.
    name: String,
    method: &'static str,
    /// What it learned from.
    labels: String,
    /// Whose labels these are.
    source: String,
    /// Whether a model corrected them.
    corrected: bool,
}

/// What runs are measured on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MeasuredOn {
    /// All images that runs predicted, those of their folds among them.
    Folds,
    /// Images for test alone, as the labels of a run were corrected by those of all others.
    Test,
}

impl Described {
    fn label(&self) -> String {
        format!("{} ({})", self.name, self.method)
    }

    /// What differences to it are to.
    fn as_baseline(&self) -> String {
        if self.method == MethodSettings::default().name() {
            format!("{PLAIN} ({})", self.name)
        } else {
            self.label()
        }
    }
}

/// Runs by the labels that they learned from, in the order in which these are met first.
fn settings(results: Vec<(String, MethodResult)>) -> Vec<Setting> {
    let mut settings: Vec<Setting> = Vec::new();
    for (labels, result) in results {
        match settings.iter_mut().find(|known| known.name == labels) {
            Some(setting) => setting.methods.push(result),
            None => settings.push(Setting {
                name: labels,
                methods: vec![result],
            }),
        }
    }
    settings
}

/// Where the run with the highest value is: the setting, and the place in it. Settings whose values are too good are left out.
fn best_of(settings: &[Setting], too_good: &BTreeSet<&str>) -> Option<(usize, usize)> {
    let settings = settings.iter().enumerate();
    let fair = settings.filter(|(_, setting)| !too_good.contains(setting.name.as_str()));
    let places = fair.flat_map(|(setting, of)| {
        let methods = of.methods.iter().enumerate();
        methods.map(move |(place, result)| (result.value.value, (setting, place)))
    });
    let known = places.filter(|(value, _)| value.is_finite());
    let best = known.reduce(|best, other| if other.0 > best.0 { other } else { best });
    best.map(|(_, place)| place)
}

fn compare(
    context: &Context,
    dataset: &Dataset,
    truth: &Truth,
    (shown, measured): (&[Shown], MeasuredOn),
    against: &Against,
) -> Result<(Comparison, Vec<Calibration>)> {
    let (classes, cases): (Vec<usize>, Vec<usize>) = shown[0]
        .images
        .iter()
        .map(|&image| truth.images[&dataset.images()[image].id])
        .unzip();
    let bootstrap = Bootstrap {
        seed: context.seed,
        ..Bootstrap::default()
    };
    let known = Known {
        truth: classes,
        cases,
        classes: dataset.classes().len(),
    };
    let first = std::slice::from_ref(&shown[0].probabilities);
    let (mut results, mut calibrations) = (Vec::new(), Vec::new());
    for (index, run) in shown.iter().enumerate() {
        let predicted = std::slice::from_ref(&run.probabilities);
        let value = known.balanced_accuracy(predicted, &bootstrap)?;
        let difference = if index == 0 {
            None
        } else {
            let found = known.difference(predicted, first, &bootstrap)?;
            Some(page::estimate(&found.difference))
        };
        let result = MethodResult {
            method: run.described.label(),
            value: page::estimate(&value),
            difference,
        };
        results.push((run.described.labels.clone(), result));
        calibrations.push(page::calibration(
            context,
            dataset,
            &known,
            &run.described.label(),
            against,
            &run.probabilities,
        )?);
    }
    let settings = settings(results);
    let too_good: BTreeSet<&str> = shown
        .iter()
        .filter(|run| run.described.corrected && measured == MeasuredOn::Folds)
        .map(|run| run.described.labels.as_str())
        .collect();
    let because = match shown.len() {
        1 => String::new(),
        runs => format!(
            "The best of {} runs by the same labels that measure it, which flatters it.",
            thousands(runs)
        ),
    };
    let comparison = Comparison {
        metric: "balanced accuracy".into(),
        against: against.clone(),
        protocol: match measured {
            MeasuredOn::Folds if too_good.is_empty() => "out of sample, by case".into(),
            MeasuredOn::Folds => "across folds by case, too good for corrected labels".into(),
            MeasuredOn::Test => format!("on {} for test", count(known.truth.len(), "image")),
        },
        chance: Some(1.0 / known.classes as f64),
        noise_curves: Vec::new(),
        baseline: shown[0].described.as_baseline(),
        quoted: best_of(&settings, &too_good),
        quoted_because: because,
        settings,
    };
    Ok((comparison, calibrations))
}

impl Show for Summary {
    fn text(&self) -> String {
        format!(
            "{}: {} on {}",
            self.report.display(),
            count(self.runs, "run"),
            count(self.images, "image")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cleanslide_report::number::Estimate;

    #[test]
    fn the_best_run_is_quoted_whatever_it_learned_from_unless_its_figures_are_too_good() {
        let result = |labels: &str, value: f64| {
            let result = MethodResult {
                method: "some".to_owned(),
                value: Estimate::without_interval(value),
                difference: None,
            };
            (labels.to_owned(), result)
        };
        let settings = settings(vec![
            result("a", 0.7),
            result("b", 0.9),
            result("a", f64::NAN),
            result("b", 0.8),
        ]);
        assert_eq!(settings.len(), 2);
        assert_eq!(best_of(&settings, &BTreeSet::new()), Some((1, 0)));
        assert_eq!(best_of(&settings, &BTreeSet::from(["b"])), Some((0, 0)));
    }
}
