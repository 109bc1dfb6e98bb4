//! Intervals of statistics that were resampled together.

use cleanslide_eval::{Bootstrap, Estimate, Groups, percentile_interval};

use crate::error::Result;

/// A value with the percentile interval of its resamples; those that are not numbers are left out and counted.
///
/// # Errors
/// No resample is a number.
pub(super) fn interval(
    value: f64,
    drawn: &[f64],
    bootstrap: &Bootstrap,
    groups: &Groups,
) -> Result<Estimate> {
    let numbers: Vec<f64> = drawn.iter().copied().filter(|x| x.is_finite()).collect();
    let ends = percentile_interval(&numbers, bootstrap.level)?;
    Ok(Estimate {
        value,
        low: ends.low,
        high: ends.high,
        level: bootstrap.level,
        replicates: bootstrap.replicates,
        undefined: bootstrap.replicates - numbers.len(),
        groups: groups.count(),
        items: groups.items(),
    })
}
