//! `cleanslide fuse`: several annotators become one consensus.

mod masks;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use cleanslide_data::{
    Dataset, Evidence, Family, Labels, NewVersion, Scope, Source, SourceKind, Target, Task, Trust,
    Version, VersionId, Votes,
};
use cleanslide_learn::image_labels::{ImageLabel, ImageLabels};
use cleanslide_learn::study::Study;
use cleanslide_weak::fusion::masks::MaskTie;
use cleanslide_weak::fusion::{
    Consensus, Crowdlab, DawidSkene, Glad, Mace, Majority, OneCoin, Reliability, Tie,
};
use ndarray::{Array2, Axis};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;

use super::embed::embeddings;
use crate::arguments::{DatasetArgument, EncoderArguments};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::output::{Show, count, percent, thousands};
use crate::pipeline::{DEFAULT_FOLDS, judge_labels};
use crate::text_table::TextTable;

/// Combine the labels of several annotators into one consensus
///
/// The consensus is a new label version; the annotators' own labels stay in it. The trust of each
/// consensus label is its probability.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cleanslide fuse mitoses --rule dawid-skene\n  \
cleanslide fuse cfos --rule staple --per-image"
)]
pub struct Fuse {
    #[command(flatten)]
    dataset: DatasetArgument,
    /// How votes, or class masks pixel by pixel, are combined
    #[arg(long, value_enum, default_value = "dawid-skene")]
    rule: Rule,
    /// What happens to ties of the majority
    #[arg(long, value_enum, default_value = "unlabelled")]
    ties: Ties,
    /// Only these annotators; all experts by default
    #[arg(long, value_delimiter = ',', value_name = "SOURCES")]
    annotators: Option<Vec<String>>,
    /// Masks: learn what annotators are like from each image by itself, instead of from all
    #[arg(long)]
    per_image: bool,
    /// Keep the probability of every class as a soft label, instead of one class with a trust
    #[arg(long)]
    soft: bool,
    /// Label version; the latest by default
    #[arg(long, value_name = "VERSION")]
    labels: Option<VersionId>,
    #[command(flatten)]
    encoder: EncoderArguments,
}

/// The source of a consensus by Dawid and Skene's rule.
pub const DAWID_SKENE: &str = "dawid-skene";

/// Fusion rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Rule {
    /// Most votes
    Majority,
    /// A confusion matrix per annotator (Dawid and Skene 1979)
    DawidSkene,
    /// One accuracy per annotator
    OneCoin,
    /// Ability per annotator, difficulty per image (Whitehill et al. 2009)
    Glad,
    /// How often each annotator guesses (Hovy et al. 2013)
    Mace,
    /// Votes beside a model trained on the images (Goh et al. 2022)
    Crowdlab,
    /// Masks: sensitivity and specificity per annotator (Warfield et al. 2004)
    Staple,
    /// Masks: Dawid and Skene's, where neighbouring pixels tend to agree
    Smooth,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Ties {
    /// No label
    Unlabelled,
    /// The class that comes first
    LowestClass,
    /// The class with more votes in the whole dataset
    CommonestClass,
    /// The class with fewer votes in the whole dataset
    RarestClass,
    /// The class whose voters agree better with the others elsewhere
    MostReliable,
    /// One of them, by the seed
    Random,
}

#[derive(Debug, Serialize)]
struct Summary {
    dataset: PathBuf,
    labels: String,
    source: String,
    labelled: usize,
    unlabelled: usize,
    iterations: usize,
    converged: bool,
    annotators: Vec<AnnotatorLine>,
    #[serde(skip)]
    measure: &'static str,
}

#[derive(Debug, Serialize)]
struct AnnotatorLine {
    annotator: String,
    labels: usize,
    agreement: Option<f64>,
    reliability: Option<f64>,
}

impl Fuse {
    pub fn run(self, context: &Context) -> Result<()> {
        let mut dataset = context.open(&self.dataset.dataset)?;
        let parent = match self.labels {
            Some(parent) => parent,
            None => dataset.latest()?,
        };
        let labels = dataset.labels(parent)?;
        if dataset.manifest().task == Task::Segmentation {
            return self.fuse_masks(context, &mut dataset, parent, &labels);
        }
        let annotators = self.choose_annotators(&dataset, &labels, Family::Class)?;
        let names: Vec<&str> = annotators.iter().map(String::as_str).collect();
        let votes = labels.votes(dataset.images(), &names, dataset.classes().len())?;
        let consensus = self.fuse(context, &dataset, &votes, parent)?;
        let version = add_consensus(
            context,
            &mut dataset,
            parent,
            self.source_id(),
            &annotators,
            &consensus,
            self.soft,
        )?;
        let labelled = consensus.labels.iter().flatten().count();
        context.output.show(&Summary {
            dataset: dataset.folder().to_owned(),
            labels: version.id.to_string(),
            source: self.source_id().to_owned(),
            labelled,
            unlabelled: consensus.labels.len() - labelled,
            iterations: consensus.iterations,
            converged: consensus.converged,
            annotators: annotator_lines(&annotators, &votes, &consensus),
            measure: measure(&consensus.reliability),
        })
    }

    fn fuse_masks(
        &self,
        context: &Context,
        dataset: &mut Dataset,
        parent: VersionId,
        labels: &Labels,
    ) -> Result<()> {
        let rule = self.mask_rule()?;
        let experts = self.choose_annotators(dataset, labels, Family::Mask)?;
        let folder = tempfile::tempdir().map_err(|error| {
            Failure::environment(format!("failed to make a temporary folder: {error}"))
        })?;
        let source = self.source_id();
        let masks::Fused {
            evidence,
            mut summary,
        } = masks::fuse(
            dataset,
            labels,
            &experts,
            (rule, source),
            self.per_image,
            folder.path(),
        )?;
        let version = add_version(context, dataset, parent, source, &experts, evidence)?;
        summary.labels = version.id.to_string();
        context.output.show(&summary)
    }

    fn mask_rule(&self) -> Result<masks::Rule> {
        let tie = match self.ties {
            Ties::Unlabelled => MaskTie::Unlabelled,
            Ties::LowestClass => MaskTie::LowestClass,
            Ties::MostReliable | Ties::CommonestClass | Ties::RarestClass | Ties::Random => {
                return Err(Failure::usage("this rule for ties is not for masks")
                    .help("For masks there are unlabelled and lowest-class."));
            }
        };
        match self.rule {
            Rule::Majority => Ok(masks::Rule::Majority(tie)),
            Rule::Staple => Ok(masks::Rule::Staple(tie)),
            Rule::DawidSkene => Ok(masks::Rule::DawidSkene(tie)),
            Rule::Smooth => Ok(masks::Rule::Smooth(tie)),
            Rule::OneCoin | Rule::Glad | Rule::Mace | Rule::Crowdlab => {
                Err(Failure::usage("this rule is not for masks")
                    .help("For masks there are majority, staple, dawid-skene and smooth."))
            }
        }
    }

    fn choose_annotators(
        &self,
        dataset: &Dataset,
        labels: &Labels,
        family: Family,
    ) -> Result<Vec<String>> {
        let known = labels.sources(family);
        let chosen: Vec<String> = match &self.annotators {
            Some(names) => names.clone(),
            None => dataset
                .manifest()
                .sources
                .iter()
                .filter(|source| {
                    source.kind == SourceKind::Expert && known.contains(&source.id.as_str())
                })
                .map(|source| source.id.clone())
                .collect(),
        };
        if let Some(unknown) = chosen.iter().find(|name| !known.contains(&name.as_str())) {
            return Err(Failure::usage(format!("`{unknown}` labels no image"))
                .help(format!("The sources are: {}.", known.join(", "))));
        }
        if chosen.len() < 2 {
            return Err(Failure::usage(format!(
                "there is nothing to fuse: {} of kind expert",
                count(chosen.len(), "source")
            ))
            .help(format!(
                "Name sources with `--annotators`. There are: {}.",
                known.join(", ")
            )));
        }
        Ok(chosen)
    }

    fn source_id(&self) -> &'static str {
        match self.rule {
            Rule::Majority => "majority",
            Rule::DawidSkene => DAWID_SKENE,
            Rule::OneCoin => "one-coin",
            Rule::Glad => "glad",
            Rule::Mace => "mace",
            Rule::Crowdlab => "crowdlab",
            Rule::Staple => "staple",
            Rule::Smooth => "smooth",
        }
    }

    fn fuse(
        &self,
        context: &Context,
        dataset: &Dataset,
        votes: &Votes,
        version: VersionId,
    ) -> Result<Consensus> {
        let mut rng = ChaCha8Rng::seed_from_u64(context.seed);
        Ok(match self.rule {
            Rule::Majority => Majority {
                tie: self.tie(context.seed),
            }
            .fuse(votes)?,
            Rule::DawidSkene => DawidSkene::default().fuse(votes)?,
            Rule::OneCoin => OneCoin::default().fuse(votes)?,
            Rule::Glad => Glad::default().fuse(votes)?,
            Rule::Mace => Mace::default().fuse(votes, &mut rng)?,
            Rule::Crowdlab => self.crowdlab(context, dataset, votes, version)?,
            Rule::Staple | Rule::Smooth => {
                return Err(Failure::usage("this rule is for masks, not for classes")
                    .help("Try dawid-skene."));
            }
        })
    }

    fn tie(&self, seed: u64) -> Tie {
        match self.ties {
            Ties::Unlabelled => Tie::Unlabelled,
            Ties::LowestClass => Tie::LowestClass,
            Ties::CommonestClass => Tie::CommonestClass,
            Ties::RarestClass => Tie::RarestClass,
            Ties::MostReliable => Tie::MostReliable,
            Ties::Random => Tie::Random { seed },
        }
    }

    /// Trains a model on the majority, out of sample, and weighs it beside the annotators.
    fn crowdlab(
        &self,
        context: &Context,
        dataset: &Dataset,
        votes: &Votes,
        version: VersionId,
    ) -> Result<Consensus> {
        let majority = Majority {
            tie: Tie::MostReliable,
        }
        .fuse(votes)?;
        let labels = ImageLabels {
            version,
            source: "majority".into(),
            labels: majority
                .labels
                .iter()
                .zip(majority.posterior.rows())
                .map(|(label, row)| {
                    label.map(|_| ImageLabel {
                        distribution: row.iter().map(|&p| p as f32).collect(),
                        trust: 1.0,
                    })
                })
                .collect(),
        };
        let (_, embeddings) = embeddings(context, dataset, &self.encoder)?;
        let study = Study::new(dataset, &embeddings, &labels, |_| true)?;
        let judgement = judge_labels(context, &study, DEFAULT_FOLDS)?;
        // Images without embedding or vote have no out-of-sample probability; where somebody voted,
        // the model then knows nothing: every class is equally likely.
        let classes = dataset.classes().len();
        let mut probabilities = Array2::from_elem((votes.items(), classes), 1.0 / classes as f32);
        for (&image, row) in study.images.iter().zip(judgement.probabilities.rows()) {
            probabilities.row_mut(image).assign(&row);
        }
        let crowdlab = Crowdlab {
            seed: context.seed,
            ..Crowdlab::default()
        };
        Ok(crowdlab.fuse(votes, probabilities.view())?.consensus)
    }
}

/// Adds a consensus as a new label version of its own source beside the annotators' labels. `soft`
/// keeps the probability of every class; otherwise the trust of a label is its probability.
pub fn add_consensus(
    context: &Context,
    dataset: &mut Dataset,
    parent: VersionId,
    source: &str,
    annotators: &[String],
    consensus: &Consensus,
    soft: bool,
) -> Result<Version> {
    let evidence = consensus_evidence(dataset, source, consensus, soft)?;
    add_version(context, dataset, parent, source, annotators, evidence)
}

/// Adds what a consensus says beside everything else, in the place of what it said before.
fn add_version(
    context: &Context,
    dataset: &mut Dataset,
    parent: VersionId,
    source: &str,
    annotators: &[String],
    evidence: Vec<Evidence>,
) -> Result<Version> {
    let others = dataset.labels(parent)?.into_evidence().into_iter();
    let evidence = others
        .filter(|piece| piece.source != source)
        .chain(evidence)
        .collect();
    let labels = Labels::new(evidence, dataset.classes())?;
    Ok(dataset.add_version(NewVersion {
        parent: Some(parent),
        produced: Some(source.into()),
        sources: vec![Source {
            id: source.into(),
            kind: SourceKind::Algorithm,
            description: "consensus of annotators".into(),
        }],
        labels,
        provenance: context.provenance(format!(
            "fused {} by {source}",
            count(annotators.len(), "annotator")
        )),
        notes: Vec::new(),
    })?)
}

fn consensus_evidence(
    dataset: &Dataset,
    source: &str,
    consensus: &Consensus,
    soft: bool,
) -> Result<Vec<Evidence>> {
    let mut evidence = Vec::new();
    for (item, image) in dataset.images().iter().enumerate() {
        let Some(class) = consensus.label(item) else {
            continue;
        };
        let posterior = consensus.posterior.row(item);
        let (target, trust) = if soft {
            (
                Target::Distribution(posterior.iter().map(|&p| p as f32).collect()),
                Trust::FULL,
            )
        } else {
            (
                Target::Class(class),
                Trust::new((posterior[class] as f32).clamp(0.0, 1.0))?,
            )
        };
        evidence.push(Evidence {
            source: source.to_owned(),
            scope: Scope::Image(image.id.clone()),
            target,
            trust,
        });
    }
    Ok(evidence)
}

fn annotator_lines(names: &[String], votes: &Votes, consensus: &Consensus) -> Vec<AnnotatorLine> {
    names
        .iter()
        .enumerate()
        .map(|(annotator, name)| {
            let said = votes.by(annotator);
            let both: Vec<(usize, usize)> = said
                .iter()
                .zip(&consensus.labels)
                .filter_map(|(a, b)| Some(((*a)?, (*b)?)))
                .collect();
            let agree = both.iter().filter(|(a, b)| a == b).count();
            AnnotatorLine {
                annotator: name.clone(),
                labels: said.iter().flatten().count(),
                agreement: (!both.is_empty()).then(|| agree as f64 / both.len() as f64),
                reliability: reliability(&consensus.reliability, annotator)
                    .filter(|value| value.is_finite()),
            }
        })
        .collect()
}

/// One figure per annotator, in the terms of the rule.
fn reliability(reliability: &Reliability, annotator: usize) -> Option<f64> {
    match reliability {
        Reliability::Agreement(values)
        | Reliability::Accuracy(values)
        | Reliability::Quality(values) => values.get(annotator).copied(),
        Reliability::Confusion(matrices) => {
            let matrix = matrices.index_axis(Axis(0), annotator);
            let diagonal: Vec<f64> = matrix
                .diag()
                .iter()
                .copied()
                .filter(|p| p.is_finite())
                .collect();
            Some(diagonal.iter().sum::<f64>() / diagonal.len() as f64)
        }
        Reliability::Ability { ability, .. } => ability.get(annotator).copied(),
        Reliability::Spamming { probability, .. } => probability.get(annotator).map(|p| 1.0 - p),
        _ => None,
    }
}

fn measure(reliability: &Reliability) -> &'static str {
    match reliability {
        Reliability::Agreement(_) => "agreement",
        Reliability::Accuracy(_) => "accuracy",
        Reliability::Quality(_) => "quality",
        Reliability::Confusion(_) => "mean sensitivity",
        Reliability::Ability { .. } => "ability",
        Reliability::Spamming { .. } => "not guessing",
        _ => "reliability",
    }
}

impl Show for Summary {
    fn text(&self) -> String {
        let mut table =
            TextTable::new(&["annotator", "labels", "agrees with consensus", self.measure]);
        for line in &self.annotators {
            table.row([
                line.annotator.clone(),
                thousands(line.labels),
                line.agreement.map_or_else(|| "–".into(), percent),
                line.reliability
                    .map_or_else(|| "–".into(), |value| format!("{value:.3}")),
            ]);
        }
        let mut text = format!(
            "{}: consensus `{}` of {} as {}, {} unlabelled\n{}",
            self.dataset.display(),
            self.source,
            count(self.labelled, "image"),
            self.labels,
            count(self.unlabelled, "image"),
            table.text()
        );
        if !self.converged {
            text.push_str(&format!(
                "\nwarning: not converged after {} iterations",
                self.iterations
            ));
        }
        text
    }
}
