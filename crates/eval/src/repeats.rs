//! Repeated runs (folds × seeds) as one statistic.
//!
//! Pool the out-of-fold predictions of a seed, so that every item is predicted once, and average
//! the statistic over seeds. The bootstrap then resamples cases with all their repeats, and two
//! methods are compared case by case. The spread over cases and the mean over seeds are covered;
//! how much a single seed varies is seen by looking at the statistic of each.

use crate::error::Error;
use crate::weights::Weights;

/// The mean of a statistic over repeats; undefined if it is undefined for one of them.
///
/// Each entry of `repeats` is the statistic of one seed over the same items.
///
/// # Errors
/// The returned statistic fails without repeats, or with the first error of a repeat.
pub fn mean_over_repeats<S>(repeats: &[S]) -> impl Fn(Weights<'_>) -> Result<f64, Error>
where
    S: Fn(Weights<'_>) -> Result<f64, Error>,
{
    move |weights| {
        if repeats.is_empty() {
            return Err(Error::Empty {
                what: "list of repeats",
            });
        }
        let mut sum = 0.0;
        for statistic in repeats {
            sum += statistic(weights)?;
        }
        Ok(sum / repeats.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bootstrap, Groups, LabelPairs};

    #[test]
    fn averages_seeds() {
        let truth = [0, 1, 0, 1];
        let seeds = [[0, 1, 0, 1], [0, 1, 1, 1]]
            .map(|predicted| LabelPairs::new(&truth, &predicted, 2).unwrap());
        let repeats = seeds
            .each_ref()
            .map(|labels| move |weights: Weights<'_>| labels.confusion(weights)?.accuracy());
        let estimate = Bootstrap::default()
            .estimate(
                &Groups::single_items(4).unwrap(),
                mean_over_repeats(&repeats),
            )
            .unwrap();
        assert_eq!(estimate.value, 0.875);
        assert_eq!(estimate.high, 1.0);
    }

    #[test]
    fn no_repeats_is_an_error() {
        let none: [fn(Weights<'_>) -> Result<f64, Error>; 0] = [];
        assert_eq!(
            mean_over_repeats(&none)(Weights::Equal)
                .unwrap_err()
                .to_string(),
            "list of repeats is empty"
        );
    }
}
