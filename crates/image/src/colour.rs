//! Colour spaces, grey and optical density.
//!
//! Colour images are `[height, width, 3]`, red, green, blue in the standard sRGB encoding. Integers
//! are fractions of [`Sample::WHITE`], `f32` values lie in [0, 1].

mod density;
mod grey;
mod hsv;
mod lab;

use ndarray::{Array3, ArrayView3, Axis};

pub(crate) use density::density;
pub use density::optical_density;
pub use grey::{Grey, grey};
pub use hsv::{hsv_to_rgb, hsv_to_rgb_u8, rgb_to_hsv, rgb_to_hsv_u8};
pub(crate) use lab::rgb;
pub use lab::{lab_to_rgb, rgb_to_lab};

use crate::error::{Result, check};
use crate::rows::{by_row, samples};
use crate::sample::Sample;
use crate::vectors::vectorised;

/// Refuses an image unless it has three channels.
pub(crate) fn check_colour<T>(image: ArrayView3<T>) -> Result<()> {
    let channels = image.len_of(Axis(2));
    check("channels", channels, channels == 3, "3")
}

/// Three channels made pixel by pixel from three.
pub(crate) fn map_pixels<T: Sample, U: Sample>(
    image: ArrayView3<T>,
    map: impl Fn([T; 3]) -> [U; 3] + Sync,
) -> Result<Array3<U>> {
    check_colour(image)?;
    let samples = samples(image);
    let (pixels, _) = samples.as_chunks::<3>();
    let width = image.dim().1;
    let write = |(): &mut (), y: usize, row: &mut [U]| {
        let (row, _) = row.as_chunks_mut::<3>();
        let pixels = &pixels[y * width..(y + 1) * width];
        vectorised(
            #[inline(always)]
            || {
                for (to, &from) in row.iter_mut().zip(pixels) {
                    *to = map(from);
                }
            },
        );
    };
    Ok(by_row(image.raw_dim(), || (), write))
}

/// A value as a fraction of white.
pub(crate) fn fraction<T: Sample>(value: T) -> f64 {
    f64::from(value.to_f32()) / f64::from(T::WHITE)
}

/// The value of a fraction of white; integers are rounded, `f32` is not limited.
pub(crate) fn from_fraction<T: Sample>(fraction: f64) -> T {
    T::from_f32((fraction * f64::from(T::WHITE)) as f32)
}
