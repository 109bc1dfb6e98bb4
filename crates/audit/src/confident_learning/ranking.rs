//! Label quality scores: how well each label fits the probabilities, and the order of review.

use rayon::prelude::*;

use crate::AuditError;
use crate::error::count_labels;
use crate::probabilities::{CHUNK_ROWS, ProbabilityBlocks, check_rows};

use super::TOLERANCE;

/// A score of label quality. Low means suspicious, as in cleanlab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ranking {
    /// p(given), from 0 to 1.
    #[default]
    SelfConfidence,
    /// (p(given) − p(most probable other class) + 1) / 2, from 0 to 1.
    NormalizedMargin,
    /// log(1 + q) / q with q = normalized entropy / p(given), from 0 to 1.
    ConfidenceWeightedEntropy,
}

/// One score per item, from 64-bit arithmetic.
///
/// With `thresholds` (see [`confident_thresholds`](super::confident_thresholds)), probabilities are
/// first adjusted for how sure the model is of each class (cleanlab's `adjust_pred_probs`):
///
/// ```text
/// p'_k = (p_k − t_k + max t) / Σ_j (p_j − t_j + max t)
/// ```
///
/// # Errors
/// Lengths that differ, labels out of range, rows that are no probabilities, a failure to read
/// them, thresholds of another number than classes, or thresholds together with
/// [`Ranking::ConfidenceWeightedEntropy`], which is not defined for adjusted probabilities.
pub fn label_quality_scores(
    labels: &[usize],
    probabilities: &dyn ProbabilityBlocks,
    ranking: Ranking,
    thresholds: Option<&[f64]>,
) -> Result<Vec<f64>, AuditError> {
    let classes = probabilities.classes();
    count_labels(labels, probabilities.items(), classes)?;
    if let Some(thresholds) = thresholds {
        if ranking == Ranking::ConfidenceWeightedEntropy {
            return Err(AuditError::Option {
                option: "ranking",
                value: "confidence_weighted_entropy".to_owned(),
                expected: "self_confidence or normalized_margin for adjusted probabilities",
            });
        }
        if thresholds.len() != classes {
            return Err(AuditError::Option {
                option: "the number of thresholds",
                value: thresholds.len().to_string(),
                expected: "the number of classes",
            });
        }
    }
    let mut all = Vec::with_capacity(labels.len());
    visit_scores(
        labels,
        probabilities,
        ranking,
        thresholds,
        &mut |_, scores| {
            all.extend_from_slice(scores);
        },
    )?;
    Ok(all)
}

/// The flagged items, the lowest score first; equal scores by index.
///
/// # Errors
/// Flags and scores of different lengths.
pub fn rank_issues(flags: &[bool], scores: &[f64]) -> Result<Vec<usize>, AuditError> {
    if flags.len() != scores.len() {
        return Err(AuditError::Length {
            what: "the list of scores",
            expected: flags.len(),
            found: scores.len(),
        });
    }
    let mut order: Vec<usize> = (0..flags.len()).filter(|&item| flags[item]).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    Ok(order)
}

/// Calls `visit(first item, scores)` block by block.
pub(super) fn visit_scores(
    labels: &[usize],
    probabilities: &dyn ProbabilityBlocks,
    ranking: Ranking,
    thresholds: Option<&[f64]>,
    visit: &mut dyn FnMut(usize, &[f64]),
) -> Result<(), AuditError> {
    let classes = probabilities.classes();
    let mut scores = Vec::new();
    probabilities.visit_blocks(&mut |first, rows| {
        check_rows(first, rows, classes)?;
        let labels = &labels[first..first + rows.len() / classes];
        scores.resize(labels.len(), 0.0);
        rows.par_chunks(CHUNK_ROWS * classes)
            .zip(labels.par_chunks(CHUNK_ROWS))
            .zip(scores.par_chunks_mut(CHUNK_ROWS))
            .for_each(|((rows, labels), scores)| {
                let mut row = vec![0.0; classes];
                for ((values, &label), score) in rows.chunks_exact(classes).zip(labels).zip(scores)
                {
                    for (wide, &value) in row.iter_mut().zip(values) {
                        *wide = f64::from(value);
                    }
                    if let Some(thresholds) = thresholds {
                        subtract_thresholds(&mut row, thresholds);
                    }
                    *score = quality(&row, label, ranking);
                }
            });
        visit(first, &scores);
        Ok(())
    })
}

fn quality(row: &[f64], label: usize, ranking: Ranking) -> f64 {
    let own = row[label];
    match ranking {
        Ranking::SelfConfidence => own,
        Ranking::NormalizedMargin => {
            let others = row[..label].iter().chain(&row[label + 1..]);
            let highest = others.copied().fold(f64::NEG_INFINITY, f64::max);
            (own - highest + 1.0) / 2.0
        }
        Ranking::ConfidenceWeightedEntropy => {
            let weighted = normalized_entropy(row) / own.max(TOLERANCE);
            (weighted + 1.0).ln() / weighted.max(TOLERANCE)
        }
    }
}

/// Adjusts one row of probabilities for the confidence of the model in each class.
pub(crate) fn subtract_thresholds(row: &mut [f64], thresholds: &[f64]) {
    let highest = thresholds.iter().copied().fold(0.0, f64::max);
    let mut sum = 0.0;
    for (value, threshold) in row.iter_mut().zip(thresholds) {
        *value = *value - threshold + highest;
        sum += *value;
    }
    for value in row {
        *value /= sum;
    }
}

/// −Σ p log p / log(classes); 0 log 0 is 0.
pub(crate) fn normalized_entropy(row: &[f64]) -> f64 {
    let sum: f64 = row
        .iter()
        .filter(|&&value| value > 0.0)
        .map(|value| value * value.ln())
        .sum();
    -sum / (row.len() as f64).ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn scores_of_one_row_by_hand() {
        let probabilities = array![[0.5f32, 0.25, 0.25], [0.0, 0.0, 1.0]];
        let score =
            |ranking| label_quality_scores(&[0, 2], &probabilities.view(), ranking, None).unwrap();
        assert_eq!(score(Ranking::SelfConfidence), [0.5, 1.0]);
        assert_eq!(score(Ranking::NormalizedMargin), [0.625, 1.0]);
        let entropy = 1.5 * 2f64.ln() / 3f64.ln() / 0.5;
        let expected = (1.0 + entropy).ln() / entropy;
        let scores = score(Ranking::ConfidenceWeightedEntropy);
        assert!((scores[0] - expected).abs() < 1e-15);
        // cleanlab gives a certain label the worst score here: log(1) divided by the lower bound.
        assert_eq!(scores[1], 0.0);
    }

    #[test]
    fn order_is_by_score_and_then_by_index() {
        let flags = [true, true, false, true];
        assert_eq!(
            rank_issues(&flags, &[0.5, 0.1, 0.0, 0.1]).unwrap(),
            [1, 3, 0]
        );
    }
}
