//! How much each item counts.

use crate::error::{Error, check_length};

/// How much each item counts in a metric.
///
/// An item of weight 2 counts as two equal items, one of weight 0 as absent.
#[derive(Debug, Clone, Copy)]
pub enum Weights<'a> {
    /// Every item counts once.
    Equal,
    /// How often each item was drawn; this is what the bootstrap passes.
    Counts(&'a [u32]),
    /// Sample weights, finite and not negative.
    Real(&'a [f64]),
}

impl Weights<'_> {
    /// Fails unless there is one valid weight for each of `items` items.
    pub(crate) fn check(self, items: usize) -> Result<(), Error> {
        match self {
            Weights::Equal => Ok(()),
            Weights::Counts(counts) => check_length("weights", counts.len(), items),
            Weights::Real(weights) => {
                check_length("weights", weights.len(), items)?;
                match weights.iter().position(|w| !w.is_finite() || *w < 0.0) {
                    Some(item) => Err(Error::InvalidWeight {
                        item,
                        weight: weights[item],
                    }),
                    None => Ok(()),
                }
            }
        }
    }

    /// The weight of one item; [`Weights::check`] was called before.
    #[inline]
    pub(crate) fn of(self, item: usize) -> f64 {
        match self {
            Weights::Equal => 1.0,
            Weights::Counts(counts) => f64::from(counts[item]),
            Weights::Real(weights) => weights[item],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_weights_are_named() {
        assert_eq!(
            Weights::Real(&[1.0, -1.0])
                .check(2)
                .unwrap_err()
                .to_string(),
            "the weight of item 1 is -1; weights are finite and not negative"
        );
        assert!(Weights::Real(&[f64::NAN]).check(1).is_err());
        assert_eq!(
            Weights::Counts(&[1]).check(2).unwrap_err().to_string(),
            "weights has 1 entries, but there are 2 items"
        );
        assert!(Weights::Equal.check(5).is_ok());
    }
}
