//! From what is seen of several entities in a case to a call: which of them it is, or none.
//!
//! An entity is something of which a case has one at most, such as a kind of tumour. What is seen of it is an amount, such
//! as an area.

use crate::error::{Error, Undefined, check_length};

/// When a case is called, and what.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CallSettings {
    /// Of two entities, the share of the second in both from which on it is called. Default 0.5. Of more, the largest is
    /// called.
    pub threshold: f64,
    /// The share of all entities in everything that was looked at below which no call is made. Default 0.01.
    pub least: f64,
}

impl Default for CallSettings {
    fn default() -> Self {
        Self {
            threshold: 0.5,
            least: 0.01,
        }
    }
}

impl CallSettings {
    /// The entity that is called, by amounts of each and of everything that was looked at; none where too little of all
    /// entities is seen, or nothing. Of entities of which there is the same amount, the first.
    pub fn call(&self, amounts: &[f64], looked_at: f64) -> Option<usize> {
        let seen: f64 = amounts.iter().sum();
        if seen <= 0.0 || seen < self.least * looked_at {
            return None;
        }
        if let Some(score) = score_of_two(amounts) {
            return Some(usize::from(score >= self.threshold));
        }
        let mut largest = 0;
        for (entity, &amount) in amounts.iter().enumerate() {
            if amount > amounts[largest] {
                largest = entity;
            }
        }
        Some(largest)
    }
}

/// Of two entities, the share of the second in both; none of nothing, or of another number of entities.
pub fn score_of_two(amounts: &[f64]) -> Option<f64> {
    match amounts {
        [first, second] if first + second > 0.0 => Some(second / (first + second)),
        _ => None,
    }
}

/// The threshold with the best balanced accuracy, where scores of at least the threshold mean the second of two entities:
/// 0.5, the middle between two neighbouring scores, or 0. Of equally good ones the nearest to 0.5, and of two such the lower.
///
/// # Errors
/// Lengths that differ, scores that are no numbers, or truths that are all the same.
pub fn choose_threshold(scores: &[f64], second: &[bool]) -> Result<f64, Error> {
    check_length("truth", second.len(), scores.len())?;
    if let Some(item) = scores.iter().position(|score| score.is_nan()) {
        return Err(Error::ScoreIsNan { item, class: 1 });
    }
    let seconds = second.iter().filter(|&&second| second).count();
    let firsts = second.len() - seconds;
    if seconds == 0 {
        return Err(Undefined::NoPositive.into());
    }
    if firsts == 0 {
        return Err(Undefined::NoNegative.into());
    }
    let mut sorted = scores.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.dedup();
    let between = sorted.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0);
    let balanced = |threshold: f64| {
        let right = |of: bool| {
            let items = scores.iter().zip(second);
            items
                .filter(|&(&score, &truth)| truth == of && (score >= threshold) == of)
                .count() as f64
        };
        (right(true) / seconds as f64 + right(false) / firsts as f64) / 2.0
    };
    let mut best = (0.5, balanced(0.5));
    // At 0 all are called the second: better than a threshold that has it the wrong way round.
    for threshold in between.chain([0.0]) {
        let value = balanced(threshold);
        let nearer = (threshold - 0.5f64).abs() < (best.0 - 0.5f64).abs();
        if value > best.1 || (value == best.1 && nearer) {
            best = (threshold, value);
        }
    }
    Ok(best.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn little_is_no_call() {
        let settings = CallSettings {
            threshold: 0.6,
            least: 0.1,
        };
        assert_eq!(settings.call(&[3.0, 7.0], 100.0), Some(1));
        assert_eq!(settings.call(&[5.0, 5.0], 100.0), Some(0));
        assert_eq!(settings.call(&[4.0, 5.9], 100.0), None);
        assert_eq!(settings.call(&[0.0, 0.0], 0.0), None);
        // Of three the largest, of equals the first.
        assert_eq!(settings.call(&[1.0, 4.0, 4.0], 10.0), Some(1));
    }

    #[test]
    fn half_unless_another_is_better() {
        let choose = |scores: &[f64], second: &[bool]| choose_threshold(scores, second);
        assert_eq!(choose(&[0.1, 0.9], &[false, true]), Ok(0.5));
        let threshold = choose(&[0.1, 0.2, 0.4], &[false, true, true]).unwrap();
        assert!((threshold - 0.15).abs() < 1e-12);
        assert!(choose(&[0.1, 0.2], &[true, true]).is_err());
        assert!(choose(&[0.1, f64::NAN], &[true, false]).is_err());
        assert!(choose(&[0.1], &[true, false]).is_err());
    }

    proptest! {
        /// No threshold on a fine grid does better.
        #[test]
        fn no_threshold_is_better(cases in prop::collection::vec((0u8..=20, any::<bool>()), 2..30)) {
            let scores: Vec<f64> = cases.iter().map(|case| f64::from(case.0) / 20.0).collect();
            let second: Vec<bool> = cases.iter().map(|case| case.1).collect();
            prop_assume!(second.contains(&true) && second.contains(&false));
            let balanced = |threshold: f64| {
                let share = |of: bool| {
                    let all: Vec<bool> = scores
                        .iter()
                        .zip(&second)
                        .filter(|(_, truth)| **truth == of)
                        .map(|(score, _)| (*score >= threshold) == of)
                        .collect();
                    all.iter().filter(|right| **right).count() as f64 / all.len() as f64
                };
                (share(true) + share(false)) / 2.0
            };
            let chosen = balanced(choose_threshold(&scores, &second).unwrap());
            for step in 1..200 {
                prop_assert!(balanced(f64::from(step) / 200.0) <= chosen + 1e-12);
            }
        }
    }
}
