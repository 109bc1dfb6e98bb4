//! Simulated H&E-stained liver with known truth for every pixel, nucleus, image and case.
//!
//! It is there for tests and the demo: every recipe can be run on tissue whose truth is known
//! exactly and whose difficulty can be turned. **No claim about real tissue rests on it.**
//!
//! The picture is made the way a microscope makes it: concentrations of haematoxylin and eosin
//! are laid out cell by cell, turned into optical density by their stain vectors, into light by
//! the law of Beer and Lambert, and into grey values by a camera with blur and noise
//! ([`CaseStyle`]).
//!
//! ```text
//! density_c = haematoxylin · H_c + eosin · E_c              c = red, green, blue
//! light_c   = white_c · 10^(−density_c)
//! value_c   = 255 · (blur(light_c) + noise), rounded to 0..=255
//! ```
//!
//! - [`Tissue`] says what grows in a picture and in which shares; [`simulate_image`] makes it.
//! - [`simulate_case`] makes several pictures of one patient: one diagnosis, one stain.
//! - [`PatchClassification`] makes small patches with one class each and a known difficulty.
//! - [`Annotator`] makes people who label them, with habits, errors and gaps.
//!
//! Every image draws from its own ChaCha8 stream, named by seed, case and image, so results
//! depend neither on the number of threads nor on what else is simulated.
//!
//! Stain vectors: Ruifrok & Johnston, *Quantification of histochemical staining by color
//! deconvolution*, Anal Quant Cytol Histol 23 (2001) 291–299; the vectors of haematoxylin and
//! eosin lie between the two sets that its ImageJ plugin (G. Landini, *Colour Deconvolution*)
//! ships.

mod annotators;
mod architecture;
mod case;
mod nucleus;
mod patches;
mod style;
mod texture;
mod tissue;

pub use annotators::{Annotator, AnnotatorError, simulate_votes};
pub use case::{CaseSettings, SimulatedCase, simulate_case};
pub use patches::{LabelledPatch, PatchClass, PatchClassification};
pub use style::CaseStyle;
pub use tissue::{SimulatedImage, Tissue, TissueError, simulate_image};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The diagnosis of a case: which tumour, if any, grows in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    /// No tumour.
    BenignLiver,
    /// Like hepatocellular carcinoma: thick plates of eosinophilic, cytoplasm-rich cells.
    Hepatocellular,
    /// Like cholangiocellular carcinoma: glands of cuboidal cells in fibrous stroma.
    Cholangiocellular,
}

impl Entity {
    /// All entities, in order.
    pub const ALL: [Self; 3] = [
        Self::BenignLiver,
        Self::Hepatocellular,
        Self::Cholangiocellular,
    ];

    /// The name used in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::BenignLiver => "benign liver",
            Self::Hepatocellular => "hepatocellular",
            Self::Cholangiocellular => "cholangiocellular",
        }
    }

    /// The tissue class of this tumour's cells; `None` for benign liver.
    pub fn tumour_class(self) -> Option<TissueClass> {
        match self {
            Self::BenignLiver => None,
            Self::Hepatocellular => Some(TissueClass::Hepatocellular),
            Self::Cholangiocellular => Some(TissueClass::Cholangiocellular),
        }
    }
}

/// What a pixel shows. The discriminant is the value in [`SimulatedImage::pixel_class`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum TissueClass {
    /// No tissue: glass, or the lumen of a gland.
    Background = 0,
    /// Hepatocytes, with their nuclei.
    NormalLiver = 1,
    /// Collagen fibres and fibroblasts.
    Stroma = 2,
    /// Cells of a hepatocellular tumour.
    Hepatocellular = 3,
    /// Cells of a cholangiocellular tumour.
    Cholangiocellular = 4,
    /// Nuclei of immune cells, wherever they lie.
    Immune = 5,
    /// A fat vacuole: as bright as glass, but inside a cell.
    Fat = 6,
    /// Sinusoids with red blood cells and the cells that line them.
    BloodSpace = 7,
}

impl TissueClass {
    /// All classes; the position is the pixel value.
    pub const ALL: [Self; 8] = [
        Self::Background,
        Self::NormalLiver,
        Self::Stroma,
        Self::Hepatocellular,
        Self::Cholangiocellular,
        Self::Immune,
        Self::Fat,
        Self::BloodSpace,
    ];

    /// The name used in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Background => "background",
            Self::NormalLiver => "normal liver",
            Self::Stroma => "stroma",
            Self::Hepatocellular => "hepatocellular tumour",
            Self::Cholangiocellular => "cholangiocellular tumour",
            Self::Immune => "immune",
            Self::Fat => "fat",
            Self::BloodSpace => "blood space",
        }
    }
}

/// What kind of cell a nucleus belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CellKind {
    /// Large, round, pale nucleus with a nucleolus.
    Hepatocyte,
    /// Tumour cell; [`Cell::tissue`] says of which entity.
    Tumour,
    /// Small, round, dark nucleus with hardly any cytoplasm.
    Immune,
    /// Look-alike of an immune cell: the shrunken, dark nucleus of a dying cell.
    Pyknotic,
    /// Look-alike of an immune cell: the cell that lines a sinusoid.
    Endothelial,
    /// Look-alike of an immune cell when cut across: the slender nucleus of the stroma.
    Fibroblast,
}

impl CellKind {
    /// All kinds, in order.
    pub const ALL: [Self; 6] = [
        Self::Hepatocyte,
        Self::Tumour,
        Self::Immune,
        Self::Pyknotic,
        Self::Endothelial,
        Self::Fibroblast,
    ];

    /// The name used in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hepatocyte => "hepatocyte",
            Self::Tumour => "tumour cell",
            Self::Immune => "immune cell",
            Self::Pyknotic => "pyknotic cell",
            Self::Endothelial => "endothelial cell",
            Self::Fibroblast => "fibroblast",
        }
    }

    /// Whether the nucleus is easily taken for that of an immune cell.
    pub fn is_look_alike(self) -> bool {
        matches!(self, Self::Pyknotic | Self::Endothelial | Self::Fibroblast)
    }
}

/// One nucleus and what is known about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// Value of this nucleus in [`SimulatedImage::instances`]: 1, 2, … without gaps.
    pub id: u16,
    /// The kind of cell.
    pub kind: CellKind,
    /// The tissue class of every pixel of the nucleus.
    pub tissue: TissueClass,
    /// Mean (row, column) of the visible pixels.
    pub centre: (f32, f32),
    /// Visible area in pixels.
    pub area: usize,
    /// Smallest box around the visible pixels: first row, first column, one past the last row,
    /// one past the last column.
    pub bounding_box: (usize, usize, usize, usize),
    /// An immune cell that has left the blood and lies within the tissue. Immune cells that
    /// merely pass through a blood space are not infiltrating; nor is any other cell.
    pub infiltrating: bool,
}

impl Cell {
    /// Radius in pixels of the circle with the same visible area.
    pub fn radius(&self) -> f32 {
        (self.area as f32 / std::f32::consts::PI).sqrt()
    }
}

/// The generator for one image (or, with `image` = [`STYLE`], for the style) of one case.
fn stream(seed: u64, case: u32, image: u32) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream((u64::from(case) << 32) | u64::from(image));
    rng
}

/// The stream of a case that draws its style and plan, not an image.
const STYLE: u32 = u32::MAX;
