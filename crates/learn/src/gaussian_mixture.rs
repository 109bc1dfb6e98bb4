//! Two kinds of items told apart by one number: a mixture of two normal distributions.
//!
//! That is how DivideMix (Li et al., arXiv 2002.07394) tells labels that are right from those that are wrong by their
//! losses. The parameters are those of greatest likelihood near a first guess, by expectation maximisation (Dempster,
//! Laird and Rubin, 1977); the first guess is the split into two with the least variance within, so nothing is random.

/// Variances are at least this share of the variance of all values: otherwise a component of equal values has an
/// infinite likelihood.
const LEAST_VARIANCE: f64 = 1e-4;
/// Expectation maximisation ends when the mean log-likelihood rises by less.
const TOLERANCE: f64 = 1e-9;
const ROUNDS: usize = 10_000;

/// A mixture of two normal distributions, the one with the lower mean first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GaussianMixture {
    /// Their shares, which sum to 1.
    pub shares: [f64; 2],
    /// Their means.
    pub means: [f64; 2],
    /// Their variances.
    pub variances: [f64; 2],
    /// By how much two distributions explain the values better than one: the difference of the Bayesian information
    /// criterion (Schwarz 1978). Two are not needed where it is not above 0.
    pub evidence: f64,
}

impl GaussianMixture {
    /// Fits it; `None` of fewer than four values, or of values that are all equal.
    pub fn fit(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let [_, variance] = moments(&sorted);
        if sorted.len() < 4 || !(variance > 0.0 && variance.is_finite()) {
            return None;
        }
        let mut mixture = Self::split(&sorted, variance);
        let mut likelihood = f64::NEG_INFINITY;
        for _ in 0..ROUNDS {
            let (next, now) = mixture.improved(&sorted, variance);
            if now - likelihood < TOLERANCE {
                likelihood = now;
                break;
            }
            (mixture, likelihood) = (next, now);
        }
        let count = sorted.len() as f64;
        let alone = -0.5 * ((std::f64::consts::TAU * variance).ln() + 1.0);
        // Five parameters in the place of two.
        mixture.evidence = 2.0 * count * (likelihood - alone) - 3.0 * count.ln();
        if mixture.means[0] > mixture.means[1] {
            mixture.shares.reverse();
            mixture.means.reverse();
            mixture.variances.reverse();
        }
        Some(mixture)
    }

    /// The probability that a value is of the upper distribution. Beyond the two means it is that at the mean: there the
    /// wider distribution would claim values that are farther on the other side.
    pub fn upper(&self, value: f64) -> f64 {
        let value = value.clamp(self.means[0], self.means[1]);
        let [lower, upper] = self.log_densities(value);
        1.0 / (1.0 + (lower - upper).exp())
    }

    /// Ascending values, split in two so that the sum of the squared distances to the two means is least.
    fn split(sorted: &[f64], variance: f64) -> Self {
        let all: f64 = sorted.iter().sum();
        let count = sorted.len() as f64;
        let (mut below, mut best, mut place) = (0.0, f64::NEG_INFINITY, 1);
        for (index, value) in sorted[..sorted.len() - 1].iter().enumerate() {
            below += value;
            let left = (index + 1) as f64;
            let between = below * below / left + (all - below).powi(2) / (count - left);
            if between > best {
                (best, place) = (between, index + 1);
            }
        }
        let (left, right) = sorted.split_at(place);
        let [[low, low_variance], [high, high_variance]] = [moments(left), moments(right)];
        let share = place as f64 / count;
        let least = LEAST_VARIANCE * variance;
        Self {
            shares: [share, 1.0 - share],
            means: [low, high],
            variances: [low_variance.max(least), high_variance.max(least)],
            evidence: 0.0,
        }
    }

    /// The logarithms of share times density.
    fn log_densities(&self, value: f64) -> [f64; 2] {
        std::array::from_fn(|which| {
            let variance = self.variances[which];
            let distance = value - self.means[which];
            self.shares[which].ln()
                - 0.5 * ((std::f64::consts::TAU * variance).ln() + distance * distance / variance)
        })
    }

    /// One round, and the mean log-likelihood before it.
    fn improved(&self, values: &[f64], variance: f64) -> (Self, f64) {
        let mut likelihood = 0.0;
        let mut sums = [[0.0; 3]; 2];
        for &value in values {
            let [lower, upper] = self.log_densities(value);
            let most = lower.max(upper);
            let total = most + ((lower - most).exp() + (upper - most).exp()).ln();
            likelihood += total;
            for (sums, density) in sums.iter_mut().zip([lower, upper]) {
                let responsibility = (density - total).exp();
                for (power, sum) in sums.iter_mut().enumerate() {
                    *sum += responsibility * value.powi(power as i32);
                }
            }
        }
        let count = values.len() as f64;
        let least = LEAST_VARIANCE * variance;
        let mut next = *self;
        for (which, [share, first, second]) in sums.into_iter().enumerate() {
            // A component that nothing belongs to any more stays where it is.
            if share > f64::MIN_POSITIVE {
                let mean = first / share;
                next.means[which] = mean;
                next.variances[which] = (second / share - mean * mean).max(least);
            }
            next.shares[which] = (share / count).max(f64::MIN_POSITIVE);
        }
        (next, likelihood / count)
    }
}

/// Mean and variance of values, of which there is at least one.
fn moments(values: &[f64]) -> [f64; 2] {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    [mean, squares / count]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_that_are_all_equal_or_few_are_of_one_kind() {
        assert_eq!(GaussianMixture::fit(&[]), None);
        assert_eq!(GaussianMixture::fit(&[0.5; 20]), None);
        assert_eq!(GaussianMixture::fit(&[0.1, 0.2, 0.9]), None);
    }

    #[derive(serde::Deserialize)]
    struct Golden {
        values: Vec<f64>,
        shares: [f64; 2],
        means: [f64; 2],
        variances: [f64; 2],
        evidence: f64,
    }

    /// Expectation maximisation creeps towards its end where distributions overlap: both stop within a likelihood of 1e-9
    /// of each other, and parameters by which it hardly changes may then differ more.
    #[test]
    fn mixtures_are_those_of_scikit_learn() {
        let text = include_str!("../tests/goldens/gaussian_mixture.json");
        let goldens: Vec<Golden> = serde_json::from_str(text).unwrap();
        for (number, golden) in goldens.iter().enumerate() {
            let ours = GaussianMixture::fit(&golden.values).unwrap();
            let close = |ours: f64, theirs: f64, by: f64| {
                assert!(
                    (ours - theirs).abs() < by,
                    "case {number}: {ours}, {theirs}"
                );
            };
            close(ours.evidence, golden.evidence, 1e-3);
            for which in 0..2 {
                close(ours.shares[which], golden.shares[which], 5e-3);
                close(ours.means[which], golden.means[which], 1e-3);
                close(ours.variances[which], golden.variances[which], 1e-4);
            }
        }
    }

    #[test]
    fn one_bell_needs_no_second() {
        // Quantiles of a normal distribution, nearly: sums of evenly spread numbers.
        let spread = |step: usize, parts: usize| (step % parts) as f64 / parts as f64;
        let bell: Vec<f64> = (0..1000)
            .map(|step| spread(step, 10) + spread(step / 10, 10) + spread(step / 100, 10))
            .collect();
        assert!(GaussianMixture::fit(&bell).unwrap().evidence < 0.0);
        let mut two = bell.clone();
        two.extend(bell.iter().map(|value| value + 5.0));
        let mixture = GaussianMixture::fit(&two).unwrap();
        assert!(mixture.evidence > 100.0);
        assert!((mixture.shares[0] - 0.5).abs() < 1e-3);
    }

    proptest! {
        #[test]
        fn the_probability_rises_with_the_value_up_to_the_means(
            values in prop::collection::vec(0.0..1.0f64, 4..60),
        ) {
            if let Some(mixture) = GaussianMixture::fit(&values) {
                prop_assert!((mixture.shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
                prop_assert!(mixture.means[0] <= mixture.means[1]);
                for value in values {
                    prop_assert!((0.0..=1.0).contains(&mixture.upper(value)));
                }
            }
        }
    }
}
