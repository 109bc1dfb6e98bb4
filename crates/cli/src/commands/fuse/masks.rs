//! One class mask from those of several experts.

use std::path::{Path, PathBuf};

use cleanslide_data::{
    Dataset, Evidence, Family, ImageRecord, Labels, Scope, Target, Trust, UNLABELLED_CLASS,
};
use cleanslide_eval::segmentation::{ClassOverlap, EmptyCase, class_overlaps, pixel_confusion};
use cleanslide_weak::fusion::masks::{
    MaskDawidSkene, MaskMajority, MaskTie, MultiLabelStaple, SmoothDawidSkene, Staple,
    VotePatterns, WeightedMaskMajority,
};
use ndarray::{Array2, ArrayView2};
use serde::Serialize;

use crate::failure::{Failure, Result};
use crate::output::{Show, count, thousands};
use crate::progress;
use crate::text_table::TextTable;

/// Rules for masks.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// Most votes, or most weight if each expert has one.
    Majority(MaskTie, Option<Vec<f64>>),
    /// Sensitivity and specificity per expert, or a confusion matrix with several classes.
    Staple(MaskTie),
    /// A confusion matrix per expert, and how common classes are.
    DawidSkene(MaskTie),
    /// The same, where neighbouring pixels tend to agree.
    Smooth(MaskTie),
}

/// Probability of foreground from which STAPLE's consensus is foreground.
const THRESHOLD: f64 = 0.5;

/// What was fused.
pub struct Fused {
    /// The consensus of each image that somebody labelled.
    pub evidence: Vec<Evidence>,
    /// What to show.
    pub summary: Summary,
}

/// The result for people and machines.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// The dataset.
    pub dataset: PathBuf,
    /// The new version.
    pub labels: String,
    source: String,
    images: usize,
    unlabelled_images: usize,
    /// Share of the pixels that somebody labelled and the consensus leaves open.
    undecided_pixels: f64,
    experts: Vec<ExpertLine>,
}

#[derive(Debug, Serialize)]
struct ExpertLine {
    expert: String,
    images: usize,
    /// Mean over the classes (but for the first, the background) of the Dice with the consensus;
    /// `None` where neither has any.
    dice: Option<f64>,
}

/// Fuses the masks of the experts image by image; what they are like is learned from all images
/// together, or from each by itself.
pub fn fuse(
    dataset: &Dataset,
    labels: &Labels,
    experts: &[String],
    (rule, source): (Rule, &str),
    per_image: bool,
    folder: &Path,
) -> Result<Fused> {
    let classes = dataset.classes().len();
    let of_expert: Vec<_> = experts
        .iter()
        .map(|expert| labels.of_images(expert, Family::Mask))
        .collect();
    let read = |image: &ImageRecord| -> Result<Vec<Option<Array2<u8>>>> {
        let one = |pieces: &std::collections::BTreeMap<&str, &Evidence>| {
            let piece = pieces.get(image.id.as_str());
            piece.map(|piece| read_mask(piece)).transpose()
        };
        of_expert.iter().map(one).collect()
    };
    let labelled: Vec<&ImageRecord> = dataset
        .images()
        .iter()
        .filter(|image| {
            of_expert
                .iter()
                .any(|pieces| pieces.contains_key(image.id.as_str()))
        })
        .collect();
    let alone = per_image || matches!(rule, Rule::Smooth(_));
    let model = if alone {
        None
    } else {
        let mut patterns = VotePatterns::new(experts.len(), classes)?;
        let bar = progress::bar("counting votes", labelled.len());
        for image in &labelled {
            add(&mut patterns, image, &read(image)?)?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        Some(Model::of(&rule, &patterns)?)
    };

    let mut agreement = vec![vec![ClassOverlap::default(); classes]; experts.len()];
    let (mut undecided, mut decided) = (0, 0);
    let mut evidence = Vec::new();
    // The same images in the same order give patterns the same numbers again.
    let mut again = VotePatterns::new(experts.len(), classes)?;
    let bar = progress::bar("fusing masks", labelled.len());
    for (number, image) in labelled.iter().enumerate() {
        let masks = read(image)?;
        let consensus = match &model {
            Some(model) => model.mask(add(&mut again, image, &masks)?.view()),
            None => fuse_one(&rule, image, &masks, classes)?,
        };
        for (expert, mask) in masks.iter().enumerate() {
            let Some(mask) = mask else { continue };
            let confusion = pixel_confusion(consensus.view(), mask.view(), classes)?;
            for (sum, overlap) in agreement[expert].iter_mut().zip(class_overlaps(&confusion)) {
                sum.both += overlap.both;
                sum.truth += overlap.truth;
                sum.predicted += overlap.predicted;
            }
        }
        for (at, &class) in consensus.indexed_iter() {
            let voted = masks
                .iter()
                .flatten()
                .any(|mask| mask[at] != UNLABELLED_CLASS);
            undecided += usize::from(voted && class == UNLABELLED_CLASS);
            decided += usize::from(class != UNLABELLED_CLASS);
        }
        let file = folder.join(format!("{number}.png"));
        evidence.push(Evidence {
            source: source.to_owned(),
            scope: Scope::Image(image.id.clone()),
            target: Target::class_mask(&file, consensus.view())?,
            trust: Trust::FULL,
        });
        bar.inc(1);
    }
    bar.finish_and_clear();
    let experts = experts.iter().zip(&of_expert).zip(&agreement);
    Ok(Fused {
        summary: Summary {
            dataset: dataset.folder().to_owned(),
            labels: String::new(),
            source: source.to_owned(),
            images: evidence.len(),
            unlabelled_images: dataset.images().len() - evidence.len(),
            undecided_pixels: undecided as f64 / (undecided + decided).max(1) as f64,
            experts: experts
                .map(|((expert, pieces), overlaps)| ExpertLine {
                    expert: expert.clone(),
                    images: pieces.len(),
                    dice: mean_dice(overlaps),
                })
                .collect(),
        },
        evidence,
    })
}

fn read_mask(piece: &Evidence) -> Result<Array2<u8>> {
    match &piece.target {
        Target::Dense(file) | Target::Partial(file) => Ok(file.read_classes()?),
        _ => Err(Failure::input(format!("{}: not a class mask", piece.key()))),
    }
}

fn add(
    patterns: &mut VotePatterns,
    image: &ImageRecord,
    masks: &[Option<Array2<u8>>],
) -> Result<Array2<u32>> {
    let views: Vec<Option<ArrayView2<u8>>> = masks
        .iter()
        .map(|mask| mask.as_ref().map(|mask| mask.view()))
        .collect();
    patterns
        .add(&views)
        .map_err(|error| Failure::input(format!("image {}: {error}", image.id)))
}

/// What a rule learned from many images.
enum Model {
    Binary(cleanslide_weak::fusion::masks::StapleConsensus),
    Any(cleanslide_weak::fusion::masks::MaskConsensus),
}

impl Model {
    fn of(rule: &Rule, patterns: &VotePatterns) -> Result<Self> {
        Ok(match *rule {
            Rule::Majority(tie, None) => Self::Any(MaskMajority { tie }.fuse(patterns)?),
            Rule::Majority(tie, Some(ref weights)) => Self::Any(
                WeightedMaskMajority {
                    tie,
                    ..WeightedMaskMajority::per_expert(weights, patterns.classes())
                }
                .fuse(patterns)?,
            ),
            Rule::Staple(_) if patterns.classes() == 2 => {
                Self::Binary(Staple::default().fuse(patterns)?)
            }
            Rule::Staple(tie) => Self::Any(
                MultiLabelStaple {
                    tie,
                    ..MultiLabelStaple::default()
                }
                .fuse(patterns)?,
            ),
            Rule::DawidSkene(tie) | Rule::Smooth(tie) => {
                Self::Any(dawid_skene(tie).fuse(patterns)?)
            }
        })
    }

    fn mask(&self, map: ArrayView2<'_, u32>) -> Array2<u8> {
        match self {
            Self::Binary(consensus) => consensus.mask(map, THRESHOLD),
            Self::Any(consensus) => consensus.mask(map),
        }
    }
}

fn dawid_skene(tie: MaskTie) -> MaskDawidSkene {
    MaskDawidSkene {
        tie,
        ..MaskDawidSkene::default()
    }
}

fn fuse_one(
    rule: &Rule,
    image: &ImageRecord,
    masks: &[Option<Array2<u8>>],
    classes: usize,
) -> Result<Array2<u8>> {
    let mut patterns = VotePatterns::new(masks.len(), classes)?;
    let map = add(&mut patterns, image, masks)?;
    if let &Rule::Smooth(tie) = rule {
        let smooth = SmoothDawidSkene {
            model: dawid_skene(tie),
            ..SmoothDawidSkene::default()
        };
        return Ok(smooth.fuse(&patterns, map.view())?.mask);
    }
    Ok(Model::of(rule, &patterns)?.mask(map.view()))
}

fn mean_dice(overlaps: &[ClassOverlap]) -> Option<f64> {
    let values: Vec<f64> = overlaps
        .iter()
        .skip(usize::from(overlaps.len() > 1))
        .filter_map(|overlap| overlap.dice(EmptyCase::Undefined).ok())
        .collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

impl Show for Summary {
    fn text(&self) -> String {
        let mut table = TextTable::new(&["expert", "images", "Dice with consensus"]);
        for line in &self.experts {
            table.row([
                line.expert.clone(),
                thousands(line.images),
                line.dice
                    .map_or_else(|| "–".into(), |dice| format!("{dice:.3}")),
            ]);
        }
        let mut text = format!(
            "{}: consensus `{}` of {} as {}",
            self.dataset.display(),
            self.source,
            count(self.images, "mask"),
            self.labels,
        );
        if self.unlabelled_images > 0 {
            text.push_str(&format!(
                ", {} nobody labelled",
                count(self.unlabelled_images, "image")
            ));
        }
        if self.undecided_pixels > 0.0 {
            text.push_str(&format!(
                "\n{:.2} % of the pixels are ties and stay unlabelled",
                100.0 * self.undecided_pixels
            ));
        }
        text.push('\n');
        text.push_str(&table.text());
        text
    }
}
