//! Items ranked by a score: the ground of AUROC, average precision and precision at k.

use ndarray::ArrayView2;
use rayon::prelude::*;

use crate::error::{Error, Undefined, check_length};
use crate::labels::{check_classes, check_scores};
use crate::weights::Weights;

/// Positive and negative items in descending order of a score.
///
/// Sorting happens once; each metric is then one pass, whatever the weights. Items of equal
/// score form one block that no metric takes apart, so their order in the input is irrelevant.
/// Infinite scores are allowed and rank at the ends.
#[derive(Debug, Clone)]
pub struct Ranking {
    ranked: Vec<RankedItem>,
}

#[derive(Debug, Clone, Copy)]
struct RankedItem {
    item: usize,
    positive: bool,
    /// The next item has a lower score, or there is none.
    ends_block: bool,
}

impl Ranking {
    /// Ranks items by `scores`, higher meaning more likely positive.
    ///
    /// # Errors
    /// No items, lengths that differ, or a score that is NaN.
    pub fn new<S: Copy + Into<f64>>(positive: &[bool], scores: &[S]) -> Result<Self, Error> {
        if positive.is_empty() {
            return Err(Error::Empty { what: "truth" });
        }
        check_length("scores", scores.len(), positive.len())?;
        if let Some(item) = scores.iter().position(|&score| score.into().is_nan()) {
            return Err(Error::ScoreIsNan { item, class: 1 });
        }
        Ok(Self::from_scores(
            scores.iter().map(|&score| score.into()),
            |item| positive[item],
        ))
    }

    /// Ranks scores that are known not to be NaN.
    fn from_scores(scores: impl Iterator<Item = f64>, positive: impl Fn(usize) -> bool) -> Self {
        let mut keyed: Vec<(u64, usize)> = scores
            .enumerate()
            .map(|(item, score)| (!ascending_key(score), item))
            .collect();
        keyed.par_sort_unstable();
        let ranked = keyed
            .iter()
            .enumerate()
            .map(|(rank, &(key, item))| RankedItem {
                item,
                positive: positive(item),
                ends_block: keyed.get(rank + 1).is_none_or(|&(next, _)| next != key),
            })
            .collect();
        Ranking { ranked }
    }

    /// The number of items.
    pub fn items(&self) -> usize {
        self.ranked.len()
    }

    /// Share of positive items: the average precision and precision at k that chance reaches.
    ///
    /// # Errors
    /// Weights that do not fit, or undefined without items.
    pub fn prevalence(&self, weights: Weights<'_>) -> Result<f64, Error> {
        let (positives, negatives) = self.each_block(weights, |_, _| ())?;
        if positives + negatives > 0.0 {
            Ok(positives / (positives + negatives))
        } else {
            Err(Undefined::NoItems.into())
        }
    }

    /// Calls `visit` with the summed weight of positive and negative items of each block of equal
    /// scores, from the highest score down, and returns both totals.
    pub(crate) fn each_block(
        &self,
        weights: Weights<'_>,
        mut visit: impl FnMut(f64, f64),
    ) -> Result<(f64, f64), Error> {
        weights.check(self.ranked.len())?;
        let (mut positives, mut negatives) = (0.0, 0.0);
        let mut block = (0.0, 0.0);
        for ranked in &self.ranked {
            let weight = weights.of(ranked.item);
            *(if ranked.positive {
                &mut block.0
            } else {
                &mut block.1
            }) += weight;
            if ranked.ends_block {
                visit(block.0, block.1);
                positives += block.0;
                negatives += block.1;
                block = (0.0, 0.0);
            }
        }
        Ok((positives, negatives))
    }
}

/// For each class, the items ranked by the score for that class, against all other classes.
#[derive(Debug, Clone)]
pub struct OneVsRest {
    rankings: Vec<(usize, Ranking)>,
}

impl OneVsRest {
    /// Ranks items by each column of `scores` [items, classes]; probabilities or logits.
    ///
    /// # Errors
    /// No items, no classes, lengths that differ, a class out of range, or a score that is NaN.
    pub fn new(truth: &[usize], scores: ArrayView2<'_, f32>) -> Result<Self, Error> {
        check_classes("truth", truth, scores.ncols())?;
        check_length("scores", scores.nrows(), truth.len())?;
        check_scores(scores)?;
        let rankings = (0..scores.ncols())
            .into_par_iter()
            .map(|class| {
                let column = scores
                    .column(class)
                    .into_iter()
                    .map(|&score| f64::from(score));
                (
                    class,
                    Ranking::from_scores(column, |item| truth[item] == class),
                )
            })
            .collect();
        Ok(OneVsRest { rankings })
    }

    /// Keeps only the classes that occur in the truth.
    ///
    /// A macro average is undefined if any class is absent, because an average over fewer classes
    /// is another quantity. Call this to average over the classes there are; the choice is made
    /// once on the complete data and holds in every resample.
    #[must_use]
    pub fn present_classes_only(mut self) -> Self {
        self.rankings
            .retain(|(_, ranking)| ranking.ranked.iter().any(|item| item.positive));
        self
    }

    /// The classes that are ranked.
    pub fn classes(&self) -> impl Iterator<Item = usize> {
        self.rankings.iter().map(|&(class, _)| class)
    }

    /// A metric of each class's ranking; `None` where it is undefined.
    pub(crate) fn per_class(
        &self,
        metric: impl Fn(&Ranking) -> Result<f64, Error>,
    ) -> Result<Vec<Option<f64>>, Error> {
        self.rankings
            .iter()
            .map(|(_, ranking)| match metric(ranking) {
                Ok(value) => Ok(Some(value)),
                Err(Error::Undefined(_)) => Ok(None),
                Err(error) => Err(error),
            })
            .collect()
    }

    /// The mean of a metric over classes, undefined if it is undefined for one of them.
    pub(crate) fn mean(
        &self,
        metric: impl Fn(&Ranking) -> Result<f64, Error>,
    ) -> Result<f64, Error> {
        let mut sum = 0.0;
        for &(class, ref ranking) in &self.rankings {
            sum += metric(ranking).map_err(|error| match error {
                Error::Undefined(Undefined::NoPositive) => Undefined::AbsentClass { class }.into(),
                Error::Undefined(Undefined::NoNegative) => Undefined::OnlyClass { class }.into(),
                other => other,
            })?;
        }
        Ok(sum / self.rankings.len() as f64)
    }
}

/// The rank of each score, 1 for the lowest; equal scores share the mean of their ranks.
///
/// # Errors
/// A score that is NaN.
pub fn midranks<S: Copy + Into<f64>>(scores: &[S]) -> Result<Vec<f64>, Error> {
    if let Some(item) = scores.iter().position(|&score| score.into().is_nan()) {
        return Err(Error::ScoreIsNan { item, class: 1 });
    }
    let mut keyed: Vec<(u64, usize)> = scores
        .iter()
        .enumerate()
        .map(|(item, &s)| (ascending_key(s.into()), item))
        .collect();
    keyed.par_sort_unstable();
    let mut ranks = vec![0.0; scores.len()];
    let mut below = 0;
    for block in keyed.chunk_by(|a, b| a.0 == b.0) {
        let rank = below as f64 + (block.len() as f64 + 1.0) / 2.0;
        for &(_, item) in block {
            ranks[item] = rank;
        }
        below += block.len();
    }
    Ok(ranks)
}

/// An integer that orders as the score does; -0 and 0 share one.
fn ascending_key(score: f64) -> u64 {
    let bits = (score + 0.0).to_bits();
    // IEEE 754: positive numbers order as their bits, negative ones the other way round.
    if bits >> 63 == 0 {
        bits | 1 << 63
    } else {
        !bits
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn keys_order_as_scores() {
        let scores = [
            f64::NEG_INFINITY,
            -2.5,
            -1e-300,
            0.0,
            1e-300,
            0.7,
            f64::INFINITY,
        ];
        assert!(
            scores
                .windows(2)
                .all(|pair| ascending_key(pair[0]) < ascending_key(pair[1]))
        );
        assert_eq!(ascending_key(-0.0), ascending_key(0.0));
    }

    #[test]
    fn midranks_share_ties() {
        assert_eq!(
            midranks(&[0.5, 0.1, 0.5, 0.9]).unwrap(),
            [2.5, 1.0, 2.5, 4.0]
        );
        assert!(midranks(&[f64::NAN]).is_err());
        assert!(midranks::<f64>(&[]).unwrap().is_empty());
    }

    #[test]
    fn bad_scores_are_named() {
        let message = |positive: &[bool], scores: &[f32]| {
            Ranking::new(positive, scores).unwrap_err().to_string()
        };
        assert_eq!(message(&[], &[]), "truth is empty");
        assert_eq!(
            message(&[true], &[]),
            "scores has 0 entries, but there are 1 items"
        );
        assert_eq!(
            message(&[true, false], &[0.1, f32::NAN]),
            "the score of item 1 for class 1 is not a number"
        );
        let scores = array![[0.1, 0.9], [0.1, f32::NAN]];
        assert!(OneVsRest::new(&[0, 1], scores.view()).is_err());
        assert!(OneVsRest::new(&[0], array![[0.1, 0.9], [0.5, 0.5]].view()).is_err());
        assert!(OneVsRest::new(&[0, 2], array![[0.1, 0.9], [0.5, 0.5]].view()).is_err());
    }

    #[test]
    fn prevalence_is_the_share_of_positives() {
        let ranking = Ranking::new(&[true, false, false, true], &[0.1, 0.2, 0.3, 0.4]).unwrap();
        assert_eq!(ranking.prevalence(Weights::Equal), Ok(0.5));
        assert_eq!(ranking.prevalence(Weights::Counts(&[3, 1, 0, 0])), Ok(0.75));
        assert_eq!(
            ranking.prevalence(Weights::Counts(&[0; 4])),
            Err(Undefined::NoItems.into())
        );
    }
}
