//! `cleanslide correct`: suspicious labels corrected, as a new label version.

mod boxes;
mod masks;
mod run;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use cleanslide_data::{
    Dataset, Evidence, Family, Labels, NewVersion, Scope, Source, SourceKind, Target, Task, Trust,
    to_csv,
};
use cleanslide_learn::correct::{Correction, Policy, correct};
use cleanslide_learn::image_labels::{ALL_ANNOTATORS, ImageLabel, ImageLabels};
use cleanslide_learn::study::Study;
use serde::Serialize;

use super::audit::{FilterName, JudgedLabels, default_folder, from_run, judged_by_predictions};
use super::embed::embeddings;
use crate::arguments::{DatasetArgument, EncoderArguments, LabelsArguments};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::output::{Show, count, percent, thousands};
use crate::page::reason_text;
use crate::pipeline::audit_study;
use crate::text_table::TextTable;

/// Correct suspicious labels, as a new label version
///
/// Nothing is edited: the corrected labels are a source of their own in a new version, beside all
/// that was there, with a table of every change and its reason. Boxes and masks of objects are those that a network put
/// in the place of the given ones while it was trained.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cleanslide correct mitoses --policy relabel --threshold 0.9\n  \
cleanslide correct mitoses --run runs/robust --policy prune\n  \
cleanslide correct smears --run runs/sissi --name sissi"
)]
pub struct Correct {
    #[command(flatten)]
    dataset: DatasetArgument,
    #[command(flatten)]
    labels: LabelsArguments,
    /// Follow the out-of-sample predictions of this run, instead of the latest audit's; of boxes and masks of objects, take
    /// the labels that this run corrected. The labels are those that the run learned from, so `--labels` and `--source`
    /// cannot be given too
    #[arg(long, value_name = "RUN", conflicts_with_all = ["labels", "source"])]
    run: Option<PathBuf>,
    /// Boxes and masks of objects: take the labels that were corrected after this epoch; the last by default
    #[arg(long, requires = "run")]
    epoch: Option<usize>,
    /// What happens to flagged labels
    #[arg(long, value_enum, default_value = "relabel")]
    policy: PolicyName,
    /// Relabel only where the suggested class is at least this probable
    #[arg(long, default_value_t = THRESHOLD)]
    threshold: f32,
    /// Which labels are flagged
    #[arg(long, value_enum, default_value = "prune-by-noise-rate")]
    filter: FilterName,
    /// Name of the corrected labels
    #[arg(long, default_value = "corrected", value_name = "SOURCE")]
    name: String,
    #[command(flatten)]
    encoder: EncoderArguments,
}

/// A suggested class is this probable at least, unless told otherwise.
const THRESHOLD: f32 = 0.8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PolicyName {
    /// They become unlabelled
    Prune,
    /// They become the suggested class, above a threshold
    Relabel,
    /// They become the mean of the given label and the model's probabilities
    Soften,
    /// Their trust becomes 1 − suspicion
    Weigh,
}

/// What was changed.
#[derive(Debug, Serialize)]
pub struct Summary {
    dataset: PathBuf,
    /// The new version.
    pub labels: String,
    source: String,
    from: String,
    checked: usize,
    /// How many labels changed.
    pub changed: usize,
    removed: usize,
    relabelled: Vec<(String, String, usize)>,
}

impl Correct {
    pub fn run(self, context: &Context) -> Result<()> {
        let mut dataset = context.open(&self.dataset.dataset)?;
        if dataset.manifest().task != Task::Classification {
            return self.objects(context, &mut dataset);
        }
        if self.epoch.is_some() {
            return Err(Failure::usage(
                "`--epoch` is for boxes and masks, and these labels are classes",
            ));
        }
        if !(0.0..=1.0).contains(&self.threshold) {
            return Err(Failure::usage(format!(
                "a threshold of {} is not between 0 and 1",
                self.threshold
            )));
        }
        let judged = match &self.run {
            Some(run) => from_run(context, &dataset, run, self.encoder.strict)?,
            None => self.judged_by_audit(context, &dataset)?,
        };
        let policy = match self.policy {
            PolicyName::Prune => Policy::Prune,
            PolicyName::Relabel => Policy::Relabel {
                threshold: self.threshold,
            },
            PolicyName::Soften => Policy::Soften,
            PolicyName::Weigh => Policy::Weigh,
        };
        let summary = apply(
            context,
            &mut dataset,
            &judged,
            self.filter.options(),
            policy,
            &self.name,
        )?;
        context.output.show(&summary)
    }

    fn objects(&self, context: &Context, dataset: &mut Dataset) -> Result<()> {
        let labels = match dataset.manifest().task {
            Task::Detection => "boxes",
            _ => "masks",
        };
        let of_classes = [
            ("--policy", self.policy != PolicyName::Relabel),
            ("--threshold", self.threshold != THRESHOLD),
            ("--filter", self.filter != FilterName::PruneByNoiseRate),
        ];
        if let Some((flag, _)) = of_classes.iter().find(|(_, given)| *given) {
            return Err(Failure::usage(format!(
                "`{flag}` is for classes of images, and these labels are {labels}"
            ))
            .help(format!(
                "How {labels} are corrected is in the recipe of their training, [correction]."
            )));
        }
        let Some(run) = &self.run else {
            return Err(Failure::usage(format!(
                "{labels} are corrected by the network that learns from them"
            ))
            .help("Train one with `cleanslide train DATASET --method sissi --out RUN`, then name it with `--run RUN`."));
        };
        let request = run::Request {
            run,
            epoch: self.epoch,
            name: &self.name,
        };
        run::run(context, dataset, &request)
    }

    /// Takes the predictions of the audit of these labels.
    fn judged_by_audit(&self, context: &Context, dataset: &Dataset) -> Result<JudgedLabels> {
        let labels = ImageLabels::load(dataset, self.labels.labels, self.labels.source.as_deref())?;
        let Some(path) = audit_of(dataset, &labels)? else {
            return Err(Failure::usage(format!(
                "the labels of {} in {} were not audited yet",
                labels.source, labels.version
            ))
            .help("Run `cleanslide audit` on them first, or follow a run with `--run`."));
        };
        let (encoder, embeddings) = embeddings(context, dataset, &self.encoder)?;
        judged_by_predictions(dataset, labels, (encoder.name(), embeddings), &path)
    }
}

/// The predictions of the latest audit of these labels: in their version, or in one before it that has the same.
fn audit_of(dataset: &Dataset, labels: &ImageLabels) -> Result<Option<PathBuf>> {
    let versions = dataset.versions()?.into_iter().rev();
    for version in versions.filter(|&version| version <= labels.version) {
        let same = ImageLabels {
            version,
            ..labels.clone()
        };
        let path = default_folder(dataset, &same).join("predictions.csv");
        if path.exists() && (version == labels.version || is_as(dataset, &same)?) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Whether these are the labels that their version has.
fn is_as(dataset: &Dataset, labels: &ImageLabels) -> Result<bool> {
    let in_version = dataset.labels(labels.version)?;
    let known = in_version.sources(Family::Class);
    if labels.source != ALL_ANNOTATORS && !known.contains(&labels.source.as_str()) {
        return Ok(false);
    }
    let there = ImageLabels::load(dataset, Some(labels.version), Some(&labels.source))?;
    Ok(there == *labels)
}

/// Audits, corrects, and writes the new version.
pub fn apply(
    context: &Context,
    dataset: &mut Dataset,
    judged: &JudgedLabels,
    filter: cleanslide_audit::FilterOptions,
    policy: Policy,
    name: &str,
) -> Result<Summary> {
    let JudgedLabels {
        labels,
        embeddings,
        study,
        judgement,
        encoder: _,
    } = judged;
    let probabilities = judgement.probabilities.view();
    if name == labels.source {
        return Err(Failure::usage(format!(
            "the corrected labels cannot be called `{name}` too"
        ))
        .help("Choose another name with `--name`."));
    }
    let audit = audit_study(study, embeddings, probabilities, filter)?;
    let given: Vec<ImageLabel> = study
        .images
        .iter()
        .filter_map(|&image| labels.labels[image].clone())
        .collect();
    let corrections = correct(&given, &audit.issues, probabilities, policy);

    let mut corrected = labels.labels.clone();
    for correction in &corrections {
        corrected[study.images[correction.item]] = correction.after.clone();
    }
    let evidence = dataset
        .labels(labels.version)?
        .into_evidence()
        .into_iter()
        .filter(|piece| piece.source != name)
        .chain(as_evidence(dataset, name, &corrected)?)
        .collect();
    let new = Labels::new(evidence, dataset.classes())?;
    let version = dataset.add_version(NewVersion {
        parent: Some(labels.version),
        produced: Some(name.to_owned()),
        sources: vec![Source {
            id: name.to_owned(),
            kind: SourceKind::Model,
            description: format!("corrected labels of {}", labels.source),
            values: None,
        }],
        labels: new,
        provenance: context.provenance(format!(
            "corrected {} of {}",
            count(corrections.len(), "label"),
            labels.source
        )),
        notes: vec![(
            "changes.csv".into(),
            changes_table(dataset, study, &corrections),
        )],
    })?;
    Ok(Summary {
        dataset: dataset.folder().to_owned(),
        labels: version.id.to_string(),
        source: name.to_owned(),
        from: format!("{} of {}", labels.source, labels.version),
        checked: study.len(),
        changed: corrections.len(),
        removed: corrections
            .iter()
            .filter(|correction| correction.after.is_none())
            .count(),
        relabelled: relabelled(dataset, &corrections),
    })
}

fn as_evidence(
    dataset: &Dataset,
    source: &str,
    labels: &[Option<ImageLabel>],
) -> Result<Vec<Evidence>> {
    let mut evidence = Vec::new();
    for (image, label) in dataset.images().iter().zip(labels) {
        let Some(label) = label else { continue };
        let class = label.class();
        let target = if label.distribution[class] == 1.0 {
            Target::Class(class)
        } else {
            Target::Distribution(label.distribution.clone())
        };
        evidence.push(Evidence {
            source: source.to_owned(),
            scope: Scope::Image(image.id.clone()),
            target,
            trust: Trust::new(label.trust)?,
        });
    }
    Ok(evidence)
}

fn changes_table(dataset: &Dataset, study: &Study, corrections: &[Correction]) -> Vec<u8> {
    let classes = dataset.classes();
    let describe = |label: &ImageLabel| {
        let class = label.class();
        format!("{} {:.3}", classes.name(class), label.distribution[class])
    };
    to_csv(
        &[
            "image",
            "before",
            "after",
            "trust",
            "suggested",
            "suspicion",
            "reasons",
        ],
        corrections.iter().map(|correction| {
            let reasons: Vec<&str> = correction
                .reasons
                .iter()
                .map(|&reason| reason_text(reason))
                .collect();
            [
                dataset.images()[study.images[correction.item]].id.clone(),
                describe(&correction.before),
                correction
                    .after
                    .as_ref()
                    .map_or_else(|| "unlabelled".into(), describe),
                correction
                    .after
                    .as_ref()
                    .map_or_else(String::new, |label| format!("{:.3}", label.trust)),
                correction
                    .suggested
                    .map_or_else(String::new, |class| classes.name(class)),
                format!("{:.6}", correction.suspicion),
                reasons.join("; "),
            ]
        }),
    )
}

fn relabelled(dataset: &Dataset, corrections: &[Correction]) -> Vec<(String, String, usize)> {
    let mut counts = std::collections::BTreeMap::new();
    for correction in corrections {
        let Some(after) = &correction.after else {
            continue;
        };
        let pair = (correction.before.class(), after.class());
        if pair.0 != pair.1 {
            *counts.entry(pair).or_insert(0) += 1;
        }
    }
    let name = |class| dataset.classes().name(class);
    counts
        .into_iter()
        .map(|((from, to), number)| (name(from), name(to), number))
        .collect()
}

impl Show for Summary {
    fn text(&self) -> String {
        let share = self.changed as f64 / self.checked.max(1) as f64;
        let mut lines = vec![format!(
            "{}: {} of {} changed ({}), as `{}` in {}; {} removed",
            self.dataset.display(),
            count(self.changed, "label"),
            self.from,
            percent(share),
            self.source,
            self.labels,
            thousands(self.removed)
        )];
        if !self.relabelled.is_empty() {
            let mut table = TextTable::new(&["from", "<to", "labels"]);
            for (from, to, number) in &self.relabelled {
                table.row([from.clone(), to.clone(), thousands(*number)]);
            }
            lines.push(table.text());
        }
        lines.push(format!(
            "see every change: labels/{}/changes.csv",
            self.labels
        ));
        lines.join("\n")
    }
}
