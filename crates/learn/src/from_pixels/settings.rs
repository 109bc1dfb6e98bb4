use cleanslide_nn::networks::ImageEncoderConfig;
use serde::{Deserialize, Serialize};

use crate::augment::AugmentSettings;
use crate::central;
use crate::error::{Error, Result};
use crate::training::{AdamWSettings, Optimiser, TrainSettings};

/// All settings of a training on pixels. Every field has a default, and unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FromPixelsSettings {
    /// The side of the central square of each image that crops are taken from, in pixels; the whole image where it is
    /// left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub central_crop: Option<u32>,
    /// Whether labels of rare classes count more, so that all classes count the same. Default true.
    pub class_balance: bool,
    /// The network, below a linear layer.
    pub encoder: ImageEncoderConfig,
    /// How parameters move. [`TrainSettings::crop`] is the side of a crop in pixels; of an image that is predicted it is
    /// the central one.
    pub train: TrainSettings,
    /// How crops differ from the image.
    pub augment: AugmentSettings,
}

impl Default for FromPixelsSettings {
    fn default() -> Self {
        Self {
            central_crop: None,
            class_balance: true,
            encoder: ImageEncoderConfig::default(),
            train: TrainSettings {
                epochs: 30,
                batch_size: 64,
                crop: 64,
                optimiser: Optimiser::AdamW(AdamWSettings { weight_decay: 1e-2 }),
                warm_up: 1.0,
                ..TrainSettings::default()
            },
            augment: AugmentSettings {
                brightness: 0.2,
                contrast: 0.2,
                saturation: 0.2,
                stain: 0.2,
                ..AugmentSettings::default()
            },
        }
    }
}

impl FromPixelsSettings {
    /// Refuses settings out of their range.
    ///
    /// # Errors
    /// The first such setting.
    pub fn check(&self) -> Result<()> {
        self.train.check()?;
        self.augment.check()?;
        let crop = self.train.crop;
        if let Some(reason) = self.encoder.problem(crop) {
            return Err(Error::Setting {
                name: "encoder",
                value: format!("{:?}", self.encoder.name),
                reason,
            });
        }
        self.augment
            .refuse_mixtures("labels of images are not mixed; leave it out")?;
        self.train
            .refuse_validation("a training on pixels does not stop early; leave it out")?;
        central::check(self.central_crop, crop, "crops")
    }
}
