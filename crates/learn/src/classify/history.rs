//! How training went.

use serde::{Deserialize, Serialize};

/// What happened in one epoch. Metrics of the training items are measured during the epoch, each
/// batch before its step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// The epoch, counted from 1; with L-BFGS, the evaluation of the loss.
    pub epoch: usize,
    /// The learning rate.
    pub learning_rate: f64,
    /// The mean over steps of the loss that was minimised, penalty included, summed over heads.
    pub loss: f64,
    /// Balanced accuracy on the training items against their given labels, weighted by trust.
    pub accuracy_given: f64,
    /// The share of the training weight that the method let take part, mean over heads.
    pub kept: f64,
    /// Class-balanced cross-entropy of the validation items, if there are any.
    pub validation_loss: Option<f64>,
    /// Balanced accuracy on the validation items against the labels they came with.
    pub validation_accuracy: Option<f64>,
}

/// How training went.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct History {
    /// The epochs in order; none for a method that does not train.
    pub epochs: Vec<Epoch>,
    /// The epoch, counted from 1, whose heads were kept; the last one unless it was stopped early.
    pub best_epoch: usize,
}
