//! Summaries of a list of values. All are 0 for an empty list.

/// Below this variance a list counts as constant: far above rounding, far below any contrast.
const CONSTANT: f64 = 1e-12;

/// Mean, population standard deviation and skewness.
pub struct Moments {
    /// Arithmetic mean.
    pub mean: f64,
    /// √(Σ(x − mean)² / n).
    pub deviation: f64,
    /// Σ(x − mean)³ / n / deviation³; 0 for constant values.
    pub skewness: f64,
}

/// The first three moments.
pub fn moments(values: impl Iterator<Item = f32> + Clone) -> Moments {
    let (mut count, mut sum) = (0.0, 0.0);
    values.clone().for_each(|value| {
        count += 1.0;
        sum += f64::from(value);
    });
    if count == 0.0 {
        return Moments {
            mean: 0.0,
            deviation: 0.0,
            skewness: 0.0,
        };
    }
    let mean = sum / count;
    let (mut second, mut third) = (0.0, 0.0);
    values.for_each(|value| {
        let difference = f64::from(value) - mean;
        second += difference * difference;
        third += difference * difference * difference;
    });
    let variance = second / count;
    if variance < CONSTANT {
        return Moments {
            mean,
            deviation: 0.0,
            skewness: 0.0,
        };
    }
    Moments {
        mean,
        deviation: variance.sqrt(),
        skewness: third / count / variance.powf(1.5),
    }
}

/// Pearson's correlation of two lists of one length; 0 when either is constant.
pub fn correlation(first: &[f32], second: &[f32]) -> f64 {
    let (a, b) = (
        moments(first.iter().copied()),
        moments(second.iter().copied()),
    );
    if a.deviation == 0.0 || b.deviation == 0.0 {
        return 0.0;
    }
    let covariance: f64 = first
        .iter()
        .zip(second)
        .map(|(x, y)| (f64::from(*x) - a.mean) * (f64::from(*y) - b.mean))
        .sum();
    covariance / first.len() as f64 / (a.deviation * b.deviation)
}

/// Running sums, for mean and standard deviation in one pass.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sums {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Sums {
    /// Adds a value.
    #[inline(always)]
    pub fn add(&mut self, value: f32) {
        let value = f64::from(value);
        self.count += 1.0;
        self.sum += value;
        self.squares += value * value;
    }

    /// The arithmetic mean.
    pub fn mean(&self) -> f64 {
        self.sum / self.count.max(1.0)
    }

    /// The population standard deviation.
    pub fn deviation(&self) -> f64 {
        let variance = self.squares / self.count.max(1.0) - self.mean().powi(2);
        if variance < CONSTANT {
            0.0
        } else {
            variance.sqrt()
        }
    }
}

/// Quantiles at levels in 0..=1, with linear interpolation between order statistics (type 7 of
/// Hyndman and Fan 1996, the default of NumPy and R).
///
/// Values are first distributed over equal bins between the extremes, so that each order statistic
/// is selected among the few values of its bin.
pub fn quantiles<const N: usize>(values: &[f32], levels: [f64; N]) -> [f32; N] {
    const BINS: usize = 512;
    if values.is_empty() {
        return [0.0; N];
    }
    let low = values.iter().copied().fold(f32::INFINITY, f32::min);
    let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let scale = (BINS - 1) as f32 / (high - low);
    // A list of one single value has scale ∞; 0 · ∞ is NaN, which the cast turns into bin 0.
    let bin = |value: f32| (((value - low) * scale) as usize).min(BINS - 1);
    let mut starts = [0usize; BINS + 1];
    values.iter().for_each(|&value| starts[bin(value) + 1] += 1);
    (0..BINS).for_each(|b| starts[b + 1] += starts[b]);
    let mut next = starts;
    let mut binned = vec![0.0; values.len()];
    for &value in values {
        let place = &mut next[bin(value)];
        binned[*place] = value;
        *place += 1;
    }
    let mut ranked = |rank: usize| {
        let bin = starts.partition_point(|&start| start <= rank) - 1;
        let values = &mut binned[starts[bin]..starts[bin + 1]];
        *values
            .select_nth_unstable_by(rank - starts[bin], f32::total_cmp)
            .1
    };
    let last = values.len() - 1;
    levels.map(|level| {
        let position = level * last as f64;
        let below = (position as usize).min(last);
        let (low, high) = (ranked(below), ranked((below + 1).min(last)));
        low + (high - low) * (position - below as f64) as f32
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn moments_of_a_known_list() {
        // numpy and scipy.stats.skew of [1, 2, 4, 9].
        let moments = moments([1.0, 2.0, 4.0, 9.0].into_iter());
        assert!((moments.mean - 4.0).abs() < 1e-12);
        assert!((moments.deviation - 3.082_207).abs() < 1e-6);
        assert!((moments.skewness - 0.768_417).abs() < 1e-6);
    }

    #[test]
    fn empty_and_constant_lists_are_finite() {
        assert_eq!(moments(std::iter::empty()).mean, 0.0);
        assert_eq!(moments([0.1; 1000].into_iter()).skewness, 0.0);
        assert_eq!(correlation(&[0.1; 10], &[0.2; 10]), 0.0);
        assert_eq!(quantiles(&[], [0.5]), [0.0]);
        assert_eq!(quantiles(&[0.1; 7], [0.0, 0.3, 1.0]), [0.1; 3]);
    }

    proptest! {
        #[test]
        fn quantiles_equal_interpolation_in_the_sorted_list(
            values in proptest::collection::vec(-10.0f32..10.0, 1..50)
        ) {
            let levels = [0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0];
            let mut sorted = values.clone();
            sorted.sort_by(f32::total_cmp);
            let expected = levels.map(|level| {
                let position = level * (sorted.len() - 1) as f64;
                let below = position.floor() as usize;
                let above = (below + 1).min(sorted.len() - 1);
                sorted[below] + (sorted[above] - sorted[below]) * (position - below as f64) as f32
            });
            prop_assert_eq!(quantiles(&values, levels), expected);
        }
    }
}
