//! Precision and recall of the k items of highest score: what a reviewer with time for k items
//! finds.
//!
//! ```text
//! precision at k = positive items among the first k / k
//! recall at k    = positive items among the first k / positive items
//! ```
//!
//! Where equal scores straddle the cut, the expected value over their random order is taken
//! (F. McSherry, M. Najork, ECIR 2008, doi:10.1007/978-3-540-78646-7_38).

use crate::error::{Error, Undefined};
use crate::ranking::Ranking;
use crate::weights::Weights;

impl Ranking {
    /// Share of positive items among the `k` of highest score.
    ///
    /// # Errors
    /// `k` is zero, weights that do not fit, or undefined with fewer than `k` items.
    pub fn precision_at(&self, k: usize, weights: Weights<'_>) -> Result<f64, Error> {
        let (found, _) = self.found_at(k, weights)?;
        Ok(found / k as f64)
    }

    /// Share of the positive items that are among the `k` of highest score.
    ///
    /// # Errors
    /// `k` is zero, weights that do not fit, or undefined with fewer than `k` items or without a
    /// positive one.
    pub fn recall_at(&self, k: usize, weights: Weights<'_>) -> Result<f64, Error> {
        let (found, positives) = self.found_at(k, weights)?;
        if positives > 0.0 {
            Ok(found / positives)
        } else {
            Err(Undefined::NoPositive.into())
        }
    }

    /// Expected weight of positive items among the first `k`, and of all positive items.
    fn found_at(&self, k: usize, weights: Weights<'_>) -> Result<(f64, f64), Error> {
        if k == 0 {
            return Err(Error::Zero {
                what: "ranked items to look at",
            });
        }
        let (mut left, mut found) = (k as f64, 0.0);
        let (positives, negatives) = self.each_block(weights, |positive, negative| {
            let block = positive + negative;
            if block > 0.0 && left > 0.0 {
                let taken = block.min(left);
                found += positive * (taken / block);
                left -= taken;
            }
        })?;
        if positives + negatives < k as f64 {
            return Err(Undefined::FewerItems { k }.into());
        }
        Ok((found, positives))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranking() -> Ranking {
        Ranking::new(
            &[true, false, true, false, true],
            &[0.9, 0.8, 0.5, 0.5, 0.1],
        )
        .unwrap()
    }

    #[test]
    fn cuts_the_ranking() {
        assert_eq!(ranking().precision_at(1, Weights::Equal), Ok(1.0));
        assert_eq!(ranking().precision_at(2, Weights::Equal), Ok(0.5));
        assert_eq!(ranking().recall_at(5, Weights::Equal), Ok(1.0));
        assert_eq!(ranking().recall_at(4, Weights::Equal), Ok(2.0 / 3.0));
    }

    #[test]
    fn a_cut_through_equal_scores_takes_their_share() {
        assert_eq!(ranking().precision_at(3, Weights::Equal), Ok(1.5 / 3.0));
    }

    #[test]
    fn impossible_cuts_are_named() {
        assert_eq!(
            ranking()
                .precision_at(6, Weights::Equal)
                .unwrap_err()
                .to_string(),
            "the metric is undefined: there are fewer than 6 items"
        );
        assert_eq!(
            ranking()
                .recall_at(0, Weights::Equal)
                .unwrap_err()
                .to_string(),
            "the number of ranked items to look at is zero"
        );
        assert_eq!(
            ranking().recall_at(1, Weights::Counts(&[0, 1, 0, 1, 0])),
            Err(Undefined::NoPositive.into())
        );
    }
}
