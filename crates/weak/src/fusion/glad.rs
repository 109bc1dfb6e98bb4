//! GLAD: abilities of annotators and difficulties of items.
//!
//! Whitehill, Ruvolo, Wu, Bergsma and Movellan, *Whose vote should count more: optimal
//! integration of labels from labelers of unknown expertise*, NIPS 22 (2009).
//!
//! ```text
//! right    σ[a, i] = 1 / (1 + exp(-α[a] exp(b[i])))       probability that a is right on i
//! E        p[i, k] ∝ Π_a (σ[a, i] if a said k, else (1 - σ[a, i]) / (K - 1))
//! M        α, b    = arg max Q, with α[a], b[i] ~ N(1, 1)
//!          Q       = Σ_votes Σ_k p ln P(vote | k) + ln N(α) + ln N(b)
//! stop     q - q_before < tolerance, with q = Q / (votes K)
//! ```
//!
//! `K` is the number of classes with votes; their prior is uniform. `exp(b)` is the paper's β; the
//! difficulty that is reported is `exp(-b)`.
//!
//! Equal to crowd-kit's `GLAD`, also where it stops before the optimum: the M step runs the same
//! conjugate gradients with the same limits, and the posterior is the one before the last M step.
//! The defaults stop early (25 directions or 1e-2 on the gradient in the M step, 1e-5 on `q`; `q`
//! may also fall, which stops as well). Where the limit of directions cuts M steps short, rounding
//! decides the fourth decimal: crowd-kit then moves by as much when its rows change places.

use cleanslide_data::{Vote, Votes};
use ndarray::Array2;

use super::conjugate_gradient::{Evaluation, minimise};
use super::{
    Consensus, FusionError, Reliability, accumulate, add, block_of, check_iterations,
    check_tolerance, check_votes, most_probable, normalise_log, voted, votes_per_annotator,
};

/// Centre of the priors of α and b, whose variance is 1.
const PRIOR: f64 = 1.0;

/// An ability per annotator and a difficulty per item.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Glad {
    /// Greatest number of EM iterations.
    pub iterations: usize,
    /// Gain of `Q / (votes K)` below which the fit has converged.
    pub tolerance: f64,
    /// Greatest number of conjugate-gradient directions in one M step.
    pub step_iterations: usize,
    /// Greatest entry of the gradient at which an M step ends.
    pub step_tolerance: f64,
}

impl Default for Glad {
    /// 100 iterations, tolerance 1e-5; 25 directions, gradient 1e-2: as in crowd-kit.
    fn default() -> Self {
        Self {
            iterations: 100,
            tolerance: 1e-5,
            step_iterations: 25,
            step_tolerance: 1e-2,
        }
    }
}

impl Glad {
    /// Fits the model. Reliability is [`Reliability::Ability`].
    ///
    /// # Errors
    /// No votes at all; no iterations; a tolerance that is negative or NaN.
    pub fn fuse(&self, votes: &Votes) -> Result<Consensus, FusionError> {
        check_votes(votes)?;
        check_iterations("iterations", self.iterations)?;
        check_iterations("step_iterations", self.step_iterations)?;
        check_tolerance("tolerance", self.tolerance)?;
        check_tolerance("step_tolerance", self.step_tolerance)?;

        let model = Model::new(votes);
        let cells = votes.len() as f64 * model.classes();
        let mut posterior = Array2::zeros((votes.items(), votes.classes()));
        let mut parameters = vec![PRIOR; votes.annotators() + votes.items()];
        model.infer(&parameters, &mut posterior);
        // crowd-kit compares the first q with the whole Q of the start, not with its mean.
        let mut gain_from = -model.loss(&parameters, &posterior).value;
        let mut iterations = 0;
        let mut converged = false;
        while iterations < self.iterations && !converged {
            iterations += 1;
            model.infer(&parameters, &mut posterior);
            parameters = minimise(
                |parameters| model.loss(parameters, &posterior),
                parameters,
                self.step_tolerance,
                self.step_iterations,
            );
            let next = -model.loss(&parameters, &posterior).value / cells;
            converged = next - gain_from < self.tolerance;
            gain_from = next;
        }

        let (ability, easiness) = parameters.split_at(votes.annotators());
        Ok(Consensus {
            labels: most_probable(votes, &posterior),
            posterior,
            reliability: Reliability::Ability {
                ability: known(ability, |annotator| model.given[annotator] > 0),
                difficulty: known(easiness, |item| !votes.of(item).is_empty())
                    .iter()
                    .map(|b| (-b).exp())
                    .collect(),
            },
            iterations,
            converged,
        })
    }
}

fn known(values: &[f64], known: impl Fn(usize) -> bool) -> Vec<f64> {
    values
        .iter()
        .enumerate()
        .map(|(index, &value)| if known(index) { value } else { f64::NAN })
        .collect()
}

struct Model<'a> {
    votes: &'a Votes,
    /// Number of votes per annotator.
    given: Vec<usize>,
    /// 0 for classes with votes, minus infinity for the others.
    start: Vec<f64>,
    /// ln (K - 1), the number of ways to be wrong; 0 with a single class, where nobody is wrong.
    log_others: f64,
}

impl<'a> Model<'a> {
    fn new(votes: &'a Votes) -> Self {
        let voted = voted(votes);
        let start = voted
            .iter()
            .map(|&voted| if voted { 0.0 } else { f64::NEG_INFINITY })
            .collect();
        let classes = voted.iter().filter(|&&voted| voted).count();
        Self {
            votes,
            given: votes_per_annotator(votes),
            start,
            log_others: (classes.max(2) as f64 - 1.0).ln(),
        }
    }

    fn classes(&self) -> f64 {
        self.start.iter().filter(|value| value.is_finite()).count() as f64
    }

    /// E step: fills the posterior. `parameters` are the abilities, then `b` per item.
    fn infer(&self, parameters: &[f64], posterior: &mut Array2<f64>) {
        let (ability, easiness) = parameters.split_at(self.votes.annotators());
        let classes = self.votes.classes();
        let rows = posterior.as_slice_mut().unwrap_or_default();
        accumulate(
            0..self.votes.items(),
            rows,
            classes,
            block_of(0),
            &|items, rows: &mut [f64]| {
                for (item, row) in items.zip(rows.chunks_exact_mut(classes)) {
                    let ballot = self.votes.of(item);
                    if !ballot.is_empty() {
                        self.infer_item(ability, easiness[item].exp(), ballot, row);
                    }
                }
            },
            &|(), ()| {},
        );
    }

    fn infer_item(&self, ability: &[f64], beta: f64, ballot: &[Vote], row: &mut [f64]) {
        row.copy_from_slice(&self.start);
        for vote in ballot {
            // ln of the odds of being right against one wrong class; the common part cancels.
            let odds = ability[vote.annotator as usize] * beta;
            row[vote.class as usize] += odds + self.log_others;
        }
        normalise_log(row);
    }

    /// `-Q` and its gradient for a fixed posterior.
    fn loss(&self, parameters: &[f64], posterior: &Array2<f64>) -> Evaluation {
        let votes = self.votes;
        let (ability, easiness) = parameters.split_at(votes.annotators());
        let mut easiness_gradient = vec![0.0; votes.items()];
        let (mut value, mut gradient) = accumulate(
            0..votes.items(),
            &mut easiness_gradient,
            1,
            block_of(votes.annotators()),
            &|items, slots: &mut [f64]| {
                let mut value = 0.0;
                let mut gradient = vec![0.0; votes.annotators()];
                for (item, slot) in items.zip(slots) {
                    if votes.of(item).is_empty() {
                        continue;
                    }
                    let beta = easiness[item].exp();
                    for vote in votes.of(item) {
                        let annotator = vote.annotator as usize;
                        let right = posterior[[item, vote.class as usize]];
                        let odds = ability[annotator] * beta;
                        let sigma = 1.0 / (1.0 + (-odds).exp());
                        value += right * softplus(-odds)
                            + (1.0 - right) * (softplus(odds) + self.log_others);
                        gradient[annotator] -= (right - sigma) * beta;
                        *slot -= (right - sigma) * odds;
                    }
                    value += minus_log_prior(easiness[item]);
                    *slot += easiness[item] - PRIOR;
                }
                (value, gradient)
            },
            &|left: &mut (f64, Vec<f64>), right| {
                left.0 += right.0;
                add(&mut left.1, &right.1);
            },
        );
        for (annotator, slot) in gradient.iter_mut().enumerate() {
            if self.given[annotator] > 0 {
                value += minus_log_prior(ability[annotator]);
                *slot += ability[annotator] - PRIOR;
            }
        }
        gradient.extend(easiness_gradient);
        Evaluation { value, gradient }
    }
}

/// `-ln N(x; 1, 1)`.
fn minus_log_prior(x: f64) -> f64 {
    (x - PRIOR).powi(2) / 2.0 + std::f64::consts::TAU.ln() / 2.0
}

/// `ln(1 + exp(x))` without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn votes() -> Votes {
        // Item 3 is disputed, item 5 has no votes, annotator 4 none either, class 2 neither.
        let triplets = [
            (0, 0, 0),
            (0, 1, 0),
            (0, 2, 0),
            (1, 0, 1),
            (1, 1, 1),
            (1, 2, 3),
            (2, 0, 3),
            (2, 1, 3),
            (3, 0, 0),
            (3, 1, 1),
            (3, 3, 3),
            (4, 3, 1),
        ];
        Votes::from_triplets(6, 5, 4, &triplets).unwrap()
    }

    #[test]
    fn the_gradient_is_the_derivative() {
        let votes = votes();
        let model = Model::new(&votes);
        let mut posterior = Array2::zeros((6, 4));
        let mut parameters: Vec<f64> = (0..11).map(|n| 0.3 + 0.17 * f64::from(n)).collect();
        model.infer(&parameters, &mut posterior);
        parameters[1] = -0.4;
        let gradient = model.loss(&parameters, &posterior).gradient;
        for index in 0..parameters.len() {
            let mut moved = |by: f64| {
                parameters[index] += by;
                let value = model.loss(&parameters, &posterior).value;
                parameters[index] -= by;
                value
            };
            let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            assert!((slope - gradient[index]).abs() < 1e-7, "{index}");
        }
    }

    #[test]
    fn disputed_items_are_harder_and_silence_is_unknown() {
        let consensus = Glad::default().fuse(&votes()).unwrap();
        let Reliability::Ability {
            ability,
            difficulty,
        } = consensus.reliability
        else {
            panic!("wrong kind of reliability");
        };
        assert!(difficulty[3] > difficulty[0]);
        assert!(ability[4].is_nan() && difficulty[5].is_nan());
        assert!(ability[0] > ability[2]);
        assert_eq!(consensus.posterior.column(2).sum(), 0.0);
        assert_eq!(consensus.labels[5], None);
    }

    #[test]
    fn a_single_class_is_certain() {
        let votes = Votes::from_triplets(1, 2, 2, &[(0, 0, 1), (0, 1, 1)]).unwrap();
        let consensus = Glad::default().fuse(&votes).unwrap();
        assert_eq!(consensus.posterior.row(0).to_vec(), [0.0, 1.0]);
        assert!(consensus.converged);
    }
}
