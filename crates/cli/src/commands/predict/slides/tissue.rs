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
use crate::json_file::{read_json, write_json};

/// Of a slide in bright field, at least this share is glass.
const GLASS: f64 = 0.005;

/// The tissue of a slide; that some of it is out of focus is said.
pub fn tissue_of(context: &Context, slide: &Slide, with_blur: bool) -> Result<TissueMask> {
    let settings = TissueSettings {
        without_blur: !with_blur,
        ..TissueSettings::default()
    };
    let tissue = TissueMask::of(slide, &settings)?;
    if tissue.glass < GLASS {
        context.output.warn(&format!(
            "{}: nothing of it is as bright as glass, from which tissue is told: is it fluorescence, or all of it tissue? \
             `--tissue 0` looks at all of it",
            slide.path().display()
        ));
    }
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

/// `slide.json`: which slide was looked at, and how large it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlideRecord {
    /// Pixels of level 0.
    pub width: u64,
    pub height: u64,
    /// Their size.
    pub microns_per_pixel: f64,
    /// Where what was scanned begins, left and top, in pixels of level 0: QuPath counts from there.
    #[serde(default)]
    pub origin: [u64; 2],
    /// See [`Slide::fingerprint`].
    #[serde(default)]
    pub fingerprint: String,
}

impl SlideRecord {
    pub fn of(slide: &Slide) -> Result<Self> {
        let [width, height] = slide.levels()[0].size;
        let [left, top, ..] = slide.bounds();
        Ok(Self {
            width,
            height,
            origin: [left, top],
            microns_per_pixel: slide.microns_per_pixel()?,
            fingerprint: slide.fingerprint()?,
        })
    }

    /// Whether a folder that has a record is of this slide.
    pub fn is_of(&self, folder: &Path) -> Result<bool> {
        Ok(read_json::<Self>(&folder.join(RECORD))?.fingerprint == self.fingerprint)
    }

    pub fn write(&self, folder: &Path) -> Result<()> {
        write_json(&folder.join(RECORD), self)
    }
}

/// The name of the file of a [`SlideRecord`].
pub const RECORD: &str = "slide.json";
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

/// Writes where the tissue of a slide is; `everywhere` takes all for tissue.
pub fn write(
    folder: &Path,
    record: &SlideRecord,
    plan: &TilePlan,
    tissue: &TissueMask,
    everywhere: bool,
    lines: &[TileLine],
) -> Result<()> {
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
        let is_looked_at =
            plan.covers(middle) && tile.is_some_and(|tile| looked_at.contains(&tile));
        match (everywhere || tissue.tissue[place], is_looked_at) {
            (true, true) => LOOKED_AT,
            (true, false) => 2,
            _ if tissue.blurred[place] => 3,
            _ if tissue.ink[place] => 4,
            _ => 0,
        }
    });
    let place = ome_tiff::Place {
        microns_per_pixel: Some(record.microns_per_pixel * tissue.downsample),
        origin: [0.0; 2],
    };
    let names: Vec<(u8, &str)> = (0..).zip(NAMES).collect();
    ome_tiff::write(&folder.join(TISSUE), mask.view(), &place, &names)?;
    Ok(())
}
