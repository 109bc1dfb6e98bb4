//! Agreement on boxes and on instance masks: which objects of two experts are one.

use cleanslide_data::{Rectangle, Target, TryMap};
use cleanslide_eval::matching::{Assignment, MatchCounts, Overlaps, box_pairs, match_objects};
use cleanslide_eval::segmentation::{instance_counts, panoptic_counts};
use ndarray::Array2;
use rayon::prelude::*;

use super::{Agreed, Labelled, Study};
use crate::failure::{Failure, Result};
use crate::progress;

/// The overlaps (intersection over union) at which objects are one.
const THRESHOLDS: [f64; 2] = [0.5, 0.75];

/// What two experts have in common on an image: at each threshold, and as panoptic quality has it.
struct Common {
    at: Vec<MatchCounts>,
    panoptic: MatchCounts,
}

/// Boxes, whatever their classes.
pub fn boxes(study: &Study) -> Result<Agreed> {
    let drawn = |expert: usize, labelled: &Labelled| -> Result<Option<Vec<Rectangle>>> {
        let Some(piece) = labelled.views[expert] else {
            return Ok(None);
        };
        match &piece.target {
            Target::Boxes(boxes) => {
                let shapes = boxes.objects.iter().map(|object| object.shape);
                Ok(Some(shapes.collect()))
            }
            _ => Err(Failure::input(format!("{}: not boxes", piece.key()))),
        }
    };
    let compare = |one: &Vec<Rectangle>, other: &Vec<Rectangle>| -> Result<Common> {
        let pairs = box_pairs(one, other);
        let counts = |threshold: f64| -> Result<MatchCounts> {
            let sizes = (one.len(), other.len());
            let matching = match_objects(sizes, &pairs, threshold, Assignment::Optimal)?;
            Ok(MatchCounts::from(&matching))
        };
        Ok(Common {
            at: THRESHOLDS.into_iter().map(counts).collect::<Result<_>>()?,
            panoptic: counts(THRESHOLDS[0])?,
        })
    };
    agreed(study, "boxes", drawn, Vec::len, compare)
}

/// Instances, where both experts labelled.
pub fn instances(study: &Study) -> Result<Agreed> {
    let drawn = |expert: usize, labelled: &Labelled| -> Result<Option<(Array2<u32>, usize)>> {
        let Some(piece) = labelled.views[expert] else {
            return Ok(None);
        };
        match &piece.target {
            Target::Instances { mask, classes } => {
                Ok(Some((mask.read_instances()?, classes.len())))
            }
            _ => Err(Failure::input(format!("{}: not instances", piece.key()))),
        }
    };
    let compare = |one: &(Array2<u32>, usize), other: &(Array2<u32>, usize)| -> Result<Common> {
        let overlaps = Overlaps::new(one.0.view(), other.0.view())?;
        Ok(Common {
            at: instance_counts(&overlaps, &THRESHOLDS)?,
            panoptic: panoptic_counts(&overlaps),
        })
    };
    agreed(study, "objects", drawn, |drawn| drawn.1, compare)
}

/// Compares every two experts, image by image.
fn agreed<T: Sync>(
    study: &Study,
    noun: &'static str,
    drawn: impl Fn(usize, &Labelled) -> Result<Option<T>> + Sync,
    number: impl Fn(&T) -> usize + Sync,
    compare: impl Fn(&T, &T) -> Result<Common> + Sync,
) -> Result<Agreed> {
    let experts = study.experts.names.len();
    let pairs: Vec<(usize, usize)> = study.pairs().collect();
    let bar = progress::bar("comparing objects", study.images.len());
    // Of each image what two experts have in common, and how much each drew.
    let images: Vec<(Vec<Option<Common>>, Vec<usize>)> =
        study.images.par_iter().try_map(|labelled| -> Result<_> {
            let about = |failure: Failure| failure.about(&format!("image {}", labelled.image.id));
            let drawn: Vec<Option<T>> = (0..experts)
                .map(|expert| drawn(expert, labelled).map_err(about))
                .collect::<Result<_>>()?;
            let common = pairs
                .iter()
                .map(|&(one, other)| match (&drawn[one], &drawn[other]) {
                    (Some(one), Some(other)) => compare(one, other).map(Some).map_err(about),
                    _ => Ok(None),
                });
            let common = common.collect::<Result<_>>()?;
            bar.inc(1);
            let numbers = drawn.iter().map(|drawn| drawn.as_ref().map_or(0, &number));
            Ok((common, numbers.collect()))
        })?;
    bar.finish_and_clear();
    let mut of_pairs = Vec::new();
    for (pair, &experts) in pairs.iter().enumerate() {
        let shared = study.shared(experts);
        let common: Vec<&Common> = images
            .iter()
            .filter_map(|(all, _)| all[pair].as_ref())
            .collect();
        let at = |threshold: usize| -> Vec<MatchCounts> {
            common.iter().map(|common| common.at[threshold]).collect()
        };
        let (half, strict) = (at(0), at(1));
        let panoptic: Vec<MatchCounts> = common.iter().map(|common| common.panoptic).collect();
        of_pairs.push(vec![
            study.measure("F1 at IoU 0.5", &shared, |w| {
                MatchCounts::pool(&half, w)?.f1()
            }),
            study.measure("F1 at IoU 0.75", &shared, |w| {
                MatchCounts::pool(&strict, w)?.f1()
            }),
            study.measure("mean IoU of matches", &shared, |w| {
                MatchCounts::pool(&panoptic, w)?.segmentation_quality()
            }),
        ]);
    }
    let total = |expert: usize| images.iter().map(|(_, numbers)| numbers[expert]).sum();
    Ok(Agreed {
        of_pairs,
        drawn: Some((noun, (0..experts).map(total).collect())),
        ..Agreed::default()
    })
}
