//! An image as networks are shown it: in turns, sizes and tiles.

use std::borrow::Cow;

use cleanslide_image::transform::Turn;
use image::RgbImage;
use image::imageops::{FilterType, resize};
use ndarray::{Array3, ArrayView3};
use serde::{Deserialize, Serialize};

use crate::augment::{mirrored, standardized};
use crate::error::{Error, Result};

/// The turns in which an image is predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TestAugmentation {
    /// The image as it is.
    None,
    /// Also mirrored left to right, top to bottom, and both.
    Flips,
    /// All eight flips and quarter turns.
    All,
}

impl TestAugmentation {
    pub(crate) fn turns(self) -> &'static [Turn] {
        match self {
            Self::None => &[Turn::Identity],
            Self::Flips => &[
                Turn::Identity,
                Turn::FlipHorizontal,
                Turn::FlipVertical,
                Turn::Half,
            ],
            Self::All => &Turn::ALL,
        }
    }
}

/// Refuses what no prediction can be made with: the side of tiles, their overlap, the sizes of the image.
pub(crate) fn check(tile: usize, overlap: usize, scales: &[f64]) -> Result<()> {
    let wrong = |name, value: String, reason: &str| {
        Err(Error::Setting {
            name,
            value,
            reason: reason.to_owned(),
        })
    };
    if tile == 0 {
        return wrong("tile", "0".into(), "expected at least 1");
    }
    if overlap * 2 > tile {
        let reason = "expected at most half a tile";
        return wrong("overlap", overlap.to_string(), reason);
    }
    let valid = |scale: &f64| (0.1..=10.0).contains(scale);
    if scales.is_empty() || !scales.iter().all(valid) {
        let reason = "expected one or more numbers from 0.1 to 10";
        return wrong("scales", format!("{scales:?}"), reason);
    }
    Ok(())
}

/// Where tiles begin: the last one ends with the image.
pub(crate) fn starts(length: usize, tile: usize, overlap: usize) -> Vec<usize> {
    if length <= tile {
        return vec![0];
    }
    let steps = (length - tile).div_ceil(tile - overlap);
    (0..=steps)
        .map(|step| (step * (tile - overlap)).min(length - tile))
        .collect()
}

/// An image in another size.
pub(crate) fn scaled(image: &RgbImage, scale: f64) -> Cow<'_, RgbImage> {
    if scale == 1.0 {
        return Cow::Borrowed(image);
    }
    let side = |length: u32| (f64::from(length) * scale).round().max(1.0) as u32;
    let (width, height) = (side(image.width()), side(image.height()));
    Cow::Owned(resize(image, width, height, FilterType::Triangle))
}

/// `[height, width, 3]`.
pub(crate) fn array(image: &RgbImage) -> Result<Array3<u8>> {
    let shape = (image.height() as usize, image.width() as usize, 3);
    Array3::from_shape_vec(shape, image.as_raw().clone())
        .map_err(|error| Error::Device(error.to_string()))
}

/// The image of `[height, width, 3]`.
pub(crate) fn rgb_image(pixels: Array3<u8>) -> Result<RgbImage> {
    let (height, width, _) = pixels.dim();
    RgbImage::from_raw(
        width as u32,
        height as u32,
        pixels.into_raw_vec_and_offset().0,
    )
    .ok_or_else(|| Error::Device("an image is not of its size".to_owned()))
}

/// The values of a tile as networks see them, `[rows, columns, 3]`; beyond the image is its mirror image.
pub(crate) fn tile(
    image: ArrayView3<'_, u8>,
    [top, left]: [usize; 2],
    [rows, columns]: [usize; 2],
) -> Vec<f32> {
    let (height, width, _) = image.dim();
    let mut values = Vec::with_capacity(rows * columns * 3);
    for row in top..top + rows {
        let row = mirrored(row as isize, height);
        for column in left..left + columns {
            let pixel = [row, mirrored(column as isize, width)];
            let pixel = std::array::from_fn(|channel| {
                f32::from(image[[pixel[0], pixel[1], channel]]) / 255.0
            });
            values.extend(standardized(pixel));
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_cover_everything() {
        assert_eq!(starts(10, 16, 4), [0]);
        assert_eq!(starts(17, 16, 4), [0, 1]);
        assert_eq!(starts(40, 16, 4), [0, 12, 24]);
    }
}
