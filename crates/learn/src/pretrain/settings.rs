use cleanslide_nn::networks::ImageEncoderConfig;
use serde::{Deserialize, Serialize};

use super::{DinoSettings, Objective};
use crate::augment::AugmentSettings;
use crate::central;
use crate::error::{Error, Result};
use crate::training::{AdamWSettings, Optimiser, TrainSettings};

/// All settings of a pretraining. Every field has a default, and unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PretrainSettings {
    /// The seed of everything random. Default 0.
    pub seed: u64,
    /// The side of the central square of each image that views are taken from, in pixels; the whole image where it is
    /// left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub central_crop: Option<u32>,
    /// Views of a batch that are in a network at once: memory grows with them and not with the batch. Gradients are
    /// those of the whole batch (gradient caching, Gao et al., arXiv 2101.06983), for a third more work; batch
    /// normalisation sees so many views at once, and its running statistics follow twice as fast. 0, the default, is
    /// one view of each image of the batch.
    pub chunk: usize,
    /// Epochs from one look at what was learned to the next; 0 is never. Default 10.
    pub probe_every: usize,
    /// What learns.
    pub encoder: ImageEncoderConfig,
    /// How views are compared.
    pub objective: Objective,
    /// How parameters move. [`TrainSettings::crop`] is the side of a view in pixels.
    pub train: TrainSettings,
    /// How views differ.
    pub augment: AugmentSettings,
}

impl Default for PretrainSettings {
    fn default() -> Self {
        Self {
            seed: 0,
            central_crop: None,
            chunk: 0,
            probe_every: 10,
            encoder: ImageEncoderConfig::default(),
            objective: Objective::default(),
            train: TrainSettings {
                epochs: 100,
                batch_size: 128,
                crop: 128,
                optimiser: Optimiser::AdamW(AdamWSettings { weight_decay: 1e-2 }),
                warm_up: 2.0,
                ..TrainSettings::default()
            },
            augment: AugmentSettings {
                brightness: 0.3,
                contrast: 0.3,
                saturation: 0.3,
                hue: 0.05,
                stain: 0.3,
                blur: 1.0,
                ..AugmentSettings::default()
            },
        }
    }
}

impl PretrainSettings {
    /// Refuses settings out of their range.
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
        self.objective.check()?;
        let TrainSettings {
            batch_size, crop, ..
        } = self.train;
        if let Some(problem) = self.encoder.problem(crop) {
            return wrong("encoder", format!("{:?}", self.encoder.name), problem);
        }
        if let Objective::Dino(DinoSettings {
            local_size: Some(local),
            ..
        }) = self.objective
        {
            if local == 0 || local > crop {
                let reason = format!("expected 1 to {crop}, the side of a view");
                return wrong("local_size", local.to_string(), reason);
            }
            if let Some(problem) = self.encoder.problem(local) {
                return wrong("local_size", local.to_string(), problem);
            }
        }
        if batch_size < 2 {
            let reason = "an image is compared with others: expected at least 2".into();
            return wrong("batch_size", batch_size.to_string(), reason);
        }
        if self.chunk == 1 {
            let reason = "batch normalisation needs at least 2 views; 0 is all".into();
            return wrong("chunk", "1".into(), reason);
        }
        self.augment
            .refuse_mixtures("views of two images at once are not compared; leave it out")?;
        self.train
            .refuse_validation("nothing measures the progress of a pretraining; leave it out")?;
        central::check(self.central_crop, crop, "views")
    }
}
