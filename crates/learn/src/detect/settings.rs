use cleanslide_nn::losses::{BinaryFocal, FasterRcnnLoss, FcosLoss};
use cleanslide_nn::networks::DetectionConfig;
use serde::{Deserialize, Serialize};

use super::DetectorPredictSettings;
use super::correction::CorrectionSettings;
use crate::augment::AugmentSettings;
use crate::correction::check_training;
use crate::error::{Error, Result};
use crate::training::TrainSettings;

/// All that decides a training, but the images, their boxes and the seed. Every field has a default, and unknown
/// fields are refused.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DetectorSettings {
    /// The network. Default FCOS on ResNet-18.
    pub network: DetectionConfig,
    /// What the network is compared by.
    pub loss: DetectorLossSettings,
    /// How it is trained.
    pub train: TrainSettings,
    /// What is done to the images in training.
    pub augment: AugmentSettings,
    /// How it predicts.
    pub predict: DetectorPredictSettings,
    /// When and how labels are corrected meanwhile. Default never.
    pub correction: Option<CorrectionSettings>,
}

/// The losses of a detector. Faster R-CNN has a share of boxes alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DetectorLossSettings {
    /// The weight of objects in the focal loss; that of all else is one less it. Default 0.25.
    pub alpha: f64,
    /// How strongly the focal loss discounts what is plain. Default 2.
    pub gamma: f64,
    /// The share of the loss of boxes. Default 1.
    pub boxes: f64,
    /// The share of the loss of how central locations are. Default 1.
    pub centredness: f64,
}

impl Default for DetectorLossSettings {
    fn default() -> Self {
        Self {
            alpha: 0.25,
            gamma: 2.0,
            boxes: 1.0,
            centredness: 1.0,
        }
    }
}

impl DetectorLossSettings {
    /// Refuses settings out of their range, and those that a network has no use for.
    fn check(&self, network: &DetectionConfig) -> Result<()> {
        let wrong = |name, value: f64, reason: &str| Error::Setting {
            name,
            value: value.to_string(),
            reason: reason.to_owned(),
        };
        if !(self.alpha > 0.0 && self.alpha < 1.0) {
            let reason = "expected a number between 0 and 1";
            return Err(wrong("alpha", self.alpha, reason));
        }
        for (name, value) in [
            ("gamma", self.gamma),
            ("boxes", self.boxes),
            ("centredness", self.centredness),
        ] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(wrong(name, value, "expected at least 0"));
            }
        }
        let of_fcos = Self {
            boxes: self.boxes,
            ..Self::default()
        };
        if matches!(network, DetectionConfig::FasterRcnn(_)) && *self != of_fcos {
            let value = format!("{}, {} and {}", self.alpha, self.gamma, self.centredness);
            return Err(Error::Setting {
                name: "alpha, gamma and centredness",
                value,
                reason: "Faster R-CNN has no such losses; leave them out".to_owned(),
            });
        }
        Ok(())
    }

    pub(super) fn fcos(&self) -> FcosLoss {
        FcosLoss {
            classes: BinaryFocal {
                alpha: self.alpha,
                gamma: self.gamma,
            },
            boxes: self.boxes,
            centredness: self.centredness,
        }
    }

    pub(super) fn faster_rcnn(&self) -> FasterRcnnLoss {
        FasterRcnnLoss { boxes: self.boxes }
    }
}

impl DetectorSettings {
    /// Refuses settings out of their range, and those that exclude each other.
    ///
    /// # Errors
    /// The first such setting.
    pub fn check(&self) -> Result<()> {
        let wrong = |name, value: String, reason: String| {
            Err(Error::Setting {
                name,
                value,
                reason,
            })
        };
        self.train.check()?;
        self.augment.check()?;
        self.predict.check()?;
        if let Some(correction) = &self.correction {
            correction.check(&self.predict)?;
            check_training(correction.start, &self.train)?;
        }
        self.loss.check(&self.network)?;
        if let Some((name, value, reason)) = self.network.problem() {
            return wrong(name, value, reason.to_owned());
        }
        let multiple = self.network.multiple();
        if !self.train.crop.is_multiple_of(multiple) {
            let reason = format!("this network needs a multiple of {multiple}");
            return wrong("crop", self.train.crop.to_string(), reason);
        }
        self.augment
            .refuse_mixtures("images with boxes are not mixed; leave it out")
    }
}
