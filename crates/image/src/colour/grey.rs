//! Colour to grey.

use ndarray::{Array2, ArrayView3, Axis, Zip};

use super::check_colour;
use crate::error::Result;
use crate::sample::Sample;

/// The weights of red, green and blue in grey.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Grey {
    /// 0.299, 0.587, 0.114 (Rec. 601), as OpenCV. For `u8` and `u16` they are OpenCV's multiples of
    /// 2⁻¹⁵ and halves are rounded up, so that results are equal to its.
    #[default]
    Rec601,
    /// 0.2125, 0.7154, 0.0721 (Rec. 709), as scikit-image. Its result is in [0, 1]; here it has the
    /// kind of the image.
    Rec709,
}

/// A colour image as one plane.
///
/// # Errors
/// Not three channels.
pub fn grey<T: Sample>(image: ArrayView3<T>, weights: Grey) -> Result<Array2<T>> {
    check_colour(image)?;
    let whole = T::WHITE > 1.0;
    let weights = match weights {
        Grey::Rec601 if whole => [9798.0, 19235.0, 3735.0].map(|weight: f64| weight / 32768.0),
        Grey::Rec601 => [0.299, 0.587, 0.114],
        Grey::Rec709 => [0.2125, 0.7154, 0.0721],
    };
    let mut result =
        Array2::from_elem((image.len_of(Axis(0)), image.len_of(Axis(1))), T::default());
    Zip::from(result.rows_mut())
        .and(image.axis_iter(Axis(0)))
        .par_for_each(|mut row, pixels| {
            for (value, pixel) in row.iter_mut().zip(pixels.rows()) {
                let sum: f64 = (0..3)
                    .map(|channel| weights[channel] * f64::from(pixel[channel].to_f32()))
                    .sum();
                *value = T::from_f32(if whole { (sum + 0.5).floor() } else { sum } as f32);
            }
        });
    Ok(result)
}
