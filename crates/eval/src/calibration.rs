//! Calibration: do probabilities mean what they say?
//!
//! Expected calibration error: M. P. Naeini, G. F. Cooper, M. Hauskrecht, AAAI 2015,
//! doi:10.1609/aaai.v29i1.9602, as used by C. Guo et al. 2017, arXiv:1706.04599. Brier score:
//! G. W. Brier 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.
//!
//! ```text
//! confidence c_i = max_k p_ik,  correct_i = [argmax_k p_ik = truth_i]  (lowest class wins ties)
//! ECE   = Σ_bins (n_b / n) |mean correct − mean confidence|
//! MCE   = max over non-empty bins of |mean correct − mean confidence|
//! Brier = mean_i Σ_k (p_ik − [k = truth_i])²     0 is best, 2 is worst
//! NLL   = −mean_i ln p_i,truth                   p limited to [ε, 1 − ε], ε = 2⁻²³
//! ```

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::confusion::ratio;
use crate::error::{Error, Undefined, check_length};
use crate::labels::{check_classes, most_probable};
use crate::weights::Weights;

/// How confidences are divided into bins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bins {
    /// This many bins of equal width between 0 and 1; the upper edge belongs to a bin.
    EqualWidth(usize),
    /// This many bins of equal summed weight, as far as items of equal confidence allow: they
    /// stay together, in the bin in which the middle of their weight lies.
    EqualMass(usize),
}

impl Default for Bins {
    /// Fifteen bins of equal width, as Guo et al.
    fn default() -> Self {
        Bins::EqualWidth(15)
    }
}

/// Confidence and correctness of each item, checked and sorted once.
#[derive(Debug, Clone)]
pub struct Calibration {
    /// Items in ascending order of confidence.
    order: Vec<usize>,
    confidence: Vec<f64>,
    correct: Vec<bool>,
    brier: Vec<f64>,
    negative_log_likelihood: Vec<f64>,
}

/// One bin of a reliability diagram.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Lower edge; for bins of equal mass the lowest confidence in the bin.
    pub low: f64,
    /// Upper edge; for bins of equal mass the highest confidence in the bin.
    pub high: f64,
    /// Summed weight of the items in the bin.
    pub weight: f64,
    /// Mean confidence; `None` in an empty bin.
    pub confidence: Option<f64>,
    /// Share of right predictions; `None` in an empty bin.
    pub accuracy: Option<f64>,
}

/// Accuracy against confidence, as bins in ascending order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityDiagram {
    /// The bins. Bins of equal mass that received no item are left out.
    pub bins: Vec<ReliabilityBin>,
}

/// How far a probability may lie outside 0 to 1, and a sum of f32 probabilities from 1.
const RANGE_TOLERANCE: f32 = 1e-6;
const SUM_TOLERANCE: f64 = 1e-3;

impl Calibration {
    /// Checks `probabilities` [items, classes] and pairs them with `truth`.
    ///
    /// # Errors
    /// No items, no classes, lengths that differ, a class out of range, a number that is no
    /// probability, or probabilities of an item that do not sum to 1 within 0.001.
    pub fn new(truth: &[usize], probabilities: ArrayView2<'_, f32>) -> Result<Self, Error> {
        check_classes("truth", truth, probabilities.ncols())?;
        check_length("probabilities", probabilities.nrows(), truth.len())?;
        let predicted = most_probable(probabilities)?;
        let mut calibration = Calibration {
            order: (0..truth.len()).collect(),
            confidence: Vec::with_capacity(truth.len()),
            correct: Vec::with_capacity(truth.len()),
            brier: Vec::with_capacity(truth.len()),
            negative_log_likelihood: Vec::with_capacity(truth.len()),
        };
        let epsilon = f64::from(f32::EPSILON);
        for (item, row) in probabilities.rows().into_iter().enumerate() {
            let (mut sum, mut brier) = (0.0, 0.0);
            for (class, &value) in row.iter().enumerate() {
                if !(-RANGE_TOLERANCE..=1.0 + RANGE_TOLERANCE).contains(&value) {
                    return Err(Error::NotAProbability { item, class, value });
                }
                let target = if class == truth[item] { 1.0 } else { 0.0 };
                brier += (f64::from(value) - target).powi(2);
                sum += f64::from(value);
            }
            if (sum - 1.0).abs() > SUM_TOLERANCE {
                return Err(Error::ProbabilitiesDoNotSum { item, sum });
            }
            let of_truth = f64::from(row[truth[item]]).clamp(epsilon, 1.0 - epsilon);
            calibration
                .confidence
                .push(f64::from(row[predicted[item]]).min(1.0));
            calibration.correct.push(predicted[item] == truth[item]);
            calibration.brier.push(brier);
            calibration.negative_log_likelihood.push(-of_truth.ln());
        }
        let confidence = &calibration.confidence;
        calibration
            .order
            .sort_by(|&a, &b| confidence[a].total_cmp(&confidence[b]));
        Ok(calibration)
    }

    /// The number of items.
    pub fn items(&self) -> usize {
        self.order.len()
    }

    /// Mean squared distance of the probabilities from the truth, summed over classes.
    ///
    /// For two classes this is twice the binary Brier score.
    ///
    /// # Errors
    /// Weights that do not fit, or undefined without items.
    pub fn brier(&self, weights: Weights<'_>) -> Result<f64, Error> {
        mean(&self.brier, weights)
    }

    /// Mean negative log-likelihood of the truth (log loss), in nats.
    ///
    /// Probabilities are limited to [ε, 1 − ε] with the ε of f32, as scikit-learn does for f32
    /// input, so one impossible truth costs 15.9 and not infinity.
    ///
    /// # Errors
    /// Weights that do not fit, or undefined without items.
    pub fn negative_log_likelihood(&self, weights: Weights<'_>) -> Result<f64, Error> {
        mean(&self.negative_log_likelihood, weights)
    }

    /// The reliability diagram of the most probable class.
    ///
    /// # Errors
    /// No bins, weights that do not fit, or undefined without items.
    pub fn reliability(
        &self,
        bins: Bins,
        weights: Weights<'_>,
    ) -> Result<ReliabilityDiagram, Error> {
        let (Bins::EqualWidth(count) | Bins::EqualMass(count)) = bins;
        if count == 0 {
            return Err(Error::Zero { what: "bins" });
        }
        weights.check(self.items())?;
        let total: f64 = (0..self.items()).map(|item| weights.of(item)).sum();
        if total <= 0.0 {
            return Err(Undefined::NoItems.into());
        }
        let mut sums = vec![BinSums::default(); count];
        let mut below = 0.0;
        let equal = |a: &usize, b: &usize| self.confidence[*a] == self.confidence[*b];
        for block in self.order.chunk_by(equal) {
            let confidence = self.confidence[block[0]];
            let (mut weight, mut correct) = (0.0, 0.0);
            for &item in block {
                weight += weights.of(item);
                correct += if self.correct[item] {
                    weights.of(item)
                } else {
                    0.0
                };
            }
            if weight > 0.0 {
                let position = match bins {
                    Bins::EqualWidth(_) => (confidence * count as f64).ceil() - 1.0,
                    Bins::EqualMass(_) => (below + weight / 2.0) / total * count as f64,
                };
                // `as` rounds down and turns negative numbers into 0.
                sums[(position as usize).min(count - 1)].add(confidence, weight, correct);
                below += weight;
            }
        }
        let bins = match bins {
            Bins::EqualWidth(_) => sums
                .iter()
                .enumerate()
                .map(|(bin, sums)| {
                    let edge = |k: usize| k as f64 / count as f64;
                    sums.bin(edge(bin), edge(bin + 1))
                })
                .collect(),
            Bins::EqualMass(_) => sums
                .iter()
                .filter(|sums| sums.weight > 0.0)
                .map(|sums| sums.bin(sums.lowest, sums.highest))
                .collect(),
        };
        Ok(ReliabilityDiagram { bins })
    }
}

impl ReliabilityDiagram {
    /// Expected calibration error: mean distance of accuracy and confidence, by weight.
    ///
    /// It depends on the bins and is biased upwards when bins hold few items; name both with it.
    pub fn expected_calibration_error(&self) -> f64 {
        let total: f64 = self.bins.iter().map(|bin| bin.weight).sum();
        self.gaps()
            .map(|(gap, weight)| gap * (weight / total))
            .sum()
    }

    /// Maximum calibration error: largest distance of accuracy and confidence in a bin.
    pub fn maximum_calibration_error(&self) -> f64 {
        self.gaps().map(|(gap, _)| gap).fold(0.0, f64::max)
    }

    fn gaps(&self) -> impl Iterator<Item = (f64, f64)> {
        self.bins
            .iter()
            .filter_map(|bin| Some(((bin.accuracy? - bin.confidence?).abs(), bin.weight)))
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct BinSums {
    lowest: f64,
    highest: f64,
    weight: f64,
    confidence: f64,
    correct: f64,
}

impl BinSums {
    /// Adds items of one confidence; confidences arrive in ascending order.
    fn add(&mut self, confidence: f64, weight: f64, correct: f64) {
        if self.weight == 0.0 {
            self.lowest = confidence;
        }
        self.highest = confidence;
        self.weight += weight;
        self.confidence += confidence * weight;
        self.correct += correct;
    }

    fn bin(&self, low: f64, high: f64) -> ReliabilityBin {
        ReliabilityBin {
            low,
            high,
            weight: self.weight,
            confidence: ratio(self.confidence, self.weight),
            accuracy: ratio(self.correct, self.weight),
        }
    }
}

/// The weighted mean of one value per item.
fn mean(values: &[f64], weights: Weights<'_>) -> Result<f64, Error> {
    weights.check(values.len())?;
    let (mut sum, mut total) = (0.0, 0.0);
    for (item, value) in values.iter().enumerate() {
        sum += weights.of(item) * value;
        total += weights.of(item);
    }
    ratio(sum, total).ok_or(Undefined::NoItems.into())
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn certain_and_right_is_perfect() {
        let calibration = Calibration::new(&[0, 1], array![[1.0, 0.0], [0.0, 1.0]].view()).unwrap();
        assert_eq!(calibration.brier(Weights::Equal), Ok(0.0));
        let diagram = calibration
            .reliability(Bins::default(), Weights::Equal)
            .unwrap();
        assert_eq!(diagram.bins.len(), 15);
        assert_eq!(diagram.bins[14].weight, 2.0);
        assert_eq!(diagram.bins[0].accuracy, None);
        assert_eq!(diagram.expected_calibration_error(), 0.0);
        assert_eq!(diagram.maximum_calibration_error(), 0.0);
    }

    #[test]
    fn certain_and_wrong_is_worst_but_finite() {
        let calibration = Calibration::new(&[1], array![[1.0, 0.0]].view()).unwrap();
        assert_eq!(calibration.brier(Weights::Equal), Ok(2.0));
        let loss = calibration.negative_log_likelihood(Weights::Equal).unwrap();
        assert!((loss - 23.0 * std::f64::consts::LN_2).abs() < 1e-12);
        let diagram = calibration
            .reliability(Bins::EqualMass(3), Weights::Equal)
            .unwrap();
        assert_eq!(diagram.maximum_calibration_error(), 1.0);
    }

    #[test]
    fn upper_edges_belong_to_bins() {
        let probabilities = array![[0.5, 0.5, 0.0], [0.75, 0.25, 0.0]];
        let calibration = Calibration::new(&[0, 1], probabilities.view()).unwrap();
        let diagram = calibration
            .reliability(Bins::EqualWidth(4), Weights::Equal)
            .unwrap();
        let weights: Vec<f64> = diagram.bins.iter().map(|bin| bin.weight).collect();
        assert_eq!(weights, [0.0, 1.0, 1.0, 0.0]);
    }

    #[test]
    fn equal_confidences_stay_in_one_bin() {
        let probabilities = array![[0.6, 0.4], [0.6, 0.4], [0.6, 0.4], [0.9, 0.1]];
        let calibration = Calibration::new(&[0, 1, 1, 0], probabilities.view()).unwrap();
        let diagram = calibration
            .reliability(Bins::EqualMass(2), Weights::Equal)
            .unwrap();
        assert_eq!(diagram.bins.len(), 2);
        assert_eq!((diagram.bins[0].weight, diagram.bins[1].weight), (3.0, 1.0));
        assert_eq!(diagram.bins[0].low, diagram.bins[0].high);
    }

    #[test]
    fn bad_probabilities_are_named() {
        let message = |probabilities: ndarray::Array2<f32>| {
            Calibration::new(&[0], probabilities.view())
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            message(array![[3.0, -1.0]]),
            "the probability of item 0 for class 0 is 3, outside 0 to 1; pass probabilities, not \
             logits"
        );
        assert_eq!(
            message(array![[0.5, 0.25]]),
            "the probabilities of item 0 sum to 0.75, not to 1"
        );
        assert_eq!(
            message(array![[0.5, f32::NAN]]),
            "the score of item 0 for class 1 is not a number"
        );
        let calibration = Calibration::new(&[0], array![[0.5, 0.5]].view()).unwrap();
        assert_eq!(
            calibration
                .reliability(Bins::EqualMass(0), Weights::Equal)
                .unwrap_err()
                .to_string(),
            "the number of bins is zero"
        );
        assert_eq!(
            calibration.brier(Weights::Counts(&[0])),
            Err(Undefined::NoItems.into())
        );
    }
}
