//! The standard normal distribution.

use std::f64::consts::SQRT_2;

/// Probability that a standard normal variable is at most `z`.
pub(crate) fn cumulative(z: f64) -> f64 {
    0.5 * libm::erfc(-z / SQRT_2)
}

/// The `z` with [`cumulative`]`(z) = probability`; infinite at 0 and 1.
///
/// Bisection in the lower tail, where `erfc` keeps its relative precision; it ends when the
/// bracket is two neighbouring numbers, after about 60 steps. A handful of calls are made per
/// interval, so speed is no concern.
pub(crate) fn quantile(probability: f64) -> f64 {
    if probability > 0.5 {
        return -quantile(1.0 - probability);
    }
    if probability <= 0.0 {
        return f64::NEG_INFINITY;
    }
    let (mut low, mut high) = (-40.0, 0.0);
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return high;
        }
        if cumulative(middle) < probability {
            low = middle;
        } else {
            high = middle;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Reference: scipy.stats.norm.ppf 1.17.1.
    #[test]
    fn equals_scipy() {
        for (probability, expected) in [
            (0.975, 1.959963984540054),
            (0.025, -1.9599639845400545),
            (0.5, 0.0),
            (0.9, 1.2815515655446004),
            (1e-10, -6.361340902404056),
        ] {
            // erfc is good to one unit in the last place; the quantile is a few times worse.
            assert!(
                (quantile(probability) - expected).abs() < 1e-13,
                "{probability}"
            );
        }
        assert_eq!(quantile(0.0), f64::NEG_INFINITY);
        assert_eq!(quantile(1.0), f64::INFINITY);
    }
}
