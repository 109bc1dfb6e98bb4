//! How scores of pixels are compared with what is said of them.

use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use cleanslide_nn::losses::{Loss, Tversky};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::methods::{
    CrossEntropySettings, FocalSettings, GeneralizedCrossEntropySettings,
    MeanAbsoluteErrorSettings, NceRceSettings, SymmetricCrossEntropySettings,
};

/// The sum of a loss of pixels and losses of regions, each times its share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossSettings {
    /// The loss of single pixels, averaged by their weights. Default cross-entropy.
    pub pixels: PixelLoss,
    /// The share of the loss of pixels. Default 1.
    pub pixel_share: f64,
    /// The share of the Dice loss of the classes' regions. Default 1.
    pub dice: f64,
    /// The share of the Jaccard loss. Default 0.
    pub jaccard: f64,
    /// The share of the Tversky loss. Default 0.
    pub tversky: f64,
    /// The Tversky loss's factor of false positives; that of false negatives is one less it. Default 0.3.
    pub tversky_false_positives: f64,
}

impl Default for LossSettings {
    fn default() -> Self {
        Self {
            pixels: PixelLoss::default(),
            pixel_share: 1.0,
            dice: 1.0,
            jaccard: 0.0,
            tversky: 0.0,
            tversky_false_positives: 0.3,
        }
    }
}

/// A loss of single pixels; `name` chooses it in a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name")]
pub enum PixelLoss {
    /// Cross-entropy.
    #[serde(rename = "cross-entropy")]
    CrossEntropy(CrossEntropySettings),
    /// Focal loss.
    #[serde(rename = "focal")]
    Focal(FocalSettings),
    /// Mean absolute error.
    #[serde(rename = "mae")]
    MeanAbsoluteError(MeanAbsoluteErrorSettings),
    /// Generalised cross-entropy.
    #[serde(rename = "gce")]
    GeneralizedCrossEntropy(GeneralizedCrossEntropySettings),
    /// Symmetric cross-entropy.
    #[serde(rename = "sce")]
    SymmetricCrossEntropy(SymmetricCrossEntropySettings),
    /// Normalised and reverse cross-entropy.
    #[serde(rename = "nce-rce")]
    NceRce(NceRceSettings),
}

impl Default for PixelLoss {
    fn default() -> Self {
        Self::CrossEntropy(CrossEntropySettings::default())
    }
}

impl PixelLoss {
    fn build(&self) -> Result<Box<dyn Loss>> {
        Ok(match self {
            Self::CrossEntropy(settings) => Box::new(settings.loss()?),
            Self::Focal(settings) => Box::new(settings.loss()?),
            Self::MeanAbsoluteError(settings) => Box::new(settings.loss()?),
            Self::GeneralizedCrossEntropy(settings) => Box::new(settings.loss()?),
            Self::SymmetricCrossEntropy(settings) => Box::new(settings.loss()?),
            Self::NceRce(settings) => Box::new(settings.loss()?),
        })
    }
}

impl LossSettings {
    /// The loss, if its settings are in range.
    pub(super) fn build(&self) -> Result<SegmentationLoss> {
        let shares = [
            ("pixel_share", self.pixel_share),
            ("dice", self.dice),
            ("jaccard", self.jaccard),
            ("tversky", self.tversky),
        ];
        let wrong = |name, value: f64, reason: &str| Error::Setting {
            name,
            value: value.to_string(),
            reason: reason.to_owned(),
        };
        for (name, share) in shares {
            if !(share >= 0.0 && share.is_finite()) {
                return Err(wrong(name, share, "expected at least 0"));
            }
        }
        if shares.iter().all(|(_, share)| *share == 0.0) {
            return Err(wrong("pixel_share", 0.0, "one share must be above 0"));
        }
        let false_positives = self.tversky_false_positives;
        if !(0.0..=1.0).contains(&false_positives) {
            let reason = "expected a number from 0 to 1";
            return Err(wrong("tversky_false_positives", false_positives, reason));
        }
        let tversky = Tversky {
            false_positives,
            false_negatives: 1.0 - false_positives,
        };
        let regions = [
            (Tversky::DICE, self.dice),
            (Tversky::JACCARD, self.jaccard),
            (tversky, self.tversky),
        ];
        Ok(SegmentationLoss {
            pixels: self.pixels.build()?,
            pixel_share: self.pixel_share,
            regions: regions
                .into_iter()
                .filter(|(_, share)| *share > 0.0)
                .collect(),
        })
    }
}

pub(super) struct SegmentationLoss {
    pixels: Box<dyn Loss>,
    pixel_share: f64,
    regions: Vec<(Tversky, f64)>,
}

impl SegmentationLoss {
    /// The loss, `[1]`, of scores and targets `[pixels, classes]` with weights `[pixels]`.
    pub(super) fn of(
        &self,
        scores: Tensor<2>,
        targets: Tensor<2>,
        weights: Tensor<1>,
    ) -> Tensor<1> {
        let mut sum = Tensor::zeros([1], &scores.device());
        if self.pixel_share > 0.0 {
            let loss = self
                .pixels
                .mean(scores.clone(), targets.clone(), weights.clone());
            sum = sum + loss.mul_scalar(self.pixel_share);
        }
        if !self.regions.is_empty() {
            let probabilities = softmax(scores, 1);
            for (loss, share) in &self.regions {
                let loss = loss.loss(probabilities.clone(), targets.clone(), weights.clone());
                sum = sum + loss.mul_scalar(*share);
            }
        }
        sum
    }
}
