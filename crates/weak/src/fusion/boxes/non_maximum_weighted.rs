//! Non-maximum weighted.
//!
//! H. Zhou, Z. Li, C. Ning, J. Tang, *CAD: scale invariant framework for real-time object detection*,
//! ICCV Workshops 2017, doi:10.1109/ICCVW.2017.95.
//!
//! Each box, by descending weighted score, joins the earlier box of its class that it overlaps most,
//! above the limit, or stands for itself. The result has the score of the first box and
//!
//! ```text
//! corners = Σ w s o corners / Σ w s o     w weight of the view / highest weight, s score,
//!                                         o overlap with the first box
//! ```
//!
//! Equal to ensemble-boxes 1.0.9 with boxes scaled to 0..1, but for its single precision (1e-7) and
//! what [`WeightedBoxesFusion`](super::WeightedBoxesFusion) does otherwise too.

use cleanslide_data::geometry::{Detection, Rectangle};

use super::{
    Candidate, Choice, FusedDetection, assign, by_score, candidates, check_overlap, check_weights,
};
use crate::fusion::{FusionError, check_option};

/// Means of boxes that overlap the best one, weighted by scores and overlap.
#[derive(Debug, Clone, PartialEq)]
pub struct NonMaximumWeighted {
    /// Weight of each view, 0 or more; `None` is 1 each.
    pub weights: Option<Vec<f64>>,
    /// Boxes join a better one if they overlap it by more (intersection over union).
    pub overlap: f64,
    /// Boxes that score below (before weighting) are left out.
    pub lowest_score: f64,
}

impl Default for NonMaximumWeighted {
    /// Equal weights, overlap 0.55, lowest score 0, as in ensemble-boxes.
    fn default() -> Self {
        Self {
            weights: None,
            overlap: 0.55,
            lowest_score: 0.0,
        }
    }
}

impl NonMaximumWeighted {
    /// Fuses the boxes of the views of one image.
    ///
    /// # Errors
    /// As [`WeightedBoxesFusion::fuse`](super::WeightedBoxesFusion::fuse).
    pub fn fuse<V: AsRef<[Detection]>>(
        &self,
        views: &[V],
    ) -> Result<Vec<FusedDetection>, FusionError> {
        check_overlap(self.overlap)?;
        let valid = |score: f64| !score.is_nan();
        check_option("lowest score", self.lowest_score, valid, "a number")?;
        let weights = check_weights(self.weights.as_deref(), views.len())?;
        let highest = weights.iter().copied().fold(0.0, f64::max);
        let boxes = candidates(views, |view| weights[view] / highest, self.lowest_score)?;
        let mut fused = Vec::new();
        for boxes in boxes.chunk_by(|one, other| one.class == other.class) {
            for group in assign(boxes, self.overlap, Choice::Closest) {
                let first = boxes[group[0]];
                fused.push(FusedDetection {
                    detection: Detection {
                        rectangle: mean(&first, group.iter().map(|&index| &boxes[index])),
                        ..first.detection()
                    },
                    members: group.iter().map(|&index| boxes[index].member).collect(),
                });
            }
        }
        by_score(&mut fused);
        Ok(fused)
    }
}

fn mean<'a>(first: &Candidate, group: impl Iterator<Item = &'a Candidate>) -> Rectangle {
    let mut corners = [0.0; 4];
    let mut total = 0.0;
    for Candidate {
        rectangle, score, ..
    } in group
    {
        let weight = score * rectangle.iou(&first.rectangle);
        total += weight;
        let sides = [
            rectangle.left,
            rectangle.top,
            rectangle.right,
            rectangle.bottom,
        ];
        for (sum, side) in corners.iter_mut().zip(sides) {
            *sum += weight * side;
        }
    }
    if total <= 0.0 {
        return first.rectangle;
    }
    let [left, top, right, bottom] = corners.map(|sum| sum / total);
    Rectangle {
        left,
        top,
        right,
        bottom,
    }
}
