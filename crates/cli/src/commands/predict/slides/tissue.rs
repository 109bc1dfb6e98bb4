//! The tissue of a slide, and what of it was looked at.

use std::collections::BTreeSet;
use std::path::Path;

use cleanslide_slide::{Slide, TilePlan, TissueMask, TissueSettings};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::ome_tiff;
use super::work::TileLine;
use crate::context::Context;
use crate::failure::Result;
use crate::json_file::write_json;

/// The tissue of a slide; that some of it is out of focus is said.
pub fn tissue_of(context: &Context, slide: &Slide, with_blur: bool) -> Result<TissueMask> {
    let settings = TissueSettings {
        without_blur: !with_blur,
        ..TissueSettings::default()
    };
    let tissue = TissueMask::of(slide, &settings)?;
    if let Ok(microns) = slide.microns_per_pixel() {
        let [sharp, blurred] = [tissue.area(microns), tissue.blurred_area(microns)];
        if blurred > 0.0 {
            context.output.warn(&format!(
                "{}: {:.1} % of its tissue ({:.2} mm2) is out of focus and left out; `--with-blur` keeps it",
                slide.path().display(),
                100.0 * blurred / (sharp + blurred),
                blurred / 1e6,
            ));
        }
    }
    Ok(tissue)
}

/// `slide.json`: how large a slide is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlideSize {
    /// Pixels of level 0.
    pub width: u64,
    pub height: u64,
    /// Their size.
    pub microns_per_pixel: f64,
}

/// The name of the file of a [`SlideSize`].
pub const SIZE: &str = "slide.json";
/// The name of the mask of the tissue.
pub const TISSUE: &str = "tissue.ome.tif";
/// Its value for tissue that was looked at.
pub const LOOKED_AT: u8 = 1;

const NAMES: [&str; 5] = [
    "no tissue",
    "tissue",
    "tissue in tiles that were not looked at",
    "out of focus",
    "ink",
];

/// Writes how large a slide is, and where its tissue; `everywhere` takes all for tissue.
pub fn write(
    folder: &Path,
    slide: &Slide,
    plan: &TilePlan,
    tissue: &TissueMask,
    everywhere: bool,
    lines: &[TileLine],
) -> Result<()> {
    let microns_per_pixel = slide.microns_per_pixel()?;
    let [width, height] = slide.levels()[0].size;
    write_json(
        &folder.join(SIZE),
        &SlideSize {
            width,
            height,
            microns_per_pixel,
        },
    )?;
    let looked_at: BTreeSet<u64> = lines
        .iter()
        .filter(|line| !line.counts.is_empty())
        .map(|line| line.tile)
        .collect();
    let step = f64::from(plan.inner()) * plan.downsample;
    let mask = Array2::from_shape_fn(tissue.tissue.dim(), |place @ (row, column)| {
        let middle = [column, row].map(|at| (at as f64 + 0.5) * tissue.downsample);
        let [x, y] = [0, 1].map(|side| ((middle[side] - plan.origin()[side]) / step).floor());
        let inside = x >= 0.0 && y >= 0.0 && x < plan.columns as f64 && y < plan.rows as f64;
        let tile = inside.then(|| y as u64 * plan.columns + x as u64);
        let is_looked_at = tile.is_some_and(|tile| looked_at.contains(&tile));
        match (everywhere || tissue.tissue[place], is_looked_at) {
            (true, true) => LOOKED_AT,
            (true, false) => 2,
            _ if tissue.blurred[place] => 3,
            _ if tissue.ink[place] => 4,
            _ => 0,
        }
    });
    let place = ome_tiff::Place {
        microns_per_pixel: Some(microns_per_pixel * tissue.downsample),
        origin: [0.0; 2],
    };
    let names: Vec<(u8, &str)> = (0..).zip(NAMES).collect();
    ome_tiff::write(&folder.join(TISSUE), mask.view(), &place, &names)?;
    Ok(())
}
