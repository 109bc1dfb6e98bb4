//! Weighted majority vote per pixel.
//!
//! ```text
//! posterior[i, k] = Σ_a w[a, k] [a said k at i] / Σ_a w[a, vote of a at i]
//! ```

use ndarray::Array2;

use super::majority::{closed_form, shares};
use super::{MaskConsensus, MaskTie, VotePatterns};
use crate::fusion::{FusionError, check_option};

/// The class whose voters weigh most at each pixel.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightedMaskMajority {
    /// Weight of each expert's votes for each class, \[experts, classes\], 0 or more.
    pub weights: Array2<f64>,
    /// What happens to ties.
    pub tie: MaskTie,
}

impl WeightedMaskMajority {
    /// The same weight for all classes; ties stay unlabelled.
    pub fn per_expert(weights: &[f64], classes: usize) -> Self {
        Self {
            weights: Array2::from_shape_fn((weights.len(), classes), |(expert, _)| weights[expert]),
            tie: MaskTie::default(),
        }
    }

    /// Sums the weights. A pixel on which all votes weigh 0 stays unlabelled. Reliability is
    /// [`Reliability::Agreement`](crate::fusion::Reliability::Agreement).
    ///
    /// # Errors
    /// No votes at all; weights of another shape; a weight that is negative or not finite.
    pub fn fuse(&self, patterns: &VotePatterns) -> Result<MaskConsensus, FusionError> {
        let expected = (patterns.experts(), patterns.classes());
        if self.weights.dim() != expected {
            return Err(FusionError::Shape {
                what: "weights of experts and classes",
                found: [self.weights.nrows(), self.weights.ncols()],
                expected: [expected.0, expected.1],
            });
        }
        for &weight in &self.weights {
            let valid = |weight: f64| weight >= 0.0 && weight.is_finite();
            check_option("weight", weight, valid, "finite and 0 or more")?;
        }
        patterns.check_votes()?;
        let posterior = shares(patterns, |expert, class| self.weights[[expert, class]]);
        Ok(closed_form(patterns, posterior, self.tie))
    }
}

#[cfg(test)]
mod tests {
    use cleanslide_data::UNLABELLED_CLASS;
    use ndarray::array;

    use super::*;

    #[test]
    fn weights_decide() {
        let masks = [array![[0, 1, 1]], array![[0, 0, 1]], array![[1, 0, 255]]];
        let views: Vec<_> = masks.iter().map(|mask| Some(mask.view())).collect();
        let mut patterns = VotePatterns::new(3, 2).unwrap();
        let map = patterns.add(&views).unwrap();
        let mask = |rule: WeightedMaskMajority| rule.fuse(&patterns).unwrap().mask(map.view());

        let equal = WeightedMaskMajority::per_expert(&[1.0; 3], 2);
        assert_eq!(mask(equal), array![[0, 0, 1]]);
        let first = WeightedMaskMajority::per_expert(&[3.0, 1.0, 1.0], 2);
        assert_eq!(mask(first), array![[0, 1, 1]]);
        let tied = WeightedMaskMajority::per_expert(&[0.3, 0.1, 0.2], 2);
        assert_eq!(mask(tied), array![[0, UNLABELLED_CLASS, 1]]);
        let per_class = WeightedMaskMajority {
            weights: array![[1.0, 0.0], [1.0, 0.0], [1.0, 5.0]],
            tie: MaskTie::Unlabelled,
        };
        assert_eq!(mask(per_class), array![[1, 0, UNLABELLED_CLASS]]);
        let negative = WeightedMaskMajority::per_expert(&[1.0, -1.0, 1.0], 2);
        assert!(negative.fuse(&patterns).is_err());
        assert!(
            WeightedMaskMajority::per_expert(&[1.0], 2)
                .fuse(&patterns)
                .is_err()
        );
    }
}
