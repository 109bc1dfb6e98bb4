//! MACE: annotators who either know or guess.
//!
//! Hovy, Berg-Kirkpatrick, Vaswani and Hovy, *Learning whom to trust with MACE*, NAACL-HLT 2013,
//! N13-1132.
//!
//! ```text
//! vote     P(a says v | truth k) = (1 - g[a]) [v = k] + g[a] ξ[a, v]
//! E        p[i, k] ∝ Π_a P(vote of a on i | k)                      uniform prior over classes
//!          G[a, v] = expected number of guesses v,  W[a] = expected number of known votes
//! M (EM)   g[a] = (ΣG + s) / (ΣG + W + 2 s),  ξ[a, v] = (G[a, v] + s) / (ΣG + K s)
//! M (VB)   the same with exp ψ(count + prior) for every count + s, and in the denominators
//!          exp ψ of the sums; priors 0.5 for guessing and for knowing, 10 per class for ξ
//! ```
//!
//! `K` is the number of classes with votes, `s` = 0.01 / K. The best of several random starts is
//! kept, by the log likelihood of the votes after its last iteration.
//!
//! From the same start, equal to crowd-kit's `MACE`. What differs on purpose: its restarts all
//! begin at the same point (the seed is used anew each time), its option `smoothing` is ignored,
//! and its M step mixes up annotators and classes unless both first appear in sorted order;
//! products of probabilities are taken as logarithms here, so items with many votes do not
//! underflow.

use cleanslide_data::{Vote, Votes};
use ndarray::Array2;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{
    Consensus, FusionError, Reliability, accumulate, add, block_of, check_iterations, check_option,
    check_votes, most_probable, normalise_log, voted, votes_per_annotator,
};

/// How the parameters follow from the expected counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MaceStep {
    /// Variational Bayes with priors on guessing and on what is guessed.
    VariationalBayes {
        /// Prior count of guessed votes per annotator.
        guessing: f64,
        /// Prior count of known votes per annotator.
        knowing: f64,
        /// Prior count of each class among an annotator's guesses.
        strategy: f64,
    },
    /// Plain expectation maximisation.
    ExpectationMaximisation {
        /// Added to every count; `None` means 0.01 / number of classes with votes.
        smoothing: Option<f64>,
    },
}

/// A guessing probability and strategy per annotator.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mace {
    /// Number of random starts.
    pub restarts: usize,
    /// Number of iterations from each start; all are run.
    pub iterations: usize,
    /// How the parameters follow from the expected counts.
    pub step: MaceStep,
    /// Random starts are drawn between 1 and 1 + `noise` before they are normalised.
    pub noise: f64,
    /// The fit has converged if its last iteration moved no posterior probability by more.
    pub tolerance: f64,
}

impl Default for Mace {
    /// 10 restarts, 50 iterations, variational Bayes with priors 0.5, 0.5 and 10, as in crowd-kit;
    /// noise 0.5, tolerance 1e-4.
    fn default() -> Self {
        Self {
            restarts: 10,
            iterations: 50,
            step: MaceStep::VariationalBayes {
                guessing: 0.5,
                knowing: 0.5,
                strategy: 10.0,
            },
            noise: 0.5,
            tolerance: 1e-4,
        }
    }
}

/// Parameters to start from.
#[derive(Debug, Clone, PartialEq)]
pub struct MaceStart {
    /// Probabilities of guessing and of knowing, \[annotators, 2\].
    pub guessing: Array2<f64>,
    /// What is said when guessing, \[annotators, classes\].
    pub strategy: Array2<f64>,
}

impl Mace {
    /// Fits the model from random starts. Reliability is [`Reliability::Spamming`].
    ///
    /// # Errors
    /// No votes at all; no restarts or iterations; an option that is negative, zero where it must
    /// not be, or NaN.
    pub fn fuse(&self, votes: &Votes, rng: &mut ChaCha8Rng) -> Result<Consensus, FusionError> {
        check_iterations("restarts", self.restarts)?;
        check_option(
            "noise",
            self.noise,
            |n| n >= 0.0 && n.is_finite(),
            "0 or more",
        )?;
        let mut best = self.run(votes, &self.draw(votes, rng))?;
        for _ in 1..self.restarts {
            let run = self.run(votes, &self.draw(votes, rng))?;
            if run.1 > best.1 {
                best = run;
            }
        }
        Ok(best.0)
    }

    /// Fits the model from given parameters.
    ///
    /// # Errors
    /// As [`Mace::fuse`]; parameters of the wrong shape, or outside 0 to 1.
    pub fn fuse_from(&self, votes: &Votes, start: &MaceStart) -> Result<Consensus, FusionError> {
        Ok(self.run(votes, start)?.0)
    }

    fn draw(&self, votes: &Votes, rng: &mut ChaCha8Rng) -> MaceStart {
        let voted = voted(votes);
        let mut rows = |width: usize, open: &dyn Fn(usize) -> bool| {
            let mut table = Array2::from_shape_fn((votes.annotators(), width), |(_, column)| {
                if open(column) {
                    1.0 + self.noise * rng.random::<f64>()
                } else {
                    0.0
                }
            });
            for mut row in table.rows_mut() {
                let total = row.sum();
                row /= total;
            }
            table
        };
        MaceStart {
            guessing: rows(2, &|_| true),
            strategy: rows(votes.classes(), &|class| voted[class]),
        }
    }

    /// Fits from one start; also returns the log likelihood.
    fn run(&self, votes: &Votes, start: &MaceStart) -> Result<(Consensus, f64), FusionError> {
        check_votes(votes)?;
        check_iterations("iterations", self.iterations)?;
        check_option("tolerance", self.tolerance, |t| t >= 0.0, "0 or more")?;
        self.check_step()?;
        check_start("starting guessing", &start.guessing, votes.annotators(), 2)?;
        check_start(
            "starting strategy",
            &start.strategy,
            votes.annotators(),
            votes.classes(),
        )?;

        let voted = voted(votes);
        for ((annotator, class), &said) in start.strategy.indexed_iter() {
            if voted[class] && start.guessing[[annotator, 0]] * said == 0.0 {
                return Err(FusionError::NoChance { annotator, class });
            }
        }
        let mut model = Model {
            voted,
            guessing: start.guessing.clone(),
            strategy: start.strategy.clone(),
        };
        let mut posterior = Array2::zeros((votes.items(), votes.classes()));
        let mut expected = model.expect(votes, &mut posterior);
        for _ in 0..self.iterations {
            model.update(&expected, self.step);
            expected = model.expect(votes, &mut posterior);
        }
        let consensus = Consensus {
            labels: most_probable(votes, &posterior),
            posterior,
            reliability: model.reliability(votes),
            iterations: self.iterations,
            converged: expected.moved <= self.tolerance,
        };
        Ok((consensus, expected.log_likelihood))
    }

    fn check_step(&self) -> Result<(), FusionError> {
        let positive = |value: f64| value > 0.0 && value.is_finite();
        match self.step {
            MaceStep::VariationalBayes {
                guessing,
                knowing,
                strategy,
            } => {
                check_option("prior of guessing", guessing, positive, "above 0")?;
                check_option("prior of knowing", knowing, positive, "above 0")?;
                check_option("prior of strategy", strategy, positive, "above 0")
            }
            MaceStep::ExpectationMaximisation { smoothing } => {
                check_option("smoothing", smoothing.unwrap_or(1.0), positive, "above 0")
            }
        }
    }
}

fn check_start(
    what: &'static str,
    table: &Array2<f64>,
    annotators: usize,
    width: usize,
) -> Result<(), FusionError> {
    if table.dim() != (annotators, width) {
        return Err(FusionError::Shape {
            what,
            found: [table.nrows(), table.ncols()],
            expected: [annotators, width],
        });
    }
    for ((row, column), &value) in table.indexed_iter() {
        if !(0.0..=1.0).contains(&value) {
            return Err(FusionError::NotAProbability {
                what,
                row,
                column,
                value,
            });
        }
    }
    Ok(())
}

/// Sums over the items.
struct Expected {
    /// Expected number of guesses, \[annotators, classes\].
    guesses: Vec<f64>,
    /// Expected number of known votes, per annotator.
    known: Vec<f64>,
    log_likelihood: f64,
    /// Greatest change of a posterior probability.
    moved: f64,
}

struct Model {
    voted: Vec<bool>,
    /// Guessing and knowing, \[annotators, 2\]; rows of variational Bayes sum to less than 1.
    guessing: Array2<f64>,
    /// \[annotators, classes\].
    strategy: Array2<f64>,
}

impl Model {
    /// Probabilities of a vote by guessing and by knowing.
    fn parts(&self, vote: &Vote) -> (f64, f64) {
        let annotator = vote.annotator as usize;
        let guess = self.guessing[[annotator, 0]] * self.strategy[[annotator, vote.class as usize]];
        (guess, self.guessing[[annotator, 1]])
    }

    /// E step: fills the posterior and sums up.
    fn expect(&self, votes: &Votes, posterior: &mut Array2<f64>) -> Expected {
        let classes = votes.classes();
        let annotators = votes.annotators();
        let voted = self.voted.iter().filter(|&&voted| voted).count() as f64;
        let rows = posterior.as_slice_mut().unwrap_or_default();
        accumulate(
            0..votes.items(),
            rows,
            classes,
            block_of(annotators),
            &|items, rows: &mut [f64]| {
                let mut sums = Expected {
                    guesses: vec![0.0; annotators * classes],
                    known: vec![0.0; annotators],
                    log_likelihood: 0.0,
                    moved: 0.0,
                };
                let mut before = vec![0.0; classes];
                for (item, row) in items.zip(rows.chunks_exact_mut(classes)) {
                    let ballot = votes.of(item);
                    if ballot.is_empty() {
                        continue;
                    }
                    before.copy_from_slice(row);
                    sums.log_likelihood += self.infer(ballot, row) - voted.ln();
                    for (old, new) in before.iter().zip(row.iter()) {
                        sums.moved = sums.moved.max((old - new).abs());
                    }
                    for vote in ballot {
                        let (guess, know) = self.parts(vote);
                        let class = vote.class as usize;
                        let known = row[class] * know / (guess + know);
                        let annotator = vote.annotator as usize;
                        sums.known[annotator] += known;
                        sums.guesses[annotator * classes + class] += 1.0 - known;
                    }
                }
                sums
            },
            &|left, right| {
                add(&mut left.guesses, &right.guesses);
                add(&mut left.known, &right.known);
                left.log_likelihood += right.log_likelihood;
                left.moved = left.moved.max(right.moved);
            },
        )
    }

    /// Writes the posterior of one item; returns the log of Σ_k Π_a P(vote | k).
    fn infer(&self, ballot: &[Vote], row: &mut [f64]) -> f64 {
        for (value, &voted) in row.iter_mut().zip(&self.voted) {
            *value = if voted { 0.0 } else { f64::NEG_INFINITY };
        }
        let mut all_guess = 0.0;
        for vote in ballot {
            let (guess, know) = self.parts(vote);
            all_guess += guess.ln();
            row[vote.class as usize] += (know / guess).ln_1p();
        }
        all_guess + normalise_log(row).log_total
    }

    /// M step.
    fn update(&mut self, expected: &Expected, step: MaceStep) {
        let classes = self.voted.len();
        let voted = self.voted.iter().filter(|&&voted| voted).count() as f64;
        for (annotator, known) in expected.known.iter().enumerate() {
            let guesses = &expected.guesses[annotator * classes..(annotator + 1) * classes];
            let guessed: f64 = guesses.iter().sum();
            let (extra, known_extra, class_extra) = match step {
                MaceStep::VariationalBayes {
                    guessing,
                    knowing,
                    strategy,
                } => (guessing, knowing, strategy),
                MaceStep::ExpectationMaximisation { smoothing } => {
                    let smoothing = smoothing.unwrap_or(0.01 / voted);
                    (smoothing, smoothing, smoothing)
                }
            };
            let ratio = |count: f64, total: f64| match step {
                MaceStep::VariationalBayes { .. } => (digamma(count) - digamma(total)).exp(),
                MaceStep::ExpectationMaximisation { .. } => count / total,
            };
            let votes = guessed + extra + known + known_extra;
            self.guessing[[annotator, 0]] = ratio(guessed + extra, votes);
            self.guessing[[annotator, 1]] = ratio(known + known_extra, votes);
            let total = guessed + voted * class_extra;
            for class in (0..classes).filter(|&class| self.voted[class]) {
                self.strategy[[annotator, class]] = ratio(guesses[class] + class_extra, total);
            }
        }
    }

    fn reliability(&self, votes: &Votes) -> Reliability {
        let given = votes_per_annotator(votes);
        let unknown = |annotator: usize| given[annotator] == 0;
        let probability = (0..given.len())
            .map(|annotator| {
                let row = self.guessing.row(annotator);
                if unknown(annotator) {
                    f64::NAN
                } else {
                    row[0] / row.sum()
                }
            })
            .collect();
        let mut strategy = self.strategy.clone();
        for (annotator, mut row) in strategy.rows_mut().into_iter().enumerate() {
            let total = if unknown(annotator) {
                f64::NAN
            } else {
                row.sum()
            };
            row /= total;
        }
        Reliability::Spamming {
            probability,
            strategy,
        }
    }
}

/// The digamma function ψ for x > 0: recurrence up to 10, then the asymptotic series
/// (Abramowitz and Stegun 6.3.5 and 6.3.18), whose first term left out is below 1e-14 there.
fn digamma(mut x: f64) -> f64 {
    let mut shift = 0.0;
    while x < 10.0 {
        shift -= 1.0 / x;
        x += 1.0;
    }
    let y = 1.0 / (x * x);
    let series = y
        * (1.0 / 12.0
            - y * (1.0 / 120.0
                - y * (1.0 / 252.0 - y * (1.0 / 240.0 - y * (1.0 / 132.0 - y * 691.0 / 32760.0)))));
    shift + x.ln() - 0.5 / x - series
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn digamma_at_known_points() {
        const EULER: f64 = 0.577_215_664_901_532_9;
        assert!((digamma(1.0) + EULER).abs() < 1e-13);
        assert!((digamma(0.5) + EULER + 2.0 * 2f64.ln()).abs() < 1e-13);
        assert!((digamma(21.0) - digamma(20.0) - 0.05).abs() < 1e-14);
    }

    fn votes() -> Votes {
        // Annotators 0 to 2 know; 3 always says class 1; 4 is silent; item 30 is too.
        let triplets: Vec<_> = (0..30)
            .flat_map(|item| {
                let truth = item % 3;
                let knows = (0..3).map(move |annotator| (item, annotator, truth));
                knows.chain([(item, 3, 1)])
            })
            .collect();
        Votes::from_triplets(31, 5, 4, &triplets).unwrap()
    }

    #[test]
    fn the_one_who_guesses_is_found() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let consensus = Mace::default().fuse(&votes(), &mut rng).unwrap();
        assert!((0..30).all(|item| consensus.label(item) == Some(item % 3)));
        assert_eq!(consensus.label(30), None);
        let Reliability::Spamming {
            probability,
            strategy,
        } = consensus.reliability
        else {
            panic!("wrong kind of reliability");
        };
        assert!(
            probability[3] > 0.8 && probability[0] < 0.1,
            "{probability:?}"
        );
        assert!(probability[4].is_nan() && strategy[[4, 0]].is_nan());
        assert!(strategy[[3, 1]] > strategy[[3, 0]]);
        assert_eq!(strategy[[3, 3]], 0.0);
    }

    #[test]
    fn many_votes_on_one_item_do_not_underflow() {
        let triplets: Vec<_> = (0..400)
            .map(|annotator| (0, annotator, annotator % 4))
            .collect();
        let votes = Votes::from_triplets(1, 400, 4, &triplets).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let consensus = Mace::default().fuse(&votes, &mut rng).unwrap();
        assert!((consensus.posterior.row(0).sum() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn bad_starts_are_refused() {
        let start = MaceStart {
            guessing: Array2::from_elem((5, 2), 0.5),
            strategy: Array2::from_elem((5, 3), 0.5),
        };
        let error = Mace::default().fuse_from(&votes(), &start).unwrap_err();
        assert_eq!(
            error.to_string(),
            "starting strategy: the shape is [5, 3], but the votes need [5, 4]"
        );
    }
}
