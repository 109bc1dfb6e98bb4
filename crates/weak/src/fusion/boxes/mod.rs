//! One list of boxes from those of several views: detectors, experts, or turned and scaled copies of an
//! image.
//!
//! | rule | what becomes of boxes that overlap |
//! |------|------------------------------------|
//! | [`WeightedBoxesFusion`] | their mean, weighted by scores; the score counts how many views agree |
//! | [`NonMaximumWeighted`] | their mean, weighted by scores and overlap; the highest score |
//! | [`NonMaximumSuppression`] | the one with the highest score |
//! | [`SoftNms`] | all stay, with lower scores the more they overlap a better one |
//!
//! Rules that all of them share:
//!
//! - Boxes are in pixels (any unit will do: all rules are the same at every scale) and need not lie
//!   on the image. Classes never mix.
//! - Boxes are taken by descending score. Equal scores go by view, then by place in the view's list.
//!   (ensemble-boxes takes them in the order that its sort leaves them in, which is no rule.)
//! - The result is by descending score; equal scores by class, then in the order of the first
//!   member taken.
//! - Overlap is intersection over union; boxes overlap too much if it is above the limit, not if it
//!   equals it.
//! - One call uses one thread. Images are independent: give them to several threads.

pub(super) mod grid;
mod non_maximum_suppression;
mod non_maximum_weighted;
mod soft_nms;
mod weighted_boxes_fusion;

use cleanslide_data::geometry::{Detection, Rectangle};

use super::{FusionError, check_option};
use grid::Grid;

pub use non_maximum_suppression::NonMaximumSuppression;
pub use non_maximum_weighted::NonMaximumWeighted;
pub use soft_nms::{Decay, SoftNms};
pub use weighted_boxes_fusion::{Confidence, WeightedBoxesFusion};

/// A box of the result, and the boxes that it stands for.
#[derive(Debug, Clone, PartialEq)]
pub struct FusedDetection {
    /// Where, what and how sure.
    pub detection: Detection,
    /// The boxes that support it, in the order in which they were taken: at least one.
    pub members: Vec<Member>,
}

impl FusedDetection {
    /// How many different views support it.
    pub fn views(&self) -> usize {
        let mut views: Vec<usize> = self.members.iter().map(|member| member.view).collect();
        views.sort_unstable();
        views.dedup();
        views.len()
    }
}

/// One of the given boxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// Index of the view.
    pub view: usize,
    /// Index in the view's list.
    pub index: usize,
}

/// A given box with its weighted score.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    rectangle: Rectangle,
    class: usize,
    score: f64,
    member: Member,
}

impl Candidate {
    fn detection(&self) -> Detection {
        Detection {
            rectangle: self.rectangle,
            class: self.class,
            score: self.score,
        }
    }
}

/// The boxes by class, those of a class in the order in which they are taken. The score of each is
/// multiplied by its view's weight; boxes that score below `lowest` before that are left out.
fn candidates<V: AsRef<[Detection]>>(
    views: &[V],
    weight: impl Fn(usize) -> f64,
    lowest: f64,
) -> Result<Vec<Candidate>, FusionError> {
    let mut candidates = Vec::with_capacity(views.iter().map(|view| view.as_ref().len()).sum());
    for (view, boxes) in views.iter().enumerate() {
        for (index, detection) in boxes.as_ref().iter().enumerate() {
            let member = Member { view, index };
            check_box(detection, member)?;
            if detection.score >= lowest {
                candidates.push(Candidate {
                    rectangle: detection.rectangle,
                    class: detection.class,
                    score: detection.score * weight(view),
                    member,
                });
            }
        }
    }
    // Views and places are in order already, and the sort is stable.
    candidates.sort_by(|one, other| {
        (one.class.cmp(&other.class)).then(other.score.total_cmp(&one.score))
    });
    Ok(candidates)
}

fn check_box(detection: &Detection, Member { view, index }: Member) -> Result<(), FusionError> {
    let Rectangle {
        left,
        top,
        right,
        bottom,
    } = detection.rectangle;
    let what = if Rectangle::new(left, top, right, bottom).is_err() {
        "no area"
    } else if !detection.rectangle.area().is_finite() {
        "corners that are too far away"
    } else if !(0.0..=f64::MAX).contains(&detection.score) {
        "a score that is negative or not finite"
    } else {
        return Ok(());
    };
    Err(FusionError::Box { view, index, what })
}

fn check_overlap(limit: f64) -> Result<(), FusionError> {
    let valid = |limit: f64| (0.0..1.0).contains(&limit);
    check_option("overlap", limit, valid, "at least 0 and below 1")
}

/// Weights of views: one each, not negative, not all 0. `None` is 1 each.
fn check_weights(weights: Option<&[f64]>, views: usize) -> Result<Vec<f64>, FusionError> {
    let Some(weights) = weights else {
        return Ok(vec![1.0; views]);
    };
    if weights.len() != views {
        return Err(FusionError::Count {
            what: "weights of views",
            found: weights.len(),
            expected: views,
        });
    }
    for &weight in weights {
        let valid = |weight: f64| (0.0..=f64::MAX).contains(&weight);
        check_option("weight", weight, valid, "finite and 0 or more")?;
    }
    let total = weights.iter().sum();
    let valid = |total: f64| views == 0 || total > 0.0;
    check_option("sum of the weights", total, valid, "above 0")?;
    Ok(weights.to_vec())
}

/// Puts each box to the earlier one whose box overlaps it most, above the limit, or else by itself;
/// the lowest index among equals. Returns the members of each, by index into `boxes`, all of
/// one class.
fn assign(boxes: &[Candidate], limit: f64, choice: Choice) -> Vec<Vec<usize>> {
    let mut grid = Grid::over(boxes.iter().map(|candidate| &candidate.rectangle));
    let mut kept: Vec<Rectangle> = Vec::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (index, candidate) in boxes.iter().enumerate() {
        match find(&grid, &kept, &candidate.rectangle, limit, choice) {
            Some(group) => groups[group].push(index),
            None => {
                grid.insert(kept.len(), &candidate.rectangle);
                kept.push(candidate.rectangle);
                groups.push(vec![index]);
            }
        }
    }
    groups
}

/// Which one of several boxes that overlap too much.
#[derive(Clone, Copy, PartialEq)]
enum Choice {
    /// The one that came first.
    First,
    /// The one that overlaps most; the one that came first among equals.
    Closest,
}

fn find(
    grid: &Grid,
    kept: &[Rectangle],
    rectangle: &Rectangle,
    limit: f64,
    choice: Choice,
) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for candidate in grid.near(rectangle) {
        let overlap = kept[candidate].iou(rectangle);
        if overlap <= limit {
            continue;
        }
        let better = best.is_none_or(|(index, highest)| match choice {
            Choice::First => candidate < index,
            Choice::Closest => overlap > highest || (overlap == highest && candidate < index),
        });
        if better {
            best = Some((candidate, overlap));
        }
    }
    best.map(|(index, _)| index)
}

/// Orders a result.
fn by_score(fused: &mut [FusedDetection]) {
    fused.sort_by(|one, other| {
        let (one, other) = (&one.detection, &other.detection);
        (other.score.total_cmp(&one.score)).then(one.class.cmp(&other.class))
    });
}
