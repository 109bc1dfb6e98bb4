//! Paired comparison of two runs on the same items.
//!
//! Interval: cluster bootstrap of the difference, both runs on the same resample. Test: exchange
//! of the two runs within groups (approximate randomisation: E. W. Noreen, "Computer-Intensive
//! Methods for Testing Hypotheses", 1989; M. D. Smucker et al. 2007,
//! doi:10.1145/1321440.1321528), with the p-value of B. Phipson, G. K. Smyth 2010,
//! doi:10.2202/1544-6115.1585:
//!
//! ```text
//! d  = statistic(first) − statistic(second)
//! d* = the same after exchanging the predictions of both runs in a random half of the groups
//! p  = (1 + #{|d*| ≥ |d|}) / (1 + exchanges)
//! ```
//!
//! With so few groups that all 2^groups exchanges are no more than the replicates, all of them
//! are taken and p is exact. The smallest p of G groups is 2 / 2^G, however clear the difference.
//!
//! **One statistic over stacked items.** Both runs are stacked into one input of twice the length:
//! item `i` of the first run, then item `i` of the second at `items + i`, with the truth repeated.
//! A run, a resample and an exchange are then nothing but weights on the stacked items:
//!
//! ```
//! # use cleanslide_eval::{Bootstrap, Groups, LabelPairs};
//! # let (truth, first, second) = ([0, 1, 1, 0], [0, 1, 1, 0], [0, 1, 0, 1]);
//! # let groups = Groups::new(&[0, 0, 1, 1])?;
//! let both = LabelPairs::new(&[truth, truth].concat(), &[first, second].concat(), 2)?;
//! let comparison =
//!     Bootstrap::default().compare(&groups, |weights| both.confusion(weights)?.accuracy())?;
//! assert_eq!(comparison.difference.value, 0.5);
//! # Ok::<(), cleanslide_eval::Error>(())
//! ```
//!
//! An exchange mixes the scores of both runs in one ranking. If their scales differ, stack the
//! [`midranks`](crate::midranks) of each run instead of the scores, as E. S. Venkatraman and
//! C. B. Begg 1996 (doi:10.1093/biomet/83.4.835) do for ROC curves; AUROC and average precision
//! of a run do not change by it.

use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::bootstrap::{Bootstrap, Estimate, with_buffers};
use crate::error::Error;
use crate::groups::Groups;
use crate::weights::Weights;

/// Two runs on the same items, and their difference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PairedComparison {
    /// The statistic of the first run.
    pub first: Estimate,
    /// The statistic of the second run.
    pub second: Estimate,
    /// First minus second.
    pub difference: Estimate,
    /// Two-sided p-value of the hypothesis that the two runs are exchangeable.
    pub p_value: f64,
    /// How many exchanges the p-value rests on.
    pub exchanges: usize,
    /// Whether these are all possible ones, so that the p-value is exact.
    pub exact: bool,
    /// Share of the resamples in which the first run has the higher value, equal ones half.
    pub probability_of_superiority: f64,
}

/// Exchanges draw from streams that no resample uses.
const EXCHANGE_STREAMS: u64 = 1 << 63;

/// Differences closer than this are equal but for the order of summation.
const EQUAL: f64 = 1e-12;

impl Bootstrap {
    /// Compares two runs whose items are stacked as the module describes: `statistic` receives
    /// the weights of twice as many items as `groups` has.
    ///
    /// # Errors
    /// As [`Bootstrap::estimate`]; exchanges on which the statistic is undefined count as
    /// undefined replicates do.
    pub fn compare(
        &self,
        groups: &Groups,
        statistic: impl Fn(Weights<'_>) -> Result<f64, Error> + Sync,
    ) -> Result<PairedComparison, Error> {
        let items = groups.items();
        let resampled = self.replicate(groups, |counts| {
            let mut stacked = vec![0; 2 * items];
            stacked[..items].copy_from_slice(counts);
            let first = statistic(Weights::Counts(&stacked))?;
            stacked[..items].fill(0);
            stacked[items..].copy_from_slice(counts);
            let second = statistic(Weights::Counts(&stacked))?;
            Ok([first, second, first - second])
        })?;
        let [first, second, difference] = resampled.estimates;
        let ahead: f64 = resampled
            .defined
            .iter()
            .map(|&[_, _, difference]| match difference {
                d if d > EQUAL => 1.0,
                d if d < -EQUAL => 0.0,
                _ => 0.5,
            })
            .sum();
        let (p_value, exchanges, exact) = self.exchange(groups, difference.value, statistic)?;
        Ok(PairedComparison {
            first,
            second,
            difference,
            p_value,
            exchanges,
            exact,
            probability_of_superiority: ahead / resampled.defined.len() as f64,
        })
    }

    /// The p-value of a difference, on how many exchanges it rests, and whether these are all.
    fn exchange(
        &self,
        groups: &Groups,
        difference: f64,
        statistic: impl Fn(Weights<'_>) -> Result<f64, Error> + Sync,
    ) -> Result<(f64, usize, bool), Error> {
        let items = groups.items();
        let all = u32::try_from(groups.count())
            .ok()
            .and_then(|count| 1usize.checked_shl(count));
        let exact = all.filter(|&all| all <= self.replicates);
        let exchanges = exact.unwrap_or(self.replicates);

        let drawn = with_buffers(exchanges, |exchange, of_groups, of_items| {
            of_groups.clear();
            if exact.is_some() {
                of_groups.extend((0..groups.count()).map(|group| exchange >> group & 1 == 1));
            } else {
                let mut rng = self.stream(EXCHANGE_STREAMS | exchange as u64);
                of_groups.extend((0..groups.count()).map(|_| rng.random::<bool>()));
            }
            groups.spread(of_groups, of_items);
            let mut stacked = vec![0; 2 * items];
            for (item, &exchanged) in of_items.iter().enumerate() {
                stacked[if exchanged { items + item } else { item }] = 1;
            }
            let first = statistic(Weights::Counts(&stacked))?;
            stacked.iter_mut().for_each(|count| *count = 1 - *count);
            Ok(first - statistic(Weights::Counts(&stacked))?)
        });
        let (defined, _) = self.keep_defined(drawn)?;
        let extreme = defined
            .iter()
            .filter(|d| d.abs() >= difference.abs() - EQUAL)
            .count();
        let p_value = match exact {
            Some(_) => extreme as f64 / defined.len() as f64,
            None => (1 + extreme) as f64 / (1 + defined.len()) as f64,
        };
        Ok((p_value, defined.len(), exact.is_some()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LabelPairs, Ranking, midranks};

    fn compare_accuracy(first: &[usize], second: &[usize], group: &[usize]) -> PairedComparison {
        let truth = vec![1; 2 * first.len()];
        let both = LabelPairs::new(&truth, &[first, second].concat(), 2).unwrap();
        Bootstrap::default()
            .compare(&Groups::new(group).unwrap(), |w| {
                both.confusion(w)?.accuracy()
            })
            .unwrap()
    }

    #[test]
    fn equal_runs_do_not_differ() {
        let run = [1, 0, 1, 1, 0, 1];
        let comparison = compare_accuracy(&run, &run, &[0, 0, 1, 1, 2, 2]);
        let difference = comparison.difference;
        assert_eq!(
            (difference.value, difference.low, difference.high),
            (0.0, 0.0, 0.0)
        );
        assert_eq!(comparison.p_value, 1.0);
        assert_eq!(comparison.probability_of_superiority, 0.5);
    }

    #[test]
    fn few_groups_give_the_exact_p_value() {
        // The first run is better in each of 6 cases: 2 of the 2⁶ exchanges are as extreme.
        let comparison = compare_accuracy(&[1; 6], &[0; 6], &[0, 1, 2, 3, 4, 5]);
        assert!(comparison.exact);
        assert_eq!(comparison.exchanges, 64);
        assert_eq!(comparison.p_value, 2.0 / 64.0);
        assert_eq!(comparison.difference.value, 1.0);
        assert_eq!(comparison.probability_of_superiority, 1.0);
    }

    #[test]
    fn many_groups_give_nearly_the_sign_test() {
        // One item a case, 20 won and 5 lost: the sign test, p = 0.004077 (scipy binomtest).
        let first: Vec<usize> = (0..25).map(|i| usize::from(i < 20)).collect();
        let second: Vec<usize> = first.iter().map(|&label| 1 - label).collect();
        let group: Vec<usize> = (0..25).collect();
        let both = LabelPairs::new(&[1; 50], &[first, second].concat(), 2).unwrap();
        let comparison = Bootstrap {
            replicates: 40_000,
            ..Bootstrap::default()
        }
        .compare(&Groups::new(&group).unwrap(), |w| {
            both.confusion(w)?.accuracy()
        })
        .unwrap();
        assert!(!comparison.exact);
        // Five standard errors of a proportion of 40,000.
        assert!((comparison.p_value - 0.004077).abs() < 5.0 * (0.0041f64 / 40_000.0).sqrt());
    }

    #[test]
    fn many_patches_of_few_cases_are_not_many_votes() {
        let comparison = compare_accuracy(
            &[1; 400],
            &[0; 400],
            &(0..400).map(|i| i % 4).collect::<Vec<_>>(),
        );
        assert_eq!(comparison.p_value, 2.0 / 16.0);
    }

    #[test]
    fn midranks_make_scales_comparable_without_changing_the_metric() {
        let positive = [true, false, true, false, true, false];
        let first = [9.0, 3.0, 5.0, 4.0, 8.0, 1.0];
        let second = [0.02, 0.03, 0.05, 0.01, 0.04, 0.0];
        let compare = |first: &[f64], second: &[f64]| {
            let both =
                Ranking::new(&[positive, positive].concat(), &[first, second].concat()).unwrap();
            Bootstrap {
                max_undefined: 0.2,
                ..Bootstrap::default()
            }
            .compare(&Groups::single_items(6).unwrap(), |w| both.auroc(w))
        };
        let ranks = compare(&midranks(&first).unwrap(), &midranks(&second).unwrap()).unwrap();
        let scores = compare(&first, &second).unwrap();
        assert_eq!(ranks.difference, scores.difference);
    }

    #[test]
    fn a_statistic_over_unstacked_items_is_an_error() {
        let single = LabelPairs::new(&[0, 1], &[0, 1], 2).unwrap();
        let error = Bootstrap::default()
            .compare(&Groups::single_items(2).unwrap(), |w| {
                single.confusion(w)?.accuracy()
            })
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "weights has 4 entries, but there are 2 items"
        );
    }
}
