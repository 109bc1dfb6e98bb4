//! Patch classification: small pictures with one class each and a known difficulty.

use super::{CaseStyle, Entity, STYLE, SimulatedImage, Tissue, simulate_image, stream};
use rand::RngExt;
use rayon::prelude::*;

/// The class of a patch: what it mostly shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PatchClass {
    /// Hepatocytes without anything remarkable.
    Hepatocytes,
    /// Tumour of either entity.
    Tumour,
    /// Many immune cells.
    ImmuneInfiltrate,
    /// Hepatocytes full of fat vacuoles.
    Fat,
}

impl PatchClass {
    /// All classes; the position is the class index.
    pub const ALL: [Self; 4] = [
        Self::Hepatocytes,
        Self::Tumour,
        Self::ImmuneInfiltrate,
        Self::Fat,
    ];

    /// The name used in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hepatocytes => "hepatocytes",
            Self::Tumour => "tumour",
            Self::ImmuneInfiltrate => "immune infiltrate",
            Self::Fat => "fat",
        }
    }
}

/// A patch and the truth about it.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledPatch {
    /// Number of the case, from 0.
    pub case: usize,
    /// The true class.
    pub class: PatchClass,
    /// From 0, a textbook picture, to 1, at the border to another class.
    pub difficulty: f32,
    /// The picture with its pixels and cells.
    pub image: SimulatedImage,
}

/// A task of patch classification.
///
/// ```
/// use cleanslide_weak::simulate::PatchClassification;
/// let task = PatchClassification { cases: 2, patches_per_case: 4, ..Default::default() };
/// let patches = task.simulate();
/// assert_eq!(patches.len(), 8);
/// assert_eq!(patches[5], task.patch(1, 1));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct PatchClassification {
    /// Names the random numbers. Default 0.
    pub seed: u64,
    /// Number of cases, each with its own style. Default 24.
    pub cases: usize,
    /// Patches of every case; the classes take turns. Default 24.
    pub patches_per_case: usize,
    /// Height and width in pixels. Default 128 × 128.
    pub size: (usize, usize),
    /// Default 0.5.
    pub microns_per_pixel: f32,
    /// Difficulty is drawn evenly between these two, within 0..=1. Default 0 and 1.
    pub difficulty: (f32, f32),
}

impl Default for PatchClassification {
    fn default() -> Self {
        Self {
            seed: 0,
            cases: 24,
            patches_per_case: 24,
            size: (128, 128),
            microns_per_pixel: 0.5,
            difficulty: (0.0, 1.0),
        }
    }
}

impl PatchClassification {
    /// All patches, case by case.
    pub fn simulate(&self) -> Vec<LabelledPatch> {
        (0..self.cases * self.patches_per_case)
            .into_par_iter()
            .map(|i| self.patch(i / self.patches_per_case, i % self.patches_per_case))
            .collect()
    }

    /// One patch alone: the same as at this place in [`Self::simulate`].
    pub fn patch(&self, case: usize, patch: usize) -> LabelledPatch {
        let class = PatchClass::ALL[patch % PatchClass::ALL.len()];
        let mut rng = stream(self.seed, case as u32, STYLE);
        let style = CaseStyle::draw(&mut rng);
        let entity = if rng.random_bool(0.6) {
            Entity::Hepatocellular
        } else {
            Entity::Cholangiocellular
        };
        let mut rng = stream(self.seed, case as u32, patch as u32);
        let (low, high) = self.difficulty;
        let difficulty = (low + (high - low) * rng.random_range(0.0..1.0f32)).clamp(0.0, 1.0);
        // Where a trait of another class goes at full difficulty.
        let towards = rng.random_range(0..3);
        let tissue = Tissue {
            size: self.size,
            microns_per_pixel: self.microns_per_pixel,
            ..composition(class, difficulty, towards)
        };
        LabelledPatch {
            case,
            class,
            difficulty,
            image: simulate_image(entity, &tissue, &style, &mut rng),
        }
    }
}

/// What a patch of a class is made of. `towards` (0, 1, 2) picks the class that it resembles
/// more and more with rising difficulty.
fn composition(class: PatchClass, difficulty: f32, towards: usize) -> Tissue {
    let quiet = Tissue {
        stroma: 0.02,
        fat: 0.02,
        scattered: 120.0,
        ..Tissue::default()
    };
    let d = difficulty;
    match (class, towards) {
        (PatchClass::Hepatocytes, 0) => Tissue {
            reactive: 0.45 * d,
            ..quiet
        },
        (PatchClass::Hepatocytes, 1) => Tissue {
            scattered: 120.0 + 1100.0 * d,
            pyknotic: 60.0 + 300.0 * d,
            ..quiet
        },
        (PatchClass::Hepatocytes, _) => Tissue {
            fat: 0.02 + 0.20 * d,
            vacuole: 5.0 - 1.5 * d,
            ..quiet
        },
        (PatchClass::Tumour, 0 | 1) => Tissue {
            tumour: 1.0 - 0.55 * d,
            atypia: 1.0 - 0.4 * d,
            ..quiet
        },
        (PatchClass::Tumour, _) => Tissue {
            tumour: 1.0 - 0.3 * d,
            scattered: 120.0 + 1200.0 * d,
            ..quiet
        },
        (PatchClass::ImmuneInfiltrate, 0 | 1) => Tissue {
            foci: 0.75 - 0.57 * d,
            scattered: 900.0,
            reactive: 0.2 * d,
            ..quiet
        },
        (PatchClass::ImmuneInfiltrate, _) => Tissue {
            foci: 0.75 - 0.5 * d,
            scattered: 900.0,
            tumour: 0.45 * d,
            ..quiet
        },
        (PatchClass::Fat, 0) => Tissue {
            fat: 0.85 - 0.5 * d,
            vacuole: 6.5 - 2.5 * d,
            ..quiet
        },
        (PatchClass::Fat, 1) => Tissue {
            fat: 0.85 - 0.4 * d,
            vacuole: 6.0 - 2.0 * d,
            scattered: 120.0 + 900.0 * d,
            ..quiet
        },
        (PatchClass::Fat, _) => Tissue {
            fat: 0.85 - 0.4 * d,
            vacuole: 6.0 - 2.0 * d,
            reactive: 0.4 * d,
            ..quiet
        },
    }
}
