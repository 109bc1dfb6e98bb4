use cleanslide_nn::networks::SegmentationConfig;
use serde::{Deserialize, Serialize};

use super::{LossSettings, ObjectSettings, PredictSettings};
use crate::augment::AugmentSettings;
use crate::error::{Error, Result};
use crate::training::TrainSettings;

/// All that decides a training, but the images, their labels and the seed. Every field has a default, and
/// unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SegmentSettings {
    /// The network. Default a U-Net.
    pub network: SegmentationConfig,
    /// What the network is compared by.
    pub loss: LossSettings,
    /// How it is trained.
    pub train: TrainSettings,
    /// What is done to the images in training.
    pub augment: AugmentSettings,
    /// How it predicts.
    pub predict: PredictSettings,
    /// How objects are told from each other, where labels are instance masks.
    pub objects: ObjectSettings,
}

impl SegmentSettings {
    /// Refuses settings out of their range, and those that exclude each other.
    ///
    /// # Errors
    /// The first such setting.
    pub fn check(&self) -> Result<()> {
        self.train.check()?;
        self.augment.check()?;
        self.predict.check()?;
        self.objects.check()?;
        self.loss.build()?;
        let multiple = self.network.multiple();
        if !self.train.crop.is_multiple_of(multiple) {
            return Err(Error::Setting {
                name: "crop",
                value: self.train.crop.to_string(),
                reason: format!("this network needs a multiple of {multiple}"),
            });
        }
        Ok(())
    }
}
