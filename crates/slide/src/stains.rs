//! Tiles of a slide in the stains of a reference.

use cleanslide_image::stain::{Macenko, StainTransfer, TwoStains};
use image::{Rgb, RgbImage};
use ndarray::Array3;

use crate::error::{Error, Result};
use crate::slide::Slide;
use crate::tiles::{PlannedTile, TilePlan};

/// Stains are estimated from so many tiles of the tissue, evenly spread.
const TILES: usize = 16;
/// And from at most so many pixels of each, every n-th row and column.
const PIXELS: usize = 1 << 16;

/// Gives all tiles of a slide the stains of a reference, by Macenko's method (doi 10.1109/ISBI.2009.5193250) with the slide's own
/// stains estimated once: tile by tile, one without nuclei would get some.
#[derive(Debug, Clone, PartialEq)]
pub struct SlideStains(StainTransfer);

impl SlideStains {
    /// Estimates the stains of a slide from some of its tiles; those that cannot be decoded are left out.
    ///
    /// # Errors
    /// No tile, or tiles of a single colour.
    pub fn new(
        slide: &Slide,
        plan: &TilePlan,
        tiles: &[PlannedTile],
        reference: &TwoStains,
    ) -> Result<Self> {
        let step = tiles.len().div_ceil(TILES).max(1);
        let mut pixels = Vec::new();
        for tile in tiles.iter().step_by(step) {
            match plan.read(slide, tile) {
                Ok(tile) => sample(&tile, &mut pixels),
                Err(Error::Tile { .. } | Error::Region { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let all = Array3::from_shape_fn((pixels.len(), 1, 3), |(pixel, _, channel)| {
            pixels[pixel][channel]
        });
        let macenko = Macenko::default();
        let own = macenko.estimate(all.view());
        let transfer = own.and_then(|own| macenko.transfer(&own, reference));
        let transfer = transfer.map_err(|error| {
            let problem = format!("its stains cannot be estimated: {error}");
            Error::file(slide.path(), problem)
        });
        Ok(Self(transfer?))
    }

    /// A tile in the stains of the reference.
    ///
    /// # Errors
    /// None for the tiles of slides, whose colours are three.
    pub fn apply(&self, tile: &RgbImage) -> Result<RgbImage> {
        let (width, height) = tile.dimensions();
        let stained = self.0.apply(colours(tile).view())?;
        Ok(RgbImage::from_fn(width, height, |column, row| {
            Rgb([0, 1, 2].map(|channel| stained[[row as usize, column as usize, channel]]))
        }))
    }
}

/// The stains of an image, as those of a slide are estimated.
///
/// # Errors
/// An image without tissue, or of a single colour.
pub fn stains_of(image: &RgbImage) -> Result<TwoStains> {
    Ok(Macenko::default().estimate(colours(image).view())?)
}

/// `[height, width, 3]`.
pub(crate) fn colours(image: &RgbImage) -> Array3<u8> {
    let shape = (image.height() as usize, image.width() as usize, 3);
    Array3::from_shape_fn(shape, |(row, column, channel)| {
        image[(column as u32, row as u32)].0[channel]
    })
}

/// Adds every n-th row and column of a tile.
fn sample(tile: &RgbImage, pixels: &mut Vec<[u8; 3]>) {
    let (width, height) = tile.dimensions();
    let all = width as usize * height as usize;
    let step = (all as f64 / PIXELS as f64).sqrt().ceil().max(1.0) as usize;
    let rows = (0..height).step_by(step);
    let taken = rows.flat_map(|row| (0..width).step_by(step).map(move |column| (column, row)));
    pixels.extend(taken.map(|place| tile[place].0));
}
