//! `cleanslide fuse`: several annotators become one consensus.

mod boxes;
mod instances;
mod masks;
mod objects;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use cleanslide_data::{
    Dataset, Evidence, Family, Labels, NewVersion, Scope, Source, SourceKind, Target, Trust,
    Version, VersionId, Votes,
};
use cleanslide_learn::image_labels::{ImageLabel, ImageLabels};
use cleanslide_learn::study::Study;
use cleanslide_weak::fusion::boxes::{
    Confidence, Decay, NonMaximumSuppression, NonMaximumWeighted, SoftNms, WeightedBoxesFusion,
};
use cleanslide_weak::fusion::masks::MaskTie;
use cleanslide_weak::fusion::objects::{BoxConsensus, Corners, InstanceConsensus, ShapeTie};
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
use crate::experts::{Experts, FamilyName, listed, words};
use crate::failure::{Failure, Result};
use crate::output::{Show, count, percent, thousands};
use crate::pipeline::{DEFAULT_FOLDS, judge_labels};
use crate::text_table::TextTable;

/// Combine the labels of several annotators into one consensus
///
/// Classes, class masks, boxes and instance masks can be combined, each by rules of its own. The
/// consensus is a new label version; the annotators' own labels stay in it. Labels and boxes of
/// trust 0 do not count.
///
/// The trust of a class is its probability; that of a box its score or, by consensus, the share of
/// those who drew it among the annotators who looked there; that of an instance mask the mean of
/// these shares over its objects. A class mask is trusted fully, however close the votes on its
/// pixels were: only ties are unlabelled.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cleanslide fuse mitoses --rule dawid-skene\n  \
cleanslide fuse cfos --rule staple --per-image\n  \
cleanslide fuse cfos --rule majority --annotators anna,ben,cem --weights 2,1,1\n  \
cleanslide fuse smears --rule consensus --minimum-experts 3\n  \
cleanslide fuse smears --rule wbf --annotators hough,watershed --weights 2,1"
)]
pub struct Fuse {
    #[command(flatten)]
    dataset: DatasetArgument,
    /// How labels are combined; by default dawid-skene for classes and class masks, consensus for
    /// boxes and instance masks
    #[arg(long, value_enum)]
    rule: Option<Rule>,
    /// What happens to ties: of votes for classes by majority, of the pixels of masks. Other rules
    /// for classes take the class that comes first, staple of two classes the second, and boxes
    /// have none [default: unlabelled]
    #[arg(long, value_enum)]
    ties: Option<Ties>,
    /// Only these annotators; all experts by default
    #[arg(long, value_delimiter = ',', value_name = "SOURCES")]
    annotators: Option<Vec<String>>,
    /// Which kind of labels, where the annotators gave several
    #[arg(long, value_enum)]
    family: Option<FamilyName>,
    /// Name of the consensus; by default that of the rule
    #[arg(long, value_name = "SOURCE")]
    name: Option<String>,
    /// Class masks: learn what annotators are like from each image by itself, instead of from all
    #[arg(long)]
    per_image: bool,
    /// Majority of class masks, wbf and nmw: how much each annotator counts, in the order of `--annotators`
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "WEIGHTS",
        requires = "annotators"
    )]
    weights: Option<Vec<f64>>,
    /// Classes: keep the probability of every class as a soft label, instead of one class with a
    /// trust
    #[arg(long)]
    soft: bool,
    /// Label version; the latest by default
    #[arg(long, value_name = "VERSION")]
    labels: Option<VersionId>,
    #[command(flatten)]
    encoder: EncoderArguments,
    #[command(flatten)]
    objects: ObjectOptions,
}

/// Options of the rules for boxes and instance masks.
#[derive(Debug, Args)]
#[command(next_help_heading = "Boxes and instance masks")]
struct ObjectOptions {
    /// How much two objects must overlap to be one (intersection over union); by default 0.5, for
    /// wbf and nmw 0.55
    #[arg(long, value_name = "IOU")]
    overlap: Option<f64>,
    /// Leave out objects of fewer annotators; by default 2 for consensus, 1 for other rules
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    minimum_experts: Option<u32>,
    /// Consensus of boxes: what becomes of the corners
    #[arg(long, value_enum)]
    corners: Option<CornersName>,
    /// wbf: how sure a box is that several gave [default: average]
    #[arg(long, value_enum)]
    confidence: Option<ConfidenceName>,
    /// wbf: several boxes of one annotator may raise the average
    #[arg(long)]
    allow_overflow: bool,
    /// wbf, nmw and soft-nms: leave out boxes of a lower trust
    #[arg(long, value_name = "TRUST")]
    lowest_score: Option<f64>,
    /// soft-nms: how trust falls with overlap [default: gaussian]
    #[arg(long, value_enum)]
    decay: Option<DecayName>,
    /// soft-nms, gaussian: greater values lower trust less [default: 0.5]
    #[arg(long, value_name = "SIGMA")]
    sigma: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CornersName {
    /// The mean of each side
    Mean,
    /// The median of each side
    Median,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ConfidenceName {
    /// Their mean, lower where annotators have no box
    Average,
    /// The highest, however many agree
    Max,
    /// Their mean, by the weights of those who have a box
    BoxAndModelAverage,
    /// Their mean, by the boxes and the annotators without one
    AbsentModelAwareAverage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DecayName {
    /// Smoothly
    Gaussian,
    /// By the overlap, above `--overlap`
    Linear,
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
    /// Boxes and instances: what enough annotators drew, joined one by one
    Consensus,
    /// Boxes: weighted boxes fusion, means by trust (Solovyev et al. 2021)
    Wbf,
    /// Boxes: non-maximum weighted, means by trust and overlap (Zhou et al. 2017)
    Nmw,
    /// Boxes: non-maximum suppression, the one of the highest trust
    Nms,
    /// Boxes: all of them, of lower trust where they overlap (Bodla et al. 2017)
    SoftNms,
}

impl Rule {
    /// Its name, which is also that of the consensus.
    fn name(self) -> &'static str {
        match self {
            Self::Majority => "majority",
            Self::DawidSkene => DAWID_SKENE,
            Self::OneCoin => "one-coin",
            Self::Glad => "glad",
            Self::Mace => "mace",
            Self::Crowdlab => "crowdlab",
            Self::Staple => "staple",
            Self::Smooth => "smooth",
            Self::Consensus => "consensus",
            Self::Wbf => "wbf",
            Self::Nmw => "nmw",
            Self::Nms => "nms",
            Self::SoftNms => "soft-nms",
        }
    }

    /// The rules for a kind of labels, the default first.
    fn of(family: Family) -> &'static [Self] {
        match family {
            Family::Class => &[
                Self::DawidSkene,
                Self::Majority,
                Self::OneCoin,
                Self::Glad,
                Self::Mace,
                Self::Crowdlab,
            ],
            Family::Mask => &[Self::DawidSkene, Self::Majority, Self::Staple, Self::Smooth],
            Family::Boxes => &[
                Self::Consensus,
                Self::Wbf,
                Self::Nmw,
                Self::Nms,
                Self::SoftNms,
            ],
            Family::Instances => &[Self::Consensus],
            Family::Points | Family::Polygons => &[],
        }
    }

    /// The rule that was asked for, if it is for labels of this kind; otherwise the default.
    fn choose(asked: Option<Self>, family: Family) -> Result<Self> {
        let what = words(family);
        let rules = Self::of(family);
        let Some(default) = rules.first() else {
            return Err(Failure::usage(format!("{what} cannot be fused yet"))
                .help("Classes, class masks, boxes and instance masks can."));
        };
        match asked {
            Some(rule) if !rules.contains(&rule) => {
                let names: Vec<&str> = rules.iter().map(|rule| rule.name()).collect();
                let verb = if names.len() == 1 { "is" } else { "are" };
                Err(
                    Failure::usage(format!("the rule `{}` is not for {what}", rule.name()))
                        .help(format!("For {what} there {verb} {}.", listed(&names))),
                )
            }
            asked => Ok(asked.unwrap_or(*default)),
        }
    }
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
    /// Instance masks: part of the object
    Inside,
    /// Instance masks: not part of the object
    Outside,
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

/// What is fused, and into what.
struct Plan<'a> {
    parent: VersionId,
    /// The name of the consensus.
    source: &'a str,
    experts: &'a Experts,
}

fn temporary_folder() -> Result<tempfile::TempDir> {
    tempfile::tempdir().map_err(|error| {
        Failure::environment(format!("failed to make a temporary folder: {error}"))
    })
}

impl Fuse {
    pub fn run(self, context: &Context) -> Result<()> {
        let mut dataset = context.open(&self.dataset.dataset)?;
        let parent = match self.labels {
            Some(parent) => parent,
            None => dataset.latest()?,
        };
        let labels = dataset.labels(parent)?.believed();
        let experts = Experts::choose(
            &dataset,
            &labels,
            self.annotators.as_deref(),
            self.family,
            "fuse",
        )?;
        let rule = Rule::choose(self.rule, experts.family)?;
        self.check_options(rule, &experts, dataset.classes().len())?;
        experts.warn_of_regions(context, &labels);
        let plan = Plan {
            parent,
            source: self.name.as_deref().unwrap_or(rule.name()),
            experts: &experts,
        };
        if experts.names.iter().any(|name| name == plan.source) {
            return Err(Failure::usage(format!(
                "the consensus would replace the labels of `{}`, which it is made from",
                plan.source
            ))
            .help("Give it another name with `--name`."));
        }
        match experts.family {
            Family::Mask => self.fuse_masks(context, &mut dataset, &labels, &plan, rule),
            Family::Boxes | Family::Instances => {
                self.fuse_objects(context, &mut dataset, &labels, &plan, rule)
            }
            _ => self.fuse_classes(context, &mut dataset, &labels, &plan, rule),
        }
    }

    fn fuse_classes(
        &self,
        context: &Context,
        dataset: &mut Dataset,
        labels: &Labels,
        plan: &Plan,
        rule: Rule,
    ) -> Result<()> {
        let annotators = &plan.experts.names;
        let names: Vec<&str> = annotators.iter().map(String::as_str).collect();
        let votes = labels.votes(dataset.images(), &names, dataset.classes().len())?;
        let consensus = self.fuse(context, dataset, &votes, plan, rule)?;
        let version = add_consensus(
            context,
            dataset,
            plan.parent,
            plan.source,
            annotators,
            &consensus,
            self.soft,
        )?;
        let labelled = consensus.labels.iter().flatten().count();
        context.output.show(&Summary {
            dataset: dataset.folder().to_owned(),
            labels: version.id.to_string(),
            source: plan.source.to_owned(),
            labelled,
            unlabelled: consensus.labels.len() - labelled,
            iterations: consensus.iterations,
            converged: consensus.converged,
            annotators: annotator_lines(annotators, &votes, &consensus),
            measure: measure(&consensus.reliability),
        })
    }

    fn fuse_masks(
        &self,
        context: &Context,
        dataset: &mut Dataset,
        labels: &Labels,
        plan: &Plan,
        rule: Rule,
    ) -> Result<()> {
        let folder = temporary_folder()?;
        let masks::Fused {
            evidence,
            mut summary,
        } = masks::fuse(
            dataset,
            labels,
            &plan.experts.names,
            (self.mask_rule(rule)?, plan.source),
            self.per_image,
            folder.path(),
        )?;
        let version = add_version(context, dataset, plan, evidence)?;
        summary.labels = version.id.to_string();
        context.output.show(&summary)
    }

    fn fuse_objects(
        &self,
        context: &Context,
        dataset: &mut Dataset,
        labels: &Labels,
        plan: &Plan,
        rule: Rule,
    ) -> Result<()> {
        let folder = temporary_folder()?;
        let default = if rule == Rule::Consensus { 2 } else { 1 };
        let minimum_experts = self
            .objects
            .minimum_experts
            .map_or(default, |number| number as usize);
        let request = objects::Request {
            dataset,
            labels,
            experts: plan.experts,
            minimum_experts,
            source: plan.source,
        };
        let objects::Fused {
            evidence,
            mut summary,
        } = match plan.experts.family {
            Family::Instances => {
                let rule = self.instance_rule(minimum_experts)?;
                instances::fuse(&request, &rule, folder.path())?
            }
            _ => boxes::fuse(&request, &self.box_rule(rule, minimum_experts))?,
        };
        let version = add_version(context, dataset, plan, evidence)?;
        summary.labels = version.id.to_string();
        context.output.show(&summary)
    }

    /// Refuses options that the rule does not have.
    fn check_options(&self, rule: Rule, experts: &Experts, classes: usize) -> Result<()> {
        let ObjectOptions {
            overlap,
            minimum_experts,
            corners,
            confidence,
            allow_overflow,
            lowest_score,
            decay,
            sigma,
        } = &self.objects;
        let family = experts.family;
        let for_objects = matches!(family, Family::Boxes | Family::Instances);
        let linear = *decay == Some(DecayName::Linear);
        let soft_nms = rule == Rule::SoftNms;
        let averages = matches!(rule, Rule::Wbf | Rule::Nmw);
        let overlaps = for_objects && (!soft_nms || linear);
        let joins = for_objects && !soft_nms;
        let of_boxes = family == Family::Boxes && rule == Rule::Consensus;
        let weighs = averages || (family == Family::Mask && rule == Rule::Majority);
        let ties = match family {
            Family::Class => rule == Rule::Majority,
            Family::Mask => rule != Rule::Staple || classes > 2,
            _ => family == Family::Instances,
        };
        let given = [
            ("--ties", self.ties.is_some(), ties),
            ("--overlap", overlap.is_some(), overlaps),
            ("--minimum-experts", minimum_experts.is_some(), joins),
            ("--corners", corners.is_some(), of_boxes),
            ("--confidence", confidence.is_some(), rule == Rule::Wbf),
            ("--allow-overflow", *allow_overflow, rule == Rule::Wbf),
            ("--weights", self.weights.is_some(), weighs),
            (
                "--lowest-score",
                lowest_score.is_some(),
                averages || soft_nms,
            ),
            ("--decay", decay.is_some(), soft_nms),
            ("--sigma", sigma.is_some(), soft_nms && !linear),
            ("--per-image", self.per_image, family == Family::Mask),
            ("--soft", self.soft, family == Family::Class),
        ];
        if let Some((option, ..)) = given.iter().find(|(_, given, fits)| *given && !fits) {
            return Err(Failure::usage(format!(
                "`{option}` is not an option of the rule `{}` for {}",
                rule.name(),
                words(family)
            ))
            .help("`cleanslide fuse --help` says what each option is for."));
        }
        let Some(weights) = &self.weights else {
            return Ok(());
        };
        if weights.len() != experts.names.len() {
            return Err(Failure::usage(format!(
                "{} for {}",
                count(weights.len(), "weight"),
                count(experts.names.len(), "annotator")
            ))
            .help(format!("Give one each, for {}.", experts.names.join(", "))));
        }
        if weights
            .iter()
            .any(|&weight| !(weight > 0.0 && weight.is_finite()))
        {
            return Err(Failure::usage("a weight is not a number above 0")
                .help("Who is not to count is left out of `--annotators`."));
        }
        Ok(())
    }

    fn box_rule(&self, rule: Rule, minimum_experts: usize) -> boxes::Rule {
        let options = &self.objects;
        let overlap = |default: f64| options.overlap.unwrap_or(default);
        let lowest_score = |default: f64| options.lowest_score.unwrap_or(default);
        match rule {
            Rule::Wbf => {
                let default = WeightedBoxesFusion::default();
                boxes::Rule::Weighted(WeightedBoxesFusion {
                    weights: self.weights.clone(),
                    overlap: overlap(default.overlap),
                    lowest_score: lowest_score(default.lowest_score),
                    confidence: match options.confidence.unwrap_or(ConfidenceName::Average) {
                        ConfidenceName::Average => Confidence::Average,
                        ConfidenceName::Max => Confidence::Max,
                        ConfidenceName::BoxAndModelAverage => Confidence::BoxAndModelAverage,
                        ConfidenceName::AbsentModelAwareAverage => {
                            Confidence::AbsentModelAwareAverage
                        }
                    },
                    allows_overflow: options.allow_overflow,
                })
            }
            Rule::Nmw => {
                let default = NonMaximumWeighted::default();
                boxes::Rule::NonMaximumWeighted(NonMaximumWeighted {
                    weights: self.weights.clone(),
                    overlap: overlap(default.overlap),
                    lowest_score: lowest_score(default.lowest_score),
                })
            }
            Rule::Nms => boxes::Rule::Suppression(NonMaximumSuppression {
                overlap: overlap(NonMaximumSuppression::default().overlap),
            }),
            Rule::SoftNms => boxes::Rule::Soft(SoftNms {
                decay: match options.decay {
                    Some(DecayName::Linear) => Decay::Linear {
                        overlap: overlap(NonMaximumSuppression::default().overlap),
                    },
                    _ => match options.sigma {
                        Some(sigma) => Decay::Gaussian { sigma },
                        None => SoftNms::default().decay,
                    },
                },
                lowest_score: lowest_score(SoftNms::default().lowest_score),
            }),
            _ => boxes::Rule::Consensus(BoxConsensus {
                overlap: overlap(BoxConsensus::default().overlap),
                votes: minimum_experts,
                corners: match options.corners {
                    Some(CornersName::Median) => Corners::Median,
                    _ => Corners::Mean,
                },
            }),
        }
    }

    fn instance_rule(&self, minimum_experts: usize) -> Result<InstanceConsensus> {
        let default = InstanceConsensus::default();
        Ok(InstanceConsensus {
            overlap: self.objects.overlap.unwrap_or(default.overlap),
            votes: minimum_experts,
            tie: match self.ties() {
                Ties::Unlabelled => ShapeTie::Unlabelled,
                Ties::Inside => ShapeTie::Inside,
                Ties::Outside => ShapeTie::Outside,
                _ => {
                    return Err(
                        Failure::usage("this rule for ties is not for instance masks")
                            .help("For instance masks there are unlabelled, inside and outside."),
                    );
                }
            },
        })
    }

    fn mask_rule(&self, rule: Rule) -> Result<masks::Rule> {
        let tie = match self.ties() {
            Ties::Unlabelled => MaskTie::Unlabelled,
            Ties::LowestClass => MaskTie::LowestClass,
            _ => {
                return Err(Failure::usage("this rule for ties is not for class masks")
                    .help("For class masks there are unlabelled and lowest-class."));
            }
        };
        Ok(match rule {
            Rule::Majority => masks::Rule::Majority(tie, self.weights.clone()),
            Rule::Staple => masks::Rule::Staple(tie),
            Rule::Smooth => masks::Rule::Smooth(tie),
            _ => masks::Rule::DawidSkene(tie),
        })
    }

    fn fuse(
        &self,
        context: &Context,
        dataset: &Dataset,
        votes: &Votes,
        plan: &Plan,
        rule: Rule,
    ) -> Result<Consensus> {
        let mut rng = ChaCha8Rng::seed_from_u64(context.seed);
        let tie = self.tie(context.seed)?;
        Ok(match rule {
            Rule::Majority => Majority { tie }.fuse(votes)?,
            Rule::OneCoin => OneCoin::default().fuse(votes)?,
            Rule::Glad => Glad::default().fuse(votes)?,
            Rule::Mace => Mace::default().fuse(votes, &mut rng)?,
            Rule::Crowdlab => self.crowdlab(context, dataset, votes, plan.parent)?,
            _ => DawidSkene::default().fuse(votes)?,
        })
    }

    fn ties(&self) -> Ties {
        self.ties.unwrap_or(Ties::Unlabelled)
    }

    fn tie(&self, seed: u64) -> Result<Tie> {
        Ok(match self.ties() {
            Ties::Unlabelled => Tie::Unlabelled,
            Ties::LowestClass => Tie::LowestClass,
            Ties::CommonestClass => Tie::CommonestClass,
            Ties::RarestClass => Tie::RarestClass,
            Ties::MostReliable => Tie::MostReliable,
            Ties::Random => Tie::Random { seed },
            Ties::Inside | Ties::Outside => {
                return Err(Failure::usage("this rule for ties is for instance masks")
                    .help("`cleanslide fuse --help` lists those for classes."));
            }
        })
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

/// Adds a consensus of votes as a new label version of its own source beside the annotators'
/// labels. `soft` keeps the probability of every class; otherwise the trust of a label is its
/// probability.
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
    let experts = Experts {
        names: annotators.to_vec(),
        family: Family::Class,
    };
    let plan = Plan {
        parent,
        source,
        experts: &experts,
    };
    add_version(context, dataset, &plan, evidence)
}

/// Adds what a consensus says beside everything else, in the place of what it said before.
fn add_version(
    context: &Context,
    dataset: &mut Dataset,
    plan: &Plan,
    evidence: Vec<Evidence>,
) -> Result<Version> {
    let Plan {
        parent,
        source,
        experts,
        ..
    } = *plan;
    let replaced =
        |piece: &Evidence| piece.source == source && piece.target.family() == experts.family;
    let others = dataset.labels(parent)?.into_evidence().into_iter();
    let evidence = others
        .filter(|piece| !replaced(piece))
        .chain(evidence)
        .collect();
    let labels = Labels::new(evidence, dataset.classes())?;
    let annotators = count(experts.names.len(), "annotator");
    Ok(dataset.add_version(NewVersion {
        parent: Some(parent),
        produced: Some(source.into()),
        sources: vec![Source {
            id: source.into(),
            kind: SourceKind::Algorithm,
            description: "consensus of annotators".into(),
            values: None,
        }],
        labels,
        provenance: context.provenance(format!("fused {annotators} by {source}")),
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
