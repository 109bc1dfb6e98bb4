//! CROWDLAB: annotators and a trained model, each weighted by how well they do.
//!
//! Goh, Tkachenko and Mueller, *CROWDLAB: supervised learning to infer consensus labels and
//! quality scores for data with multiple annotators*, arXiv:2210.06812.
//!
//! ```text
//! c        consensus label of an item; first the majority, ties by the model (see below)
//! P        mean over items with several votes of the share of votes that equal c
//! E        error of always saying the commonest c, at least 1e-6
//! w[a]     = max(1 - (1 - agreement of a with the other annotators) / E, 1e-6)
//! w_M      = max(1 - (error of the model against c) / E, 1e-6) √(mean votes per item)
//! p[i, k]  ∝ w_M m[i, k] + Σ_a w[a] (P if a said k, else (1 - P) / (K - 1))
//! ```
//!
//! The label is then the most probable class under `p`, ties going to the majority label, and
//! everything is computed once more with the new `c`. Equal to cleanlab 2.9
//! `get_label_quality_multiannotator` (`quality_method="crowdlab"`, no calibration). Ties of the
//! majority go to the tied class that the model finds most probable, then the rarest, then the
//! one with the more reliable voters, then a random one. `E` and both errors count only items
//! with several votes.
//!
//! cleanlab refuses items and annotators without votes; here they stay unlabelled and unknown.

use cleanslide_data::Votes;
use ndarray::{Array2, ArrayView2};

use super::majority::labels_beside_model;
use super::{Consensus, FusionError, Reliability, check_votes};

/// Lowest weight of an annotator and of the model, and lowest error of the commonest class.
const LOWEST: f64 = 1e-6;

/// How the label of an item is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CrowdlabLabel {
    /// The most probable class; ties go to the majority.
    #[default]
    BestQuality,
    /// The class with most votes.
    Majority,
}

/// Annotators and a trained model together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Crowdlab {
    /// How the label of an item is chosen.
    pub label: CrowdlabLabel,
    /// Seed for ties that nothing else breaks.
    pub seed: u64,
}

/// What annotators and model say together.
///
/// The quality of a single vote for class `k` on item `i` is `consensus.posterior[[i, k]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct CrowdlabConsensus {
    /// Posterior, labels and [`Reliability::Quality`]. The label need not be the most probable
    /// class of the final posterior, as in cleanlab.
    pub consensus: Consensus,
    /// Probability that the label is right, per item, from 0 to 1; NaN without votes.
    pub quality: Vec<f64>,
    /// Share of the votes that equal the label, per item; NaN without votes.
    pub agreement: Vec<f64>,
    /// Statistics per annotator.
    pub annotators: Vec<AnnotatorQuality>,
    /// Weight of the model, `w_M`.
    pub model_weight: f64,
    /// Weight per annotator, `w`; NaN without votes.
    pub annotator_weights: Vec<f64>,
}

/// How good one annotator's labels are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnnotatorQuality {
    /// Mean quality of the votes, averaged with the agreement on shared items; from 0 to 1. NaN
    /// without votes or shared items.
    pub quality: f64,
    /// Share of votes that equal the consensus; NaN without votes.
    pub agreement: f64,
    /// The class that is wrong most often when this annotator says it: lowest agreement with the
    /// consensus, then most votes, then highest mean quality of the consensus, then lowest index.
    pub worst_class: Option<usize>,
    /// Number of items with a vote.
    pub items: usize,
}

impl Crowdlab {
    /// Weighs votes and model. `probabilities` are the model's out-of-sample probabilities,
    /// \[items, classes\]; the rows of items without votes are not used.
    ///
    /// # Errors
    /// No votes; no item with two votes; a single class; probabilities of another shape than the
    /// votes, or with a value outside 0 to 1.
    pub fn fuse(
        &self,
        votes: &Votes,
        probabilities: ArrayView2<f32>,
    ) -> Result<CrowdlabConsensus, FusionError> {
        check(votes, probabilities)?;
        let evidence = Evidence::new(votes, probabilities);
        let majority = labels_beside_model(votes, probabilities, self.seed);
        let mut fit = evidence.fit(&majority);
        let labels = match self.label {
            CrowdlabLabel::Majority => majority,
            CrowdlabLabel::BestQuality => {
                let labels = best_quality(&fit.posterior, &majority);
                fit = evidence.fit(&labels);
                labels
            }
        };

        let quality: Vec<f64> = labels
            .iter()
            .enumerate()
            .map(|(item, label)| label.map_or(f64::NAN, |label| fit.posterior[[item, label]]))
            .collect();
        let annotators = evidence.annotators(&labels, &quality, &fit);
        let reliability = annotators
            .iter()
            .map(|annotator| annotator.quality)
            .collect();
        Ok(CrowdlabConsensus {
            consensus: Consensus {
                posterior: fit.posterior,
                labels,
                reliability: Reliability::Quality(reliability),
                iterations: 0,
                converged: true,
            },
            quality,
            agreement: fit.agreement,
            annotators,
            model_weight: fit.model_weight,
            annotator_weights: evidence.weights(fit.commonest_error),
        })
    }
}

fn check(votes: &Votes, probabilities: ArrayView2<f32>) -> Result<(), FusionError> {
    check_votes(votes)?;
    let expected = [votes.items(), votes.classes()];
    let found = [probabilities.nrows(), probabilities.ncols()];
    if found != expected {
        return Err(FusionError::Shape {
            what: "the model's probabilities",
            found,
            expected,
        });
    }
    if votes.classes() < 2 {
        return Err(FusionError::OneClass);
    }
    for ((row, column), &value) in probabilities.indexed_iter() {
        if !votes.of(row).is_empty() && !(0.0..=1.0).contains(&value) {
            return Err(FusionError::NotAProbability {
                what: "the model's probabilities",
                row,
                column,
                value: f64::from(value),
            });
        }
    }
    if (0..votes.items()).all(|item| votes.of(item).len() < 2) {
        return Err(FusionError::NoOverlap);
    }
    Ok(())
}

/// The most probable class of each row; where several are equally probable, the fallback.
fn best_quality(posterior: &Array2<f64>, fallback: &[Option<usize>]) -> Vec<Option<usize>> {
    posterior
        .rows()
        .into_iter()
        .zip(fallback)
        .map(|(row, fallback)| {
            let highest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let mut best = (0..row.len()).filter(|&class| row[class] == highest);
            match (fallback, best.next(), best.next()) {
                (Some(_), Some(only), None) => Some(only),
                _ => *fallback,
            }
        })
        .collect()
}

/// What does not depend on the consensus.
struct Evidence<'a> {
    votes: &'a Votes,
    probabilities: ArrayView2<'a, f32>,
    /// The model's most probable class per item; the lowest among equals.
    predicted: Vec<usize>,
    /// Agreement of each annotator with the other annotators of the same items; the mean of the
    /// others for one who shares no item, NaN without votes.
    peers: Vec<f64>,
    /// Mean number of votes on items with votes.
    votes_per_item: f64,
}

/// What follows from votes, model and a consensus.
struct Fit {
    posterior: Array2<f64>,
    agreement: Vec<f64>,
    model_weight: f64,
    commonest_error: f64,
}

impl<'a> Evidence<'a> {
    fn new(votes: &'a Votes, probabilities: ArrayView2<'a, f32>) -> Self {
        let labelled = (0..votes.items()).filter(|&item| !votes.of(item).is_empty());
        Self {
            votes,
            probabilities,
            predicted: probabilities
                .rows()
                .into_iter()
                .map(|row| {
                    (0..row.len()).fold(0, |best, k| if row[k] > row[best] { k } else { best })
                })
                .collect(),
            peers: agreement_with_peers(votes),
            votes_per_item: votes.len() as f64 / labelled.count() as f64,
        }
    }

    /// Items with several votes and their label.
    fn shared<'b>(&self, labels: &'b [Option<usize>]) -> impl Iterator<Item = (usize, usize)>
    where
        'a: 'b,
    {
        let votes = self.votes;
        labels
            .iter()
            .enumerate()
            .filter(move |(item, _)| votes.of(*item).len() > 1)
            .filter_map(|(item, label)| label.map(|label| (item, label)))
    }

    fn weights(&self, commonest_error: f64) -> Vec<f64> {
        let weigh = |agreement: &f64| {
            if agreement.is_nan() {
                f64::NAN
            } else {
                (1.0 - (1.0 - agreement) / commonest_error).max(LOWEST)
            }
        };
        self.peers.iter().map(weigh).collect()
    }

    fn fit(&self, labels: &[Option<usize>]) -> Fit {
        let votes = self.votes;
        let classes = votes.classes();
        let agreement = agreement(votes, labels);
        let shared = self.shared(labels).count() as f64;
        let consensus_share = self
            .shared(labels)
            .map(|(item, _)| agreement[item])
            .sum::<f64>()
            / shared;
        let other_share = (1.0 - consensus_share) / (classes as f64 - 1.0);

        let mut counts = vec![0usize; classes];
        let mut model_errors = 0usize;
        for (item, label) in self.shared(labels) {
            counts[label] += 1;
            model_errors += usize::from(self.predicted[item] != label);
        }
        let commonest = counts.iter().copied().max().unwrap_or(0) as f64;
        let commonest_error = ((shared - commonest) / shared).max(LOWEST);
        let model_error = model_errors as f64 / shared;
        let model_weight =
            (1.0 - model_error / commonest_error).max(LOWEST) * self.votes_per_item.sqrt();

        let weights = self.weights(commonest_error);
        let mut posterior = Array2::zeros((votes.items(), classes));
        for (item, mut row) in posterior.rows_mut().into_iter().enumerate() {
            let ballot = votes.of(item);
            if ballot.is_empty() {
                continue;
            }
            let mut total = 0.0;
            for vote in ballot {
                total += weights[vote.annotator as usize];
            }
            total += model_weight;
            for (class, value) in row.iter_mut().enumerate() {
                *value = f64::from(self.probabilities[[item, class]]) * model_weight;
                for vote in ballot {
                    let share = if vote.class as usize == class {
                        consensus_share
                    } else {
                        other_share
                    };
                    *value += weights[vote.annotator as usize] * share;
                }
                *value /= total;
            }
        }
        Fit {
            posterior,
            agreement,
            model_weight,
            commonest_error,
        }
    }

    fn annotators(
        &self,
        labels: &[Option<usize>],
        quality: &[f64],
        fit: &Fit,
    ) -> Vec<AnnotatorQuality> {
        let votes = self.votes;
        let classes = votes.classes();
        let mut tallies: Vec<Tally> = vec![Tally::new(classes); votes.annotators()];
        for (item, label) in labels.iter().enumerate() {
            let ballot = votes.of(item);
            for vote in ballot {
                let class = vote.class as usize;
                let tally = &mut tallies[vote.annotator as usize];
                let agrees = usize::from(*label == Some(class));
                tally.quality += fit.posterior[[item, class]];
                tally.given[class] += 1;
                tally.agreed[class] += agrees;
                tally.consensus_quality[class] += quality[item];
                if ballot.len() > 1 {
                    tally.shared += 1;
                    tally.shared_agreed += agrees;
                }
            }
        }
        let active = tallies.iter().filter(|tally| tally.items() > 0).count() as f64;
        let weights = self.weights(fit.commonest_error);
        let total_weight: f64 = weights.iter().filter(|weight| !weight.is_nan()).sum();
        let annotator_weight = total_weight * (self.votes_per_item / active);
        let share = fit.model_weight / (fit.model_weight + annotator_weight);
        tallies.iter().map(|tally| tally.finish(share)).collect()
    }
}

/// Sums over the votes of one annotator.
#[derive(Clone)]
struct Tally {
    quality: f64,
    shared: usize,
    shared_agreed: usize,
    given: Vec<usize>,
    agreed: Vec<usize>,
    consensus_quality: Vec<f64>,
}

impl Tally {
    fn new(classes: usize) -> Self {
        Self {
            quality: 0.0,
            shared: 0,
            shared_agreed: 0,
            given: vec![0; classes],
            agreed: vec![0; classes],
            consensus_quality: vec![0.0; classes],
        }
    }

    fn items(&self) -> usize {
        self.given.iter().sum()
    }

    fn finish(&self, model_share: f64) -> AnnotatorQuality {
        let items = self.items();
        let agreed: usize = self.agreed.iter().sum();
        let shared = self.shared_agreed as f64 / self.shared as f64;
        AnnotatorQuality {
            quality: model_share * (self.quality / items as f64) + (1.0 - model_share) * shared,
            agreement: agreed as f64 / items as f64,
            worst_class: self.worst_class(),
            items,
        }
    }

    fn worst_class(&self) -> Option<usize> {
        let rank = |class: usize| {
            let given = self.given[class] as f64;
            (
                -(self.agreed[class] as f64) / given,
                given,
                self.consensus_quality[class] / given,
            )
        };
        (0..self.given.len())
            .filter(|&class| self.given[class] > 0)
            .fold(None, |worst, class| match worst {
                Some(worst) if rank(class) <= rank(worst) => Some(worst),
                _ => Some(class),
            })
    }
}

/// Share of the votes on each item that equal its label; NaN without votes.
fn agreement(votes: &Votes, labels: &[Option<usize>]) -> Vec<f64> {
    labels
        .iter()
        .enumerate()
        .map(|(item, label)| {
            let ballot = votes.of(item);
            let equal = ballot
                .iter()
                .filter(|vote| Some(vote.class as usize) == *label)
                .count();
            equal as f64 / ballot.len() as f64
        })
        .collect()
}

fn agreement_with_peers(votes: &Votes) -> Vec<f64> {
    let mut equal = vec![0usize; votes.annotators()];
    let mut compared = vec![0usize; votes.annotators()];
    for item in 0..votes.items() {
        let counts = votes.counts(item);
        for vote in votes.of(item) {
            equal[vote.annotator as usize] += counts[vote.class as usize] - 1;
            compared[vote.annotator as usize] += votes.of(item).len() - 1;
        }
    }
    let given = super::votes_per_annotator(votes);
    let mut peers: Vec<f64> = equal
        .iter()
        .zip(&compared)
        .map(|(&equal, &compared)| equal as f64 / compared as f64)
        .collect();
    let known: Vec<f64> = peers
        .iter()
        .copied()
        .filter(|share| !share.is_nan())
        .collect();
    let mean = known.iter().sum::<f64>() / known.len() as f64;
    for (peer, &given) in peers.iter_mut().zip(&given) {
        if peer.is_nan() && given > 0 {
            *peer = mean;
        }
    }
    peers
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn votes() -> Votes {
        let triplets = [
            (0, 0, 0),
            (0, 1, 0),
            (1, 0, 1),
            (1, 1, 1),
            (2, 0, 0),
            (2, 1, 1),
            (3, 2, 1),
        ];
        Votes::from_triplets(5, 4, 2, &triplets).unwrap()
    }

    #[test]
    fn the_model_breaks_the_tie_and_silence_stays_unknown() {
        let probabilities = array![[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6], [0.0, 1.0]];
        let result = Crowdlab::default()
            .fuse(&votes(), probabilities.view())
            .unwrap();
        assert_eq!(
            result.consensus.labels,
            [Some(0), Some(1), Some(1), Some(1), None]
        );
        assert!(result.quality[4].is_nan() && result.annotator_weights[3].is_nan());
        // Annotator 2 shares no item: weighted as the mean of the others, quality unknown.
        assert_eq!(result.annotator_weights[2], result.annotator_weights[0]);
        assert!(result.annotators[2].quality.is_nan());
        assert_eq!(result.annotators[2].worst_class, Some(1));
        assert_eq!(result.annotators[3].worst_class, None);
    }

    #[test]
    fn what_cannot_be_weighed_is_refused() {
        let message = |probabilities: Array2<f32>, votes: &Votes| {
            let result = Crowdlab::default().fuse(votes, probabilities.view());
            result.unwrap_err().to_string()
        };
        assert_eq!(
            message(Array2::zeros((5, 3)), &votes()),
            "the model's probabilities: the shape is [5, 3], but the votes need [5, 2]"
        );
        let mut logits = Array2::from_elem((5, 2), 0.5);
        logits[[4, 0]] = f32::NAN;
        logits[[2, 1]] = -3.5;
        assert_eq!(
            message(logits, &votes()),
            "the model's probabilities: row 2, column 1 is -3.5, but must be a probability from 0 \
             to 1 (apply softmax to logits first)"
        );
        let single = Votes::from_triplets(2, 2, 2, &[(0, 0, 1), (1, 1, 0)]).unwrap();
        assert!(message(Array2::zeros((2, 2)), &single).starts_with("every item has a single"));
        let one = Votes::from_triplets(1, 2, 1, &[(0, 0, 0), (0, 1, 0)]).unwrap();
        assert_eq!(
            message(Array2::zeros((1, 1)), &one),
            "there is only one class; at least two are needed"
        );
    }
}
