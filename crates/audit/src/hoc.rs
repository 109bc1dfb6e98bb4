//! Noise rates from the labels of nearest neighbours, without training.
//!
//! Zhu, Song, Liu: "Clusterability as an Alternative to Anchor Points When Learning with Noisy
//! Labels" (HOC), ICML 2021, [arXiv:2102.05291](https://arxiv.org/abs/2102.05291). If an item and
//! its two nearest neighbours share their true class and err independently, then with T the
//! transition matrix and p the prior of the true classes
//!
//! ```text
//! c1[a]       = P(y = a)                       = Σ_i p_i T_ia
//! c2[a, b]    = P(y = a, y' = b)               = Σ_i p_i T_ia T_ib
//! c3[a, b, c] = P(y = a, y' = b, y'' = c)      = Σ_i p_i T_ia T_ib T_ic
//! ```
//!
//! T and p are those that bring the right sides closest to the observed shares, in the sum of the
//! three Frobenius norms. As in the authors' code, rows of T and p are softmaxes, T starts at
//! softmax(5 I − 1), and Adam takes 500 steps with a rate of 0.1. Unlike it, all items are counted
//! once instead of random subsets, p starts uniform, and the best step is kept rather than the
//! last, so that the answer is deterministic.

use ndarray::{Array1, Array2, Array3, Axis};
use rayon::prelude::*;

use crate::AuditError;
use crate::error::count_labels_of_several_classes;
use crate::neighbours::Neighbours;

/// How often labels agree and disagree, as shares of all items.
#[derive(Debug, Clone, PartialEq)]
pub struct Consensus {
    /// Label of an item, `[classes]`.
    pub first: Array1<f64>,
    /// Labels of an item and its nearest neighbour, `[classes, classes]`.
    pub second: Array2<f64>,
    /// Labels of an item and its two nearest neighbours, `[classes, classes, classes]`.
    pub third: Array3<f64>,
}

/// Settings of the search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HocOptions {
    /// Steps of Adam; default 500.
    pub steps: usize,
    /// Learning rate; default 0.1.
    pub learning_rate: f64,
}

impl Default for HocOptions {
    fn default() -> Self {
        Self {
            steps: 500,
            learning_rate: 0.1,
        }
    }
}

/// What the consensus of neighbours says about the noise.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    /// P(given label | true label), `[true, given]`; rows sum to 1.
    pub matrix: Array2<f64>,
    /// P(true label); sums to 1.
    pub prior: Array1<f64>,
    /// Sum of the three Frobenius norms that is left.
    pub loss: f64,
}

impl Transition {
    /// Share of wrong labels: Σ p_i (1 − T_ii).
    pub fn noise_rate(&self) -> f64 {
        1.0 - self.prior.dot(&self.matrix.diag())
    }
}

impl Consensus {
    /// Counts the labels of each item and its two nearest neighbours (the authors use the cosine
    /// distance).
    ///
    /// # Errors
    /// Lengths that differ, labels out of range, all labels equal, or fewer than two neighbours.
    pub fn count(
        neighbours: &Neighbours,
        labels: &[usize],
        classes: usize,
    ) -> Result<Self, AuditError> {
        count_labels_of_several_classes(labels, neighbours.rows(), classes)?;
        neighbours.require(2)?;
        let mut first = Array1::zeros(classes);
        let mut second = Array2::zeros((classes, classes));
        let mut third = Array3::zeros((classes, classes, classes));
        for (nearest, &own) in neighbours.indices.rows().into_iter().zip(labels) {
            let (nearest, next) = (labels[nearest[0]], labels[nearest[1]]);
            first[own] += 1.0;
            second[[own, nearest]] += 1.0;
            third[[own, nearest, next]] += 1.0;
        }
        let items = labels.len() as f64;
        Ok(Self {
            first: first / items,
            second: second / items,
            third: third / items,
        })
    }

    /// What a transition matrix `[true, given]` and a prior let one expect.
    pub fn expected(transition: &Array2<f64>, prior: &Array1<f64>) -> Self {
        let classes = prior.len();
        let second_of = |weights: &Array1<f64>| {
            let weighted = transition * &weights.view().insert_axis(Axis(1));
            weighted.t().dot(transition)
        };
        let mut third = Array3::zeros((classes, classes, classes));
        third
            .axis_iter_mut(Axis(0))
            .into_par_iter()
            .enumerate()
            .for_each(|(class, mut slice)| {
                slice.assign(&second_of(&(prior * &transition.column(class))));
            });
        Self {
            first: prior.dot(transition),
            second: second_of(prior),
            third,
        }
    }

    /// Finds the transition matrix and prior that explain the consensus best. Time grows with
    /// classes⁴ per step, memory with classes³.
    ///
    /// # Errors
    /// No steps, or a learning rate that is not positive.
    pub fn solve(&self, options: &HocOptions) -> Result<Transition, AuditError> {
        if options.steps == 0 {
            return Err(AuditError::Option {
                option: "the number of steps",
                value: "0".to_owned(),
                expected: "at least 1",
            });
        }
        if !(options.learning_rate > 0.0 && options.learning_rate.is_finite()) {
            return Err(AuditError::Option {
                option: "the learning rate",
                value: options.learning_rate.to_string(),
                expected: "above 0",
            });
        }
        let classes = self.first.len();
        let mut matrix_logits = Array2::eye(classes) * 5.0 - 1.0;
        let mut prior_logits = Array1::from_elem(classes, 1.0 / classes as f64);
        let mut matrix_step = Adam::new(classes * classes);
        let mut prior_step = Adam::new(classes);
        let mut best: Option<Transition> = None;
        for step in 0..=options.steps {
            let matrix = softmax_rows(&matrix_logits);
            let prior = softmax(&prior_logits);
            let (loss, matrix_gradient, prior_gradient) = self.gradient(&matrix, &prior);
            if best.as_ref().is_none_or(|best| loss < best.loss) {
                best = Some(Transition {
                    matrix: matrix.clone(),
                    prior: prior.clone(),
                    loss,
                });
            }
            if step < options.steps {
                let rate = options.learning_rate;
                let gradient = through_softmax_rows(&matrix, &matrix_gradient);
                matrix_step.take(rate, gradient.iter(), matrix_logits.iter_mut());
                let gradient = through_softmax(&prior, &prior_gradient);
                prior_step.take(rate, gradient.iter(), prior_logits.iter_mut());
            }
        }
        best.ok_or(AuditError::Empty { what: "steps" })
    }

    /// Sum of the Frobenius norms of the differences, and its gradient by matrix and prior.
    fn gradient(
        &self,
        transition: &Array2<f64>,
        prior: &Array1<f64>,
    ) -> (f64, Array2<f64>, Array1<f64>) {
        let expected = Self::expected(transition, prior);
        let (first_loss, first) = unit(expected.first - &self.first);
        let (second_loss, second) = unit(expected.second - &self.second);
        let (third_loss, third) = unit(expected.third - &self.third);
        let classes = prior.len();
        let rows: Vec<(Vec<f64>, f64)> = (0..classes)
            .into_par_iter()
            .map(|truth| {
                let row = transition.row(truth);
                // Σ_ab of a slice of the third order times T_a T_b, along each of its three axes.
                let along = |axis: usize| -> Array1<f64> {
                    let slices = third.axis_iter(Axis(axis));
                    slices.map(|slice| row.dot(&slice.dot(&row))).collect()
                };
                let (along_0, along_1, along_2) = (along(0), along(1), along(2));
                let right = second.dot(&row);
                let left = row.dot(&second);
                let by_prior = first.dot(&row) + row.dot(&right) + row.dot(&along_0);
                let by_row = (&first + &right + &left + along_0 + along_1 + along_2) * prior[truth];
                (by_row.to_vec(), by_prior)
            })
            .collect();
        let by_matrix =
            Array2::from_shape_fn((classes, classes), |(truth, given)| rows[truth].0[given]);
        let by_prior = rows.iter().map(|(_, by_prior)| *by_prior).collect();
        (first_loss + second_loss + third_loss, by_matrix, by_prior)
    }
}

/// The length of a vector and the vector divided by it; zero stays zero, which is a subgradient.
fn unit<D: ndarray::Dimension>(
    difference: ndarray::Array<f64, D>,
) -> (f64, ndarray::Array<f64, D>) {
    let length = difference
        .iter()
        .map(|value| value * value)
        .sum::<f64>()
        .sqrt();
    if length == 0.0 {
        return (0.0, difference);
    }
    (length, difference / length)
}

fn softmax(logits: &Array1<f64>) -> Array1<f64> {
    let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers = logits.mapv(|logit| (logit - highest).exp());
    let sum = powers.sum();
    powers / sum
}

fn softmax_rows(logits: &Array2<f64>) -> Array2<f64> {
    let mut rows = logits.clone();
    for mut row in rows.rows_mut() {
        let shares = softmax(&row.to_owned());
        row.assign(&shares);
    }
    rows
}

fn through_softmax(shares: &Array1<f64>, gradient: &Array1<f64>) -> Array1<f64> {
    shares * &(gradient - shares.dot(gradient))
}

fn through_softmax_rows(shares: &Array2<f64>, gradient: &Array2<f64>) -> Array2<f64> {
    let mut result = gradient.clone();
    for (mut gradient, shares) in result.rows_mut().into_iter().zip(shares.rows()) {
        let passed = through_softmax(&shares.to_owned(), &gradient.to_owned());
        gradient.assign(&passed);
    }
    result
}

/// Kingma, Ba: "Adam", [arXiv:1412.6980](https://arxiv.org/abs/1412.6980), with its defaults.
struct Adam {
    step: i32,
    mean: Vec<f64>,
    square: Vec<f64>,
}

impl Adam {
    const MEAN_DECAY: f64 = 0.9;
    const SQUARE_DECAY: f64 = 0.999;
    const EPSILON: f64 = 1e-8;

    fn new(numbers: usize) -> Self {
        Self {
            step: 0,
            mean: vec![0.0; numbers],
            square: vec![0.0; numbers],
        }
    }

    fn take<'a>(
        &mut self,
        rate: f64,
        gradient: impl Iterator<Item = &'a f64>,
        parameters: impl Iterator<Item = &'a mut f64>,
    ) {
        self.step += 1;
        let mean_bias = 1.0 - Self::MEAN_DECAY.powi(self.step);
        let square_bias = 1.0 - Self::SQUARE_DECAY.powi(self.step);
        let moments = self.mean.iter_mut().zip(&mut self.square);
        for ((gradient, parameter), (mean, square)) in gradient.zip(parameters).zip(moments) {
            *mean += (1.0 - Self::MEAN_DECAY) * (gradient - *mean);
            *square += (1.0 - Self::SQUARE_DECAY) * (gradient * gradient - *square);
            let scale = (*square / square_bias).sqrt() + Self::EPSILON;
            *parameter -= rate * (*mean / mean_bias) / scale;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Metric, nearest_neighbours};
    use ndarray::array;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let observed = Consensus::expected(
            &array![[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.1, 0.6]],
            &array![0.5, 0.2, 0.3],
        );
        let transition = array![[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.2, 0.7]];
        let prior = array![0.3, 0.3, 0.4];
        let (_, by_matrix, by_prior) = observed.gradient(&transition, &prior);
        // Central differences: error of order h² = 1e-10, rounding 1e-16 / h = 1e-11.
        let h = 1e-5;
        let loss = |t: &Array2<f64>, p: &Array1<f64>| observed.gradient(t, p).0;
        for ((row, column), gradient) in by_matrix.indexed_iter() {
            let (mut up, mut down) = (transition.clone(), transition.clone());
            up[[row, column]] += h;
            down[[row, column]] -= h;
            let slope = (loss(&up, &prior) - loss(&down, &prior)) / (2.0 * h);
            assert!((slope - gradient).abs() < 1e-7, "{slope} {gradient}");
        }
        for (class, gradient) in by_prior.indexed_iter() {
            let (mut up, mut down) = (prior.clone(), prior.clone());
            up[class] += h;
            down[class] -= h;
            let slope = (loss(&transition, &up) - loss(&transition, &down)) / (2.0 * h);
            assert!((slope - gradient).abs() < 1e-7, "{slope} {gradient}");
        }
    }

    /// Clusters far apart, so that neighbours share their true class, and labels drawn by a known
    /// matrix.
    ///
    /// An entry of the consensus has a standard error of at most √(¼ / n) = 0.004 for n = 16,000
    /// items (somewhat more, as an item is the neighbour of several others). T follows from it by
    /// equations of condition about 1 / (p (T_ii − T_ji)) < 8, hence 3 · 8 · 0.004 ≈ 0.1 at worst;
    /// the average entry must do better: a quarter of that.
    #[test]
    fn a_known_matrix_is_recovered_from_simulated_labels() {
        let transition = array![[0.8, 0.15, 0.05], [0.1, 0.7, 0.2], [0.05, 0.25, 0.7]];
        let prior = [0.5, 0.3, 0.2];
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let items = 16_000;
        let draw = |shares: &[f64], rng: &mut ChaCha8Rng| {
            let mut left: f64 = rng.random_range(0.0..1.0);
            shares
                .iter()
                .position(|share| {
                    left -= share;
                    left < 0.0
                })
                .unwrap_or(shares.len() - 1)
        };
        let truth: Vec<usize> = (0..items).map(|_| draw(&prior, &mut rng)).collect();
        let labels: Vec<usize> = truth
            .iter()
            .map(|&class| draw(&transition.row(class).to_vec(), &mut rng))
            .collect();
        let features = Array2::from_shape_fn((items, 4), |(item, column)| {
            let centre = if column == truth[item] { 10.0 } else { 0.0 };
            centre + rng.random_range(-1.0f32..1.0)
        });
        let neighbours = nearest_neighbours(features.view(), 2, Metric::Cosine).unwrap();
        let consensus = Consensus::count(&neighbours, &labels, 3).unwrap();
        let found = consensus.solve(&HocOptions::default()).unwrap();
        let errors = (&found.matrix - &transition).mapv(f64::abs);
        assert!(errors.iter().all(|&error| error < 0.1), "{errors}");
        assert!(errors.mean().unwrap() < 0.025, "{errors}");
        let true_rate = 0.5 * 0.2 + 0.3 * 0.3 + 0.2 * 0.3;
        assert!((found.noise_rate() - true_rate).abs() < 0.025);
        for row in found.matrix.rows() {
            assert!((row.sum() - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn bad_options_are_refused() {
        let consensus = Consensus::expected(&Array2::eye(2), &array![0.5, 0.5]);
        let options = HocOptions {
            learning_rate: f64::NAN,
            ..HocOptions::default()
        };
        assert!(consensus.solve(&options).is_err());
    }
}
