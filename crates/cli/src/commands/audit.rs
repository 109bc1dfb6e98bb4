//! `cleanslide audit`: which labels are probably wrong, and how much noise there is.

mod shapes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use cleanslide_audit::issues::Reason;
use cleanslide_audit::{Filter, FilterOptions};
use cleanslide_data::store::{in_file_names, write_file};
use cleanslide_data::{Dataset, Task, VersionId, independent_units, to_csv};
use cleanslide_eval::{OneVsRest, Weights};
use cleanslide_learn::embed::Embeddings;
use cleanslide_learn::image_labels::ImageLabels;
use cleanslide_learn::label_audit::LabelAudit;
use cleanslide_learn::predictions::Predictions;
use cleanslide_learn::study::Study;
use cleanslide_report::classification::{Noise, render};
use cleanslide_weak::fusion::DawidSkene;
use serde::Serialize;

use super::embed::embeddings;
use crate::arguments::{DatasetArgument, EncoderArguments, LabelsArguments};
use crate::context::Context;
use crate::embedding_map::embedding_map;
use crate::failure::{Failure, Result};
use crate::json_file::write_json;
use crate::output::{Show, count, percent, thousands};
use crate::page;
use crate::pipeline::{DEFAULT_FOLDS, Judgement, audit_study, judge_labels};
use crate::run_folder::read_run;
use crate::shape_labels::ShapeLabels;
use crate::text_table::TextTable;

/// Find the labels that are probably wrong, and say how much noise there is
///
/// Judges every label by models that did not see its case, and by the most similar images. The models
/// are linear, with the penalty that best predicts the labels they did not see; `--run` takes those of
/// a run instead. Writes issues.csv (the most suspicious first), audit.json, predictions.csv and report.html.
///
/// Masks are judged by a pixel classifier that did not see their case, or by `--probabilities` of a
/// better model; boxes and instances by the predictions of another source, `--against`. Writes
/// issues.csv, issues.html with pictures, issues/*.geojson for QuPath and audit.json.
///
/// Paths in issues.csv are those of images.csv, from the folder of the dataset.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cleanslide audit mitoses --source expert1\n  \
cleanslide audit mitoses --run runs/robust\n  \
cleanslide audit nuclei --source student\n  \
cleanslide audit smears --source hough --against detector"
)]
pub struct Audit {
    #[command(flatten)]
    dataset: DatasetArgument,
    #[command(flatten)]
    labels: LabelsArguments,
    #[command(flatten)]
    encoder: EncoderArguments,
    /// Judge by the out-of-sample predictions of this run, instead of linear models
    #[arg(long, value_name = "RUN", conflicts_with_all = ["encoder", "crop", "folds"])]
    run: Option<PathBuf>,
    /// Boxes and instances: judge by what this source predicts, which must not have learned from these
    /// labels
    #[arg(long, value_name = "SOURCE")]
    against: Option<String>,
    /// Masks: judge by the probabilities in this folder, for the image ID in ID.safetensors, the tensor
    /// `probabilities` [classes, height, width]; the first class is the background of instances
    #[arg(long, value_name = "FOLDER")]
    probabilities: Option<PathBuf>,
    /// Folds of the out-of-sample prediction
    #[arg(long, default_value_t = DEFAULT_FOLDS)]
    folds: usize,
    /// Which labels are flagged
    #[arg(long, value_enum, default_value = "prune-by-noise-rate")]
    filter: FilterName,
    /// Folder for the results; by default below the dataset
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// Filters of confident learning, as cleanlab names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FilterName {
    /// As many as the noise rates say for each pair of classes
    PruneByNoiseRate,
    /// As many as the noise rates say for each class
    PruneByClass,
    /// Flagged by both of the above
    Both,
    /// Confidently of another class
    ConfidentLearning,
    /// Predicted as another class
    PredictedNotGiven,
    /// Lowest normalised margin
    LowNormalizedMargin,
    /// Lowest probability of the given class
    LowSelfConfidence,
}

impl FilterName {
    /// The filter's settings.
    pub fn options(self) -> FilterOptions {
        let filter = match self {
            Self::PruneByNoiseRate => Filter::PruneByNoiseRate,
            Self::PruneByClass => Filter::PruneByClass,
            Self::Both => Filter::Both,
            Self::ConfidentLearning => Filter::ConfidentLearning,
            Self::PredictedNotGiven => Filter::PredictedNotGiven,
            Self::LowNormalizedMargin => Filter::LowNormalizedMargin,
            Self::LowSelfConfidence => Filter::LowSelfConfidence,
        };
        FilterOptions {
            filter,
            ..FilterOptions::default()
        }
    }
}

/// `audit.json`, and what the command prints.
#[derive(Debug, Serialize)]
pub struct Summary {
    folder: PathBuf,
    labels: String,
    source: String,
    checked: usize,
    pub flagged: usize,
    /// The L2 penalty of the linear models that judged, chosen by the given labels.
    l2: Option<f64>,
    pub noise_rate: f64,
    neighbour_noise_rate: Option<f64>,
    /// P(given label | true class), rows are true classes.
    noise_matrix: Vec<Vec<f64>>,
    classes: Vec<ClassLine>,
    exact_duplicate_sets: usize,
    near_duplicate_sets: usize,
    duplicate_sets_with_other_label: usize,
    outliers: usize,
    annotators: Vec<String>,
    warnings: Vec<String>,
    first: Vec<FirstLine>,
}

#[derive(Debug, Serialize)]
struct ClassLine {
    class: String,
    labels: usize,
    flagged: usize,
    estimated_wrong: f64,
}

#[derive(Debug, Serialize)]
struct FirstLine {
    image: String,
    given: String,
    suggested: String,
    suspicion: f64,
}

impl Audit {
    pub fn run(self, context: &Context) -> Result<()> {
        let dataset = context.open(&self.dataset.dataset)?;
        if dataset.manifest().task != Task::Classification {
            return self.shapes(context, &dataset);
        }
        if self.against.is_some() || self.probabilities.is_some() {
            return Err(Failure::usage(
                "`--against` and `--probabilities` are for boxes and masks, not for classes",
            )
            .help("Judge classes by the predictions of a run with `--run`."));
        }
        let judged = match &self.run {
            Some(run) => from_run(context, &dataset, run, self.encoder.strict)?,
            None => {
                let labels =
                    ImageLabels::load(&dataset, self.labels.labels, self.labels.source.as_deref())?;
                let (encoder, embeddings) = embeddings(context, &dataset, &self.encoder)?;
                let study = Study::new(&dataset, &embeddings, &labels, |_| true)?;
                let judgement = judge_labels(context, &study, self.folds)?;
                JudgedLabels {
                    encoder: encoder.name().to_owned(),
                    labels,
                    embeddings,
                    study,
                    judgement,
                }
            }
        };
        let folder = self
            .out
            .unwrap_or_else(|| default_folder(&dataset, &judged.labels));
        let (summary, _) = write(context, &dataset, &judged, self.filter.options(), &folder)?;
        context.output.show(&summary)
    }

    /// Audits boxes or masks.
    fn shapes(self, context: &Context, dataset: &Dataset) -> Result<()> {
        if self.run.is_some() {
            return Err(
                Failure::usage("`--run` is for classes, not for boxes and masks")
                    .help("Name who judges with `--against` or `--probabilities`."),
            );
        }
        let labels = ShapeLabels::load(dataset, &self.labels)?;
        let folder = self
            .out
            .unwrap_or_else(|| folder_of(dataset, labels.version, &labels.source));
        let request = shapes::Request {
            labels,
            against: self.against.as_deref(),
            probabilities: self.probabilities.as_deref(),
            folds: self.folds,
            folder,
        };
        shapes::run(context, dataset, &request)
    }
}

/// Labels with all that is needed to audit them.
pub struct JudgedLabels {
    /// The labels.
    pub labels: ImageLabels,
    /// The embeddings of the dataset.
    pub embeddings: Embeddings,
    /// The labelled, embedded images.
    pub study: Study,
    /// The name of the encoder.
    pub encoder: String,
    /// Out-of-sample predictions of the study's items.
    pub judgement: Judgement,
}

/// Takes the out-of-sample predictions of a run, for the labels that it learned from.
pub fn from_run(
    context: &Context,
    dataset: &Dataset,
    run: &Path,
    strict: bool,
) -> Result<JudgedLabels> {
    let (manifest, recipe) = read_run(run)?;
    let version = dataset.version(manifest.labels)?;
    if version.hash != manifest.labels_hash {
        return Err(Failure::input(format!(
            "the run {} was made from another {} than that of {}",
            run.display(),
            manifest.labels,
            dataset.folder().display()
        ))
        .help("Give the dataset that the run was trained on."));
    }
    let labels = ImageLabels::load(dataset, Some(manifest.labels), Some(&manifest.source))?;
    let (encoder, embeddings) = embeddings(context, dataset, &recipe.encoder_arguments(strict))?;
    let path = run.join("predictions.csv");
    judged_by_predictions(dataset, labels, (encoder.name(), embeddings), &path)
}

/// Takes the out-of-sample predictions of a table, for the labels that they were made from.
pub fn judged_by_predictions(
    dataset: &Dataset,
    labels: ImageLabels,
    (encoder, embeddings): (&str, Embeddings),
    path: &Path,
) -> Result<JudgedLabels> {
    let predictions = Predictions::read(path)?;
    let rows: BTreeMap<&str, (usize, usize)> = predictions
        .images
        .iter()
        .zip(&predictions.parts)
        .enumerate()
        .filter_map(|(row, (image, part))| {
            let fold: usize = part.strip_prefix("fold ")?.parse().ok()?;
            Some((image.as_str(), (row, fold - 1)))
        })
        .collect();
    let study = Study::new(dataset, &embeddings, &labels, |image| {
        rows.contains_key(image.id.as_str())
    })?;
    let found: Vec<(usize, usize)> = study
        .images
        .iter()
        .map(|&image| rows[dataset.images()[image].id.as_str()])
        .collect();
    let (rows, folds): (Vec<usize>, Vec<usize>) = found.into_iter().unzip();
    let probabilities = predictions.probabilities.select(ndarray::Axis(0), &rows);
    Ok(JudgedLabels {
        encoder: encoder.to_owned(),
        labels,
        embeddings,
        study,
        judgement: Judgement {
            probabilities,
            folds,
            l2: None,
        },
    })
}

/// Where an audit lies unless told otherwise.
pub fn default_folder(dataset: &Dataset, labels: &ImageLabels) -> PathBuf {
    folder_of(dataset, labels.version, &labels.source)
}

fn folder_of(dataset: &Dataset, version: VersionId, source: &str) -> PathBuf {
    let source = in_file_names(source);
    dataset
        .folder()
        .join("audits")
        .join(format!("{version}-{source}"))
}

/// Audits, and writes everything into a folder.
pub fn write(
    context: &Context,
    dataset: &Dataset,
    judged: &JudgedLabels,
    filter: FilterOptions,
    folder: &Path,
) -> Result<(Summary, LabelAudit)> {
    let JudgedLabels {
        labels,
        embeddings,
        study,
        encoder,
        judgement,
    } = judged;
    let probabilities = &judgement.probabilities;
    let audit = audit_study(study, embeddings, probabilities.view(), filter)?;
    write_file(
        &folder.join("issues.csv"),
        &issues_table(dataset, study, &audit),
    )?;
    let predictions = Predictions {
        classes: dataset.classes().clone(),
        images: study
            .images
            .iter()
            .map(|&image| dataset.images()[image].id.clone())
            .collect(),
        parts: judgement
            .folds
            .iter()
            .map(|fold| format!("fold {}", fold + 1))
            .collect(),
        probabilities: probabilities.clone(),
    };
    predictions.write(&folder.join("predictions.csv"))?;

    let mut report = page::start(context, dataset, labels.version, labels)?;
    let units = independent_units(dataset.images());
    let all = dataset.labels(labels.version)?;
    let consensus = consensus(dataset, &all)?;
    if let Some((name, consensus)) = &consensus {
        report.experts = page::experts(context, dataset, &all, consensus, name, &units)?;
    }
    report.suspicious = Some(page::suspicious(dataset, study, &audit));
    report.embedding_map = embedding_map(dataset, study, &audit, encoder, context.seed)?;
    let weak = weak_judge(judged)?;
    report.noise = Some(Noise {
        doubt: weak.map(doubt_of),
        ..page::noise(&format!("labels of {}", labels.source), &audit)
    });
    report.confusions = vec![page::joint_confusion(&audit, study.len())];
    report.warnings.extend(weak.map(warning_of));
    let annotators = report.experts.as_ref().map_or_else(Vec::new, |experts| {
        let items = &report.items;
        let classes = &report.dataset.classes;
        experts
            .experts
            .iter()
            .filter_map(|expert| {
                Some(format!(
                    "{} {}",
                    expert.name,
                    expert.leaning(classes, items)?
                ))
            })
            .collect()
    });
    write_file(&folder.join("report.html"), render(&report).as_bytes())?;

    let summary = summarise(
        dataset,
        judged,
        &audit,
        annotators,
        report.warnings.clone(),
        folder,
    );
    write_json(&folder.join("audit.json"), &summary)?;
    Ok((summary, audit))
}

/// Below this AUROC, halfway from chance to certainty, a classifier contradicts so many right labels
/// that noise rates mean little.
const WEAK_AUROC: f64 = 0.75;

/// The AUROC of the models that judge the labels, if they know little themselves.
pub fn weak_judge(judged: &JudgedLabels) -> Result<Option<f64>> {
    let probabilities = judged.judgement.probabilities.view();
    let scores = OneVsRest::new(&judged.study.given, probabilities)?.present_classes_only();
    let auroc = scores.macro_auroc(Weights::Equal)?;
    Ok((auroc < WEAK_AUROC).then_some(auroc))
}

/// The same in the middle of a sentence.
pub fn doubt_of(auroc: f64) -> String {
    format!("the models know little (AUROC {auroc:.2})")
}

/// What must be known of an audit by models of this AUROC.
pub fn warning_of(auroc: f64) -> String {
    format!(
        "The models behind this audit know little: AUROC {auroc:.2} against the given (noisy) \
         labels, chance is 0.50. Take the noise rates with care, and trust the order of the list \
         more than its length."
    )
}

/// The consensus of all experts by Dawid and Skene; `None` with fewer than two of them.
pub fn consensus(
    dataset: &Dataset,
    all: &cleanslide_data::Labels,
) -> Result<Option<(String, Vec<Option<usize>>)>> {
    let known = all.sources(cleanslide_data::Family::Class);
    let experts: Vec<&str> = dataset
        .manifest()
        .sources
        .iter()
        .filter(|source| source.kind == cleanslide_data::SourceKind::Expert)
        .map(|source| source.id.as_str())
        .filter(|id| known.contains(id))
        .collect();
    if experts.len() < 2 {
        return Ok(None);
    }
    let votes = all.votes(dataset.images(), &experts, dataset.classes().len())?;
    let consensus = DawidSkene::default().fuse(&votes)?;
    Ok(Some((
        "the consensus of all annotators (Dawid–Skene)".into(),
        consensus.labels,
    )))
}

fn issues_table(dataset: &Dataset, study: &Study, audit: &LabelAudit) -> Vec<u8> {
    let header = [
        "image",
        "case",
        "slide",
        "given",
        "suggested",
        "suspicion",
        "flagged",
        "reasons",
        "path",
    ];
    let classes = dataset.classes();
    to_csv(
        &header,
        audit.issues.iter().map(|issue| {
            let image = &dataset.images()[study.images[issue.item]];
            let reasons: Vec<&str> = issue
                .reasons
                .iter()
                .map(|&reason| page::reason_text(reason))
                .collect();
            let flagged = issue.reasons.contains(&Reason::ConfidentLearning);
            [
                image.id.clone(),
                image.case.clone(),
                image.slide.clone(),
                classes.name(issue.given),
                issue
                    .suggested
                    .map_or_else(String::new, |class| classes.name(class)),
                format!("{:.6}", issue.suspicion),
                if flagged { "yes" } else { "no" }.to_owned(),
                reasons.join("; "),
                image.path.clone(),
            ]
        }),
    )
}

fn summarise(
    dataset: &Dataset,
    judged: &JudgedLabels,
    audit: &LabelAudit,
    annotators: Vec<String>,
    warnings: Vec<String>,
    folder: &Path,
) -> Summary {
    let classes = dataset.classes();
    let flagged = |class: Option<usize>| {
        audit
            .issues
            .iter()
            .filter(|issue| class.is_none_or(|class| issue.given == class))
            .filter(|issue| issue.reasons.contains(&Reason::ConfidentLearning))
            .count()
    };
    let sets = || audit.exact_duplicates.iter().chain(&audit.near_duplicates);
    const SHOWN: usize = 5;
    Summary {
        folder: folder.to_owned(),
        labels: judged.labels.version.to_string(),
        source: judged.labels.source.clone(),
        checked: judged.study.len(),
        flagged: flagged(None),
        l2: judged.judgement.l2,
        noise_rate: audit.noise_rate,
        neighbour_noise_rate: audit
            .neighbour_noise
            .as_ref()
            .map(|noise| noise.noise_rate()),
        noise_matrix: audit
            .noise
            .noise_matrix
            .columns()
            .into_iter()
            .map(|column| column.to_vec())
            .collect(),
        classes: (0..classes.len())
            .map(|class| ClassLine {
                class: classes.name(class),
                labels: judged
                    .study
                    .given
                    .iter()
                    .filter(|&&given| given == class)
                    .count(),
                flagged: flagged(Some(class)),
                estimated_wrong: 1.0 - audit.noise.inverse_noise_matrix[[class, class]],
            })
            .collect(),
        exact_duplicate_sets: audit.exact_duplicates.len(),
        near_duplicate_sets: audit.near_duplicates.len(),
        duplicate_sets_with_other_label: sets().filter(|set| set.labels_differ).count(),
        outliers: audit.outliers,
        annotators,
        warnings,
        first: audit
            .issues
            .iter()
            .take(SHOWN)
            .map(|issue| FirstLine {
                image: dataset.images()[judged.study.images[issue.item]].id.clone(),
                given: classes.name(issue.given),
                suggested: issue
                    .suggested
                    .map_or_else(String::new, |class| classes.name(class)),
                suspicion: issue.suspicion,
            })
            .collect(),
    }
}

impl Summary {
    /// What is known of the noise: one range where the models that judge know little.
    fn share_of_wrong_labels(&self) -> String {
        let models = format!("{} by confident learning", percent(self.noise_rate));
        let Some(rate) = self.neighbour_noise_rate else {
            return format!("estimated share of wrong labels: {models}");
        };
        let neighbours = format!("{} by the consensus of similar images", percent(rate));
        if self.warnings.is_empty() {
            return format!("estimated share of wrong labels: {models}, {neighbours}");
        }
        let (low, high) = if rate < self.noise_rate {
            (neighbours, models)
        } else {
            (models, neighbours)
        };
        format!("estimated share of wrong labels: between {low} and {high}")
    }
}

impl Show for Summary {
    fn text(&self) -> String {
        let mut lines = vec![
            format!(
                "{} of {} in {}: {} look wrong",
                count(self.checked, "label"),
                self.source,
                self.labels,
                thousands(self.flagged)
            ),
            self.share_of_wrong_labels(),
        ];
        let mut table = TextTable::new(&["given label", "labels", "flagged", "estimated wrong"]);
        for line in &self.classes {
            let numbers = [
                thousands(line.labels),
                thousands(line.flagged),
                percent(line.estimated_wrong),
            ];
            table.row(std::iter::once(line.class.clone()).chain(numbers));
        }
        lines.push(table.text());
        let mut table = TextTable::new(&["most suspicious", "<given", "<suggested", "suspicion"]);
        for line in &self.first {
            let suspicion = format!("{:.3}", line.suspicion);
            table.row([&line.image, &line.given, &line.suggested, &suspicion].map(String::as_str));
        }
        lines.push(table.text());
        lines.extend(self.annotators.iter().cloned());
        lines.extend(
            self.warnings
                .iter()
                .map(|warning| format!("warning: {warning}")),
        );
        lines.push(format!(
            "{} of identical files and {} of near duplicates, {} of them with different labels; {}",
            count(self.exact_duplicate_sets, "set"),
            count(self.near_duplicate_sets, "set"),
            thousands(self.duplicate_sets_with_other_label),
            count(self.outliers, "outlier")
        ));
        lines.push(format!(
            "report: {}",
            self.folder.join("report.html").display()
        ));
        lines.join("\n")
    }
}
