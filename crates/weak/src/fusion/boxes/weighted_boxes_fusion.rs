//! Weighted boxes fusion.
//!
//! R. Solovyev, W. Wang, T. Gabruseva, *Weighted boxes fusion: ensembling boxes from different object
//! detection models*, Image and Vision Computing 107 (2021), doi:10.1016/j.imavis.2021.104117.
//!
//! Each box, by descending weighted score, joins the cluster of its class whose mean box overlaps it
//! most, above the limit, or begins one. The mean box is renewed at once:
//!
//! ```text
//! corners = Σ w s corners / Σ w s     over the cluster's boxes; w weight of the view, s score
//! ```
//!
//! When all are placed, the score follows from the cluster ([`Confidence`]).
//!
//! Equal to ensemble-boxes 1.0.9 with boxes scaled to 0..1, but for its rounding of corners and
//! scores of clusters to single precision (1e-7), the order of equal scores (see [the
//! module](super)) and the following: boxes are not cut at the image's border, bad boxes are errors
//! instead of being skipped or turned round, and where all boxes of a cluster score 0, which there
//! gives NaN, the cluster keeps its first box.

use cleanslide_data::geometry::{Detection, Rectangle};

use super::grid::Grid;
use super::{
    Candidate, Choice, FusedDetection, by_score, candidates, check_overlap, check_weights, find,
};
use crate::fusion::{FusionError, check_option};

/// The score of a cluster: V views of weights w, a cluster of n boxes of weighted scores w s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Confidence {
    /// Mean of w s, times min(n, V) / Σ w over all views: fewer boxes than views lower it.
    #[default]
    Average,
    /// Highest w s / highest w: how many agree does not matter.
    Max,
    /// Mean of w s, times n / Σ w over the boxes, times (Σ w over the views in the cluster / Σ w over
    /// all views).
    BoxAndModelAverage,
    /// Mean of w s, times n / (Σ w over the boxes + Σ w over the views without a box).
    AbsentModelAwareAverage,
}

/// Means of boxes that overlap, weighted by their scores.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightedBoxesFusion {
    /// Weight of each view, 0 or more; `None` is 1 each.
    pub weights: Option<Vec<f64>>,
    /// Boxes join a cluster if they overlap its mean box by more (intersection over union).
    pub overlap: f64,
    /// Boxes that score below (before weighting) are left out.
    pub lowest_score: f64,
    /// The score of a cluster.
    pub confidence: Confidence,
    /// With [`Confidence::Average`], whether several boxes of one view may raise the score above
    /// the mean (n instead of min(n, V)), even above 1.
    pub allows_overflow: bool,
}

impl Default for WeightedBoxesFusion {
    /// Equal weights, overlap 0.55, lowest score 0, average without overflow, as in ensemble-boxes.
    fn default() -> Self {
        Self {
            weights: None,
            overlap: 0.55,
            lowest_score: 0.0,
            confidence: Confidence::Average,
            allows_overflow: false,
        }
    }
}

impl WeightedBoxesFusion {
    /// Fuses the boxes of the views of one image.
    ///
    /// # Errors
    /// A box without area or with a negative score; another number of weights than of views; an
    /// option outside its range.
    pub fn fuse<V: AsRef<[Detection]>>(
        &self,
        views: &[V],
    ) -> Result<Vec<FusedDetection>, FusionError> {
        check_overlap(self.overlap)?;
        let valid = |score: f64| !score.is_nan();
        check_option("lowest score", self.lowest_score, valid, "a number")?;
        let weights = check_weights(self.weights.as_deref(), views.len())?;
        let boxes = candidates(views, |view| weights[view], self.lowest_score)?;
        let mut fused = Vec::new();
        for boxes in boxes.chunk_by(|one, other| one.class == other.class) {
            for cluster in clusters(boxes, self.overlap) {
                fused.push(self.finish(&cluster, &weights));
            }
        }
        by_score(&mut fused);
        Ok(fused)
    }

    fn finish(&self, cluster: &Cluster, weights: &[f64]) -> FusedDetection {
        let boxes = &cluster.boxes;
        let number = boxes.len() as f64;
        let mut present = vec![false; weights.len()];
        for candidate in boxes {
            present[candidate.member.view] = true;
        }
        let sum = |which: bool| -> f64 {
            let chosen = weights.iter().zip(&present).filter(|(_, p)| **p == which);
            chosen.map(|(weight, _)| weight).sum()
        };
        let of_boxes: f64 = boxes
            .iter()
            .map(|candidate| weights[candidate.member.view])
            .sum();
        let all: f64 = weights.iter().sum();
        let score = match self.confidence {
            Confidence::Average if self.allows_overflow => cluster.score / all,
            Confidence::Average => cluster.score / number * number.min(weights.len() as f64) / all,
            Confidence::Max => {
                let highest = weights.iter().copied().fold(0.0, f64::max);
                // Boxes came by descending score.
                boxes[0].score / highest
            }
            // Views of weight 0 add nothing to a score.
            Confidence::BoxAndModelAverage if of_boxes == 0.0 => 0.0,
            Confidence::BoxAndModelAverage => cluster.score / of_boxes * sum(true) / all,
            Confidence::AbsentModelAwareAverage => cluster.score / (of_boxes + sum(false)),
        };
        FusedDetection {
            detection: Detection {
                rectangle: cluster.mean,
                class: boxes[0].class,
                score,
            },
            members: boxes.iter().map(|candidate| candidate.member).collect(),
        }
    }
}

/// Boxes that overlap, at least one, in the order in which they came.
struct Cluster {
    boxes: Vec<Candidate>,
    mean: Rectangle,
    /// Σ of scores times left, top, right, bottom.
    corners: [f64; 4],
    /// Σ of scores.
    score: f64,
}

impl Cluster {
    fn new(first: Candidate) -> Self {
        let mut cluster = Self {
            boxes: Vec::new(),
            mean: first.rectangle,
            corners: [0.0; 4],
            score: 0.0,
        };
        cluster.add_up(first);
        cluster
    }

    fn add(&mut self, candidate: Candidate) {
        self.add_up(candidate);
        if self.score > 0.0 {
            let [left, top, right, bottom] = self.corners.map(|sum| sum / self.score);
            self.mean = Rectangle {
                left,
                top,
                right,
                bottom,
            };
        }
    }

    fn add_up(&mut self, candidate: Candidate) {
        let Candidate {
            rectangle, score, ..
        } = candidate;
        let corners = [
            rectangle.left,
            rectangle.top,
            rectangle.right,
            rectangle.bottom,
        ];
        for (sum, corner) in self.corners.iter_mut().zip(corners) {
            *sum += score * corner;
        }
        self.score += score;
        self.boxes.push(candidate);
    }
}

/// The clusters of boxes of one class.
fn clusters(boxes: &[Candidate], overlap: f64) -> Vec<Cluster> {
    let mut grid = Grid::over(boxes.iter().map(|candidate| &candidate.rectangle));
    let mut means: Vec<Rectangle> = Vec::new();
    let mut clusters: Vec<Cluster> = Vec::new();
    for &candidate in boxes {
        let found = find(
            &grid,
            &means,
            &candidate.rectangle,
            overlap,
            Choice::Closest,
        );
        let index = match found {
            Some(index) => {
                clusters[index].add(candidate);
                means[index] = clusters[index].mean;
                index
            }
            None => {
                means.push(candidate.rectangle);
                clusters.push(Cluster::new(candidate));
                clusters.len() - 1
            }
        };
        grid.insert(index, &means[index]);
    }
    clusters
}
