//! Optical density.

use ndarray::{Array3, ArrayView3};

use super::{fraction, map_pixels};
use crate::error::{Result, check};
use crate::sample::Sample;

/// The optical density of each channel, −ln((value + 1) / `white`) with values in grey levels
/// (255ths of [`Sample::WHITE`]): what light that passes several stains adds up in.
///
/// `white` is the grey level of empty glass, 240 as a rule. The 1 keeps black finite; it is
/// customary in stain normalisation. Values above white − 1 have negative densities. The logarithm
/// is natural; divide by ln 10 for decadic densities.
///
/// # Errors
/// Not three channels; a `white` that is not above 0.
pub fn optical_density<T: Sample>(image: ArrayView3<T>, white: f32) -> Result<Array3<f32>> {
    check("white", white, white > 0.0 && white.is_finite(), "above 0")?;
    map_pixels(image, |pixel| {
        density(pixel, white).map(|value| value as f32)
    })
}

pub(crate) fn density<T: Sample>(pixel: [T; 3], white: f32) -> [f64; 3] {
    pixel.map(|value| (f64::from(white) / (255.0 * fraction(value) + 1.0)).ln())
}
