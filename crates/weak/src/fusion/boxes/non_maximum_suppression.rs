//! Non-maximum suppression.
//!
//! Each box, by descending score, stays unless it overlaps a box of its class that stayed by more than
//! the limit. As `nms` of ensemble-boxes 1.0.9 and of torchvision, class by class.

use cleanslide_data::geometry::Detection;

use super::{Choice, FusedDetection, assign, by_score, candidates, check_overlap};
use crate::fusion::FusionError;

/// The best of boxes that overlap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NonMaximumSuppression {
    /// Boxes that overlap a better one by more are dropped (intersection over union).
    pub overlap: f64,
}

impl Default for NonMaximumSuppression {
    /// Overlap 0.5, as in ensemble-boxes.
    fn default() -> Self {
        Self { overlap: 0.5 }
    }
}

impl NonMaximumSuppression {
    /// The boxes that stay. The members of each are itself and those that it suppressed: a box
    /// is suppressed by the first that stayed and overlaps it too much.
    ///
    /// # Errors
    /// A box without area or with a negative score; an overlap that is not in 0..1.
    pub fn fuse<V: AsRef<[Detection]>>(
        &self,
        views: &[V],
    ) -> Result<Vec<FusedDetection>, FusionError> {
        check_overlap(self.overlap)?;
        let boxes = candidates(views, |_| 1.0, 0.0)?;
        let mut fused = Vec::new();
        for boxes in boxes.chunk_by(|one, other| one.class == other.class) {
            for group in assign(boxes, self.overlap, Choice::First) {
                fused.push(FusedDetection {
                    detection: boxes[group[0]].detection(),
                    members: group.iter().map(|&index| boxes[index].member).collect(),
                });
            }
        }
        by_score(&mut fused);
        Ok(fused)
    }
}
