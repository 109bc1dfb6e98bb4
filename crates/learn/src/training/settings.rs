use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamWConfig, ModuleOptimizer, SgdConfig};
use serde::{Deserialize, Serialize};

use super::read_on_cpu::ReadOnCpu;
use crate::error::{Error, Result};

/// How a network is trained. Every field has a default, and unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainSettings {
    /// Passes over the images. Default 60.
    pub epochs: usize,
    /// Crops per step. Default 4.
    pub batch_size: usize,
    /// Side of a crop, in pixels. Default 256.
    pub crop: usize,
    /// Steps whose gradients are averaged into one change of the parameters. Default 1.
    pub accumulate: usize,
    /// What moves the parameters. Default AdamW.
    pub optimiser: Optimiser,
    /// The learning rate at its highest. Default 0.001.
    pub learning_rate: f64,
    /// How the learning rate falls. Default cosine.
    pub schedule: Schedule,
    /// Epochs in which the learning rate rises evenly from 0. Default 1.
    pub warm_up: f64,
    /// The largest length of the gradient of all parameters together; 0 is no limit. Default 0.
    pub clip: f64,
    /// What the running average of the parameters keeps of itself in each step; it is the average that predicts.
    /// 0 is no average. Default 0.
    pub average: f64,
    /// The share of the training cases that is kept to measure progress, in [0, 1). Default 0.
    pub validation: f64,
    /// Stop after so many epochs without a better validation; 0 is never. Default 0. Where there is a validation, the
    /// best epoch is kept, of equals the last.
    pub patience: usize,
    /// Epochs from one checkpoint to the next. Default 5.
    pub checkpoint_every: usize,
    /// Where other data are learned from too, their share of every batch, in (0, 1). Default 0.5, equal parts
    /// (balanced gradient contribution, Ros et al., arXiv 1604.01545).
    pub also_share: f64,
}

impl Default for TrainSettings {
    fn default() -> Self {
        Self {
            epochs: 60,
            batch_size: 4,
            crop: 256,
            accumulate: 1,
            optimiser: Optimiser::AdamW(AdamWSettings::default()),
            learning_rate: 1e-3,
            schedule: Schedule::Cosine,
            warm_up: 1.0,
            clip: 0.0,
            average: 0.0,
            validation: 0.0,
            patience: 0,
            checkpoint_every: 5,
            also_share: 0.5,
        }
    }
}

/// What moves the parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimiser {
    /// Stochastic gradient descent with momentum.
    Sgd(SgdSettings),
    /// Adam with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101).
    AdamW(AdamWSettings),
}

/// Settings of SGD.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SgdSettings {
    /// In [0, 1). Default 0.9.
    pub momentum: f64,
    /// The factor of the parameters that is added to their gradient. Default 1e-4.
    pub weight_decay: f64,
}

impl Default for SgdSettings {
    fn default() -> Self {
        Self {
            momentum: 0.9,
            weight_decay: 1e-4,
        }
    }
}

/// Settings of AdamW; its moments have the usual decay 0.9 and 0.999, epsilon 1e-8.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamWSettings {
    /// Decay of all parameters per step, times the learning rate. Default 1e-4.
    pub weight_decay: f64,
}

impl Default for AdamWSettings {
    fn default() -> Self {
        Self { weight_decay: 1e-4 }
    }
}

impl Optimiser {
    pub(crate) fn build(&self) -> ModuleOptimizer {
        match self {
            Self::Sgd(sgd) => {
                let sgd = SgdConfig::new()
                    .with_momentum(Some(MomentumConfig {
                        momentum: sgd.momentum,
                        dampening: 0.0,
                        nesterov: false,
                    }))
                    .with_weight_decay(Some(burn::optim::decay::WeightDecayConfig::new(
                        sgd.weight_decay as f32,
                    )));
                ReadOnCpu(sgd.build()).into()
            }
            Self::AdamW(adam) => {
                let adam = AdamWConfig::new()
                    .with_weight_decay(adam.weight_decay as f32)
                    .with_epsilon(1e-8);
                ReadOnCpu(adam.build()).into()
            }
        }
    }
}

/// How the learning rate falls from its highest to 0 over the steps of a training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Schedule {
    /// It does not.
    Constant,
    /// Along half a cosine (arXiv 1608.03983, without restarts).
    Cosine,
    /// As (1 − t)^power for the share t of the steps that is done.
    Poly {
        /// DeepLab's is 0.9 (arXiv 1606.00915).
        power: f64,
    },
    /// It is multiplied by a factor whenever the validation has not become better for some epochs.
    Plateau {
        /// Between 0 and 1.
        factor: f64,
        /// Epochs without improvement.
        patience: usize,
    },
}

impl Schedule {
    /// The factor of the learning rate at a share of all steps, in [0, 1], after so many plateaus.
    pub(crate) fn factor(self, done: f64, plateaus: usize) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
            Self::Poly { power } => (1.0 - done).powf(power),
            Self::Plateau { factor, .. } => factor.powi(plateaus.min(1000) as i32),
        }
    }
}

impl TrainSettings {
    /// Refuses to hold images out for validation, for a reason.
    pub(crate) fn refuse_validation(&self, reason: &str) -> Result<()> {
        if self.validation > 0.0 || self.patience > 0 {
            return Err(Error::Setting {
                name: "validation",
                value: self.validation.to_string(),
                reason: reason.to_owned(),
            });
        }
        Ok(())
    }

    /// Refuses settings out of their range, and those that need others.
    ///
    /// # Errors
    /// The first such setting.
    pub fn check(&self) -> Result<()> {
        let wrong = |name, value: f64, reason: &str| {
            Err(Error::Setting {
                name,
                value: value.to_string(),
                reason: reason.to_owned(),
            })
        };
        for (name, value) in [
            ("epochs", self.epochs),
            ("batch_size", self.batch_size),
            ("crop", self.crop),
            ("accumulate", self.accumulate),
            ("checkpoint_every", self.checkpoint_every),
        ] {
            if value == 0 {
                return wrong(name, 0.0, "expected at least 1");
            }
        }
        let rate = self.learning_rate;
        if !(rate > 0.0 && rate.is_finite()) {
            return wrong("learning_rate", rate, "expected more than 0");
        }
        for (name, value) in [("warm_up", self.warm_up), ("clip", self.clip)] {
            if !(value >= 0.0 && value.is_finite()) {
                return wrong(name, value, "expected at least 0");
            }
        }
        for (name, value) in [("average", self.average), ("validation", self.validation)] {
            if !(0.0..1.0).contains(&value) {
                return wrong(name, value, "expected at least 0 and less than 1");
            }
        }
        if !(self.also_share > 0.0 && self.also_share < 1.0) {
            return wrong(
                "also_share",
                self.also_share,
                "expected a number between 0 and 1",
            );
        }
        match &self.optimiser {
            Optimiser::Sgd(sgd) => {
                if !(0.0..1.0).contains(&sgd.momentum) {
                    return wrong(
                        "momentum",
                        sgd.momentum,
                        "expected at least 0 and less than 1",
                    );
                }
                decay(sgd.weight_decay)?;
            }
            Optimiser::AdamW(adam) => decay(adam.weight_decay)?,
        }
        self.check_watched()
    }

    /// What watches the validation needs one.
    fn check_watched(&self) -> Result<()> {
        let wrong = |name, value: String, reason: &str| {
            Err(Error::Setting {
                name,
                value,
                reason: reason.to_owned(),
            })
        };
        match self.schedule {
            Schedule::Poly { power } if !(power > 0.0 && power.is_finite()) => {
                wrong("power", power.to_string(), "expected more than 0")
            }
            Schedule::Plateau { factor, .. } if !(factor > 0.0 && factor < 1.0) => wrong(
                "factor",
                factor.to_string(),
                "expected a number between 0 and 1",
            ),
            Schedule::Plateau { .. } if self.validation == 0.0 => wrong(
                "validation",
                "0".into(),
                "the schedule `plateau` watches a validation; keep a share of the cases for it, such as 0.2",
            ),
            _ if self.patience > 0 && self.validation == 0.0 => wrong(
                "validation",
                "0".into(),
                "`patience` watches a validation; keep a share of the cases for it, such as 0.2",
            ),
            _ => Ok(()),
        }
    }

    /// Refuses batches that are too small to be mixed.
    ///
    /// # Errors
    /// A batch of one crop.
    pub(crate) fn check_mixed(&self) -> Result<()> {
        if self.batch_size > 1 {
            return Ok(());
        }
        Err(Error::Setting {
            name: "batch_size",
            value: self.batch_size.to_string(),
            reason: "a batch of two kinds of data has at least 2 crops".to_owned(),
        })
    }

    /// Crops of a batch that are not of other data: where it is mixed, the nearest number to their share that
    /// leaves room for both.
    pub fn own_crops(&self, mixed: bool) -> usize {
        if !mixed {
            return self.batch_size;
        }
        let also = (self.batch_size as f64 * self.also_share).round() as usize;
        self.batch_size.saturating_sub(also.max(1)).max(1)
    }

    /// The learning rate of a step, both counted from 0.
    pub(crate) fn rate(&self, step: usize, steps_per_epoch: usize, plateaus: usize) -> f64 {
        let total = (self.epochs * steps_per_epoch) as f64;
        let warm = self.warm_up * steps_per_epoch as f64;
        let rise = if warm > 0.0 {
            ((step + 1) as f64 / warm).min(1.0)
        } else {
            1.0
        };
        self.learning_rate * rise * self.schedule.factor(step as f64 / total, plateaus)
    }
}

fn decay(value: f64) -> Result<()> {
    if value >= 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Error::Setting {
        name: "weight_decay",
        value: value.to_string(),
        reason: "expected at least 0".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn learning_rates_rise_and_fall() {
        let settings = TrainSettings {
            epochs: 10,
            learning_rate: 0.1,
            warm_up: 2.0,
            schedule: Schedule::Poly { power: 0.9 },
            ..TrainSettings::default()
        };
        let rate = |step| settings.rate(step, 5, 0);
        assert!((rate(0) - 0.01).abs() < 1e-12);
        assert!((rate(9) - 0.1 * (1.0f64 - 9.0 / 50.0).powf(0.9)).abs() < 1e-12);
        assert!((rate(49) - 0.1 * 0.02f64.powf(0.9)).abs() < 1e-12);
        let plateau = Schedule::Plateau {
            factor: 0.5,
            patience: 3,
        };
        assert_eq!(plateau.factor(0.9, 3), 0.125);
        assert!(Schedule::Cosine.factor(1.0, 0).abs() < 1e-15);
    }

    #[test]
    fn settings_that_need_a_validation_say_so() {
        let settings = TrainSettings {
            patience: 3,
            ..TrainSettings::default()
        };
        let message = settings.check().unwrap_err().to_string();
        assert!(message.contains("such as 0.2"), "{message}");
        assert!(TrainSettings::default().check().is_ok());
    }
}
