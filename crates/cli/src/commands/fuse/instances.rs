//! One instance mask from those of several experts.

use std::path::Path;

use cleanslide_data::mask::UNLABELLED_OBJECT;
use cleanslide_data::{Evidence, MaskFile, Scope, Target, Trust};
use cleanslide_eval::matching::{MatchCounts, Overlaps};
use cleanslide_eval::segmentation::instance_counts;
use cleanslide_weak::fusion::objects::{ExpertInstances, FusedInstances, InstanceConsensus};
use ndarray::Array2;

use super::objects::{Fused, MATCH, OneImage, Request};
use crate::failure::{Failure, Result};

/// Fuses the instance masks of the experts image by image; `folder` takes the masks until they are
/// in a version.
pub fn fuse(request: &Request, rule: &InstanceConsensus, folder: &Path) -> Result<Fused> {
    request.fuse(|image, number, views| {
        let drawn: Vec<Option<(Array2<u32>, &[usize])>> = views
            .iter()
            .map(|view| view.map(instances).transpose())
            .collect::<Result<_>>()?;
        let experts: Vec<Option<ExpertInstances>> = drawn
            .iter()
            .map(|drawn| {
                let (mask, classes) = drawn.as_ref()?;
                Some(ExpertInstances {
                    mask: mask.view(),
                    classes,
                })
            })
            .collect();
        let fused = rule.fuse(&experts)?;
        let matches = drawn
            .iter()
            .map(|drawn| {
                let against = |(mask, classes): &(Array2<u32>, &[usize])| {
                    matched(&fused.mask, mask, classes.len())
                };
                drawn.as_ref().map(against).transpose()
            })
            .collect::<Result<_>>()?;
        let file = folder.join(format!("{number}.png"));
        Ok(OneImage {
            objects: fused.objects.len(),
            complete: !fused.mask.iter().any(|&object| object == UNLABELLED_OBJECT),
            matches,
            evidence: Evidence {
                source: request.source.to_owned(),
                scope: Scope::Image(image.id.clone()),
                trust: mean_trust(&fused)?,
                target: Target::Instances {
                    mask: MaskFile::write_instances(&file, fused.mask.view())?,
                    classes: fused.objects.iter().map(|object| object.class).collect(),
                },
            },
        })
    })
}

fn instances(piece: &Evidence) -> Result<(Array2<u32>, &[usize])> {
    match &piece.target {
        Target::Instances { mask, classes } => Ok((mask.read_instances()?, classes)),
        _ => Err(Failure::input(format!("{}: not instances", piece.key()))),
    }
}

/// A mask has one trust for all its objects.
fn mean_trust(fused: &FusedInstances) -> Result<Trust> {
    if fused.objects.is_empty() {
        return Ok(Trust::FULL);
    }
    let trusts = fused.objects.iter().map(|object| object.trust.value());
    Ok(Trust::new(
        trusts.sum::<f32>() / fused.objects.len() as f32,
    )?)
}

/// The expert's objects against those of the consensus, where both labelled. An object where the
/// consensus is open is not in it.
fn matched(consensus: &Array2<u32>, drawn: &Array2<u32>, objects: usize) -> Result<MatchCounts> {
    let overlaps = Overlaps::new(consensus.view(), drawn.view())?;
    let counts = instance_counts(&overlaps, &[MATCH])?.pop();
    let counts = counts.unwrap_or_default();
    Ok(MatchCounts {
        false_positives: objects as f64 - counts.true_positives,
        ..counts
    })
}
