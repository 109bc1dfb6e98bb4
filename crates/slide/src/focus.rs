//! What of a slide is out of focus.
//!
//! ```text
//! g      grey values, pixels of 2 microns
//! G_s    g blurred by a Gaussian of s pixels
//! fine   mean of (g - G_1)^2 over a square of 64 microns
//! middle mean of (G_1 - G_2)^2
//! coarse mean of (G_2 - G_4)^2
//! out of focus: fine / (middle + 0.1) < 0.5 and coarse > 1
//! ```
//!
//! The energy of neighbouring octaves falls off evenly in a sharp image, however much contrast the stain has, and steeply in a
//! blurred one. Of two sharp slides 99 of 100 squares are above 1.8, blurred by a Gaussian of 2 microns they are at 0.4 to 1.0,
//! by one of 3 microns below 0.53 (`results/focus.md`): a nucleus is then a spot. What has no coarse structure either is no
//! evidence of anything.

use cleanslide_image::Border;
use cleanslide_image::filter::{GaussianKernel, gaussian_blur};
use image::RgbImage;
use ndarray::{Array2, s};
use rayon::prelude::*;

use crate::error::Result;
use crate::slide::Slide;

/// Microns of a pixel.
const MICRONS: f64 = 2.0;
/// Pixels along a square.
const SQUARE: usize = 32;
/// Squares along a block, which is read at once: of a slide with no smaller level than 0.25 microns, 16 MB.
const BLOCK: usize = 8;
/// Pixels around a block that its blurs see.
const HALO: usize = 16;
/// Blurs, in pixels.
const BLURS: [f64; 3] = [1.0, 2.0, 4.0];
const LEAST_RATIO: f64 = 0.5;
/// Squared grey levels: a little more than rounding to whole levels makes.
const ROUNDING: f64 = 0.1;
const LEAST_COARSE: f64 = 1.0;

/// Squares of a slide.
pub(crate) struct Focus {
    /// Pixels of level 0 along a square.
    pub(crate) side: f64,
    /// Whether a square is out of focus, `[row, column]`.
    pub(crate) blurred: Array2<bool>,
}

impl Focus {
    /// Looks where there may be tissue (left, top, width and height in pixels of level 0). None if the size of the pixels is not
    /// known, or they are too large to tell.
    pub(crate) fn of(
        slide: &Slide,
        has_tissue: impl Fn([f64; 4]) -> bool + Sync,
    ) -> Result<Option<Self>> {
        let Ok(microns) = slide.microns_per_pixel() else {
            return Ok(None);
        };
        if microns > MICRONS {
            return Ok(None);
        }
        let downsample = MICRONS / microns;
        let pixels = slide.levels()[0]
            .size
            .map(|length| (length as f64 / downsample) as usize);
        if pixels.contains(&0) {
            return Ok(None);
        }
        let side = downsample * SQUARE as f64;
        let [columns, rows] = pixels.map(|pixels| pixels.div_ceil(BLOCK * SQUARE));
        let of_block = side * BLOCK as f64;
        let kernels = kernels()?;
        let blocks: Vec<([usize; 2], Array2<bool>)> = (0..rows * columns)
            .into_par_iter()
            .map(|number| [number / columns, number % columns])
            .filter(|&[row, column]| {
                let [left, top] = [column, row].map(|at| at as f64 * of_block);
                has_tissue([left, top, of_block, of_block])
            })
            .map(|[row, column]| {
                // The white around a slide would be an edge that is sharp.
                let along = |at: usize, all: usize| {
                    let start = at * BLOCK * SQUARE;
                    let end = (start + BLOCK * SQUARE + HALO).min(all);
                    let halo = start.min(HALO);
                    (start - halo, halo, end.saturating_sub(start - halo))
                };
                let (left, of_left, width) = along(column, pixels[0]);
                let (top, of_top, height) = along(row, pixels[1]);
                let place = [left, top].map(|at| at as f64 * downsample);
                let size = [width as u32, height as u32];
                let pixels = slide.forgiving_region_at(downsample, place, size)?;
                Ok(([row, column], blurred(&pixels, [of_top, of_left], &kernels)))
            })
            .collect::<Result<_>>()?;
        let mut all = Array2::from_elem((rows * BLOCK, columns * BLOCK), false);
        for ([row, column], block) in blocks {
            let (top, left) = (row * BLOCK, column * BLOCK);
            all.slice_mut(s![top..top + BLOCK, left..left + BLOCK])
                .assign(&block);
        }
        Ok(Some(Self { side, blurred: all }))
    }
}

fn kernels() -> Result<[GaussianKernel; 3]> {
    let [one, two, four] = BLURS.map(|sigma| GaussianKernel::of_sigma(sigma, 4.0));
    Ok([one?, two?, four?])
}

/// Which squares of a block are out of focus: it begins at `start` of a picture, and may be cut off at the edge of the slide.
fn blurred(pixels: &RgbImage, start: [usize; 2], kernels: &[GaussianKernel; 3]) -> Array2<bool> {
    let (width, height) = pixels.dimensions();
    let grey = Array2::from_shape_fn((height as usize, width as usize), |(row, column)| {
        let [red, green, blue] = pixels[(column as u32, row as u32)].0.map(f32::from);
        0.299 * red + 0.587 * green + 0.114 * blue
    });
    let blur = |kernel| gaussian_blur(grey.view(), kernel, kernel, Border::Reflect);
    let [one, two, four] = kernels.each_ref().map(blur);
    let energy = |row: usize, column: usize, finer: &Array2<f32>, coarser: &Array2<f32>| {
        let along = |side: usize, square: usize| {
            let from = start[side] + square * SQUARE;
            let length = grey.shape()[side];
            from.min(length)..(from + SQUARE).min(length)
        };
        let of = s![along(0, row), along(1, column)];
        let (finer, coarser) = (finer.slice(of), coarser.slice(of));
        let pairs = finer.iter().zip(coarser);
        let squared = pairs.map(|(finer, coarser)| f64::from(finer - coarser).powi(2));
        squared.sum::<f64>() / finer.len().max(1) as f64
    };
    Array2::from_shape_fn((BLOCK, BLOCK), |(row, column)| {
        let energy = |finer, coarser| energy(row, column, finer, coarser);
        let [fine, middle, coarse] = [energy(&grey, &one), energy(&one, &two), energy(&two, &four)];
        fine < LEAST_RATIO * (middle + ROUNDING) && coarse > LEAST_COARSE
    })
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Discs of the size of nuclei on pink, of 2 microns a pixel.
    fn nuclei(contrast: f64) -> RgbImage {
        let side = (BLOCK * SQUARE + 2 * HALO) as u32;
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut image = RgbImage::from_pixel(side, side, image::Rgb([225, 160, 200]));
        for _ in 0..2500 {
            let [x, y] = [0; 2].map(|_| random.random_range(2..side - 2));
            for (dx, dy) in (0..5).flat_map(|x| (0..5).map(move |y| (x, y))) {
                let distance = f64::from((dx - 2) * (dx - 2) + (dy - 2) * (dy - 2));
                if distance < 5.0 {
                    let pixel =
                        &mut image[((x as i32 + dx - 2) as u32, (y as i32 + dy - 2) as u32)];
                    let darker =
                        |from: u8, by: f64| (f64::from(from) - contrast * by).max(0.0) as u8;
                    *pixel =
                        image::Rgb([darker(225, 120.0), darker(160, 100.0), darker(200, 50.0)]);
                }
            }
        }
        image
    }

    #[test]
    fn blur_is_found_whatever_the_contrast_and_nothing_is_no_evidence() -> Result<()> {
        let kernels = kernels()?;
        let share = |image: &RgbImage| {
            let found = blurred(image, [HALO; 2], &kernels);
            found.iter().filter(|is| **is).count() as f64 / found.len() as f64
        };
        for contrast in [0.3, 1.0] {
            let sharp = nuclei(contrast);
            assert_eq!(share(&sharp), 0.0, "sharp, contrast {contrast}");
            // 3 microns.
            let blurry = image::imageops::fast_blur(&sharp, 1.5);
            let blurry = share(&blurry);
            assert!(blurry > 0.95, "contrast {contrast}: {blurry}");
        }
        let flat = RgbImage::from_pixel(288, 288, image::Rgb([225, 160, 200]));
        assert_eq!(share(&flat), 0.0);
        Ok(())
    }
}
