//! STAPLE: one structure against the rest, with a sensitivity and a specificity per expert.
//!
//! S. Warfield, K. Zou, W. Wells, *Simultaneous truth and performance level estimation (STAPLE)*,
//! IEEE Transactions on Medical Imaging 23 (2004), doi:10.1109/TMI.2004.828354.
//!
//! ```text
//! start    w[i] = share of the votes at pixel i that are foreground
//!          g    = confidence weight × mean of w over pixels with votes
//! M        p[a] = Σ_i w[i] [a said foreground at i] / Σ_i w[i]             sensitivity
//!          q[a] = Σ_i (1 − w[i]) [a said background at i] / Σ_i (1 − w[i]) specificity
//!                 both over the pixels that a labelled
//! E        w[i] = g α / (g α + (1 − g) β), α = Π_a p[a] or 1 − p[a], β = Π_a 1 − q[a] or q[a]
//! stop     no p and no q moved by more than the tolerance
//! ```
//!
//! Equal to ITK's `STAPLEImageFilter` where every expert labelled every pixel. What differs on
//! purpose: without any foreground, or with nothing else, ITK answers NaN; here the probability is
//! 0 or 1, as all experts say, and what cannot be known of the experts is NaN. Pixels that an expert
//! left unlabelled are missing data (ITK takes everything but the foreground as background).

use cleanslide_data::UNLABELLED_CLASS;
use ndarray::{Array2, ArrayView2};

use super::majority::shares;
use super::{VotePatterns, paint};
use crate::fusion::{FusionError, check_iterations, check_option, check_tolerance};

/// Sensitivity and specificity per expert, fitted by expectation maximisation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Staple {
    /// The class that is foreground; all others together are background.
    pub foreground: u8,
    /// Factor on the share of foreground that is expected beforehand, above 0.
    pub confidence_weight: f64,
    /// Greatest number of iterations.
    pub iterations: usize,
    /// The fit has converged when no sensitivity or specificity moves by more.
    pub tolerance: f64,
}

impl Default for Staple {
    /// Class 1, confidence weight 1 and tolerance 1e-7, as in ITK; at most 100,000 iterations (ITK:
    /// no bound).
    fn default() -> Self {
        Self {
            foreground: 1,
            confidence_weight: 1.0,
            iterations: 100_000,
            tolerance: 1e-7,
        }
    }
}

/// What STAPLE found.
#[derive(Debug, Clone, PartialEq)]
pub struct StapleConsensus {
    /// Probability of foreground for each pattern of votes; NaN for the one without votes.
    pub foreground: Vec<f64>,
    /// Probability that the expert marks foreground as foreground; NaN if unknown.
    pub sensitivity: Vec<f64>,
    /// Probability that the expert marks background as background; NaN if unknown.
    pub specificity: Vec<f64>,
    /// The share of foreground that was expected beforehand.
    pub prior: f64,
    /// Number of iterations that were run (ITK's elapsed iterations plus 1).
    pub iterations: usize,
    /// Whether the tolerance was met.
    pub converged: bool,
}

impl StapleConsensus {
    /// The probability of foreground at each pixel of one image, given its picture of patterns
    /// ([`VotePatterns::add`]); NaN where nobody voted.
    pub fn probability(&self, patterns: ArrayView2<'_, u32>) -> Array2<f32> {
        let of_pattern: Vec<f32> = self.foreground.iter().map(|&p| p as f32).collect();
        paint(patterns, &of_pattern, f32::NAN)
    }

    /// 1 where the probability is at least `threshold`, 0 where it is lower, 255 where nobody
    /// voted.
    pub fn mask(&self, patterns: ArrayView2<'_, u32>, threshold: f64) -> Array2<u8> {
        let label = |&probability: &f64| {
            if probability.is_nan() {
                UNLABELLED_CLASS
            } else {
                u8::from(probability >= threshold)
            }
        };
        let of_pattern: Vec<u8> = self.foreground.iter().map(label).collect();
        paint(patterns, &of_pattern, UNLABELLED_CLASS)
    }
}

impl Staple {
    /// Fits the model.
    ///
    /// # Errors
    /// No votes at all; a foreground that is not a class; an option outside its range.
    pub fn fuse(&self, patterns: &VotePatterns) -> Result<StapleConsensus, FusionError> {
        let known = |class: f64| class < patterns.classes() as f64;
        let class = f64::from(self.foreground);
        check_option("foreground", class, known, "one of the classes")?;
        let positive = |weight: f64| weight > 0.0 && weight.is_finite();
        check_option(
            "confidence weight",
            self.confidence_weight,
            positive,
            "above 0",
        )?;
        check_iterations("iterations", self.iterations)?;
        check_tolerance("tolerance", self.tolerance)?;
        patterns.check_votes()?;

        let foreground = usize::from(self.foreground);
        let mut weights: Vec<f64> = shares(patterns, |_, _| 1.0).column(foreground).to_vec();
        let prior = self.prior(patterns, &weights);
        let mut skills = Vec::new();
        let (mut iterations, mut converged) = (0, false);
        while iterations < self.iterations && !converged {
            let next = Skill::estimate(patterns, foreground, &weights);
            for (pattern, weight) in weights.iter_mut().enumerate() {
                *weight = posterior(patterns, foreground, pattern, prior, &next, *weight);
            }
            converged = iterations > 0 && Skill::close(&skills, &next, self.tolerance);
            skills = next;
            iterations += 1;
        }
        for (pattern, weight) in weights.iter_mut().enumerate() {
            if patterns.given(pattern).next().is_none() {
                *weight = f64::NAN;
            }
        }
        Ok(StapleConsensus {
            foreground: weights,
            sensitivity: skills.iter().map(|skill| skill.sensitivity).collect(),
            specificity: skills.iter().map(|skill| skill.specificity).collect(),
            prior,
            iterations,
            converged,
        })
    }

    fn prior(&self, patterns: &VotePatterns, shares: &[f64]) -> f64 {
        let weighted = |(pattern, share): (usize, &f64)| share * patterns.count(pattern) as f64;
        let sum: f64 = shares.iter().enumerate().map(weighted).sum();
        (self.confidence_weight * sum / patterns.labelled() as f64).min(1.0)
    }
}

/// How good one expert is.
#[derive(Clone, Copy)]
struct Skill {
    sensitivity: f64,
    specificity: f64,
}

impl Skill {
    fn estimate(patterns: &VotePatterns, foreground: usize, weights: &[f64]) -> Vec<Self> {
        // Per expert: weight of foreground and of background, said and all.
        let mut sums = vec![[0.0; 4]; patterns.experts()];
        for (pattern, weight) in weights.iter().enumerate() {
            let count = patterns.count(pattern) as f64;
            for (expert, class) in patterns.given(pattern) {
                let [hits, positives, rejections, negatives] = &mut sums[expert];
                *positives += weight * count;
                *negatives += (1.0 - weight) * count;
                if class == foreground {
                    *hits += weight * count;
                } else {
                    *rejections += (1.0 - weight) * count;
                }
            }
        }
        let skill = |&[hits, positives, rejections, negatives]: &[f64; 4]| Self {
            sensitivity: hits / positives,
            specificity: rejections / negatives,
        };
        sums.iter().map(skill).collect()
    }

    /// Whether nobody's skill moved by more than the tolerance.
    fn close(before: &[Self], after: &[Self], tolerance: f64) -> bool {
        // What is unknown does not move.
        let still = |one: f64, other: f64| {
            (one - other).abs() <= tolerance || (one.is_nan() && other.is_nan())
        };
        before.iter().zip(after).all(|(before, after)| {
            still(before.sensitivity, after.sensitivity)
                && still(before.specificity, after.specificity)
        })
    }
}

/// The probability of foreground of a pattern. Experts of whom nothing is known have no say.
fn posterior(
    patterns: &VotePatterns,
    foreground: usize,
    pattern: usize,
    prior: f64,
    skills: &[Skill],
    before: f64,
) -> f64 {
    if prior <= 0.0 || prior >= 1.0 {
        return prior;
    }
    // Logarithms, so that many experts do not underflow.
    let (mut alpha, mut beta) = (prior.ln(), (1.0 - prior).ln());
    for (expert, class) in patterns.given(pattern) {
        let Skill {
            sensitivity,
            specificity,
        } = skills[expert];
        if sensitivity.is_nan() || specificity.is_nan() {
            continue;
        }
        if class == foreground {
            alpha += sensitivity.ln();
            beta += (1.0 - specificity).ln();
        } else {
            alpha += (1.0 - sensitivity).ln();
            beta += specificity.ln();
        }
    }
    if alpha == f64::NEG_INFINITY && beta == f64::NEG_INFINITY {
        return before;
    }
    1.0 / (1.0 + (beta - alpha).exp())
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn fuse(masks: &[Array2<u8>]) -> (StapleConsensus, Array2<f32>) {
        let views: Vec<_> = masks.iter().map(|mask| Some(mask.view())).collect();
        let mut patterns = VotePatterns::new(masks.len(), 2).unwrap();
        let map = patterns.add(&views).unwrap();
        let consensus = Staple::default().fuse(&patterns).unwrap();
        let probability = consensus.probability(map.view());
        (consensus, probability)
    }

    #[test]
    fn all_background_and_all_foreground_are_answers() {
        let (consensus, probability) = fuse(&[array![[0, 0]], array![[0, 0]]]);
        assert_eq!(probability, array![[0.0, 0.0]]);
        assert!(consensus.sensitivity[0].is_nan() && consensus.converged);
        assert_eq!(consensus.specificity, [1.0, 1.0]);
        let (consensus, probability) = fuse(&[array![[1, 1]], array![[1, 1]]]);
        assert_eq!(probability, array![[1.0, 1.0]]);
        assert!(consensus.specificity[1].is_nan());
    }

    #[test]
    fn unlabelled_pixels_are_missing() {
        let (consensus, probability) = fuse(&[
            array![[0, 1, 1, 0, 255]],
            array![[0, 1, 1, 255, 255]],
            array![[0, 1, 255, 1, 255]],
        ]);
        assert!(probability[[0, 4]].is_nan());
        assert!(probability[[0, 2]] > 0.99);
        assert!(
            consensus
                .sensitivity
                .iter()
                .all(|p| (0.0..=1.0).contains(p))
        );
    }

    #[test]
    fn many_experts_do_not_underflow() {
        let masks: Vec<_> = (0..3000)
            .map(|expert| array![[0, u8::from(expert % 3 > 0), u8::from(expert % 3 > 1), 1]])
            .collect();
        let (_, probability) = fuse(&masks);
        assert!(probability.iter().all(|p| (0.0..=1.0).contains(p)));
    }

    #[test]
    fn bad_options_are_refused() {
        let mut patterns = VotePatterns::new(1, 2).unwrap();
        patterns.add(&[Some(array![[1, 0]].view())]).unwrap();
        let error = |rule: Staple| rule.fuse(&patterns).unwrap_err().to_string();
        let default = Staple::default();
        assert_eq!(
            error(Staple {
                foreground: 2,
                ..default
            }),
            "option foreground is 2, but must be one of the classes"
        );
        assert_eq!(
            error(Staple {
                confidence_weight: 0.0,
                ..default
            }),
            "option confidence weight is 0, but must be above 0"
        );
    }
}
