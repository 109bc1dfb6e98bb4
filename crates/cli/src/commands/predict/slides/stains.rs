//! Tiles in the stains of a reference.

use std::path::Path;

use cleanslide_data::{MAX_PIXELS, read_image};
use cleanslide_image::stain::TwoStains;
use cleanslide_slide::{PlannedTile, Slide, SlideStains, TilePlan, stains_of};
use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Result};

/// Haematoxylin and eosin of a reference, to six digits, so that they are the same in a request that is read again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// Densities of red, green and blue.
    haematoxylin: [f64; 3],
    eosin: [f64; 3],
    /// How much there is of each.
    strengths: [f64; 2],
}

impl Reference {
    /// That of an image.
    pub fn of(path: &Path) -> Result<Self> {
        let pixels = read_image(path, MAX_PIXELS)?.pixels;
        let stains = stains_of(&pixels);
        let stains = stains.map_err(|error| {
            Failure::input(format!("{}: {error}", path.display()))
                .help("Give an image of tissue in haematoxylin and eosin, such as one of those of the training.")
        })?;
        let rounded = |value: f64| (value * 1e6).round() / 1e6;
        Ok(Self {
            haematoxylin: stains.densities[0].map(rounded),
            eosin: stains.densities[1].map(rounded),
            strengths: stains.strengths.map(rounded),
        })
    }
}

/// Reads tiles of a slide, in the stains of a reference if there is one.
pub struct Tiles(Option<SlideStains>);

impl Tiles {
    /// Estimates the stains of a slide from its tiles with tissue; where there are none, nothing is read.
    pub fn new(
        reference: Option<&Reference>,
        slide: &Slide,
        plan: &TilePlan,
        tiles: &[PlannedTile],
    ) -> Result<Self> {
        let Some(reference) = reference.filter(|_| !tiles.is_empty()) else {
            return Ok(Self(None));
        };
        let stains = TwoStains {
            densities: [reference.haematoxylin, reference.eosin],
            strengths: reference.strengths,
        };
        let stains = SlideStains::new(slide, plan, tiles, &stains).map_err(|error| {
            Failure::input(error.to_string())
                .help("Is it stained with haematoxylin and eosin? Leave it out, or predict without `--stain-reference`.")
        })?;
        Ok(Self(Some(stains)))
    }

    pub fn read(
        &self,
        slide: &Slide,
        plan: &TilePlan,
        tile: &PlannedTile,
    ) -> cleanslide_slide::Result<RgbImage> {
        let pixels = plan.read(slide, tile)?;
        match &self.0 {
            Some(stains) => stains.apply(&pixels),
            None => Ok(pixels),
        }
    }
}
