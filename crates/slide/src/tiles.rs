//! Which tiles of a slide are looked at.

use image::RgbImage;

use crate::error::{Error, Result};
use crate::slide::Slide;
use crate::tissue::TissueMask;

/// How a slide is cut.
#[derive(Debug, Clone, PartialEq)]
pub struct TileSettings {
    /// The size of a pixel, in microns; `None` takes those of level 0, whatever their size.
    pub microns_per_pixel: Option<f64>,
    /// Pixels along a side. Default 256.
    pub side: u32,
    /// Pixels that a tile shares with the next one, on each side of it. Default 0.
    pub margin: u32,
}

impl Default for TileSettings {
    fn default() -> Self {
        Self {
            microns_per_pixel: None,
            side: 256,
            margin: 0,
        }
    }
}

/// All tiles of one scale that cover what was scanned of a slide, in rows from its upper left. Their numbers depend on the slide
/// and the settings alone, so that work can be shared, stopped and gone on with.
#[derive(Debug, Clone, PartialEq)]
pub struct TilePlan {
    /// Pixels of level 0 beside each other in one of a tile.
    pub downsample: f64,
    /// Pixels along the side of a tile, margins included.
    pub side: u32,
    /// Pixels on each side that other tiles have too.
    pub margin: u32,
    /// Tiles in a row.
    pub columns: u64,
    /// Rows of tiles.
    pub rows: u64,
    /// Of the first tile without its margin, in pixels of level 0.
    origin: [f64; 2],
    /// Width and height of what was scanned, in pixels of level 0.
    scanned: [f64; 2],
}

/// A tile of a plan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlannedTile {
    /// Its number, from 0.
    pub number: u64,
    /// From 0.
    pub column: u64,
    /// From 0.
    pub row: u64,
    /// Its left edge, margin included, in pixels of level 0; it may lie outside.
    pub left: f64,
    /// Its upper edge.
    pub top: f64,
}

impl TilePlan {
    /// Plans the tiles of a slide.
    ///
    /// # Errors
    /// Settings out of range, or a size of pixels where the slide does not know its own.
    pub fn new(slide: &Slide, settings: &TileSettings) -> Result<Self> {
        let TileSettings { side, margin, .. } = *settings;
        let wrong = |name, value: &dyn ToString, reason| Error::Setting {
            name,
            value: value.to_string(),
            reason,
        };
        if side == 0 || margin.saturating_mul(2) >= side {
            let reason = "expected less than half of the side";
            return Err(wrong("margin", &margin, reason));
        }
        let downsample = match settings.microns_per_pixel {
            Some(microns) if !(microns > 0.0 && microns.is_finite()) => {
                return Err(wrong("microns_per_pixel", &microns, "expected more than 0"));
            }
            Some(microns) => microns / slide.microns_per_pixel()?,
            None => 1.0,
        };
        let [left, top, width, height] = slide.bounds().map(|length| length as f64);
        let step = f64::from(side - 2 * margin) * downsample;
        let tiles = |length: f64| (length / step).ceil().max(1.0) as u64;
        Ok(Self {
            downsample,
            side,
            margin,
            columns: tiles(width),
            rows: tiles(height),
            origin: [left, top],
            scanned: [width, height],
        })
    }

    /// Where the first tile begins without its margin, in pixels of level 0.
    pub fn origin(&self) -> [f64; 2] {
        self.origin
    }

    /// Width and height of what was scanned, in pixels of level 0.
    pub fn scanned(&self) -> [f64; 2] {
        self.scanned
    }

    /// Whether a place, in pixels of level 0, is on what was scanned: tiles at the edge may reach beyond it.
    pub fn covers(&self, place: [f64; 2]) -> bool {
        [0, 1].into_iter().all(|side| {
            let at = place[side] - self.origin[side];
            at >= 0.0 && at < self.scanned[side]
        })
    }

    /// Pixels along the side of a tile without its margins.
    pub fn inner(&self) -> u32 {
        self.side - 2 * self.margin
    }

    /// How many tiles there are.
    pub fn count(&self) -> u64 {
        self.columns * self.rows
    }

    /// A tile by its number.
    pub fn tile(&self, number: u64) -> PlannedTile {
        let (column, row) = (number % self.columns, number / self.columns);
        let step = f64::from(self.inner());
        let along = |origin: f64, place: u64| {
            origin + (place as f64 * step - f64::from(self.margin)) * self.downsample
        };
        PlannedTile {
            number,
            column,
            row,
            left: along(self.origin[0], column),
            top: along(self.origin[1], row),
        }
    }

    /// The tiles, without their margins, of which at least a share is tissue, in order; all of them by a share of 0.
    pub fn with_tissue(&self, tissue: &TissueMask, least: f64) -> Vec<PlannedTile> {
        let inner = f64::from(self.inner()) * self.downsample;
        let margin = f64::from(self.margin) * self.downsample;
        let is_tissue = |tile: &PlannedTile| {
            let place = [tile.left + margin, tile.top + margin, inner, inner];
            tissue.share(place) >= least
        };
        (0..self.count())
            .map(|number| self.tile(number))
            .filter(is_tissue)
            .collect()
    }

    /// The pixels of a tile, margins included; what is outside is white.
    ///
    /// # Errors
    /// It cannot be decoded.
    pub fn read(&self, slide: &Slide, tile: &PlannedTile) -> Result<RgbImage> {
        slide.region_at(self.downsample, [tile.left, tile.top], [self.side; 2])
    }
}
