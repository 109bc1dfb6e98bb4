//! Fleiss' kappa: agreement of many raters beyond chance.
//!
//! J. L. Fleiss, "Measuring nominal scale agreement among many raters", 1971,
//! doi:10.1037/h0031619. With gaps: K. L. Gwet, "Handbook of Inter-Rater Reliability", 4th
//! edition, 2014, chapter 2.
//!
//! ```text
//! r_ik = how many raters put item i in class k, r_i = Σ_k r_ik
//! observed  p_o = mean over items with r_i ≥ 2 of Σ_k r_ik (r_ik − 1) / (r_i (r_i − 1))
//! chance    p_e = Σ_k π_k²,  π_k = mean over items with r_i ≥ 1 of r_ik / r_i
//! kappa     = (p_o − p_e) / (1 − p_e)
//! ```
//!
//! Where every r_i is the same, this is Fleiss' definition. Intervals come from the bootstrap
//! over cases; the raters need not be the same persons on every item.

use ndarray::ArrayView2;

use crate::error::{Error, Undefined};
use crate::weights::Weights;

/// Fleiss' kappa of `ratings` [items, classes]: how many raters chose each class.
///
/// # Errors
/// Items with different numbers of ratings, weights that do not fit, or undefined: no item with
/// two ratings, or all ratings in one class.
pub fn fleiss_kappa(ratings: ArrayView2<'_, u32>, weights: Weights<'_>) -> Result<f64, Error> {
    let totals: Vec<u64> = ratings
        .rows()
        .into_iter()
        .map(|row| row.iter().map(|&n| u64::from(n)).sum())
        .collect();
    if let Some(item) = totals.iter().position(|&total| total != totals[0]) {
        return Err(Error::UnequalRatings {
            item,
            found: totals[item],
            expected: totals[0],
        });
    }
    fleiss_kappa_with_gaps(ratings, weights)
}

/// Gwet's generalisation of Fleiss' kappa to items with different numbers of ratings.
///
/// Items without ratings are ignored; items with one count for chance only.
///
/// # Errors
/// Weights that do not fit, or undefined: no item with two ratings, or all ratings in one class.
pub fn fleiss_kappa_with_gaps(
    ratings: ArrayView2<'_, u32>,
    weights: Weights<'_>,
) -> Result<f64, Error> {
    weights.check(ratings.nrows())?;
    let mut shares = vec![0.0; ratings.ncols()];
    let (mut rated, mut paired, mut observed) = (0.0, 0.0, 0.0);
    for (item, row) in ratings.rows().into_iter().enumerate() {
        let weight = weights.of(item);
        let total: f64 = row.iter().map(|&n| f64::from(n)).sum();
        if total >= 1.0 {
            rated += weight;
            for (share, &n) in shares.iter_mut().zip(row) {
                *share += weight * f64::from(n) / total;
            }
        }
        if total >= 2.0 {
            paired += weight;
            let agreeing: f64 = row
                .iter()
                .map(|&n| f64::from(n) * (f64::from(n) - 1.0))
                .sum();
            observed += weight * agreeing / (total * (total - 1.0));
        }
    }
    if paired <= 0.0 {
        return Err(Undefined::NoPairs.into());
    }
    if shares.iter().filter(|&&share| share > 0.0).count() == 1 {
        return Err(Undefined::CertainChance.into());
    }
    let observed = observed / paired;
    let chance: f64 = shares.iter().map(|share| (share / rated).powi(2)).sum();
    Ok((observed - chance) / (1.0 - chance))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn unequal_numbers_of_ratings_are_named() {
        let ratings = array![[2, 1], [1, 1]];
        assert_eq!(
            fleiss_kappa(ratings.view(), Weights::Equal)
                .unwrap_err()
                .to_string(),
            "item 1 has 2 ratings, but item 0 has 3; Fleiss' kappa needs equally many, use its \
             generalisation for gaps or Krippendorff's alpha"
        );
    }

    #[test]
    fn perfect_agreement_is_one() {
        let ratings = array![[3, 0], [0, 3], [0, 3]];
        assert_eq!(fleiss_kappa(ratings.view(), Weights::Equal), Ok(1.0));
    }

    #[test]
    fn undefined_cases() {
        let kappa = |ratings: ndarray::Array2<u32>| fleiss_kappa(ratings.view(), Weights::Equal);
        assert_eq!(
            kappa(array![[3, 0], [3, 0]]),
            Err(Undefined::CertainChance.into())
        );
        assert_eq!(
            kappa(array![[1, 0], [0, 1]]),
            Err(Undefined::NoPairs.into())
        );
        assert_eq!(
            kappa(ndarray::Array2::zeros((0, 2))),
            Err(Undefined::NoPairs.into())
        );
    }
}
