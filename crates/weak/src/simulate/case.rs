//! All pictures of one patient.

use super::{CaseStyle, Entity, STYLE, SimulatedImage, Tissue, simulate_image, stream};
use rand::RngExt;
use rayon::prelude::*;

/// How many pictures a case has, and of which size.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseSettings {
    /// Number of pictures. Default 6.
    pub images: usize,
    /// Height and width in pixels. Default 256 × 256.
    pub size: (usize, usize),
    /// Default 0.5.
    pub microns_per_pixel: f32,
}

impl Default for CaseSettings {
    fn default() -> Self {
        Self {
            images: 6,
            size: (256, 256),
            microns_per_pixel: 0.5,
        }
    }
}

/// One patient: a diagnosis, a style, and pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulatedCase {
    /// `case-0007` for case 7.
    pub id: String,
    /// The truth about the case.
    pub diagnosis: Entity,
    /// What its pictures have in common.
    pub style: CaseStyle,
    /// The pictures, in order.
    pub images: Vec<SimulatedImage>,
}

/// Makes case number `case` of a series. The same seed, case, diagnosis and settings give the
/// same bytes, whatever else is simulated and on how many threads.
///
/// Of the pictures of a tumour case, the first of every three shows mostly tumour, the second
/// its border, and the third the liver beside it with little or no tumour: a diagnosis says what
/// a picture can *not* contain, not what it contains. Every case has its own mean fibrosis, fat,
/// inflammation and atypia.
pub fn simulate_case(
    seed: u64,
    case: u32,
    diagnosis: Entity,
    settings: &CaseSettings,
) -> SimulatedCase {
    let mut rng = stream(seed, case, STYLE);
    let style = CaseStyle::draw(&mut rng);
    let habit = Tissue {
        size: settings.size,
        microns_per_pixel: settings.microns_per_pixel,
        atypia: rng.random_range(0.6..1.0),
        stroma: rng.random_range(0.02..0.14),
        reactive: rng.random_range(0.0..0.25),
        fat: rng.random_range(0.0f32..1.0).powi(2) * 0.4,
        vacuole: rng.random_range(3.5..6.5),
        foci: rng.random_range(0.0..0.12),
        scattered: rng.random_range(60.0..400.0),
        pyknotic: rng.random_range(30.0..160.0),
        ..Tissue::default()
    };
    let images = (0..settings.images as u32)
        .into_par_iter()
        .map(|image| {
            let mut rng = stream(seed, case, image);
            let tumour = match image % 3 {
                0 => rng.random_range(0.75..1.0),
                1 => rng.random_range(0.3..0.7),
                _ => rng.random_range(0.0f32..0.25) - 0.1,
            };
            let tissue = Tissue {
                tumour: tumour.max(0.0),
                glass: (rng.random_range(0.0f32..0.5) - 0.3).max(0.0),
                foci: habit.foci * rng.random_range(0.0..2.0),
                stroma: habit.stroma * rng.random_range(0.3..1.7),
                ..habit.clone()
            };
            simulate_image(diagnosis, &tissue, &style, &mut rng)
        })
        .collect();
    SimulatedCase {
        id: format!("case-{case:04}"),
        diagnosis,
        style,
        images,
    }
}
