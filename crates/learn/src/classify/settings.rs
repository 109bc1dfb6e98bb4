//! How heads are trained.

use cleanslide_nn::heads::HeadKind;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How heads are trained. Every field has a default, and unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainSettings {
    /// The shape of the head. Default linear.
    pub head: HeadKind,
    /// What moves the weights. Default AdamW.
    pub optimiser: Optimiser,
    /// The learning rate at the start, above 0. Default 0.01 for a linear head, which a hundred
    /// epochs of a few steps then bring to its optimum, and 0.001 for a perceptron. L-BFGS finds its
    /// own step lengths and ignores it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    /// How the learning rate changes with the epoch. Default cosine.
    pub schedule: Schedule,
    /// Passes over the items; for L-BFGS the largest number of iterations. Default 100.
    pub epochs: usize,
    /// Items per step; 0 is all of them at once, as always with L-BFGS. Default 256. What is left
    /// over at the end of an epoch is a smaller batch.
    pub batch_size: usize,
    /// The factor `l2` of the penalty `l2 / 2 * sum(w^2)` that is added to the mean loss; biases
    /// are not penalised. Default 0.01. With the cross-entropy, a linear head and weights whose sum
    /// is the number of items (as with class balance and trust 1), scikit-learn's
    /// `LogisticRegression(C)` has the same optimum for `l2 = 1 / (C * items)`.
    pub l2: f64,
    /// Weighs classes inversely to their frequency. Default true.
    pub class_balance: bool,
    /// Shifts and scales every feature to mean 0 and standard deviation 1 over the training
    /// items. Default true.
    pub standardise: bool,
    /// The largest standard deviation of the noise that is added to (standardised) features in
    /// training: each item draws its own, uniform in 0 to this, in every epoch (Dedieu et al., arXiv
    /// 2404.07605, who use 0.4 on features as they are). Default 0: none.
    pub feature_jitter: f64,
    /// The share of hidden units that is left out in each training step, in [0, 1). A linear head
    /// has none. Default 0.
    pub dropout: f64,
    /// When to stop before the last epoch. Default never.
    pub early_stopping: EarlyStopping,
    /// The seed of everything random: initial weights, order of items, jitter, dropout. Default 0, which is not written.
    #[serde(skip_serializing_if = "is_zero")]
    pub seed: u64,
}

/// True for the default seed: what holds settings with a seed of its own, such as a recipe, names one seed and not two.
fn is_zero(seed: &u64) -> bool {
    *seed == 0
}

impl Default for TrainSettings {
    fn default() -> Self {
        Self {
            head: HeadKind::Linear,
            optimiser: Optimiser::AdamW(AdamWSettings::default()),
            learning_rate: None,
            schedule: Schedule::Cosine,
            epochs: 100,
            batch_size: 256,
            l2: 0.01,
            class_balance: true,
            standardise: true,
            feature_jitter: 0.0,
            dropout: 0.0,
            early_stopping: EarlyStopping::None,
            seed: 0,
        }
    }
}

impl TrainSettings {
    /// The learning rate at the start, chosen or by default.
    pub(crate) fn start_rate(&self) -> f64 {
        self.learning_rate.unwrap_or(match self.head {
            HeadKind::Linear => 0.01,
            HeadKind::OneHidden | HeadKind::Mlp => 0.001,
        })
    }

    /// Refuses settings out of their range, and combinations that exclude each other.
    pub(crate) fn check(&self) -> Result<()> {
        let check = |name, value: f64, valid: bool, reason: &str| {
            if valid {
                return Ok(());
            }
            Err(Error::Setting {
                name,
                value: value.to_string(),
                reason: reason.to_owned(),
            })
        };
        let rate = self.start_rate();
        check(
            "learning_rate",
            rate,
            rate > 0.0 && rate.is_finite(),
            "expected more than 0",
        )?;
        check(
            "epochs",
            self.epochs as f64,
            self.epochs > 0,
            "expected at least 1",
        )?;
        check(
            "l2",
            self.l2,
            self.l2 >= 0.0 && self.l2.is_finite(),
            "expected at least 0",
        )?;
        let jitter = self.feature_jitter;
        let valid = jitter >= 0.0 && jitter.is_finite();
        check("feature_jitter", jitter, valid, "expected at least 0")?;
        let valid = (0.0..1.0).contains(&self.dropout);
        check(
            "dropout",
            self.dropout,
            valid,
            "expected at least 0 and less than 1",
        )?;
        if let Some(patience) = self.early_stopping.patience() {
            check(
                "patience",
                patience as f64,
                patience > 0,
                "expected at least 1",
            )?;
        }
        match &self.optimiser {
            Optimiser::Sgd(sgd) => {
                let valid = (0.0..1.0).contains(&sgd.momentum);
                check(
                    "momentum",
                    sgd.momentum,
                    valid,
                    "expected at least 0 and less than 1",
                )
            }
            Optimiser::AdamW(adam) => {
                let decay = adam.weight_decay;
                check("weight_decay", decay, decay >= 0.0, "expected at least 0")
            }
            Optimiser::Lbfgs => self.check_lbfgs(),
        }
    }

    /// L-BFGS compares losses of the same items under the same conditions.
    fn check_lbfgs(&self) -> Result<()> {
        let wrong = |name, value: String, reason: &str| {
            let reason = format!("{reason}; or choose another optimiser than lbfgs");
            Err(Error::Setting {
                name,
                value,
                reason,
            })
        };
        if self.feature_jitter > 0.0 {
            return wrong(
                "feature_jitter",
                self.feature_jitter.to_string(),
                "expected 0",
            );
        }
        if self.dropout > 0.0 {
            return wrong("dropout", self.dropout.to_string(), "expected 0");
        }
        if self.early_stopping != EarlyStopping::None {
            return wrong("early_stopping", "on".to_owned(), "expected none");
        }
        Ok(())
    }
}

/// What moves the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimiser {
    /// Stochastic gradient descent with momentum, as PyTorch's `SGD` (no dampening).
    Sgd(SgdSettings),
    /// Adam with decoupled weight decay, Loshchilov and Hutter (arXiv 1711.05101).
    AdamW(AdamWSettings),
    /// Limited-memory BFGS with a strong-Wolfe line search on all items at once: converges where
    /// the others approach. For the cross-entropy and other methods whose loss does not depend on
    /// the epoch.
    Lbfgs,
}

/// Settings of SGD.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SgdSettings {
    /// In [0, 1). Default 0.9.
    pub momentum: f64,
}

impl Default for SgdSettings {
    fn default() -> Self {
        Self { momentum: 0.9 }
    }
}

/// Settings of AdamW; its moments have the usual decay 0.9 and 0.999, epsilon 1e-8.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamWSettings {
    /// Decoupled decay of all weights and biases per step, times the learning rate; at least 0.
    /// Default 0: the penalty `l2` is in the loss instead.
    pub weight_decay: f64,
}

/// How the learning rate changes with the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// It does not.
    Constant,
    /// It falls along half a cosine to 0 (arXiv 1608.03983, without restarts).
    Cosine,
}

impl Schedule {
    /// The learning rate in `epoch`, counted from 0, of `epochs`.
    pub(crate) fn learning_rate(self, start: f64, epoch: usize, epochs: usize) -> f64 {
        match self {
            Self::Constant => start,
            Self::Cosine => {
                let passed = epoch as f64 / epochs as f64;
                0.5 * start * (1.0 + (std::f64::consts::PI * passed).cos())
            }
        }
    }
}

/// When to stop before the last epoch. What is kept then is the epoch with the lowest validation
/// cross-entropy (class-balanced like the training), the earliest of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum EarlyStopping {
    /// Never.
    None,
    /// On held-out items with the labels they were given: a noisy validation.
    NoisyValidation {
        /// Epochs without improvement after which training stops.
        patience: usize,
    },
    /// On held-out items with clean labels: flatters every method, and needs labels that few have.
    CleanValidation {
        /// Epochs without improvement after which training stops.
        patience: usize,
    },
}

impl EarlyStopping {
    pub(crate) fn patience(self) -> Option<usize> {
        match self {
            Self::None => None,
            Self::NoisyValidation { patience } | Self::CleanValidation { patience } => {
                Some(patience)
            }
        }
    }
}
