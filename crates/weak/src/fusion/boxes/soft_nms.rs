//! Soft non-maximum suppression.
//!
//! N. Bodla, B. Singh, R. Chellappa, L. Davis, *Soft-NMS: improving object detection with one line of
//! code*, ICCV 2017, doi:10.1109/ICCV.2017.593.
//!
//! The box with the highest score is taken, and the scores of the others of its class are multiplied by
//!
//! ```text
//! linear     1 − o if the overlap o is above the limit, else 1
//! Gaussian   exp(−o² / σ)
//! ```
//!
//! and so on with those that are left. Equal to ensemble-boxes 1.0.9, which chooses boxes by their
//! lowered scores as here, but then returns the scores they had before; here the lowered scores are
//! returned, as in the paper.

use cleanslide_data::geometry::Detection;

use super::{Candidate, FusedDetection, by_score, candidates, check_overlap};
use crate::fusion::{FusionError, check_option};

/// How scores fall with overlap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Decay {
    /// By the overlap, above a limit.
    Linear {
        /// Overlaps up to this cost nothing.
        overlap: f64,
    },
    /// Smoothly.
    Gaussian {
        /// Greater values lower the scores less; above 0.
        sigma: f64,
    },
}

/// All boxes, with lower scores the more they overlap a better one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SoftNms {
    /// How scores fall with overlap.
    pub decay: Decay,
    /// Boxes whose score falls to this or below are dropped.
    pub lowest_score: f64,
}

impl Default for SoftNms {
    /// Gaussian with σ = 0.5, lowest score 0.001, as in ensemble-boxes.
    fn default() -> Self {
        Self {
            decay: Decay::Gaussian { sigma: 0.5 },
            lowest_score: 0.001,
        }
    }
}

impl SoftNms {
    /// The boxes whose lowered scores are above the lowest, each its own only member. Takes time in
    /// the order of the square of the boxes of a class.
    ///
    /// # Errors
    /// A box without area or with a negative score; an option outside its range.
    pub fn fuse<V: AsRef<[Detection]>>(
        &self,
        views: &[V],
    ) -> Result<Vec<FusedDetection>, FusionError> {
        match self.decay {
            Decay::Linear { overlap } => check_overlap(overlap)?,
            Decay::Gaussian { sigma } => {
                check_option("sigma", sigma, |sigma| sigma > 0.0, "above 0")?;
            }
        }
        let valid = |score: f64| !score.is_nan();
        check_option("lowest score", self.lowest_score, valid, "a number")?;
        let mut boxes = candidates(views, |_| 1.0, 0.0)?;
        let mut fused = Vec::new();
        for boxes in boxes.chunk_by_mut(|one, other| one.class == other.class) {
            self.lower(boxes);
            for candidate in boxes.iter() {
                if candidate.score > self.lowest_score {
                    fused.push(FusedDetection {
                        detection: candidate.detection(),
                        members: vec![candidate.member],
                    });
                }
            }
        }
        by_score(&mut fused);
        Ok(fused)
    }

    /// Lowers the scores of boxes of one class and brings them into the order in which they are
    /// taken.
    fn lower(&self, boxes: &mut [Candidate]) {
        for taken in 0..boxes.len() {
            let left = &mut boxes[taken..];
            let mut best = 0;
            for (index, candidate) in left.iter().enumerate() {
                // Members break ties, because swapping loses the order.
                let ahead = candidate.score > left[best].score
                    || (candidate.score == left[best].score
                        && candidate.member < left[best].member);
                if ahead {
                    best = index;
                }
            }
            left.swap(0, best);
            let first = left[0];
            for candidate in &mut left[1..] {
                candidate.score *= self.factor(first.rectangle.iou(&candidate.rectangle));
            }
        }
    }

    fn factor(&self, overlap: f64) -> f64 {
        match self.decay {
            Decay::Linear { overlap: limit } if overlap > limit => 1.0 - overlap,
            Decay::Linear { .. } => 1.0,
            Decay::Gaussian { sigma } => (-overlap * overlap / sigma).exp(),
        }
    }
}
