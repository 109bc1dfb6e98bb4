//! How what several experts said becomes one loss.

use cleanslide_nn::networks::WeightingNetworkConfig;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::segment::SegmentSettings;

/// How what several experts said becomes one loss; `name` chooses it in a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name")]
pub enum ExpertMethod {
    /// The class that most experts gave a pixel; of equals none, and the pixel is not learned from.
    #[serde(rename = "majority")]
    Majority,
    /// The consensus of STAPLE in each image (with two classes at a probability of 0.5; with more, of equals none).
    #[serde(rename = "staple")]
    Staple,
    /// All experts at once: the share of them for each class, a soft label.
    #[serde(rename = "soft")]
    Soft,
    /// Each expert's loss by a learned weight, beside the majority's.
    #[serde(rename = "reweight")]
    Reweight(ReweightSettings),
    /// A confusion matrix for each expert.
    #[serde(rename = "confusion")]
    Confusion(ConfusionSettings),
    /// The network itself as one more expert.
    #[serde(rename = "self-consensus")]
    SelfConsensus(SelfConsensusSettings),
}

impl Default for ExpertMethod {
    fn default() -> Self {
        Self::Reweight(ReweightSettings::default())
    }
}

/// Label re-weighting of Xiao et al. (arXiv 2104.02602). A [weighting
/// network](cleanslide_nn::networks::WeightingNetwork) gives each expert who labelled a pixel a weight there; they sum
/// to 1. With the loss of each expert l_n, the loss of the majority and t-th part of the training (from 0):
///
/// ```text
/// weighted = 1/N sum_n l_n w_n        loss = (majority + tanh(t) weighted) / (1 + tanh(t))
/// ```
///
/// The weighting network is trained by the same loss, which is least where all weight is on the expert with the
/// smallest loss: on the one who agrees with the network, right or not. `entropy` holds against that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReweightSettings {
    /// In how many equal parts the training counts t. Default 10: the paper's 10,000 steps, counted by thousands.
    pub parts: usize,
    /// Whether the weighted loss is divided by the number of experts who labelled the pixel. Default true, as the
    /// paper has it: with N experts they count an Nth of what one would.
    pub divided: bool,
    /// The share of a loss that is the smaller the more equal the weights are: their Kullback–Leibler divergence from
    /// equal ones. Default 0, as in the paper.
    pub entropy: f64,
    /// The weighting network.
    pub weighting: WeightingNetworkConfig,
}

impl Default for ReweightSettings {
    fn default() -> Self {
        Self {
            parts: 10,
            divided: true,
            entropy: 0.0,
            weighting: WeightingNetworkConfig::default(),
        }
    }
}

/// Confusion matrices of annotators (Tanno et al., arXiv 1902.03680; of each pixel: Zhang et al., arXiv 2007.15963).
/// The loss is the sum over experts of their losses, with what the matrices make of the network's probabilities in the
/// place of these, and the mean trace of the matrices times `trace`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConfusionSettings {
    /// Whether each pixel has matrices of its own, from a weighting network. Default false: one for all.
    pub per_pixel: bool,
    /// The share of the trace. Default 0.1.
    pub trace: f64,
    /// The probability with which experts are held for right at first, in (0, 1). Default 0.9.
    pub right: f64,
    /// The network of the matrices of pixels.
    pub weighting: WeightingNetworkConfig,
}

impl Default for ConfusionSettings {
    fn default() -> Self {
        Self {
            per_pixel: false,
            trace: 0.1,
            right: 0.9,
            weighting: WeightingNetworkConfig::default(),
        }
    }
}

/// Labels that the network joins in (bootstrapping, Reed et al., arXiv 1412.6596, among several experts). The target
/// of a pixel is the mean of the experts' classes and of the network's probabilities, which have the voice of
/// `voice · tanh(t)` experts in the t-th part of the training; a pixel counts by the share of the experts who agree with
/// the majority there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SelfConsensusSettings {
    /// How many experts the network outweighs in the end, at least 0. Default 2.
    pub voice: f64,
    /// In how many equal parts the training counts t. Default 10.
    pub parts: usize,
}

impl Default for SelfConsensusSettings {
    fn default() -> Self {
        Self {
            voice: 2.0,
            parts: 10,
        }
    }
}

impl ExpertMethod {
    /// Its name in recipes.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Majority => "majority",
            Self::Staple => "staple",
            Self::Soft => "soft",
            Self::Reweight(_) => "reweight",
            Self::Confusion(_) => "confusion",
            Self::SelfConsensus(_) => "self-consensus",
        }
    }

    /// All methods, with default settings.
    pub fn all() -> [Self; 6] {
        [
            Self::Majority,
            Self::Staple,
            Self::Soft,
            Self::Reweight(ReweightSettings::default()),
            Self::Confusion(ConfusionSettings::default()),
            Self::SelfConsensus(SelfConsensusSettings::default()),
        ]
    }

    /// The network that says something of experts at each pixel, if there is one.
    pub fn weighting(&self) -> Option<&WeightingNetworkConfig> {
        match self {
            Self::Reweight(settings) => Some(&settings.weighting),
            Self::Confusion(settings) if settings.per_pixel => Some(&settings.weighting),
            _ => None,
        }
    }

    /// The same with another such network, if there is one.
    #[must_use]
    pub fn with_weighting(mut self, network: &WeightingNetworkConfig) -> Self {
        match &mut self {
            Self::Reweight(settings) => settings.weighting = network.clone(),
            Self::Confusion(settings) => settings.weighting = network.clone(),
            _ => {}
        }
        self
    }

    fn check(&self) -> Result<()> {
        let wrong = |name, value: f64, reason: &str| {
            Err(Error::Setting {
                name,
                value: value.to_string(),
                reason: reason.to_owned(),
            })
        };
        let at_least_0 = |name, value: f64| {
            if value >= 0.0 && value.is_finite() {
                return Ok(());
            }
            wrong(name, value, "expected at least 0")
        };
        match self {
            Self::Majority | Self::Staple | Self::Soft => Ok(()),
            Self::Reweight(ReweightSettings { parts: 0, .. })
            | Self::SelfConsensus(SelfConsensusSettings { parts: 0, .. }) => {
                wrong("parts", 0.0, "expected at least 1")
            }
            Self::Reweight(settings) => at_least_0("entropy", settings.entropy),
            Self::SelfConsensus(settings) => at_least_0("voice", settings.voice),
            Self::Confusion(settings) => {
                at_least_0("trace", settings.trace)?;
                if settings.right > 0.0 && settings.right < 1.0 {
                    return Ok(());
                }
                wrong("right", settings.right, "expected a number between 0 and 1")
            }
        }
    }
}

/// All that decides a training from several experts, but the images, their labels and the seed.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpertSettings {
    /// How what they said becomes one loss.
    pub method: ExpertMethod,
    /// The network, its loss, and the training. The loss of pixels is each expert's; those of regions are of the
    /// majority, the consensus or the soft labels, where the method has such.
    pub segment: SegmentSettings,
}

impl ExpertSettings {
    /// Refuses settings out of their range, and those that exclude each other.
    ///
    /// # Errors
    /// The first such setting.
    pub fn check(&self) -> Result<()> {
        self.segment.check()?;
        self.method.check()?;
        let wrong = |name, value: String, reason: String| {
            Err(Error::Setting {
                name,
                value,
                reason,
            })
        };
        let crop = self.segment.train.crop;
        let multiple = WeightingNetworkConfig::MULTIPLE;
        if self.method.weighting().is_some() && !crop.is_multiple_of(multiple) {
            let reason = format!("the weighting network needs a multiple of {multiple}");
            return wrong("crop", crop.to_string(), reason);
        }
        self.segment
            .augment
            .refuse_mixtures("images that several experts labelled are not mixed")?;
        let loss = &self.segment.loss;
        if loss.boundary > 0.0 {
            let reason = "distances to borders are not measured for several experts".to_owned();
            return wrong("boundary", loss.boundary.to_string(), reason);
        }
        if matches!(self.method, ExpertMethod::Confusion(_)) && loss.pixel_share == 0.0 {
            let reason = "confusion matrices are learned by the loss of pixels".to_owned();
            return wrong("pixel_share", "0".to_owned(), reason);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::LossSettings;

    #[test]
    fn settings_out_of_range_are_refused() {
        let message = |recipe: &str| {
            let settings = ExpertSettings {
                method: toml::from_str(recipe).unwrap(),
                segment: SegmentSettings::default(),
            };
            settings.check().err().map(|error| error.to_string())
        };
        for method in ExpertMethod::all() {
            assert_eq!(message(&format!("name = \"{}\"", method.name())), None);
        }
        for (recipe, name) in [
            ("name = \"reweight\"\nparts = 0", "parts"),
            ("name = \"reweight\"\nentropy = -1.0", "entropy"),
            ("name = \"confusion\"\nright = 1.0", "right"),
            ("name = \"confusion\"\ntrace = nan", "trace"),
            ("name = \"self-consensus\"\nvoice = inf", "voice"),
        ] {
            assert!(message(recipe).unwrap().contains(name), "{recipe}");
        }
        let of_regions = ExpertSettings {
            method: ExpertMethod::Confusion(ConfusionSettings::default()),
            segment: SegmentSettings {
                loss: LossSettings {
                    pixel_share: 0.0,
                    ..LossSettings::default()
                },
                ..SegmentSettings::default()
            },
        };
        let message = of_regions.check().unwrap_err().to_string();
        assert!(message.contains("pixel_share"), "{message}");
    }
}
