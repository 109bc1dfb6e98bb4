//! Colour spaces, grey and optical density.
//!
//! Colour images are `[height, width, 3]`, red, green, blue in the standard sRGB encoding. Integers
//! are fractions of [`Sample::WHITE`], `f32` values lie in [0, 1].

mod density;
mod grey;
mod hsv;
mod lab;

use ndarray::{Array3, ArrayView3, Axis, Zip};

pub(crate) use density::density;
pub use density::optical_density;
pub use grey::{Grey, grey};
pub use hsv::{hsv_to_rgb, hsv_to_rgb_u8, rgb_to_hsv, rgb_to_hsv_u8};
pub(crate) use lab::rgb;
pub use lab::{lab_to_rgb, rgb_to_lab};

use crate::error::{Result, check};
use crate::sample::Sample;

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
    let mut result = Array3::from_elem(image.dim(), U::default());
    Zip::from(result.axis_iter_mut(Axis(0)))
        .and(image.axis_iter(Axis(0)))
        .par_for_each(|mut to, from| {
            for (mut to, from) in to.rows_mut().into_iter().zip(from.rows()) {
                for (to, value) in to.iter_mut().zip(map([from[0], from[1], from[2]])) {
                    *to = value;
                }
            }
        });
    Ok(result)
}

/// A value as a fraction of white.
pub(crate) fn fraction<T: Sample>(value: T) -> f64 {
    f64::from(value.to_f32()) / f64::from(T::WHITE)
}

/// The value of a fraction of white; integers are rounded, `f32` is not limited.
pub(crate) fn from_fraction<T: Sample>(fraction: f64) -> T {
    T::from_f32((fraction * f64::from(T::WHITE)) as f32)
}
