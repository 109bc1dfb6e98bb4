//! `cleanslide demo`: the whole path on simulated tissue.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use cleanslide_data::store::write_file;
use cleanslide_data::{Dataset, TryMap, independent_units};
use cleanslide_eval::{Bootstrap, Estimate, Groups, LabelPairs, PairedComparison};
use cleanslide_learn::bench::{AddedNoise, Bench, Cell};
use cleanslide_learn::classify::Classifier;
use cleanslide_learn::correct::Policy;
use cleanslide_learn::embed::Embeddings;
use cleanslide_learn::image_labels::ImageLabels;
use cleanslide_learn::label_audit::LabelAudit;
use cleanslide_learn::methods::MethodSettings;
use cleanslide_learn::study::{OutOfSample, Study};
use cleanslide_report::classification::{
    Against, ClassificationReport, Comparison, MethodResult, PLAIN as PLAIN_TRAINING, Ranking,
    Setting, render,
};
use cleanslide_weak::fusion::DawidSkene;
use cleanslide_weak::simulate::PatchClassification;
use ndarray::{Array2, Axis};
use rayon::prelude::*;
use serde::Serialize;

use super::audit::{FilterName, JudgedLabels, default_folder};
use super::fuse::{DAWID_SKENE, add_consensus};
use super::{audit, correct, embed, simulate};
use crate::arguments::EncoderArguments;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::measures::Known;
use crate::output::{Show, count};
use crate::page;
use crate::pipeline::{DEFAULT_FOLDS, judge_labels, method_by_name};
use crate::run_folder::fold_lines;
use crate::text_table::TextTable;
use crate::truth::Truth;

/// See the whole path on simulated tissue with known truth, in under two minutes
///
/// Simulates patches and three annotators who err, finds whom to believe, fuses their labels, audits
/// and corrects them, trains with and without robustness, and measures everything against the truth,
/// which nothing else has seen.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cleanslide demo --out my-demo --seed 1")]
pub struct Demo {
    /// Folder for the dataset and the report, which must not exist
    #[arg(long, default_value = "demo", value_name = "FOLDER")]
    out: PathBuf,
    /// Number of simulated cases
    #[arg(long, default_value_t = 24)]
    cases: usize,
    /// Patches of each case
    #[arg(long, default_value_t = 40)]
    patches: usize,
}

/// The annotators whose labels are fused.
const ANNOTATORS: [&str; 3] = ["annotator1", "annotator2", HASTY];

/// Plain training, with the cross-entropy.
const PLAIN: &str = "plain";

/// The method that the demo sets against plain training.
const ROBUST: &str = "gce";

/// The annotator who labels in a hurry.
const HASTY: &str = "annotator3";

/// Relabel where the suggested class is at least this probable.
const THRESHOLD: f32 = 0.8;

#[derive(Debug, Serialize)]
struct Summary {
    folder: PathBuf,
    report: PathBuf,
    images: usize,
    cases: usize,
    label_errors: Vec<LabelErrors>,
    training: Vec<Training>,
    robust_minus_plain: PairedComparison,
    seconds: f64,
}

#[derive(Debug, Serialize)]
struct LabelErrors {
    labels: String,
    labelled: usize,
    wrong: Estimate,
}

#[derive(Debug, Serialize)]
struct Training {
    labels: String,
    method: String,
    balanced_accuracy: Estimate,
}

impl Demo {
    pub fn run(self, context: &Context) -> Result<()> {
        if self.out.exists() {
            return Err(
                Failure::usage(format!("{} exists already", self.out.display()))
                    .help("Choose another folder with `--out`, or remove this one."),
            );
        }
        let start = Instant::now();
        let path = self.out.join("liver");
        let task = PatchClassification {
            seed: context.seed,
            cases: self.cases,
            patches_per_case: self.patches,
            ..PatchClassification::default()
        };
        step(
            context,
            1,
            &format!(
                "simulating {} of {} and three annotators",
                count(self.cases * self.patches, "image"),
                count(self.cases, "case")
            ),
        );
        let mut dataset = simulate::simulate(context, &path, &task, false)?;
        step(
            context,
            2,
            "embedding the images (classical encoder: stain, texture, nuclei)",
        );
        let arguments = EncoderArguments {
            encoder: "classical".into(),
            crop: None,
            strict: true,
        };
        let (encoder, embeddings) = embed::embeddings(context, &dataset, &arguments)?;
        step(context, 3, "fusing the annotators (Dawid–Skene)");
        let consensus = fuse(context, &mut dataset)?;
        step(context, 4, "auditing the consensus");
        let judged = judge(context, &dataset, (encoder.name(), embeddings), &consensus)?;
        let filter = FilterName::PruneByNoiseRate.options();
        let folder = default_folder(&dataset, &judged.labels);
        let (_, found) = audit::write(context, &dataset, &judged, filter, &folder)?;
        step(context, 5, "correcting it, as a new label version");
        let policy = Policy::Relabel {
            threshold: THRESHOLD,
        };
        let corrected =
            correct::apply(context, &mut dataset, &judged, filter, policy, "corrected")?;
        let corrected = ImageLabels::load(&dataset, Some(corrected.labels.parse()?), None)?;
        step(
            context,
            6,
            &format!("training on {HASTY} alone, on the consensus and on its correction"),
        );
        let hasty = ImageLabels::load(&dataset, Some(consensus.version), Some(HASTY))?;
        let trained = train(
            context,
            &dataset,
            &judged.embeddings,
            &[&hasty, &consensus, &corrected],
        )?;

        // From here on, and only from here, the truth is read.
        let truth = Truth::of_dataset(&dataset, Some("truth"))?;
        let judges = Judges::new(context, &dataset, &judged.embeddings, &truth);
        let errors = label_errors(&dataset, &judges, &[&consensus, &corrected])?;
        let training = trained
            .iter()
            .map(|run| {
                let predicted = judges.predicted(run);
                let known = &judges.known;
                Ok(Training {
                    labels: run.labels.clone(),
                    method: run.method.to_owned(),
                    balanced_accuracy: known.balanced_accuracy(&predicted, &judges.bootstrap)?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let difference = judges.known.difference(
            &judges.predicted(&trained[1]),
            &judges.predicted(&trained[0]),
            &judges.bootstrap,
        )?;

        let report = self.out.join("report.html");
        let page = self.page(
            context,
            &dataset,
            &judged,
            &found,
            &judges,
            &training,
            &trained,
            &difference,
        )?;
        write_file(&report, render(&page).as_bytes())?;
        context.output.show(&Summary {
            folder: self.out,
            report,
            images: dataset.images().len(),
            cases: self.cases,
            label_errors: errors,
            training,
            robust_minus_plain: difference,
            seconds: start.elapsed().as_secs_f64(),
        })
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the page shows everything that the demo made"
    )]
    fn page(
        &self,
        context: &Context,
        dataset: &Dataset,
        judged: &JudgedLabels,
        found: &LabelAudit,
        judges: &Judges,
        training: &[Training],
        trained: &[Run],
        difference: &PairedComparison,
    ) -> Result<ClassificationReport> {
        let mut report = page::start(context, dataset, judged.labels.version, &judged.labels)?;
        report.title = "Cleanslide demo: simulated liver, three annotators".into();
        let units = independent_units(dataset.images());
        let all = dataset.labels(judged.labels.version)?;
        let name = "the consensus (Dawid–Skene)";
        report.experts = page::experts(
            context,
            dataset,
            &all,
            &judged.labels.classes(),
            name,
            &units,
        )?;
        report.suspicious = Some(page::suspicious(dataset, &judged.study, found));
        report.noise = Some(page::noise("consensus labels", found));
        report.confusions = vec![page::joint_confusion(found, judged.study.len())];
        report.ranking = Some(ranking(judged, found, judges)?);
        let mut settings: Vec<Setting> = Vec::new();
        for run in training {
            let result = MethodResult {
                method: match run.method.as_str() {
                    PLAIN => PLAIN_TRAINING.to_owned(),
                    other => other.to_owned(),
                },
                value: page::estimate(&run.balanced_accuracy),
                difference: (run.method == ROBUST && run.labels == HASTY)
                    .then(|| page::estimate(&difference.difference)),
            };
            let labels = match run.labels.as_str() {
                "corrected" => "the corrected labels".to_owned(),
                other => format!("labels of {other}"),
            };
            match settings.last_mut() {
                Some(last) if last.name == labels => last.methods.push(result),
                _ => settings.push(Setting {
                    name: labels,
                    methods: vec![result],
                }),
            }
        }
        report.comparison = Some(Comparison {
            metric: "balanced accuracy".into(),
            against: Against::Truth("the simulated truth".into()),
            protocol: format!("{DEFAULT_FOLDS} folds by case, out of sample"),
            chance: Some(1.0 / dataset.classes().len() as f64),
            baseline: PLAIN_TRAINING.into(),
            quoted: Some((settings.len() - 1, 0)),
            quoted_because: String::new(),
            settings,
            noise_curves: Vec::new(),
        });
        for run in trained {
            let title = format!("{}, trained on {}", run.method, run.labels);
            let lines = fold_lines(&run.predicted);
            report
                .learning_curves
                .extend(page::learning_curves(&title, &lines));
        }
        if let Some(run) = trained.last() {
            let [predicted] = judges.predicted(run);
            report.calibrations = vec![page::calibration(
                context,
                dataset,
                &judges.known,
                &format!("{}, trained on {}", run.method, run.labels),
                &Against::Truth("the simulated truth".into()),
                &predicted,
            )?];
        }
        report
            .warnings
            .push("Simulated tissue: no figure here says anything about real tissue.".into());
        Ok(report)
    }
}

fn step(context: &Context, number: usize, what: &str) {
    context.output.note(&format!("[{number}/6] {what}"));
}

/// Fuses the three annotators, as `cleanslide fuse` does.
fn fuse(context: &Context, dataset: &mut Dataset) -> Result<ImageLabels> {
    let parent = dataset.latest()?;
    let labels = dataset.labels(parent)?;
    let votes = labels.votes(dataset.images(), &ANNOTATORS, dataset.classes().len())?;
    let consensus = DawidSkene::default().fuse(&votes)?;
    let names = ANNOTATORS.map(String::from);
    let version = add_consensus(
        context,
        dataset,
        parent,
        DAWID_SKENE,
        &names,
        &consensus,
        false,
    )?;
    Ok(ImageLabels::load(
        dataset,
        Some(version.id),
        Some(DAWID_SKENE),
    )?)
}

/// Predicts the labelled images out of sample, by a plain classifier.
fn judge(
    context: &Context,
    dataset: &Dataset,
    (encoder, embeddings): (&str, Embeddings),
    labels: &ImageLabels,
) -> Result<JudgedLabels> {
    let study = Study::new(dataset, &embeddings, labels, |_| true)?;
    let judgement = judge_labels(context, &study, DEFAULT_FOLDS)?;
    Ok(JudgedLabels {
        encoder: encoder.to_owned(),
        labels: labels.clone(),
        embeddings,
        study,
        judgement,
    })
}

/// One training: its labels, its method, and what it predicts for all images out of sample.
struct Run {
    labels: String,
    method: &'static str,
    predicted: OutOfSample,
}

/// Trains plain and robust on the first labels, plain on the others.
fn train(
    context: &Context,
    dataset: &Dataset,
    embeddings: &Embeddings,
    labels: &[&ImageLabels],
) -> Result<Vec<Run>> {
    let bench = Bench {
        from_pixels: None,
        dataset,
        embeddings,
        classifier: &Classifier::default(),
        folds: DEFAULT_FOLDS,
    };
    let mut plans = vec![(ROBUST, method_by_name(ROBUST)?, labels[0])];
    plans.extend(
        labels
            .iter()
            .map(|&l| (PLAIN, MethodSettings::default(), l)),
    );
    plans.swap(0, 1);
    plans.into_par_iter().try_map(|(name, method, labels)| {
        let cell = Cell {
            labels: labels.source.clone(),
            noise: AddedNoise::None,
            method,
            seed: context.seed,
        };
        Ok(Run {
            predicted: bench.predict(&cell, labels)?,
            labels: cell.labels,
            method: name,
        })
    })
}

/// The embedded images with their truth.
struct Judges {
    /// Rows of the embeddings.
    rows: Vec<usize>,
    /// Positions in the dataset.
    images: Vec<usize>,
    known: Known,
    bootstrap: Bootstrap,
}

impl Judges {
    fn new(context: &Context, dataset: &Dataset, embeddings: &Embeddings, truth: &Truth) -> Self {
        let (mut rows, mut images, mut classes, mut cases) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (row, &image) in embeddings.images.iter().enumerate() {
            if let Some(&(class, case)) = truth.images.get(&dataset.images()[image].id) {
                rows.push(row);
                images.push(image);
                classes.push(class);
                cases.push(case);
            }
        }
        Self {
            rows,
            images,
            known: Known {
                truth: classes,
                cases,
                classes: dataset.classes().len(),
            },
            bootstrap: Bootstrap {
                seed: context.seed,
                ..Bootstrap::default()
            },
        }
    }

    /// The predictions of the images with truth.
    fn predicted(&self, run: &Run) -> [Array2<f32>; 1] {
        [run.predicted.probabilities.select(Axis(0), &self.rows)]
    }
}

/// The share of wrong labels of each annotator, and of the label sets.
fn label_errors(
    dataset: &Dataset,
    judges: &Judges,
    sets: &[&ImageLabels],
) -> Result<Vec<LabelErrors>> {
    let mut all = Vec::new();
    for annotator in ANNOTATORS {
        all.push(ImageLabels::load(dataset, None, Some(annotator))?);
    }
    all.iter()
        .chain(sets.iter().copied())
        .map(|labels| wrong(judges, labels))
        .collect()
}

fn wrong(judges: &Judges, labels: &ImageLabels) -> Result<LabelErrors> {
    let classes = labels.classes();
    let items: Vec<(usize, usize)> = judges
        .images
        .iter()
        .enumerate()
        .filter_map(|(item, &image)| Some((item, classes[image]?)))
        .collect();
    let of = |values: &[usize]| -> Vec<usize> { items.iter().map(|&(i, _)| values[i]).collect() };
    let given: Vec<usize> = items.iter().map(|&(_, class)| class).collect();
    let known = &judges.known;
    let pairs = LabelPairs::new(&of(&known.truth), &given, known.classes)?;
    let groups = Groups::new(&of(&known.cases))?;
    let bootstrap = &judges.bootstrap;
    Ok(LabelErrors {
        labels: labels.source.clone(),
        labelled: items.len(),
        wrong: bootstrap.estimate(&groups, |w| Ok(1.0 - pairs.confusion(w)?.accuracy()?))?,
    })
}

/// How well suspicion ranks the labels that are really wrong.
fn ranking(judged: &JudgedLabels, found: &LabelAudit, judges: &Judges) -> Result<Ranking> {
    let truth: BTreeMap<usize, usize> = judges
        .images
        .iter()
        .copied()
        .zip(judges.known.truth.iter().copied())
        .collect();
    let (mut wrong, mut suspicion, mut cases) = (Vec::new(), Vec::new(), Vec::new());
    for issue in &found.issues {
        if let Some(class) = truth.get(&judged.study.images[issue.item]) {
            wrong.push(*class != issue.given);
            suspicion.push(issue.suspicion);
            cases.push(judged.study.cases[issue.item]);
        }
    }
    let ranking = cleanslide_eval::Ranking::new(&wrong, &suspicion)?;
    let groups = Groups::new(&cases)?;
    let bootstrap = &judges.bootstrap;
    let average_precision = bootstrap.estimate(&groups, |w| ranking.average_precision(w))?;
    Ok(Ranking {
        truth: "the consensus differs from the simulated truth".into(),
        errors: wrong.iter().filter(|&&wrong| wrong).count(),
        checked: wrong.len(),
        curves: vec![page::precision_recall(
            "suspicion",
            &wrong,
            page::estimate(&average_precision),
        )],
    })
}

impl Show for Summary {
    fn text(&self) -> String {
        let percent = |estimate: &Estimate| {
            format!(
                "{:.1} % [{:.1}, {:.1}]",
                100.0 * estimate.value,
                100.0 * estimate.low,
                100.0 * estimate.high
            )
        };
        let mut errors = TextTable::new(&["labels", "images", "wrong [95 % interval]"]);
        for line in &self.label_errors {
            errors.row([
                line.labels.clone(),
                line.labelled.to_string(),
                percent(&line.wrong),
            ]);
        }
        let mut training =
            TextTable::new(&["trained on", "<method", "balanced accuracy [95 % interval]"]);
        for line in &self.training {
            let value = percent(&line.balanced_accuracy);
            training.row([line.labels.clone(), line.method.clone(), value]);
        }
        let difference = &self.robust_minus_plain.difference;
        format!(
            "\nHow many labels are wrong (against the simulated truth)\n{}\n\n\
             How good the classifiers are (out of sample, by case)\n{}\n  \
             robust minus plain on {HASTY}: {:+.1} points [{:+.1}, {:+.1}], p = {:.3}\n\n\
             {:.0} s; report: {}",
            errors.text(),
            training.text(),
            100.0 * difference.value,
            100.0 * difference.low,
            100.0 * difference.high,
            self.robust_minus_plain.p_value,
            self.seconds,
            self.report.display()
        )
    }
}
