//! The confident joint: counts of given label against confidently predicted label.

use ndarray::Array2;
use rayon::prelude::*;

use crate::AuditError;
use crate::probabilities::{CHUNK_ROWS, ProbabilityBlocks};

use super::TOLERANCE;

/// What the probabilities say about one label; one byte per item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Verdict(u8);

impl Verdict {
    const CONFIDENTLY_OTHER: u8 = 1;
    const PREDICTED: u8 = 2;

    /// Confidently another class, and the given class is not (nearly) the most probable one.
    pub(super) fn is_confident_issue(self) -> bool {
        self.0 & Self::CONFIDENTLY_OTHER != 0 && !self.is_predicted()
    }

    /// The given class is the most probable one, or misses it by less than the tolerance.
    pub(super) fn is_predicted(self) -> bool {
        self.0 & Self::PREDICTED != 0
    }
}

/// Counts the confident joint `[given, true]` and keeps a verdict per item.
pub(super) fn count(
    labels: &[usize],
    probabilities: &dyn ProbabilityBlocks,
    thresholds: &[f64],
) -> Result<(Array2<u64>, Vec<Verdict>), AuditError> {
    let classes = thresholds.len();
    let lowest: Vec<f32> = thresholds
        .iter()
        .map(|&threshold| lowest_reaching(threshold - TOLERANCE))
        .collect();
    let mut joint = Array2::zeros((classes, classes));
    let mut verdicts = vec![Verdict::default(); labels.len()];
    probabilities.visit_blocks(&mut |first, rows| {
        let last = first + rows.len() / classes;
        let partial: Vec<Array2<u64>> = rows
            .par_chunks(CHUNK_ROWS * classes)
            .zip(labels[first..last].par_chunks(CHUNK_ROWS))
            .zip(verdicts[first..last].par_chunks_mut(CHUNK_ROWS))
            .map(|((rows, labels), verdicts)| {
                let mut joint = Array2::zeros((classes, classes));
                for ((row, &label), verdict) in rows.chunks_exact(classes).zip(labels).zip(verdicts)
                {
                    let predicted = first_highest(row);
                    let guess = confident_guess(row, &lowest, predicted);
                    if let Some(guess) = guess {
                        joint[[label, guess]] += 1;
                    }
                    *verdict = judge(row, label, predicted, guess);
                }
                joint
            })
            .collect();
        for part in partial {
            joint += &part;
        }
        Ok(())
    })?;
    for count in joint.diag_mut() {
        *count = (*count).max(1);
    }
    Ok((joint, verdicts))
}

fn judge(row: &[f32], label: usize, predicted: usize, guess: Option<usize>) -> Verdict {
    let mut verdict = 0;
    if guess.is_some_and(|guess| guess != label) {
        verdict |= Verdict::CONFIDENTLY_OTHER;
    }
    // The first of equals wins, so the given class must beat an earlier one.
    let raised = f64::from(row[label]) + TOLERANCE;
    let highest = f64::from(row[predicted]);
    if raised > highest || (raised == highest && label < predicted) {
        verdict |= Verdict::PREDICTED;
    }
    Verdict(verdict)
}

/// The most probable class; the first of equals. Selects rather than branches: which class wins
/// is what a branch predictor cannot know.
fn first_highest(row: &[f32]) -> usize {
    let mut best = 0;
    let mut highest = f32::NEG_INFINITY;
    for (class, &value) in row.iter().enumerate() {
        let higher = value > highest;
        best = if higher { class } else { best };
        highest = if higher { value } else { highest };
    }
    best
}

/// The only class that reaches its threshold; the most probable class of all when several do.
fn confident_guess(row: &[f32], lowest: &[f32], predicted: usize) -> Option<usize> {
    let mut reached = 0;
    let mut only = 0;
    for (class, (&value, &lowest)) in row.iter().zip(lowest).enumerate() {
        if value >= lowest {
            reached += 1;
            only = class;
        }
    }
    match reached {
        0 => None,
        1 => Some(only),
        _ => Some(predicted),
    }
}

/// The smallest 32-bit number that is not below `bound`, so that comparing in 32 bits gives the
/// same answer as comparing in 64.
pub(crate) fn lowest_reaching(bound: f64) -> f32 {
    let rounded = bound as f32;
    if f64::from(rounded) < bound {
        rounded.next_up()
    } else {
        rounded
    }
}

/// Scales the rows of a confident joint `[given, true]` to the numbers of given labels, in whole
/// counts.
///
/// Counts are rounded half to even; then as many of the worst rounded counts of a row change by
/// one as its total needs. Of equally badly rounded counts, the one of the last class is raised
/// first and the one of the first class lowered first.
pub fn calibrate(confident_joint: &Array2<u64>, label_counts: &[usize]) -> Array2<u64> {
    let classes = label_counts.len();
    // Column by column, in the order in which NumPy sums the matrix.
    let mut scaled = Array2::<f64>::zeros((classes, classes));
    for (given, (row, &count)) in confident_joint
        .rows()
        .into_iter()
        .zip(label_counts)
        .enumerate()
    {
        let total = (row.sum() as f64).max(f64::MIN_POSITIVE);
        for (truth, &confident) in row.iter().enumerate() {
            scaled[[truth, given]] = confident as f64 / total * count as f64;
        }
    }
    let total = pairwise_sum(scaled.as_slice().unwrap_or_default()).max(f64::MIN_POSITIVE);
    let items: usize = label_counts.iter().sum();
    scaled.mapv_inplace(|value| value / total * items as f64);
    let mut calibrated = Array2::zeros((classes, classes));
    for (given, column) in scaled.columns().into_iter().enumerate() {
        for (truth, count) in round_preserving_sum(&column.to_vec())
            .into_iter()
            .enumerate()
        {
            calibrated[[given, truth]] = count;
        }
    }
    calibrated
}

fn round_preserving_sum(values: &[f64]) -> Vec<u64> {
    let mut rounded: Vec<f64> = values.iter().map(|value| value.round_ties_even()).collect();
    let wanted = pairwise_sum(values).round_ties_even();
    loop {
        let missing = wanted - rounded.iter().sum::<f64>();
        if missing == 0.0 {
            break;
        }
        let changes = (missing.abs() as usize).min(values.len());
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&a, &b| (values[a] - rounded[a]).total_cmp(&(values[b] - rounded[b])));
        if missing > 0.0 {
            order.reverse();
        }
        for class in order.into_iter().take(changes) {
            rounded[class] += missing.signum();
        }
    }
    rounded.into_iter().map(|count| count as u64).collect()
}

/// The sum in NumPy's order of additions, so that a count of exactly one half rounds the same way.
fn pairwise_sum(values: &[f64]) -> f64 {
    const UNROLLED: usize = 8;
    const LEAF: usize = 128;
    if values.len() < UNROLLED {
        return values.iter().sum();
    }
    if values.len() > LEAF {
        let half = values.len() / 2;
        let half = half - half % UNROLLED;
        return pairwise_sum(&values[..half]) + pairwise_sum(&values[half..]);
    }
    let (eights, rest) = values.as_chunks::<UNROLLED>();
    let mut lanes = eights[0];
    for eight in &eights[1..] {
        for (lane, value) in lanes.iter_mut().zip(eight) {
            *lane += value;
        }
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    let sum = ((a + b) + (c + d)) + ((e + f) + (g + h));
    rest.iter().fold(sum, |sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use proptest::prelude::*;

    #[test]
    fn a_class_without_items_keeps_an_empty_row() {
        let joint = array![[3, 0, 1], [0, 1, 0], [0, 0, 4]];
        assert_eq!(
            calibrate(&joint, &[4, 0, 4]),
            array![[3, 0, 1], [0, 0, 0], [0, 0, 4]]
        );
    }

    #[test]
    fn halves_are_rounded_to_even_and_then_repaired() {
        assert_eq!(round_preserving_sum(&[2.5, 2.5]), [2, 3]);
        assert_eq!(round_preserving_sum(&[1.5, 1.5, 2.0]), [1, 2, 2]);
        assert_eq!(round_preserving_sum(&[0.4, 0.4, 0.2]), [0, 1, 0]);
    }

    #[test]
    fn thresholds_compare_the_same_in_32_bits() {
        for bound in [0.1, 0.25, 0.7, 1.0 / 3.0, 1e-6] {
            let lowest = lowest_reaching(bound);
            assert!(f64::from(lowest) >= bound && f64::from(lowest.next_down()) < bound);
        }
    }

    proptest! {
        #[test]
        fn calibration_keeps_the_number_of_given_labels(
            counts in prop::collection::vec(0u64..50, 16),
            labels in prop::collection::vec(1usize..1000, 4),
        ) {
            let mut joint = Array2::from_shape_vec((4, 4), counts).unwrap();
            joint.diag_mut().mapv_inplace(|count| count.max(1));
            let calibrated = calibrate(&joint, &labels);
            for (row, label) in calibrated.rows().into_iter().zip(labels) {
                prop_assert_eq!(row.sum() as usize, label);
            }
        }

        #[test]
        fn sums_are_sums(values in prop::collection::vec(0.0f64..1.0, 0..400)) {
            let plain: f64 = values.iter().sum();
            prop_assert!((pairwise_sum(&values) - plain).abs() < 1e-10);
        }
    }
}
