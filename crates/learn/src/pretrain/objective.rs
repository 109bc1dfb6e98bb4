//! How views are compared.

use burn::tensor::Tensor;
use cleanslide_nn::losses::{BarlowTwins, Dino, InfoNce, NtXent};
use cleanslide_nn::networks::{ImageEncoderConfig, ViewNetworkConfig};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How views are compared. Sizes of projections are smaller than published, for fewer images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// See [`NtXent`]: contrast with all other views of the batch.
    Simclr(SimclrSettings),
    /// See [`InfoNce`]: contrast of a prediction with what a slow teacher says of all images of the batch.
    MocoV3(MocoV3Settings),
    /// See [`Dino`]: what a slow teacher says of prototypes, without contrast.
    Dino(DinoSettings),
    /// See [`BarlowTwins`]: features that agree between views and not with each other, without contrast.
    BarlowTwins(BarlowTwinsSettings),
}

impl Default for Objective {
    fn default() -> Self {
        Self::Simclr(SimclrSettings::default())
    }
}

/// Settings of SimCLR (arXiv 2002.05709).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimclrSettings {
    /// What similarities are divided by. Default 0.2.
    pub temperature: f64,
    /// Values of the hidden layer of the projection. Default 512.
    pub hidden: usize,
    /// Values of a projection. Default 128.
    pub features: usize,
}

impl Default for SimclrSettings {
    fn default() -> Self {
        Self {
            temperature: 0.2,
            hidden: 512,
            features: 128,
        }
    }
}

/// Settings of MoCo v3 (arXiv 2104.02057).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MocoV3Settings {
    /// What similarities are divided by. Default 0.2.
    pub temperature: f64,
    /// What the teacher keeps of itself in a step, at first; it rises to 1 along half a cosine. Default 0.99.
    pub momentum: f64,
    /// Values of the hidden layers of projection and prediction. Default 1024 (published: 4096).
    pub hidden: usize,
    /// Values of a projection. Default 256.
    pub features: usize,
}

impl Default for MocoV3Settings {
    fn default() -> Self {
        Self {
            temperature: 0.2,
            momentum: 0.99,
            hidden: 1024,
            features: 256,
        }
    }
}

/// Settings of DINO (arXiv 2104.14294). The student also says of smaller parts of an image what the teacher says of its two
/// views.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DinoSettings {
    /// What the student's scores are divided by. Default 0.1.
    pub student_temperature: f64,
    /// What the teacher's scores are divided by. Default 0.04.
    pub teacher_temperature: f64,
    /// What the teacher keeps of itself in a step, at first; it rises to 1 along half a cosine. Default 0.99 (published,
    /// for many more steps: 0.996).
    pub momentum: f64,
    /// Values of the hidden layers of the projection. Default 1024 (published: 2048).
    pub hidden: usize,
    /// Values of a projection. Default 256.
    pub features: usize,
    /// Prototypes. Default 4096 (published: 65,536).
    pub prototypes: usize,
    /// Smaller views of an image, which only the student sees. Default 6 (published: 8).
    pub local_views: usize,
    /// The side of these, in pixels. Where it is left out, half of that of a view, in whole patches of a transformer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_size: Option<usize>,
}

impl Default for DinoSettings {
    fn default() -> Self {
        Self {
            student_temperature: 0.1,
            teacher_temperature: 0.04,
            momentum: 0.99,
            hidden: 1024,
            features: 256,
            prototypes: 4096,
            local_views: 6,
            local_size: None,
        }
    }
}

/// Settings of Barlow Twins (arXiv 2103.03230).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BarlowTwinsSettings {
    /// The weight of pairs of different features. Default 0.0051.
    pub redundancy: f64,
    /// Values of the hidden layers of the projection. Default 1024 (published: 8192).
    pub hidden: usize,
    /// Values of a projection. Default 1024 (published: 8192).
    pub features: usize,
}

impl Default for BarlowTwinsSettings {
    fn default() -> Self {
        Self {
            redundancy: 0.0051,
            hidden: 1024,
            features: 1024,
        }
    }
}

impl Objective {
    /// The names that [`Objective::named`] knows.
    pub const NAMES: [&str; 4] = ["simclr", "moco-v3", "dino", "barlow-twins"];

    /// The one of this name, with default settings.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "simclr" => Self::Simclr(SimclrSettings::default()),
            "moco-v3" => Self::MocoV3(MocoV3Settings::default()),
            "dino" => Self::Dino(DinoSettings::default()),
            "barlow-twins" => Self::BarlowTwins(BarlowTwinsSettings::default()),
            _ => return None,
        })
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        let [simclr, moco_v3, dino, barlow_twins] = Self::NAMES;
        match self {
            Self::Simclr(_) => simclr,
            Self::MocoV3(_) => moco_v3,
            Self::Dino(_) => dino,
            Self::BarlowTwins(_) => barlow_twins,
        }
    }

    /// The sizes of the network that learns.
    pub(super) fn network(&self, encoder: &ImageEncoderConfig) -> ViewNetworkConfig {
        let config = |layers, hidden, features| ViewNetworkConfig {
            encoder: encoder.clone(),
            layers,
            hidden,
            features,
            standardized: false,
            predicts: false,
            prototypes: 0,
            teacher: false,
        };
        match self {
            Self::Simclr(simclr) => config(2, simclr.hidden, simclr.features),
            Self::MocoV3(moco) => ViewNetworkConfig {
                standardized: true,
                predicts: true,
                teacher: true,
                ..config(2, moco.hidden, moco.features)
            },
            Self::Dino(dino) => ViewNetworkConfig {
                prototypes: dino.prototypes,
                teacher: true,
                ..config(3, dino.hidden, dino.features)
            },
            Self::BarlowTwins(twins) => config(3, twins.hidden, twins.features),
        }
    }

    /// What a teacher keeps of itself in a step, at first.
    pub(super) fn momentum(&self) -> Option<f64> {
        match self {
            Self::MocoV3(moco) => Some(moco.momentum),
            Self::Dino(dino) => Some(dino.momentum),
            Self::Simclr(_) | Self::BarlowTwins(_) => None,
        }
    }

    /// The sides of the views of an image, in pixels: two of `size`, and then those that only a student sees.
    pub(super) fn sides(&self, size: usize, encoder: &ImageEncoderConfig) -> Vec<usize> {
        let mut sides = vec![size; 2];
        if let Self::Dino(dino) = self {
            let local = dino.local_size.unwrap_or(encoder.whole(size / 2));
            sides.extend(std::iter::repeat_n(local, dino.local_views));
        }
        sides
    }

    /// The loss, `[1]`, of what is said of the views of a batch: of all by the student, of the first two by the teacher
    /// where there is one, and with the centre of its scores, each `[items, …]`.
    pub(super) fn loss(
        &self,
        student: &[Tensor<2>],
        teacher: Option<&[Tensor<2>; 2]>,
        centre: Option<Tensor<1>>,
    ) -> Result<Tensor<1>> {
        let [first, second] = [0, 1].map(|view| student[view].clone());
        let missing = |what: &str| Error::Device(format!("the network has no {what}"));
        Ok(match self {
            Self::Simclr(simclr) => {
                let weights = Tensor::ones([first.dims()[0]], &first.device());
                NtXent {
                    temperature: simclr.temperature,
                }
                .loss(first, second, weights)
            }
            Self::MocoV3(moco) => {
                let [keys_first, keys_second] = teacher.ok_or_else(|| missing("teacher"))?.clone();
                let loss = InfoNce {
                    temperature: moco.temperature,
                };
                let both = loss.loss(first, keys_second) + loss.loss(second, keys_first);
                both.mul_scalar(2.0 * moco.temperature)
            }
            Self::Dino(dino) => Dino {
                student_temperature: dino.student_temperature,
                teacher_temperature: dino.teacher_temperature,
            }
            .loss(
                student,
                teacher.ok_or_else(|| missing("teacher"))?,
                centre.ok_or_else(|| missing("centre"))?,
            ),
            Self::BarlowTwins(twins) => BarlowTwins {
                redundancy: twins.redundancy,
            }
            .loss(first, second),
        })
    }

    /// Refuses settings out of their range.
    pub(super) fn check(&self) -> Result<()> {
        let check = |name, value: f64, valid: bool, reason: &str| {
            if valid {
                return Ok(());
            }
            Err(Error::Setting {
                name,
                value: value.to_string(),
                reason: reason.to_owned(),
            })
        };
        let positive = |name, value: f64| {
            let valid = value > 0.0 && value.is_finite();
            check(name, value, valid, "expected more than 0")
        };
        let count =
            |name, value: usize| check(name, value as f64, value > 0, "expected at least 1");
        if let Some(momentum) = self.momentum() {
            let valid = (0.0..1.0).contains(&momentum);
            check(
                "momentum",
                momentum,
                valid,
                "expected at least 0 and less than 1",
            )?;
        }
        let (hidden, features) = match self {
            Self::Simclr(simclr) => {
                positive("temperature", simclr.temperature)?;
                (simclr.hidden, simclr.features)
            }
            Self::MocoV3(moco) => {
                positive("temperature", moco.temperature)?;
                (moco.hidden, moco.features)
            }
            Self::Dino(dino) => {
                positive("student_temperature", dino.student_temperature)?;
                positive("teacher_temperature", dino.teacher_temperature)?;
                count("prototypes", dino.prototypes)?;
                (dino.hidden, dino.features)
            }
            Self::BarlowTwins(twins) => {
                let redundancy = twins.redundancy;
                let valid = redundancy >= 0.0 && redundancy.is_finite();
                check("redundancy", redundancy, valid, "expected at least 0")?;
                (twins.hidden, twins.features)
            }
        };
        count("hidden", hidden)?;
        count("features", features)
    }
}
