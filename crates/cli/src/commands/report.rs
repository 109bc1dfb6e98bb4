//! `cleanslide report`: runs side by side, as one HTML file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use cleanslide_data::store::write_file;
use cleanslide_data::{Dataset, independent_units};
use cleanslide_eval::Bootstrap;
use cleanslide_learn::predictions::Predictions;
use cleanslide_report::classification::{
    Against, Calibration, Comparison, MethodResult, Setting, render,
};
use ndarray::{Array2, Axis};
use serde::Serialize;

use super::audit::{FilterName, from_run};
use crate::arguments::DatasetArgument;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::measures::Known;
use crate::network_run::is_network_run;
use crate::output::{Show, count};
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
    name: String,
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
        report.noise = Some(page::noise(
            &format!("labels of {}", judged.labels.source),
            &audit,
        ));
        report.confusions = vec![page::joint_confusion(&audit, judged.study.len())];
        for run in &self.runs {
            report
                .learning_curves
                .extend(page::learning_curves(&name_of(run), &read_metrics(run)?));
        }
        let truth = match &self.reference {
            Some(name) => Truth::of_dataset(&dataset, Some(name))?,
            None => Truth::of_given(&dataset, Some(version), &judged.labels.source)?,
        };
        let against = match &self.reference {
            Some(_) => Against::Truth(truth.name.clone()),
            None => Against::NoisyLabels(truth.name.clone()),
        };
        let shown = self.read_runs(&dataset, &truth)?;
        let (comparison, calibrations) = compare(context, &dataset, &truth, &shown, &against)?;
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

    /// Out-of-sample predictions of every run for the images that all of them predict and whose
    /// truth is known.
    fn read_runs(&self, dataset: &Dataset, truth: &Truth) -> Result<Vec<Shown>> {
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
            tables.push((name_of(run), predictions, positions));
        }
        let images: Vec<usize> = shared.unwrap_or_default().into_iter().collect();
        if images.is_empty() {
            return Err(Failure::input(format!(
                "no image is both in all runs and in the {}",
                truth.name
            )));
        }
        Ok(tables
            .into_iter()
            .map(|(name, predictions, positions)| {
                let row_of: std::collections::BTreeMap<usize, usize> = positions
                    .iter()
                    .enumerate()
                    .filter_map(|(row, position)| position.map(|position| (position, row)))
                    .collect();
                let rows: Vec<usize> = images.iter().map(|image| row_of[image]).collect();
                let probabilities = predictions.probabilities.select(Axis(0), &rows);
                Shown {
                    name,
                    probabilities,
                    images: images.clone(),
                }
            })
            .collect())
    }
}

fn name_of(run: &Path) -> String {
    run.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn compare(
    context: &Context,
    dataset: &Dataset,
    truth: &Truth,
    shown: &[Shown],
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
    let (mut methods, mut calibrations) = (Vec::new(), Vec::new());
    for (index, run) in shown.iter().enumerate() {
        let predicted = std::slice::from_ref(&run.probabilities);
        let value = known.balanced_accuracy(predicted, &bootstrap)?;
        let difference = if index == 0 {
            None
        } else {
            let found = known.difference(predicted, first, &bootstrap)?;
            Some(page::estimate(&found.difference))
        };
        methods.push(MethodResult {
            method: run.name.clone(),
            value: page::estimate(&value),
            difference,
        });
        calibrations.push(page::calibration(
            context,
            dataset,
            &known,
            &run.name,
            against,
            &run.probabilities,
        )?);
    }
    let comparison = Comparison {
        metric: "balanced accuracy".into(),
        against: against.clone(),
        protocol: "out of sample, by case".into(),
        chance: Some(1.0 / known.classes as f64),
        settings: vec![Setting {
            name: "all runs".into(),
            methods,
        }],
        noise_curves: Vec::new(),
        quoted: Some((0, shown.len() - 1)),
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
