//! Area under the precision–recall curve, as average precision.
//!
//! C. D. Manning, P. Raghavan, H. Schütze, "Introduction to Information Retrieval", 2008, chapter
//! 8. The trapezoid under the curve is too optimistic (Davis and Goadrich 2006,
//! doi:10.1145/1143844.1143874), so the step function is summed:
//!
//! ```text
//! AP = Σ_t (R_t − R_{t−1}) P_t    over the distinct scores t, from the highest down
//! ```
//!
//! Items of equal score enter together. Chance reaches the prevalence, not 0.5. For an audit, the
//! score is the suspicion and the positive items are the known label errors.

use crate::error::{Error, Undefined};
use crate::ranking::{OneVsRest, Ranking};
use crate::weights::Weights;

impl Ranking {
    /// Average precision, as scikit-learn's `average_precision_score`.
    ///
    /// Compare it with [`Ranking::prevalence`], which a random order reaches.
    ///
    /// # Errors
    /// Weights that do not fit, or undefined without a positive item.
    pub fn average_precision(&self, weights: Weights<'_>) -> Result<f64, Error> {
        let (mut found, mut taken, mut sum) = (0.0, 0.0, 0.0);
        let (positives, _) = self.each_block(weights, |positive, negative| {
            found += positive;
            taken += positive + negative;
            if positive > 0.0 {
                sum += positive * found / taken;
            }
        })?;
        if positives > 0.0 {
            Ok(sum / positives)
        } else {
            Err(Undefined::NoPositive.into())
        }
    }
}

impl OneVsRest {
    /// Average precision of each ranked class against the rest; `None` where undefined.
    ///
    /// # Errors
    /// Weights that do not fit.
    pub fn average_precision_per_class(
        &self,
        weights: Weights<'_>,
    ) -> Result<Vec<Option<f64>>, Error> {
        self.per_class(|ranking| ranking.average_precision(weights))
    }

    /// Mean average precision over the classes (one versus rest, macro).
    ///
    /// # Errors
    /// Weights that do not fit, or undefined: a class is absent from the truth (scikit-learn
    /// counts it as 0).
    pub fn macro_average_precision(&self, weights: Weights<'_>) -> Result<f64, Error> {
        self.mean(|ranking| ranking.average_precision(weights))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_scores_reach_the_prevalence() {
        let ranking = Ranking::new(&[true, false, false, false], &[0.5; 4]).unwrap();
        assert_eq!(ranking.average_precision(Weights::Equal), Ok(0.25));
    }

    #[test]
    fn no_positive_is_undefined_but_no_negative_is_perfect() {
        let precision = |positive: &[bool]| {
            Ranking::new(positive, &[0.1, 0.2])
                .unwrap()
                .average_precision(Weights::Equal)
        };
        assert_eq!(
            precision(&[false, false]),
            Err(Undefined::NoPositive.into())
        );
        assert_eq!(precision(&[true, true]), Ok(1.0));
    }
}
