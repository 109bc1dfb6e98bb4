//! Krippendorff's alpha: agreement of any number of raters with any gaps.
//!
//! K. Krippendorff, "Computing Krippendorff's alpha-reliability", 2011,
//! <https://repository.upenn.edu/asc_papers/43>.
//!
//! ```text
//! coincidences  o_ck = Σ_items r_c (r_k − [c = k]) / (r − 1)    over items with r ≥ 2 ratings
//! n_c = Σ_k o_ck,  n = Σ_c n_c
//! alpha = 1 − (n − 1) Σ_ck o_ck δ²_ck / Σ_ck n_c n_k δ²_ck
//! nominal   δ² = [c ≠ k]
//! ordinal   δ² = (Σ_{g=c..k} n_g − (n_c + n_k) / 2)²
//! interval  δ² = (c − k)²
//! ```

use ndarray::{Array2, ArrayView2};

use crate::error::{Error, Undefined};
use crate::weights::Weights;

/// What the order and distance of the classes mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MeasurementLevel {
    /// Classes without an order.
    #[default]
    Nominal,
    /// Ordered classes; their distance is how many ratings lie between.
    Ordinal,
    /// Ordered classes at equal distances.
    Interval,
}

impl MeasurementLevel {
    fn squared_distance(self, first: usize, second: usize, totals: &[f64]) -> f64 {
        let (low, high) = (first.min(second), first.max(second));
        match self {
            MeasurementLevel::Nominal => f64::from(u8::from(low != high)),
            MeasurementLevel::Interval => ((high - low) as f64).powi(2),
            MeasurementLevel::Ordinal => {
                let between: f64 = totals[low..=high].iter().sum();
                (between - (totals[low] + totals[high]) / 2.0).powi(2)
            }
        }
    }
}

/// Krippendorff's alpha of `ratings` [items, classes]: how many raters chose each class.
///
/// 1 is full agreement, 0 is chance. Items with fewer than two ratings are ignored.
///
/// # Errors
/// Weights that do not fit, or undefined: no item with two ratings, or all of them in one class.
pub fn krippendorff_alpha(
    ratings: ArrayView2<'_, u32>,
    level: MeasurementLevel,
    weights: Weights<'_>,
) -> Result<f64, Error> {
    weights.check(ratings.nrows())?;
    let classes = ratings.ncols();
    let mut coincidences = Array2::<f64>::zeros((classes, classes));
    for (item, row) in ratings.rows().into_iter().enumerate() {
        let total: f64 = row.iter().map(|&n| f64::from(n)).sum();
        if total < 2.0 {
            continue;
        }
        let scale = weights.of(item) / (total - 1.0);
        for (c, &first) in row.iter().enumerate().filter(|&(_, &n)| n > 0) {
            for (k, &second) in row.iter().enumerate() {
                let others = f64::from(second) - f64::from(u8::from(c == k));
                coincidences[[c, k]] += scale * f64::from(first) * others;
            }
        }
    }
    let totals = coincidences.sum_axis(ndarray::Axis(1)).to_vec();
    let total: f64 = totals.iter().sum();
    if total <= 0.0 {
        return Err(Undefined::NoPairs.into());
    }
    let (mut observed, mut expected) = (0.0, 0.0);
    for ((c, k), &coincidence) in coincidences.indexed_iter() {
        let distance = level.squared_distance(c, k, &totals);
        observed += coincidence * distance;
        expected += totals[c] * totals[k] * distance;
    }
    if expected <= 0.0 {
        return Err(Undefined::CertainChance.into());
    }
    Ok(1.0 - (total - 1.0) * observed / expected)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn undefined_cases() {
        let alpha = |ratings: Array2<u32>| {
            krippendorff_alpha(ratings.view(), MeasurementLevel::Nominal, Weights::Equal)
        };
        assert_eq!(
            alpha(array![[3, 0], [3, 0]]),
            Err(Undefined::CertainChance.into())
        );
        assert_eq!(
            alpha(array![[1, 0], [0, 1]]),
            Err(Undefined::NoPairs.into())
        );
    }

    #[test]
    fn perfect_agreement_is_one() {
        let ratings = array![[3, 0, 0], [0, 2, 0], [0, 0, 4], [0, 0, 1]];
        for level in [
            MeasurementLevel::Nominal,
            MeasurementLevel::Ordinal,
            MeasurementLevel::Interval,
        ] {
            assert_eq!(
                krippendorff_alpha(ratings.view(), level, Weights::Equal),
                Ok(1.0)
            );
        }
    }
}
