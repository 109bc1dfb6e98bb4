//! Confident thresholds: how sure the model is, on average, of the items of a class.

use rayon::prelude::*;

use crate::AuditError;
use crate::error::count_labels_of_several_classes;
use crate::probabilities::{CHUNK_ROWS, ProbabilityBlocks, check_rows};

use super::TOLERANCE;

/// The threshold of a class without items: no probability reaches it.
const OUT_OF_REACH: f64 = 2.0;

/// Probabilities are summed as integer multiples of 2⁻⁶⁰. Integer addition is associative, so the
/// sum is the same for any blocks and threads; 2⁻⁶⁰ is finer than the last bit of the mean.
pub(crate) const UNITS: f64 = (1u64 << 60) as f64;

/// Per class, the mean probability of the class among the items labelled so; at least 2·10⁻⁶, and
/// 2 for a class without items.
///
/// # Errors
/// Lengths that differ, labels out of range, all labels equal, rows that are no probabilities, or
/// a failure to read them.
pub fn confident_thresholds(
    labels: &[usize],
    probabilities: &dyn ProbabilityBlocks,
) -> Result<Vec<f64>, AuditError> {
    let classes = probabilities.classes();
    let counts = count_labels_of_several_classes(labels, probabilities.items(), classes)?;
    let mut sums = vec![0i128; classes];
    probabilities.visit_blocks(&mut |first, rows| {
        check_rows(first, rows, classes)?;
        let labels = &labels[first..first + rows.len() / classes];
        let partial: Vec<Vec<i128>> = rows
            .par_chunks(CHUNK_ROWS * classes)
            .zip(labels.par_chunks(CHUNK_ROWS))
            .map(|(rows, labels)| {
                let mut sums = vec![0i128; classes];
                for (row, &label) in rows.chunks_exact(classes).zip(labels) {
                    sums[label] += i128::from((f64::from(row[label]) * UNITS) as i64);
                }
                sums
            })
            .collect();
        for part in partial {
            for (sum, part) in sums.iter_mut().zip(part) {
                *sum += part;
            }
        }
        Ok(())
    })?;
    Ok(sums
        .into_iter()
        .zip(counts)
        .map(|(sum, count)| match count {
            0 => OUT_OF_REACH,
            count => (sum as f64 / UNITS / count as f64).max(2.0 * TOLERANCE),
        })
        .collect())
}
