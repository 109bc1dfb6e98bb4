//! Noise rates: how true labels turn into given ones.

use ndarray::{Array1, Array2, Axis};

use super::ConfidentLearning;

/// As cleanlab: no noise rate above this, no prior below [`LOWEST_PRIOR`].
const HIGHEST_NOISE_RATE: f64 = 0.9999;
const LOWEST_PRIOR: f64 = 1e-6;
/// After the consistency iterations, cleanlab raises this bound.
const LOWEST_CONSISTENT_PRIOR: f64 = 1e-5;

/// Estimated prior of the true labels and the two conditional noise matrices.
#[derive(Debug, Clone, PartialEq)]
pub struct NoiseEstimate {
    /// P(true label), `[classes]`; sums to 1.
    pub prior: Array1<f64>,
    /// P(given label | true label), `[given, true]`; columns sum to 1. Forward correction uses its
    /// transpose, `[true, given]`.
    pub noise_matrix: Array2<f64>,
    /// P(true label | given label), `[true, given]`; columns sum to 1.
    pub inverse_noise_matrix: Array2<f64>,
}

impl ConfidentLearning<'_> {
    /// Estimates prior and noise matrices from the calibrated joint (cleanlab's
    /// `estimate_latent`).
    ///
    /// `consistent` repeats the estimates until prior and matrices fit each other and the observed
    /// labels better (cleanlab's `converge_latent_estimates`: 3 rounds of 5). A class without items
    /// has columns of zeros.
    pub fn noise_estimate(&self, consistent: bool) -> NoiseEstimate {
        let joint = self.calibrated_joint().mapv(|count| count as f64);
        let items: usize = self.label_counts().iter().sum();
        let given: Array1<f64> = self
            .label_counts()
            .iter()
            .map(|&count| count as f64 / items as f64)
            .collect();
        let noise = divide_columns(&joint, &joint.sum_axis(Axis(0)));
        let inverse = divide_columns(&joint.t().to_owned(), &joint.sum_axis(Axis(1)));
        let mut prior = count_prior(&given, &noise, &inverse, LOWEST_PRIOR);
        let mut noise = clip_noise_rates(noise);
        let mut inverse = clip_noise_rates(inverse);
        if consistent {
            for _ in 0..3 {
                for _ in 0..5 {
                    inverse = invert(&noise, &prior, &given);
                    prior = count_prior(&given, &noise, &inverse, LOWEST_PRIOR);
                }
                noise = invert(&inverse, &given, &prior);
            }
            prior = clip_prior(prior, LOWEST_CONSISTENT_PRIOR);
            noise = clip_noise_rates(noise);
            inverse = clip_noise_rates(inverse);
        }
        NoiseEstimate {
            prior,
            noise_matrix: noise,
            inverse_noise_matrix: inverse,
        }
    }
}

/// Bayes: P(b | a) from P(a | b) as `[a, b]`, P(b) and P(a).
fn invert(conditional: &Array2<f64>, prior: &Array1<f64>, evidence: &Array1<f64>) -> Array2<f64> {
    let joint = conditional * prior;
    clip_noise_rates(divide_columns(&joint.t().to_owned(), evidence))
}

fn divide_columns(matrix: &Array2<f64>, divisors: &Array1<f64>) -> Array2<f64> {
    matrix / &divisors.mapv(|divisor| divisor.max(f64::MIN_POSITIVE))
}

fn clip_noise_rates(mut matrix: Array2<f64>) -> Array2<f64> {
    for ((row, column), value) in matrix.indexed_iter_mut() {
        if row != column {
            *value = value.clamp(0.0, HIGHEST_NOISE_RATE);
        }
    }
    let sums = matrix.sum_axis(Axis(0));
    divide_columns(&matrix, &sums)
}

fn count_prior(
    given: &Array1<f64>,
    noise: &Array2<f64>,
    inverse: &Array2<f64>,
    lowest: f64,
) -> Array1<f64> {
    let correct = noise.diag().mapv(|rate| rate.max(f64::MIN_POSITIVE));
    clip_prior(&inverse.diag() / &correct * given, lowest)
}

fn clip_prior(prior: Array1<f64>, lowest: f64) -> Array1<f64> {
    let clipped = prior.mapv(|value| value.clamp(lowest, 1.0));
    let sum = clipped.sum();
    clipped / sum
}
