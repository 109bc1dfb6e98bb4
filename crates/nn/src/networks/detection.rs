use std::path::Path;

use burn::module::Module;
use serde::{Deserialize, Serialize};

use super::{FasterRcnn, FasterRcnnConfig, Fcos, FcosConfig};
use crate::error::WeightsError;
use crate::layers::Start;
use crate::weights::Weights;

/// A network that finds objects; a recipe names it and its sizes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DetectionConfig {
    /// See [`Fcos`].
    Fcos(FcosConfig),
    /// See [`FasterRcnn`].
    FasterRcnn(FasterRcnnConfig),
}

impl Default for DetectionConfig {
    fn default() -> Self {
        Self::Fcos(FcosConfig::default())
    }
}

/// A network made by a [`DetectionConfig`].
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum DetectionNetwork {
    /// See [`Fcos`].
    Fcos(Fcos),
    /// See [`FasterRcnn`].
    FasterRcnn(FasterRcnn),
}

impl DetectionConfig {
    /// Its name in recipes.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Fcos(_) => "fcos",
            Self::FasterRcnn(_) => "faster-rcnn",
        }
    }

    /// What height and width of images must be multiples of.
    pub fn multiple(&self) -> usize {
        match self {
            Self::Fcos(config) => config.multiple(),
            Self::FasterRcnn(config) => config.multiple(),
        }
    }

    /// The setting that is out of its range, if there is one: its name, its value and what is expected.
    pub fn problem(&self) -> Option<(&'static str, String, &'static str)> {
        match self {
            Self::Fcos(config) => config.problem(),
            Self::FasterRcnn(config) => config.problem(),
        }
    }

    /// A file of parameters that training begins with.
    pub fn pretrained(&self) -> Option<&Path> {
        match self {
            Self::Fcos(config) => config.pretrained.as_deref(),
            Self::FasterRcnn(config) => config.pretrained.as_deref(),
        }
    }

    /// The network with random parameters, for images of three channels and so many classes.
    ///
    /// # Panics
    /// When the sizes have a [problem](Self::problem).
    pub fn init(&self, classes: usize, start: &mut Start) -> DetectionNetwork {
        match self {
            Self::Fcos(config) => DetectionNetwork::Fcos(config.init(3, classes, start)),
            Self::FasterRcnn(config) => {
                DetectionNetwork::FasterRcnn(config.init(3, classes, start))
            }
        }
    }
}

impl DetectionNetwork {
    /// Replaces the parameters of the encoder, or of more if the file has them: see [`FasterRcnn::load_encoder`].
    ///
    /// # Errors
    /// When the file holds another network.
    pub fn load_encoder(self, weights: &Weights) -> Result<Self, WeightsError> {
        Ok(match self {
            Self::Fcos(network) => Self::Fcos(network.load_encoder(weights)?),
            Self::FasterRcnn(network) => Self::FasterRcnn(network.load_encoder(weights)?),
        })
    }
}
