//! The Dawid–Skene model per pixel.
//!
//! The formulas and the stopping rule are those of [`DawidSkene`](crate::fusion::DawidSkene),
//! with pixels for items: the answers are the same, but the work is done on patterns of votes.

use cleanslide_data::Votes;
use ndarray::Array2;

use super::{MaskConsensus, MaskTie, VotePatterns, decide};
use crate::fusion::dawid_skene::{Expected, Model, cell};
use crate::fusion::{
    FusionError, Reliability, add, check_iterations, check_tolerance, shares, voted,
};

/// One confusion matrix per expert, and how common the classes are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MaskDawidSkene {
    /// What happens to ties.
    pub tie: MaskTie,
    /// Greatest number of iterations.
    pub iterations: usize,
    /// Gain per vote below which the fit has converged.
    pub tolerance: f64,
}

impl Default for MaskDawidSkene {
    /// 100 iterations, tolerance 1e-5, as in crowd-kit; ties stay unlabelled.
    fn default() -> Self {
        Self {
            tie: MaskTie::default(),
            iterations: 100,
            tolerance: 1e-5,
        }
    }
}

impl MaskDawidSkene {
    /// Fits the model. Reliability is [`Reliability::Confusion`].
    ///
    /// # Errors
    /// No votes at all; no iterations; a tolerance that is negative or NaN.
    pub fn fuse(&self, patterns: &VotePatterns) -> Result<MaskConsensus, FusionError> {
        let mut posterior = Array2::zeros((patterns.len(), patterns.classes()));
        let fit = self.fit(patterns, |votes, model| {
            expect(patterns, votes, &mut posterior, model)
        })?;
        Ok(MaskConsensus {
            labels: decide(patterns, &posterior, self.tie),
            posterior,
            reliability: fit.reliability,
            iterations: fit.iterations,
            converged: fit.converged,
        })
    }

    /// Alternates M steps with the given E step, which without a model starts from the shares of
    /// votes.
    pub(super) fn fit(
        &self,
        patterns: &VotePatterns,
        mut expect: impl FnMut(&Votes, Option<&Model>) -> Expected,
    ) -> Result<Fit, FusionError> {
        check_iterations("iterations", self.iterations)?;
        check_tolerance("tolerance", self.tolerance)?;
        patterns.check_votes()?;
        let votes = patterns.as_votes()?;
        let voted = voted(&votes);
        let total: u64 = (0..patterns.len())
            .map(|pattern| patterns.count(pattern) * votes.of(pattern).len() as u64)
            .sum();

        let mut model = Model::fit(&votes, &voted, &expect(&votes, None));
        let mut bound = f64::NEG_INFINITY;
        let (mut iterations, mut converged) = (0, false);
        while iterations < self.iterations && !converged {
            iterations += 1;
            let expected = expect(&votes, Some(&model));
            model = Model::fit(&votes, &voted, &expected);
            let next = model.bound(&expected) / total as f64;
            converged = next - bound < self.tolerance;
            bound = next;
        }
        Ok(Fit {
            reliability: Reliability::Confusion(model.confusion(&votes, &voted)),
            iterations,
            converged,
        })
    }
}

/// How a fit ended.
pub(super) struct Fit {
    pub(super) reliability: Reliability,
    pub(super) iterations: usize,
    pub(super) converged: bool,
}

/// Fills the posterior of every pattern and sums up over the pixels.
fn expect(
    patterns: &VotePatterns,
    votes: &Votes,
    posterior: &mut Array2<f64>,
    model: Option<&Model>,
) -> Expected {
    let classes = patterns.classes();
    let mut sums = nothing(patterns);
    for (pattern, row) in posterior
        .as_slice_mut()
        .unwrap_or_default()
        .chunks_exact_mut(classes)
        .enumerate()
    {
        let ballot = votes.of(pattern);
        if ballot.is_empty() {
            continue;
        }
        let count = patterns.count(pattern) as f64;
        match model {
            Some(model) => sums.entropy += count * model.infer(classes, ballot, row),
            None => shares(ballot, row),
        }
        let weighted: Vec<f64> = row.iter().map(|probability| count * probability).collect();
        add(&mut sums.classes, &weighted);
        for vote in ballot {
            let start = cell(classes, vote);
            add(&mut sums.counts[start..start + classes], &weighted);
        }
    }
    sums
}

/// Sums to begin with.
pub(super) fn nothing(patterns: &VotePatterns) -> Expected {
    let classes = patterns.classes();
    Expected {
        counts: vec![0.0; patterns.experts() * classes * classes],
        classes: vec![0.0; classes],
        entropy: 0.0,
        items: patterns.labelled() as usize,
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::fusion::DawidSkene;

    #[test]
    fn pixels_are_items() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let masks: Vec<Array2<u8>> = (0..4)
            .map(|_| {
                Array2::from_shape_fn((17, 23), |(y, x)| match rng.random_range(0..10) {
                    0 => 255,
                    1 | 2 => rng.random_range(0..3),
                    _ => ((x / 8 + y / 6) % 3) as u8,
                })
            })
            .collect();
        let views: Vec<_> = masks.iter().map(|mask| Some(mask.view())).collect();
        let mut patterns = VotePatterns::new(4, 3).unwrap();
        let map = patterns.add(&views).unwrap();
        let ours = MaskDawidSkene::default().fuse(&patterns).unwrap();

        let triplets: Vec<_> = (0..17 * 23)
            .flat_map(|pixel| (0..4).map(move |expert| (pixel, expert)))
            .filter_map(|(pixel, expert)| {
                let class = masks[expert][[pixel / 23, pixel % 23]];
                (class != 255).then_some((pixel, expert, usize::from(class)))
            })
            .collect();
        let votes = Votes::from_triplets(17 * 23, 4, 3, &triplets).unwrap();
        let plain = DawidSkene::default().fuse(&votes).unwrap();
        assert_eq!(ours.iterations, plain.iterations);
        // Only the order of the sums differs.
        for (pixel, &pattern) in map.iter().enumerate() {
            for class in 0..3 {
                let difference =
                    ours.posterior[[pattern as usize, class]] - plain.posterior[[pixel, class]];
                assert!(difference.abs() < 1e-9, "{pixel} {class}: {difference}");
            }
        }
    }
}
