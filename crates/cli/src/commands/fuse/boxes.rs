//! One list of boxes from those of several experts.

use cleanslide_data::{Detection, Evidence, Object, Objects, Rectangle, Scope, Target, Trust};
use cleanslide_eval::matching::{Assignment, MatchCounts, box_pairs, match_objects};
use cleanslide_weak::fusion::boxes::{
    FusedDetection, NonMaximumSuppression, NonMaximumWeighted, SoftNms, WeightedBoxesFusion,
};
use cleanslide_weak::fusion::objects::{BoxConsensus, ExpertBoxes, Looked};

use super::objects::{Fused, MATCH, OneImage, Request};
use crate::failure::{Failure, Result};

/// Rules for boxes.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// Boxes that enough experts drew.
    Consensus(BoxConsensus),
    /// Means weighted by scores.
    Weighted(WeightedBoxesFusion),
    /// Means weighted by scores and overlap.
    NonMaximumWeighted(NonMaximumWeighted),
    /// The best of those that overlap.
    Suppression(NonMaximumSuppression),
    /// All, with lower scores the more they overlap a better one.
    Soft(SoftNms),
}

/// Boxes that overlap, joined to one.
struct Joined {
    object: Object<Rectangle>,
    /// How many experts drew it.
    experts: usize,
    /// How many experts looked at its place.
    looked: usize,
}

type Drawn<'a> = &'a Objects<Rectangle>;

/// Fuses the boxes of the experts image by image.
pub fn fuse(request: &Request, rule: &Rule) -> Result<Fused> {
    request.fuse(|image, _, views| {
        let pieces: Vec<Option<(&Evidence, Drawn)>> = views
            .iter()
            .map(|view| {
                view.map(|piece| boxes(piece).map(|boxes| (piece, boxes)))
                    .transpose()
            })
            .collect::<Result<_>>()?;
        let joined = match rule {
            Rule::Consensus(rule) => consensus(rule, &pieces)?,
            _ => detections(rule, &pieces)?,
        };
        // As for pixels of instances: a dropped object that half of those drew who looked is not
        // known to be absent.
        let doubtful =
            |one: &Joined| one.experts < request.minimum_experts && 2 * one.experts >= one.looked;
        let everywhere = pieces.iter().flatten().all(|(_, boxes)| boxes.complete);
        let complete = everywhere && !joined.iter().any(doubtful);
        let objects: Vec<Object<Rectangle>> = joined
            .into_iter()
            .filter(|one| one.experts >= request.minimum_experts)
            .map(|one| one.object)
            .collect();
        let matches = pieces
            .iter()
            .map(|piece| piece.map(|(_, drawn)| matched(&objects, drawn)).transpose())
            .collect::<Result<_>>()?;
        Ok(OneImage {
            objects: objects.len(),
            complete,
            matches,
            evidence: Evidence {
                source: request.source.to_owned(),
                scope: Scope::Image(image.id.clone()),
                target: Target::Boxes(Objects { objects, complete }),
                trust: Trust::FULL,
            },
        })
    })
}

fn boxes(piece: &Evidence) -> Result<Drawn<'_>> {
    match &piece.target {
        Target::Boxes(boxes) => Ok(boxes),
        _ => Err(Failure::input(format!("{}: not boxes", piece.key()))),
    }
}

fn consensus(rule: &BoxConsensus, pieces: &[Option<(&Evidence, Drawn)>]) -> Result<Vec<Joined>> {
    let experts: Vec<Option<ExpertBoxes>> = pieces
        .iter()
        .map(|piece| {
            piece.map(|(_, boxes)| ExpertBoxes {
                boxes: &boxes.objects,
                looked: if boxes.complete {
                    Looked::Everywhere
                } else {
                    Looked::WhereDrawn
                },
            })
        })
        .collect();
    // All groups, also those that are dropped: they tell what is in doubt.
    let every = BoxConsensus { votes: 1, ..*rule };
    let joined = every.fuse(&experts)?.into_iter().map(|one| Joined {
        experts: one.object.members.len(),
        looked: one.object.looked,
        object: Object {
            shape: one.rectangle,
            class: one.object.class,
            trust: one.object.trust,
        },
    });
    Ok(joined.collect())
}

/// Applies a rule for detectors, whose scores are trusts. Only who saw the image is a view.
fn detections(rule: &Rule, pieces: &[Option<(&Evidence, Drawn)>]) -> Result<Vec<Joined>> {
    let seen = || {
        pieces
            .iter()
            .enumerate()
            .filter_map(|(at, piece)| Some((at, (*piece)?)))
    };
    let views: Vec<Vec<Detection>> = seen()
        .map(|(_, (piece, boxes))| {
            let detection = |object: &Object<Rectangle>| Detection {
                rectangle: object.shape,
                class: object.class,
                score: f64::from(object.trust.value()) * f64::from(piece.trust.value()),
            };
            boxes.objects.iter().map(detection).collect()
        })
        .collect();
    let weights = |all: &Option<Vec<f64>>| {
        let all = all.as_ref()?;
        Some(seen().filter_map(|(at, _)| all.get(at).copied()).collect())
    };
    let fused = match rule {
        Rule::Weighted(rule) => WeightedBoxesFusion {
            weights: weights(&rule.weights),
            ..rule.clone()
        }
        .fuse(&views)?,
        Rule::NonMaximumWeighted(rule) => NonMaximumWeighted {
            weights: weights(&rule.weights),
            ..rule.clone()
        }
        .fuse(&views)?,
        Rule::Suppression(rule) => rule.fuse(&views)?,
        Rule::Soft(rule) => rule.fuse(&views)?,
        Rule::Consensus(_) => Vec::new(),
    };
    let one = |fused: FusedDetection| {
        let Detection {
            rectangle,
            class,
            score,
        } = fused.detection;
        Ok(Joined {
            experts: fused.views(),
            looked: views.len(),
            object: Object {
                shape: rectangle,
                class,
                trust: Trust::new(score.clamp(0.0, 1.0) as f32)?,
            },
        })
    };
    fused.into_iter().map(one).collect()
}

/// The expert's boxes against those of the consensus, whatever their classes.
fn matched(consensus: &[Object<Rectangle>], drawn: Drawn) -> Result<MatchCounts> {
    let shapes = |objects: &[Object<Rectangle>]| -> Vec<Rectangle> {
        objects.iter().map(|object| object.shape).collect()
    };
    let (truth, found) = (shapes(consensus), shapes(&drawn.objects));
    let pairs = box_pairs(&truth, &found);
    let matching = match_objects(
        (truth.len(), found.len()),
        &pairs,
        MATCH,
        Assignment::Optimal,
    )?;
    Ok(MatchCounts::from(&matching))
}
