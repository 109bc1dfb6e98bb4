//! Which method to learn from noisy labels with, chosen by these labels alone.
//!
//! ```text
//! for each repeat: deal the cases into folds (seeded, the same for every method)
//!     for each method: predict each fold by a model of the others; what the method must know beforehand
//!                      is estimated anew from each model's training cases
//! score of a method = balanced accuracy against the given labels of the cases that were not seen, weighted by trust
//! gain              = its score minus that of plain training, in the same repeats
//! ```
//!
//! Against labels that are wrong as often whatever the image of a class, balanced accuracy puts methods in the order that
//! it puts them against the truth, if classes are two or the noise is the same between all ([`SkillCorrection`]);
//! gains are smaller than they really are. On the data that this was developed with (simulated tissue, and one pathologist)
//! AUROC and the likelihood of the given labels chose worse: they do not see thresholds, which noise shifts, or they ask
//! for probabilities of the wrong labels. Correcting by the estimated noise changed no choice for the better, so it
//! only tells how large a gain may be against the truth.
//!
//! Plain training stays unless another method is [worth it](choose). After the first repeat, methods whose gain is
//! clearly below 0 are not tried again.

mod correction;
mod estimate;
mod noise;

use cleanslide_eval::{
    Bootstrap, Error as EvalError, Estimate, Groups, LabelPairs, Weights, most_probable,
};
use ndarray::Axis;
use serde::Serialize;

pub use self::correction::SkillCorrection;
use self::estimate::interval;
pub use self::noise::{Doubt, NoiseFinding, NoiseKind, find_noise};
use crate::classify::{Classifier, TrainSettings};
use crate::error::Result;
use crate::methods::MethodSettings;
use crate::study::Study;

/// Resamples of cases behind every interval.
const REPLICATES: usize = 1000;

/// The least gain for which the method is changed, half a point of balanced accuracy.
pub const LEAST_GAIN: f64 = 0.005;

/// The least share of resamples in which a method gains, for which the method is changed: five to one.
pub const LEAST_ODDS: f64 = 5.0 / 6.0;

/// Methods whose balanced accuracy is no farther from the best are as good as it.
pub const A_POINT: f64 = 0.01;

/// How methods are tried.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdviseSettings {
    /// Folds of each cross-validation, by case.
    pub folds: usize,
    /// Cross-validations, with seeds counted up.
    pub repeats: usize,
    /// Seed of folds, training and resamples.
    pub seed: u64,
}

/// What was found, method by method.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Advice {
    /// The methods that could be trained: the first is plain training, the others are as they were given.
    pub methods: Vec<Evidence>,
    /// Methods that could not be trained.
    pub failed: Vec<Failed>,
    /// The position of the recommended method.
    pub recommended: usize,
}

/// What speaks for a method.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evidence {
    /// The method.
    pub method: MethodSettings,
    /// Cross-validations that it took part in.
    pub repeats: usize,
    /// Balanced accuracy against the given labels, out of sample, mean over repeats.
    pub score: Estimate,
    /// Score minus that of plain training; 0 for itself.
    pub gain: Estimate,
    /// The gain against the truth if the noise is as estimated; `None` where too little can be told of it.
    pub gain_against_truth: Option<Estimate>,
    /// The share of resamples of cases in which it gains, equal ones half.
    pub chance_of_gain: f64,
    /// The share of resamples in which its gain is the largest, shared among equals.
    pub chance_of_best: f64,
    /// The share of resamples in which its gain is within a point of the largest, against the given labels.
    pub chance_within_a_point: f64,
}

/// A method that could not be trained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Failed {
    /// Its name.
    pub method: String,
    /// Why.
    pub reason: String,
}

impl Advice {
    /// What is recommended.
    pub fn recommendation(&self) -> &Evidence {
        &self.methods[self.recommended]
    }

    /// The largest gain of a method that is not recommended; `None` if there is no other method than plain training.
    pub fn runner_up(&self) -> Option<&Evidence> {
        let others = self.methods.iter().enumerate().skip(1);
        let others = others.filter(|&(place, _)| place != self.recommended);
        others
            .map(|(_, evidence)| evidence)
            .max_by(|a, b| a.gain.value.total_cmp(&b.gain.value))
    }
}

/// Tries plain training and `others`, and recommends one. `plain` are the settings of plain training, and `correction`
/// says what gains mean against the truth. `progress` is called after every training by cross-validation, with the
/// method and how many are left.
///
/// # Errors
/// Fewer cases than folds, no repeats, or plain training that fails.
pub fn advise(
    study: &Study,
    plain: &MethodSettings,
    others: &[MethodSettings],
    train: &TrainSettings,
    settings: &AdviseSettings,
    correction: Option<&SkillCorrection>,
    progress: &mut dyn FnMut(&MethodSettings, usize),
) -> Result<Advice> {
    let mut trials: Vec<Trial> = std::iter::once(plain)
        .chain(others)
        .map(Trial::new)
        .collect();
    let mut failed = Vec::new();
    for repeat in 0..settings.repeats {
        let seed = settings.seed + repeat as u64;
        let folds = study.folds(settings.folds, seed)?;
        let mut left = trials.iter().filter(|trial| !trial.given_up).count();
        for (place, trial) in trials.iter_mut().enumerate() {
            if trial.given_up {
                continue;
            }
            let tried = trial.run(study, &folds, train, seed);
            left -= 1;
            progress(&trial.method, left);
            match tried {
                Err(error) if place > 0 => failed.push(Failed {
                    method: trial.method.name().to_owned(),
                    reason: error.to_string(),
                }),
                tried => tried?,
            }
        }
        trials.retain(|trial| trial.pairs.len() > repeat || trial.given_up);
        if repeat == 0 {
            let evidence = evidence(study, &trials, settings.seed, correction)?;
            for (trial, evidence) in trials.iter_mut().zip(&evidence) {
                trial.given_up = evidence.gain.high < 0.0;
            }
        }
    }
    let methods = evidence(study, &trials, settings.seed, correction)?;
    let recommended = choose(&methods);
    Ok(Advice {
        methods,
        failed,
        recommended,
    })
}

/// The position of the method to use: of those that are worth it the one with the highest score, else plain training.
///
/// A method is worth it if its gain is at least half a point and five in six resamples of the cases gain, which is the
/// rule of one standard error. The largest of many gains is partly luck: on twelve simulated cases with right labels a bet
/// at two to one already changed the method. A wrong change costs little, though, and a missed one much where
/// labels are bad: an interval above 0, as a test would ask, lost 0.9 points of the best method's balanced accuracy on the
/// development data, this rule 0.4, and the highest score, no matter how sure, 0.1.
pub fn choose(methods: &[Evidence]) -> usize {
    let worth = |evidence: &Evidence| {
        evidence.gain.value >= LEAST_GAIN && evidence.chance_of_gain >= LEAST_ODDS
    };
    let mut best = 0;
    for (place, evidence) in methods.iter().enumerate().skip(1) {
        if worth(evidence) && evidence.gain.value > methods[best].gain.value {
            best = place;
        }
    }
    best
}

/// What predictions are judged by: the labels that are believed at all, each as far as it is. One of trust 0 is known to be
/// wrong, and nothing is learned from it either.
struct Judges {
    /// Their places in the study.
    items: Vec<usize>,
    given: Vec<usize>,
    cases: Vec<usize>,
    trust: Vec<f64>,
}

impl Judges {
    fn of(study: &Study) -> Self {
        let trust = &study.examples.weights;
        let items: Vec<usize> = (0..study.len()).filter(|&item| trust[item] > 0.0).collect();
        Self {
            given: items.iter().map(|&item| study.given[item]).collect(),
            cases: items.iter().map(|&item| study.cases[item]).collect(),
            trust: items.iter().map(|&item| f64::from(trust[item])).collect(),
            items,
        }
    }
}

/// A method and its predictions so far.
struct Trial {
    method: MethodSettings,
    /// Given and predicted class of each item that judges, for each repeat.
    pairs: Vec<LabelPairs>,
    /// Clearly worse than plain training: not tried again.
    given_up: bool,
}

impl Trial {
    fn new(method: &MethodSettings) -> Self {
        Self {
            method: method.clone(),
            pairs: Vec::new(),
            given_up: false,
        }
    }

    /// Predicts every item by models that did not see its case.
    fn run(
        &mut self,
        study: &Study,
        folds: &[usize],
        train: &TrainSettings,
        seed: u64,
    ) -> Result<()> {
        let classifier = Classifier {
            method: self.method.clone(),
            train: TrainSettings {
                seed,
                ..train.clone()
            },
        };
        let predicted = study.out_of_sample(&classifier, folds, &|_, _| {})?;
        let judges = Judges::of(study);
        let probabilities = predicted.probabilities.select(Axis(0), &judges.items);
        let predicted = most_probable(probabilities.view())?;
        let pairs = LabelPairs::new(&judges.given, &predicted, study.classes.len())?;
        self.pairs.push(pairs);
        Ok(())
    }

    /// Balanced accuracy of each repeat against the given labels, and against the truth as far as it can be told.
    fn scores(
        &self,
        weights: Weights<'_>,
        correction: Option<&SkillCorrection>,
    ) -> std::result::Result<Vec<[f64; 2]>, EvalError> {
        let score = |pairs: &LabelPairs| {
            let confusion = pairs.confusion(weights)?;
            let corrected = correction.map(|known| known.balanced_accuracy(confusion.counts()));
            Ok([
                confusion.balanced_accuracy()?,
                corrected.unwrap_or(f64::NAN),
            ])
        };
        self.pairs.iter().map(score).collect()
    }
}

/// Score, gain and gain against the truth of a method.
type Figures = [f64; 3];

/// The figures of all methods, the first being plain training.
fn figures(
    trials: &[Trial],
    weights: Weights<'_>,
    correction: Option<&SkillCorrection>,
) -> std::result::Result<Vec<Figures>, EvalError> {
    let plain = trials[0].scores(weights, correction)?;
    let of_trial = |trial: &Trial| {
        let scores = trial.scores(weights, correction)?;
        let mut sums = [0.0; 3];
        for ([score, corrected], [plain, corrected_plain]) in scores.iter().zip(&plain) {
            sums[0] += score;
            sums[1] += score - plain;
            sums[2] += corrected - corrected_plain;
        }
        Ok(sums.map(|sum| sum / scores.len() as f64))
    };
    trials.iter().map(of_trial).collect()
}

/// What the predictions so far say about each method.
fn evidence(
    study: &Study,
    trials: &[Trial],
    seed: u64,
    correction: Option<&SkillCorrection>,
) -> Result<Vec<Evidence>> {
    let Judges { cases, trust, .. } = Judges::of(study);
    let groups = Groups::new(&cases)?;
    let bootstrap = Bootstrap {
        replicates: REPLICATES,
        seed,
        ..Bootstrap::default()
    };
    let values = figures(trials, Weights::Real(&trust), correction)?;
    let drawn = bootstrap.resamples(&groups, |counts| {
        let counts = counts.iter().zip(&trust);
        let weights: Vec<f64> = counts
            .map(|(&drawn, trust)| f64::from(drawn) * trust)
            .collect();
        figures(trials, Weights::Real(&weights), correction)
    })?;
    let gains: Vec<Vec<f64>> = drawn
        .iter()
        .map(|figures| figures.iter().map(|figures| figures[1]).collect())
        .collect();
    let of_trial = |(place, trial): (usize, &Trial)| {
        let estimate = |which: usize| {
            let drawn: Vec<f64> = drawn.iter().map(|figures| figures[place][which]).collect();
            interval(values[place][which], &drawn, &bootstrap, &groups)
        };
        let chances = chances(&gains, place);
        Ok(Evidence {
            method: trial.method.clone(),
            repeats: trial.pairs.len(),
            score: estimate(0)?,
            gain: estimate(1)?,
            gain_against_truth: correction.map(|_| estimate(2)).transpose()?,
            chance_of_gain: chances[0],
            chance_of_best: chances[1],
            chance_within_a_point: chances[2],
        })
    };
    trials.iter().enumerate().map(of_trial).collect()
}

/// The shares of resamples in which the method in a place gains, is the best and is within a point of it.
fn chances(gains: &[Vec<f64>], place: usize) -> [f64; 3] {
    let mut counts = [0.0; 3];
    for gains in gains {
        let own = gains[place];
        let largest = gains.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let equals = gains.iter().filter(|&&gain| gain == largest).count();
        counts[0] += if own > 0.0 {
            1.0
        } else if own == 0.0 {
            0.5
        } else {
            0.0
        };
        counts[1] += f64::from(u8::from(own == largest)) / equals as f64;
        counts[2] += f64::from(u8::from(largest - own <= A_POINT));
    }
    counts.map(|count| count / gains.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_gain(value: f64, chance_of_gain: f64) -> Evidence {
        let estimate = |value: f64| Estimate {
            value,
            low: value - 0.01,
            high: value + 0.01,
            level: 0.95,
            replicates: 1000,
            undefined: 0,
            groups: 20,
            items: 200,
        };
        Evidence {
            method: MethodSettings::default(),
            repeats: 3,
            score: estimate(0.7 + value),
            gain: estimate(value),
            gain_against_truth: None,
            chance_of_gain,
            chance_of_best: 0.5,
            chance_within_a_point: 0.5,
        }
    }

    #[test]
    fn plain_training_stays_unless_another_method_is_worth_it() {
        let plain = || of_gain(0.0, 0.5);
        assert_eq!(choose(&[plain()]), 0);
        // Too small a gain, however sure; too unsure a gain, however large.
        assert_eq!(
            choose(&[plain(), of_gain(0.004, 1.0), of_gain(0.1, 0.6)]),
            0
        );
        let methods = [
            plain(),
            of_gain(0.02, 0.9),
            of_gain(0.1, 0.6),
            of_gain(0.05, 0.9),
        ];
        assert_eq!(choose(&methods), 3);
        let advice = Advice {
            methods: methods.to_vec(),
            failed: Vec::new(),
            recommended: 3,
        };
        assert_eq!(advice.recommendation().gain.value, 0.05);
        assert_eq!(advice.runner_up().map(|other| other.gain.value), Some(0.1));
    }

    #[test]
    fn chances_are_shares_of_resamples() {
        // Plain training and two methods on four resamples.
        let gains = [
            vec![0.0, 0.02, 0.015],
            vec![0.0, -0.02, -0.001],
            vec![0.0, 0.03, 0.03],
            vec![0.0, 0.0, -0.02],
        ];
        assert_eq!(chances(&gains, 0), [0.5, 1.5 / 4.0, 2.0 / 4.0]);
        assert_eq!(chances(&gains, 1), [2.5 / 4.0, 2.0 / 4.0, 3.0 / 4.0]);
        assert_eq!(chances(&gains, 2), [2.0 / 4.0, 0.5 / 4.0, 3.0 / 4.0]);
    }
}
