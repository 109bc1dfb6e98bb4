//! Outliers: items unlike the rest, from distances to neighbours or from probabilities.
//!
//! Kuan, Mueller: "Back to the Basics: Revisiting Out-of-Distribution Detection Baselines", 2022,
//! [arXiv:2207.03061](https://arxiv.org/abs/2207.03061), with the constants of cleanlab 2.9:
//!
//! ```text
//! typicality(i) = exp(−t · d̄(i) / max(m, 10⁻⁶))   d̄: mean distance to the k nearest neighbours
//!                                                   m: median of d̄ over the reference
//! ```
//!
//! Typicality is between 0 and 1, and low for outliers. Defaults: `k` of 10 neighbours and `t` of 1.

use ndarray::Axis;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::AuditError;
use crate::confident_learning::{normalized_entropy, subtract_thresholds};
use crate::neighbours::{Metric, Neighbours};
use crate::probabilities::{CHUNK_ROWS, ProbabilityBlocks, check_rows};

/// Distances are not scaled by less than this.
const SMALLEST_SCALE: f64 = 1e-6;

/// Default of [`DistanceOutliers::flags`]: cleanlab's threshold of 0.37037.
pub const DEFAULT_THRESHOLD: f64 = 0.37037;

/// Typicality from distances, with the scale that new items are to be measured by.
#[derive(Debug, Clone, PartialEq)]
pub struct DistanceOutliers {
    /// One score per item; low for outliers.
    pub typicality: Vec<f64>,
    /// Mean distance of each item to its neighbours.
    pub mean_distances: Vec<f64>,
    /// Median of the mean distances.
    pub scale: f64,
}

impl DistanceOutliers {
    /// Scores items by their neighbours among themselves; `temperature` is `t`, by default 1.
    ///
    /// # Errors
    /// No items, no neighbours, or a temperature that is not positive.
    pub fn new(
        neighbours: &Neighbours,
        metric: Metric,
        temperature: f64,
    ) -> Result<Self, AuditError> {
        let mean_distances = mean_distances(neighbours, temperature)?;
        let scale = quantile(&mean_distances, 0.5).max(100.0 * f64::EPSILON);
        Ok(Self {
            typicality: typicality(&mean_distances, metric, temperature, scale),
            mean_distances,
            scale,
        })
    }

    /// Typicality of new items by their neighbours in the reference.
    ///
    /// # Errors
    /// No items, no neighbours, or a temperature that is not positive.
    pub fn of_new(
        &self,
        neighbours: &Neighbours,
        metric: Metric,
        temperature: f64,
    ) -> Result<Vec<f64>, AuditError> {
        let distances = mean_distances(neighbours, temperature)?;
        Ok(typicality(&distances, metric, temperature, self.scale))
    }

    /// The items whose mean distance exceeds the upper quartile by more than
    /// (1 / threshold − 1) interquartile ranges.
    ///
    /// # Errors
    /// A threshold that is not between 0 and 1.
    pub fn flags(&self, threshold: f64) -> Result<Vec<bool>, AuditError> {
        if !(0.0..=1.0).contains(&threshold) {
            return Err(AuditError::Option {
                option: "the outlier threshold",
                value: threshold.to_string(),
                expected: "between 0 and 1",
            });
        }
        let upper = quantile(&self.mean_distances, 0.75);
        let range = upper - quantile(&self.mean_distances, 0.25);
        let limit = upper + (1.0 / threshold - 1.0) * range;
        Ok(self
            .mean_distances
            .iter()
            .map(|&distance| distance > limit)
            .collect())
    }
}

fn mean_distances(neighbours: &Neighbours, temperature: f64) -> Result<Vec<f64>, AuditError> {
    if neighbours.rows() == 0 {
        return Err(AuditError::Empty { what: "items" });
    }
    neighbours.require(1)?;
    if temperature.is_nan() || temperature <= 0.0 {
        return Err(AuditError::Option {
            option: "the temperature",
            value: temperature.to_string(),
            expected: "above 0",
        });
    }
    let k = neighbours.k() as f64;
    Ok((neighbours.distances.sum_axis(Axis(1)) / k).to_vec())
}

fn typicality(distances: &[f64], metric: Metric, temperature: f64, scale: f64) -> Vec<f64> {
    // Below this, a distance is a rounding error of the distance of identical items.
    let zero = match metric {
        Metric::Cosine => 100.0 * f64::EPSILON / 2.0,
        Metric::Euclidean => (100.0 * f64::EPSILON).sqrt(),
    };
    distances
        .iter()
        .map(|&distance| match distance < zero {
            true => 1.0,
            false => (-temperature * distance / scale.max(SMALLEST_SCALE)).exp(),
        })
        .collect()
}

/// With linear interpolation between the two nearest values.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let position = share * (sorted.len() - 1) as f64;
    let below = sorted[position.floor() as usize];
    let above = sorted[position.ceil() as usize];
    below + (above - below) * position.fract()
}

/// How typicality is read from probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbabilityTypicality {
    /// 1 − normalized entropy; the default.
    #[default]
    Entropy,
    /// The highest probability.
    LeastConfidence,
}

/// Typicality of each row of probabilities; low for outliers.
///
/// With `thresholds` (see
/// [`confident_thresholds`](crate::confident_learning::confident_thresholds)), probabilities are
/// first adjusted for how sure the model is of each class, as cleanlab does by default.
///
/// # Errors
/// No rows, one class, rows that are no probabilities, a failure to read them, or another number
/// of thresholds than classes.
pub fn probability_typicality(
    probabilities: &dyn ProbabilityBlocks,
    method: ProbabilityTypicality,
    thresholds: Option<&[f64]>,
) -> Result<Vec<f64>, AuditError> {
    let classes = probabilities.classes();
    if probabilities.items() == 0 {
        return Err(AuditError::Empty { what: "items" });
    }
    if classes < 2 {
        return Err(AuditError::TooFewClasses { classes });
    }
    if let Some(thresholds) = thresholds.filter(|thresholds| thresholds.len() != classes) {
        return Err(AuditError::Option {
            option: "the number of thresholds",
            value: thresholds.len().to_string(),
            expected: "the number of classes",
        });
    }
    let mut scores = vec![0.0; probabilities.items()];
    probabilities.visit_blocks(&mut |first, rows| {
        check_rows(first, rows, classes)?;
        let scores = &mut scores[first..first + rows.len() / classes];
        rows.par_chunks(CHUNK_ROWS * classes)
            .zip(scores.par_chunks_mut(CHUNK_ROWS))
            .for_each(|(rows, scores)| {
                let mut row = vec![0.0; classes];
                for (values, score) in rows.chunks_exact(classes).zip(scores) {
                    for (wide, &value) in row.iter_mut().zip(values) {
                        *wide = f64::from(value);
                    }
                    if let Some(thresholds) = thresholds {
                        subtract_thresholds(&mut row, thresholds);
                    }
                    *score = match method {
                        ProbabilityTypicality::Entropy => 1.0 - normalized_entropy(&row),
                        ProbabilityTypicality::LeastConfidence => {
                            row.iter().copied().fold(0.0, f64::max)
                        }
                    };
                }
            });
        Ok(())
    })?;
    Ok(scores)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nearest_neighbours;
    use ndarray::array;

    #[test]
    fn quartiles_interpolate() {
        assert_eq!(quantile(&[4.0, 1.0, 3.0, 2.0], 0.5), 2.5);
        assert_eq!(quantile(&[4.0, 1.0, 3.0, 2.0], 0.75), 3.25);
        assert_eq!(quantile(&[7.0], 0.25), 7.0);
    }

    #[test]
    fn the_one_far_away_is_the_outlier_and_identical_items_are_typical() {
        let features = array![[0.0f32], [0.5], [1.0], [1.5], [2.0], [40.0]];
        let neighbours = nearest_neighbours(features.view(), 2, Metric::Euclidean).unwrap();
        let outliers = DistanceOutliers::new(&neighbours, Metric::Euclidean, 1.0).unwrap();
        let flags = outliers.flags(DEFAULT_THRESHOLD).unwrap();
        assert_eq!(flags, [false, false, false, false, false, true]);
        assert!(outliers.flags(f64::NAN).is_err());
        assert!(DistanceOutliers::new(&neighbours, Metric::Euclidean, 0.0).is_err());

        let same = array![[1.0f32, 2.0], [1.0, 2.0], [1.0, 2.0]];
        let neighbours = nearest_neighbours(same.view(), 2, Metric::Cosine).unwrap();
        let outliers = DistanceOutliers::new(&neighbours, Metric::Cosine, 1.0).unwrap();
        assert_eq!(outliers.typicality, [1.0; 3]);
    }
}
