//! Cluster bootstrap: confidence intervals by resampling groups (cases), not items.
//!
//! B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap", 1993; clusters: A. C. Davison,
//! D. V. Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8; BCa: B. Efron,
//! "Better bootstrap confidence intervals", 1987, doi:10.1080/01621459.1987.10478410.
//!
//! ```text
//! for each replicate: draw as many groups as there are, with replacement;
//!                     the weight of an item = how often its group was drawn
//! percentile: the α and 1 − α quantiles of the replicates, α = (1 − level) / 2
//! BCa:        the quantiles at Φ(z₀ + (z₀ ± z) / (1 − a (z₀ ± z))), z = Φ⁻¹(1 − α),
//!             z₀ = Φ⁻¹(share of replicates below the value, equal ones half),
//!             a  = Σ U³ / (6 (Σ U²)^1.5), U = mean − value without each group in turn
//! ```
//!
//! Quantiles interpolate linearly (numpy's default). Replicate `b` draws from stream `b` of
//! ChaCha8 with the given seed, so the result is the same for any number of threads.
//!
//! Percentile intervals of fewer than about twenty groups are too narrow; the number of groups
//! stands in every [`Estimate`] for that reason. The interval covers which cases happened to be
//! sampled, not how a new training run would turn out.

use std::fmt;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Undefined, check_level};
use crate::groups::Groups;
use crate::normal;
use crate::proportion::Interval;
use crate::weights::Weights;

/// How an interval is made from replicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntervalMethod {
    /// Quantiles of the replicates.
    #[default]
    Percentile,
    /// Bias-corrected and accelerated; computes the statistic once more for each group.
    Bca,
}

/// How intervals are bootstrapped.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bootstrap {
    /// How many resamples are drawn. Default 2000.
    pub replicates: usize,
    /// Confidence level between 0 and 1. Default 0.95.
    pub level: f64,
    /// How the interval is made. Default percentile.
    pub method: IntervalMethod,
    /// Seed of the random draws. Default 0.
    pub seed: u64,
    /// The largest share of resamples in which the statistic may be undefined. These are left
    /// out and counted in [`Estimate::undefined`]. Default 0.05.
    pub max_undefined: f64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Bootstrap {
            replicates: 2000,
            level: 0.95,
            method: IntervalMethod::Percentile,
            seed: 0,
            max_undefined: 0.05,
        }
    }
}

/// A statistic with its confidence interval.
///
/// It displays as `0.812 [0.780, 0.841]`; `{:.2}` sets the number of decimals.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The statistic on the complete data.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// Confidence level of the interval.
    pub level: f64,
    /// How many resamples were drawn.
    pub replicates: usize,
    /// In how many of them the statistic was undefined; the interval leaves them out.
    pub undefined: usize,
    /// How many groups were resampled.
    pub groups: usize,
    /// How many items they hold.
    pub items: usize,
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = f.precision().unwrap_or(3);
        let Estimate {
            value, low, high, ..
        } = self;
        // A difference is written with its sign: `{:+.3}`.
        if f.sign_plus() {
            return write!(
                f,
                "{value:+.decimals$} [{low:+.decimals$}, {high:+.decimals$}]"
            );
        }
        write!(
            f,
            "{value:.decimals$} [{low:.decimals$}, {high:.decimals$}]"
        )
    }
}

/// Several statistics on the complete data and on every resample.
pub(crate) struct Replicates<const N: usize> {
    pub(crate) estimates: [Estimate; N],
    /// The resamples on which all statistics are defined.
    pub(crate) defined: Vec<[f64; N]>,
}

impl Bootstrap {
    /// A statistic with its interval.
    ///
    /// `statistic` receives how often each item was drawn. A replicate in which it returns
    /// [`Error::Undefined`] or a number that is not finite counts as undefined; any other error
    /// ends the computation.
    ///
    /// # Errors
    /// Invalid settings, fewer than two groups, a statistic that fails or is undefined on the
    /// complete data or on too many resamples, or no BCa interval.
    pub fn estimate(
        &self,
        groups: &Groups,
        statistic: impl Fn(Weights<'_>) -> Result<f64, Error> + Sync,
    ) -> Result<Estimate, Error> {
        let [estimate] = self.estimates(groups, |weights| Ok([statistic(weights)?]))?;
        Ok(estimate)
    }

    /// Several statistics with their intervals, from the same resamples.
    ///
    /// A replicate in which one of them is undefined counts as undefined for all.
    ///
    /// # Errors
    /// As [`Bootstrap::estimate`].
    pub fn estimates<const N: usize>(
        &self,
        groups: &Groups,
        statistics: impl Fn(Weights<'_>) -> Result<[f64; N], Error> + Sync,
    ) -> Result<[Estimate; N], Error> {
        Ok(self
            .replicate(groups, |counts| statistics(Weights::Counts(counts)))?
            .estimates)
    }

    /// What `statistic` makes of each resample, in their order, for statistics that are too many or
    /// too unlike numbers for [`Bootstrap::estimates`]. Resamples on which it is undefined are left
    /// out.
    ///
    /// # Errors
    /// Invalid settings, fewer than two groups, a statistic that fails or is undefined on too many
    /// resamples.
    pub fn resamples<T: Send>(
        &self,
        groups: &Groups,
        statistic: impl Fn(&[u32]) -> Result<T, Error> + Sync,
    ) -> Result<Vec<T>, Error> {
        self.check(groups)?;
        Ok(self.keep_defined(self.draw(groups, statistic))?.0)
    }

    /// What a statistic makes of each resample; it receives how often each item was drawn.
    fn draw<T: Send>(
        &self,
        groups: &Groups,
        statistic: impl Fn(&[u32]) -> Result<T, Error> + Sync,
    ) -> Vec<Result<T, Error>> {
        with_buffers(self.replicates, |replicate, of_groups, of_items| {
            let mut rng = self.stream(replicate as u64);
            of_groups.clear();
            of_groups.resize(groups.count(), 0u32);
            for _ in 0..groups.count() {
                of_groups[rng.random_range(0..groups.count())] += 1;
            }
            groups.spread(of_groups, of_items);
            statistic(of_items)
        })
    }

    pub(crate) fn replicate<const N: usize>(
        &self,
        groups: &Groups,
        statistics: impl Fn(&[u32]) -> Result<[f64; N], Error> + Sync,
    ) -> Result<Replicates<N>, Error> {
        self.check(groups)?;
        let statistics = |counts: &[u32]| finite(statistics(counts));
        let values = statistics(&vec![1; groups.items()])?;

        let drawn = self.draw(groups, statistics);
        let (defined, undefined) = self.keep_defined(drawn)?;

        let jackknife = match self.method {
            IntervalMethod::Percentile => Vec::new(),
            IntervalMethod::Bca => leave_one_out(groups, statistics)?,
        };
        let mut estimates = [Estimate {
            value: 0.0,
            low: 0.0,
            high: 0.0,
            level: self.level,
            replicates: self.replicates,
            undefined,
            groups: groups.count(),
            items: groups.items(),
        }; N];
        for (n, estimate) in estimates.iter_mut().enumerate() {
            let column: Vec<f64> = defined.iter().map(|values| values[n]).collect();
            let interval = match self.method {
                IntervalMethod::Percentile => percentile_interval(&column, self.level)?,
                IntervalMethod::Bca => {
                    let jackknife: Vec<f64> = jackknife.iter().map(|values| values[n]).collect();
                    bca_interval(values[n], &column, &jackknife, self.level)?
                }
            };
            estimate.value = values[n];
            (estimate.low, estimate.high) = (interval.low, interval.high);
        }
        Ok(Replicates { estimates, defined })
    }

    /// Fails if the settings are invalid or the groups cannot be resampled.
    pub(crate) fn check(&self, groups: &Groups) -> Result<(), Error> {
        check_level(self.level)?;
        if self.replicates == 0 {
            return Err(Error::Zero { what: "replicates" });
        }
        if groups.count() < 2 {
            return Err(Error::OneGroup {
                items: groups.items(),
            });
        }
        Ok(())
    }

    /// The random numbers of one replicate.
    pub(crate) fn stream(&self, stream: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(stream);
        rng
    }

    /// Splits replicates into values and the number of undefined ones.
    pub(crate) fn keep_defined<T>(
        &self,
        drawn: Vec<Result<T, Error>>,
    ) -> Result<(Vec<T>, usize), Error> {
        let replicates = drawn.len();
        let mut first = None;
        let mut defined = Vec::with_capacity(replicates);
        for value in drawn {
            match value {
                Ok(value) => defined.push(value),
                Err(Error::Undefined(why)) => first = first.or(Some(why)),
                Err(error) => return Err(error),
            }
        }
        let undefined = replicates - defined.len();
        let allowed = (self.max_undefined * replicates as f64) as usize;
        match first {
            Some(first) if undefined > allowed || defined.is_empty() => {
                Err(Error::TooManyUndefined {
                    undefined,
                    replicates,
                    allowed,
                    first,
                })
            }
            _ => Ok((defined, undefined)),
        }
    }
}

/// Computes `count` independent results in order, with two scratch buffers per thread.
pub(crate) fn with_buffers<T: Send, A: Send, B: Send>(
    count: usize,
    compute: impl Fn(usize, &mut Vec<A>, &mut Vec<B>) -> T + Sync,
) -> Vec<T> {
    (0..count)
        .into_par_iter()
        .map_init(
            || (Vec::new(), Vec::new()),
            |(a, b), index| compute(index, a, b),
        )
        .collect()
}

/// The statistics without each group in turn.
fn leave_one_out<const N: usize>(
    groups: &Groups,
    statistics: impl Fn(&[u32]) -> Result<[f64; N], Error> + Sync,
) -> Result<Vec<[f64; N]>, Error> {
    with_buffers(groups.count(), |left_out, of_groups, of_items| {
        of_groups.clear();
        of_groups.resize(groups.count(), 1u32);
        of_groups[left_out] = 0;
        groups.spread(of_groups, of_items);
        statistics(of_items)
    })
    .into_iter()
    .collect::<Result<_, _>>()
    .map_err(|error| match error {
        Error::Undefined(_) => Error::NoBcaInterval {
            why: "the statistic is undefined without one of the groups",
        },
        other => other,
    })
}

fn finite<const N: usize>(values: Result<[f64; N], Error>) -> Result<[f64; N], Error> {
    match values {
        Ok(values) if values.iter().any(|value| !value.is_finite()) => {
            Err(Undefined::NotFinite.into())
        }
        values => values,
    }
}

/// The percentile interval of replicates, in any order.
///
/// # Errors
/// No replicates, or a level outside 0 to 1.
pub fn percentile_interval(replicates: &[f64], level: f64) -> Result<Interval, Error> {
    check_level(level)?;
    let sorted = sort(replicates)?;
    let tail = (1.0 - level) / 2.0;
    Ok(Interval {
        low: quantile(&sorted, tail),
        high: quantile(&sorted, 1.0 - tail),
    })
}

/// The BCa interval from the value on the complete data, the replicates, and the values with each
/// group left out, both in any order.
///
/// # Errors
/// No replicates, a level outside 0 to 1, or no such interval: all replicates lie on one side of
/// the value, or leaving out a group never changes it.
pub fn bca_interval(
    value: f64,
    replicates: &[f64],
    jackknife: &[f64],
    level: f64,
) -> Result<Interval, Error> {
    check_level(level)?;
    let sorted = sort(replicates)?;
    let below = sorted.partition_point(|&replicate| replicate < value);
    let up_to = sorted.partition_point(|&replicate| replicate <= value);
    let bias = normal::quantile((below + up_to) as f64 / (2 * sorted.len()) as f64);
    if !bias.is_finite() {
        return Err(Error::NoBcaInterval {
            why: "all resamples lie on one side of the value",
        });
    }
    let mean = jackknife.iter().sum::<f64>() / jackknife.len() as f64;
    let power_sum = |power| {
        jackknife
            .iter()
            .map(|&value| (mean - value).powi(power))
            .sum::<f64>()
    };
    let squares = power_sum(2);
    if squares.is_nan() || squares <= 0.0 {
        return Err(Error::NoBcaInterval {
            why: "leaving out a group never changes the value",
        });
    }
    let acceleration = power_sum(3) / (6.0 * squares.powf(1.5));
    let z = normal::quantile((1.0 - level) / 2.0);
    let end = |z: f64| {
        let shifted = bias + z;
        normal::cumulative(bias + shifted / (1.0 - acceleration * shifted))
    };
    Ok(Interval {
        low: quantile(&sorted, end(z)),
        high: quantile(&sorted, end(-z)),
    })
}

fn sort(replicates: &[f64]) -> Result<Vec<f64>, Error> {
    if replicates.is_empty() {
        return Err(Error::Zero { what: "replicates" });
    }
    let mut sorted = replicates.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    Ok(sorted)
}

/// The quantile of sorted values at `probability`, interpolated linearly.
pub(crate) fn quantile(sorted: &[f64], probability: f64) -> f64 {
    let last = sorted.len() - 1;
    let position = probability * last as f64;
    let below = (position.floor() as usize).min(last);
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (position - below as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_of(values: &[f64]) -> impl Fn(Weights<'_>) -> Result<f64, Error> + Sync {
        move |weights| {
            let total: f64 = (0..values.len()).map(|i| weights.of(i)).sum();
            Ok((0..values.len())
                .map(|i| weights.of(i) * values[i])
                .sum::<f64>()
                / total)
        }
    }

    #[test]
    fn equals_the_normal_interval_of_a_mean() {
        // 400 independent values of variance 1/12: standard error √(1/12/400) = 0.01443.
        let values: Vec<f64> = (0..400).map(|i| (i as f64 + 0.5) / 400.0).collect();
        let groups = Groups::single_items(400).unwrap();
        for method in [IntervalMethod::Percentile, IntervalMethod::Bca] {
            let bootstrap = Bootstrap {
                replicates: 20_000,
                method,
                ..Bootstrap::default()
            };
            let estimate = bootstrap.estimate(&groups, mean_of(&values)).unwrap();
            let half = 1.96 * (1.0f64 / 12.0 / 400.0).sqrt();
            // The standard error of a 2.5 % quantile of 20,000 replicates is
            // √(0.025 · 0.975 / 20000) / φ(1.96) ≈ 0.019 standard errors; allow five of these.
            let tolerance = 5.0 * 0.019 * half / 1.96;
            assert!((estimate.value - 0.5).abs() < 1e-12);
            assert!(
                (estimate.low - (0.5 - half)).abs() < tolerance,
                "{estimate}"
            );
            assert!(
                (estimate.high - (0.5 + half)).abs() < tolerance,
                "{estimate}"
            );
        }
    }

    #[test]
    fn resamples_are_those_of_the_intervals() {
        let values: Vec<f64> = (0..50).map(|i| f64::from(i % 7)).collect();
        let groups = Groups::single_items(50).unwrap();
        let bootstrap = Bootstrap::default();
        let estimate = bootstrap.estimate(&groups, mean_of(&values)).unwrap();
        let mean = mean_of(&values);
        let drawn = bootstrap.resamples(&groups, |counts| mean(Weights::Counts(counts)));
        let interval = percentile_interval(&drawn.unwrap(), 0.95).unwrap();
        assert_eq!((interval.low, interval.high), (estimate.low, estimate.high));
    }

    #[test]
    fn equal_items_of_a_group_do_not_narrow_the_interval() {
        let cases: Vec<f64> = (0..40).map(|i| f64::from(i % 7)).collect();
        let values: Vec<f64> = cases.iter().flat_map(|&v| [v; 25]).collect();
        let group: Vec<usize> = (0..1000).map(|i| i / 25).collect();
        let bootstrap = Bootstrap {
            replicates: 500,
            ..Bootstrap::default()
        };
        let by_case = bootstrap
            .estimate(&Groups::new(&group).unwrap(), mean_of(&values))
            .unwrap();
        let of_cases = bootstrap
            .estimate(&Groups::single_items(40).unwrap(), mean_of(&cases))
            .unwrap();
        assert!((by_case.low - of_cases.low).abs() < 1e-12);
        assert!((by_case.high - of_cases.high).abs() < 1e-12);
        let by_item = bootstrap
            .estimate(&Groups::single_items(1000).unwrap(), mean_of(&values))
            .unwrap();
        assert!(by_item.high - by_item.low < 0.3 * (by_case.high - by_case.low));
    }

    #[test]
    fn undefined_resamples_are_counted_or_refused() {
        // Undefined when item 0 was not drawn: in (1 − 1/2)² = 1/4 of the resamples of two.
        let needs_first = |weights: Weights<'_>| match weights.of(0) {
            0.0 => Err(Undefined::NoPositive.into()),
            weight => Ok(weight),
        };
        let groups = Groups::single_items(2).unwrap();
        let error = Bootstrap::default()
            .estimate(&groups, needs_first)
            .unwrap_err();
        let Error::TooManyUndefined {
            undefined,
            replicates: 2000,
            allowed: 100,
            first,
        } = error
        else {
            panic!("{error}");
        };
        assert_eq!(first, Undefined::NoPositive);
        let lenient = Bootstrap {
            max_undefined: 0.5,
            ..Bootstrap::default()
        };
        let estimate = lenient.estimate(&groups, needs_first).unwrap();
        assert_eq!(estimate.undefined, undefined);
        // Binomial: 500 ± 5 · √(2000 · ¼ · ¾).
        assert!((undefined as f64 - 500.0).abs() < 97.0);
        assert_eq!(
            lenient.estimate(&groups, |_| Ok(f64::NAN)),
            Err(Undefined::NotFinite.into())
        );
        let bca = Bootstrap {
            method: IntervalMethod::Bca,
            ..lenient
        };
        assert_eq!(
            bca.estimate(&groups, needs_first).unwrap_err().to_string(),
            "the BCa interval does not exist: the statistic is undefined without one of the \
             groups; use the percentile interval"
        );
    }

    #[test]
    fn other_errors_end_the_computation() {
        let groups = Groups::single_items(2).unwrap();
        let fails = |_: Weights<'_>| Err(Error::Zero { what: "bins" });
        assert_eq!(
            Bootstrap::default().estimate(&groups, fails),
            Err(Error::Zero { what: "bins" })
        );
    }

    #[test]
    fn bad_settings_are_named() {
        let message = |bootstrap: Bootstrap, items| {
            let groups = Groups::single_items(items).unwrap();
            bootstrap
                .estimate(&groups, |_| Ok(1.0))
                .unwrap_err()
                .to_string()
        };
        let ours = Bootstrap::default();
        assert_eq!(
            message(ours, 1),
            "all 1 items belong to one group, so no interval can be computed by resampling \
             groups; evaluate on at least two cases"
        );
        assert_eq!(
            message(
                Bootstrap {
                    level: 95.0,
                    ..ours
                },
                2
            ),
            "the confidence level is 95; it must lie between 0 and 1, as 0.95 does"
        );
        assert_eq!(
            message(
                Bootstrap {
                    replicates: 0,
                    ..ours
                },
                2
            ),
            "the number of replicates is zero"
        );
        assert!(
            message(
                Bootstrap {
                    method: IntervalMethod::Bca,
                    ..ours
                },
                2
            )
            .contains("leaving out a group never changes the value")
        );
        assert!(percentile_interval(&[], 0.9).is_err());
        assert!(
            bca_interval(5.0, &[1.0, 2.0], &[1.0, 2.0], 0.9)
                .unwrap_err()
                .to_string()
                .contains("one side")
        );
    }

    #[test]
    fn displays_value_and_interval() {
        let estimate = Estimate {
            value: 0.8123,
            low: 0.78,
            high: 0.8407,
            level: 0.95,
            replicates: 1,
            undefined: 0,
            groups: 1,
            items: 1,
        };
        assert_eq!(estimate.to_string(), "0.812 [0.780, 0.841]");
        assert_eq!(format!("{estimate:.2}"), "0.81 [0.78, 0.84]");
    }
}
