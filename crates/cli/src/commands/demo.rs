//! `cleanslide demo`: the whole path on simulated tissue.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use cleanslide_data::store::write_file;
use cleanslide_data::{
    Dataset, Evidence, Labels, NewVersion, Source, SourceKind, independent_units,
};
use cleanslide_eval::{Bootstrap, Estimate, Groups, LabelPairs, PairedComparison};
use cleanslide_learn::classify::Classifier;
use cleanslide_learn::correct::Policy;
use cleanslide_learn::embed::Embeddings;
use cleanslide_learn::image_labels::ImageLabels;
use cleanslide_learn::study::Study;
use cleanslide_report::classification::{
    Against, Calibration, ClassificationReport, Comparison, MethodResult, Ranking, Setting, render,
};
use cleanslide_weak::fusion::DawidSkene;
use cleanslide_weak::simulate::PatchClassification;
use ndarray::{Array2, Axis, concatenate};
use serde::Serialize;

use super::audit::{FilterName, JudgedLabels, default_folder};
use super::evaluate::Truth;
use super::{audit, correct, embed, simulate};
use crate::arguments::EncoderArguments;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::measures::Judged;
use crate::output::{Show, count};
use crate::page;
use crate::pipeline::{DEFAULT_FOLDS, method_by_name};
use crate::text_table::TextTable;

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
        let (_, embeddings) = embed::embeddings(context, &dataset, &arguments)?;
        step(context, 3, "fusing the annotators (Dawid–Skene)");
        let consensus = fuse(context, &mut dataset)?;
        step(context, 4, "auditing the consensus");
        let judged = judge(context, &dataset, embeddings, &consensus)?;
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
        let known = Known::new(&dataset, &judged.embeddings, &truth);
        let errors = label_errors(context, &dataset, &known, &[&consensus, &corrected])?;
        let training = trained
            .iter()
            .map(|run| {
                Ok(Training {
                    labels: run.labels.clone(),
                    method: run.method.to_owned(),
                    balanced_accuracy: known.balanced_accuracy(context, &run.probabilities)?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let difference = known.compare(
            context,
            &trained[1].probabilities,
            &trained[0].probabilities,
        )?;

        let report = self.out.join("report.html");
        let page = self.page(
            context,
            &dataset,
            &judged,
            &found,
            &known,
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
        found: &cleanslide_learn::label_audit::LabelAudit,
        known: &Known,
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
        report.ranking = Some(ranking(context, judged, found, known)?);
        let mut settings: Vec<Setting> = Vec::new();
        for run in training {
            let result = MethodResult {
                method: run.method.clone(),
                value: page::estimate(&run.balanced_accuracy),
                difference: (run.method == ROBUST && run.labels == HASTY)
                    .then(|| page::estimate(&difference.difference)),
            };
            match settings.last_mut() {
                Some(last) if last.name == run.labels => last.methods.push(result),
                _ => settings.push(Setting {
                    name: run.labels.clone(),
                    methods: vec![result],
                }),
            }
        }
        report.comparison = Some(Comparison {
            metric: "balanced accuracy".into(),
            against: Against::Truth("the simulated truth".into()),
            protocol: format!("{DEFAULT_FOLDS} folds by case, out of sample"),
            chance: Some(1.0 / dataset.classes().len() as f64),
            quoted: Some((settings.len() - 1, 0)),
            settings,
            noise_curves: Vec::new(),
        });
        if let Some(run) = trained.last() {
            report.calibrations = vec![known.calibration(context, dataset, run)?];
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
    let annotators = ["annotator1", "annotator2", HASTY];
    let votes = labels.votes(dataset.images(), &annotators, dataset.classes().len())?;
    let consensus = DawidSkene::default().fuse(&votes)?;
    let source = "dawid-skene";
    dataset.add_source(Source {
        id: source.into(),
        kind: SourceKind::Algorithm,
        description: "consensus of annotators".into(),
    })?;
    let fused = dataset.images().iter().zip(&consensus.labels);
    let fused: Vec<Evidence> = fused
        .filter_map(|(image, class)| class.map(|class| Evidence::class(source, &image.id, class)))
        .collect();
    let evidence = labels.into_evidence().into_iter().chain(fused).collect();
    let version = dataset.add_version(NewVersion {
        parent: Some(parent),
        produced: Some(source.into()),
        labels: Labels::new(evidence, dataset.classes())?,
        provenance: context.provenance("fused 3 annotators by dawid-skene"),
        notes: Vec::new(),
    })?;
    Ok(ImageLabels::load(dataset, Some(version.id), Some(source))?)
}

/// Predicts the labelled images out of sample, by a plain classifier.
fn judge(
    context: &Context,
    dataset: &Dataset,
    embeddings: Embeddings,
    labels: &ImageLabels,
) -> Result<JudgedLabels> {
    let study = Study::new(dataset, &embeddings, labels, |_| true)?;
    let validation = crate::pipeline::CrossValidation::default();
    let (probabilities, folds) = crate::pipeline::predict_study(context, &study, &validation)?;
    Ok(JudgedLabels {
        labels: labels.clone(),
        embeddings,
        study,
        probabilities,
        folds,
    })
}

/// One training: its labels, method, and predictions of all images out of sample.
struct Run {
    labels: String,
    method: &'static str,
    probabilities: Array2<f32>,
}

/// Trains plain and robust on the first labels, plain on the others.
fn train(
    context: &Context,
    dataset: &Dataset,
    embeddings: &Embeddings,
    labels: &[&ImageLabels],
) -> Result<Vec<Run>> {
    let units = independent_units(dataset.images());
    let cases: Vec<usize> = embeddings
        .images
        .iter()
        .map(|&image| units[image])
        .collect();
    let unknown = vec![None; cases.len()];
    let mut rng = <rand_chacha::ChaCha8Rng as rand_chacha::rand_core::SeedableRng>::seed_from_u64(
        context.seed,
    );
    let query_folds = cleanslide_data::assign_folds(&cases, &unknown, DEFAULT_FOLDS, &mut rng)?;
    let plain = Classifier::default();
    let robust = Classifier {
        method: method_by_name(ROBUST)?,
        ..Classifier::default()
    };
    let mut runs = Vec::new();
    for (index, labels) in labels.iter().enumerate() {
        let study = Study::new(dataset, embeddings, labels, |_| true)?;
        let folds: Vec<usize> = study.rows.iter().map(|&row| query_folds[row]).collect();
        let classifiers: &[(&'static str, &Classifier)] = if index == 0 {
            &[("plain", &plain), (ROBUST, &robust)]
        } else {
            &[("plain", &plain)]
        };
        for &(method, classifier) in classifiers {
            let mut classifier = classifier.clone();
            classifier.train.seed = context.seed;
            let features = embeddings.features.view();
            let predicted =
                study.predict_held_out(&classifier, &folds, features, &query_folds, &|_, _| {})?;
            let labels = labels.source.clone();
            runs.push(Run {
                labels,
                method,
                probabilities: predicted.probabilities,
            });
        }
    }
    Ok(runs)
}

/// The embedded images with their truth.
struct Known {
    /// Rows of the embeddings.
    rows: Vec<usize>,
    /// Positions in the dataset.
    images: Vec<usize>,
    truth: Vec<usize>,
    cases: Vec<usize>,
    classes: usize,
}

impl Known {
    fn new(dataset: &Dataset, embeddings: &Embeddings, truth: &Truth) -> Self {
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
            truth: classes,
            cases,
            classes: dataset.classes().len(),
        }
    }

    fn predicted(&self, probabilities: &Array2<f32>) -> Result<Vec<usize>> {
        Ok(cleanslide_eval::most_probable(
            probabilities.select(Axis(0), &self.rows).view(),
        )?)
    }

    fn balanced_accuracy(
        &self,
        context: &Context,
        probabilities: &Array2<f32>,
    ) -> Result<Estimate> {
        let pairs = LabelPairs::new(&self.truth, &self.predicted(probabilities)?, self.classes)?;
        let groups = Groups::new(&self.cases)?;
        Ok(bootstrap(context).estimate(&groups, |w| pairs.confusion(w)?.balanced_accuracy())?)
    }

    fn compare(
        &self,
        context: &Context,
        first: &Array2<f32>,
        second: &Array2<f32>,
    ) -> Result<PairedComparison> {
        let truth = [self.truth.as_slice(), &self.truth].concat();
        let both = concatenate(
            Axis(0),
            &[
                first.select(Axis(0), &self.rows).view(),
                second.select(Axis(0), &self.rows).view(),
            ],
        )
        .map_err(|error| Failure::other(error.to_string()))?;
        let predicted = cleanslide_eval::most_probable(both.view())?;
        let pairs = LabelPairs::new(&truth, &predicted, self.classes)?;
        let groups = Groups::new(&self.cases)?;
        Ok(bootstrap(context).compare(&groups, |w| pairs.confusion(w)?.balanced_accuracy())?)
    }

    fn calibration(&self, context: &Context, dataset: &Dataset, run: &Run) -> Result<Calibration> {
        let probabilities = run.probabilities.select(Axis(0), &self.rows);
        let judged = Judged {
            truth: &self.truth,
            probabilities: probabilities.view(),
            cases: &self.cases,
            classes: dataset.classes(),
        };
        let measures = judged.measures(context.seed)?;
        let error = measures
            .iter()
            .find(|measure| measure.name == "expected calibration error");
        let nothing = cleanslide_report::number::Estimate::without_interval(f64::NAN);
        Ok(Calibration {
            classifier: format!("{}, trained on {}", run.method, run.labels),
            against: Against::Truth("the simulated truth".into()),
            expected_error: error
                .and_then(|measure| measure.estimate.as_ref())
                .map_or(nothing, page::estimate),
            bins: page::bins(&judged.reliability()?)?,
        })
    }
}

fn bootstrap(context: &Context) -> Bootstrap {
    Bootstrap {
        seed: context.seed,
        ..Bootstrap::default()
    }
}

/// The share of wrong labels of each annotator, and of the label sets.
fn label_errors(
    context: &Context,
    dataset: &Dataset,
    known: &Known,
    sets: &[&ImageLabels],
) -> Result<Vec<LabelErrors>> {
    let mut all = Vec::new();
    for annotator in ["annotator1", "annotator2", HASTY] {
        all.push(ImageLabels::load(dataset, None, Some(annotator))?);
    }
    all.iter()
        .chain(sets.iter().copied())
        .map(|labels| wrong(context, known, labels))
        .collect()
}

fn wrong(context: &Context, known: &Known, labels: &ImageLabels) -> Result<LabelErrors> {
    let classes = labels.classes();
    let items: Vec<usize> = (0..known.images.len())
        .filter(|&item| classes[known.images[item]].is_some())
        .collect();
    let truth: Vec<usize> = items.iter().map(|&item| known.truth[item]).collect();
    let given: Vec<usize> = items
        .iter()
        .filter_map(|&item| classes[known.images[item]])
        .collect();
    let cases: Vec<usize> = items.iter().map(|&item| known.cases[item]).collect();
    let pairs = LabelPairs::new(&truth, &given, known.classes)?;
    let groups = Groups::new(&cases)?;
    let wrong =
        bootstrap(context).estimate(&groups, |w| Ok(1.0 - pairs.confusion(w)?.accuracy()?))?;
    Ok(LabelErrors {
        labels: labels.source.clone(),
        labelled: items.len(),
        wrong,
    })
}

/// How well suspicion ranks the labels that are really wrong.
fn ranking(
    context: &Context,
    judged: &JudgedLabels,
    found: &cleanslide_learn::label_audit::LabelAudit,
    known: &Known,
) -> Result<Ranking> {
    let truth: std::collections::BTreeMap<usize, usize> = known
        .images
        .iter()
        .copied()
        .zip(known.truth.iter().copied())
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
    let average_precision =
        bootstrap(context).estimate(&Groups::new(&cases)?, |w| ranking.average_precision(w))?;
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
