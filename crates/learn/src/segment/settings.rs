use cleanslide_nn::networks::SegmentationConfig;
use serde::{Deserialize, Serialize};

use super::correction::MaskCorrectionSettings;
use super::{ComplementarySettings, LossSettings, ObjectSettings, PredictSettings};
use crate::augment::AugmentSettings;
use crate::correction::check_training;
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
    /// When and how masks of objects are corrected meanwhile. Default never.
    pub correction: Option<MaskCorrectionSettings>,
    /// How pixels are learned from of which only a diagnosis is known. Default not at all.
    pub complementary: Option<ComplementarySettings>,
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
        if let Some(correction) = &self.correction {
            correction.check(&self.predict, &self.objects)?;
            check_training(correction.start, &self.train)?;
        }
        if let Some(complementary) = &self.complementary {
            complementary.check()?;
        }
        let wrong = |name, value: usize, reason: String| {
            Err(Error::Setting {
                name,
                value: value.to_string(),
                reason,
            })
        };
        if let Some((name, value, reason)) = self.network.problem() {
            return wrong(name, value, reason.to_owned());
        }
        let TrainSettings {
            crop, batch_size, ..
        } = self.train;
        let multiple = self.network.multiple();
        if !crop.is_multiple_of(multiple) {
            let reason = format!("this network needs a multiple of {multiple}");
            return wrong("crop", crop, reason);
        }
        let least = self.network.least_batch();
        if batch_size < least {
            let reason = format!("this network needs at least {least} crops to learn from");
            return wrong("batch_size", batch_size, reason);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corrections_that_would_never_begin_or_end_are_refused() {
        let message = |recipe: &str| {
            let settings: SegmentSettings = toml::from_str(recipe).unwrap();
            settings.check().unwrap_err().to_string()
        };
        let start = "[correction]\nstart = { name = \"validation\" }\n";
        let never = message(&format!("[train]\nvalidation = 0.0\n{start}"));
        assert!(never.contains("starts by a validation"), "{never}");
        let stopped = message(&format!("[train]\nvalidation = 0.2\npatience = 3\n{start}"));
        assert!(stopped.contains("labels that change"), "{stopped}");
    }
}
