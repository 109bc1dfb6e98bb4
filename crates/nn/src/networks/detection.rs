use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Fcos, FcosConfig};
use crate::layers::Start;

/// A network that finds objects; a recipe names it and its sizes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DetectionConfig {
    /// See [`Fcos`].
    Fcos(FcosConfig),
}

impl Default for DetectionConfig {
    fn default() -> Self {
        Self::Fcos(FcosConfig::default())
    }
}

impl DetectionConfig {
    /// Its name in recipes.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Fcos(_) => "fcos",
        }
    }

    /// What height and width of images must be multiples of.
    pub fn multiple(&self) -> usize {
        let Self::Fcos(config) = self;
        config.multiple()
    }

    /// The side of the cells of each level; see [`FcosConfig::strides`].
    pub fn strides(&self) -> Vec<usize> {
        let Self::Fcos(config) = self;
        config.strides()
    }

    /// The setting that is out of its range, if there is one: its name, its value and what is expected.
    pub fn problem(&self) -> Option<(&'static str, String, &'static str)> {
        let Self::Fcos(config) = self;
        config.problem()
    }

    /// A file of parameters of its encoder that training begins with.
    pub fn pretrained(&self) -> Option<&Path> {
        let Self::Fcos(config) = self;
        config.pretrained.as_deref()
    }

    /// The network with random parameters, for images of three channels and so many classes.
    ///
    /// # Panics
    /// When the sizes have a [problem](Self::problem).
    pub fn init(&self, classes: usize, start: &mut Start) -> Fcos {
        let Self::Fcos(config) = self;
        config.init(3, classes, start)
    }
}
