//! Hue, saturation and value.

use ndarray::{Array3, ArrayView3};

use super::{fraction, map_pixels};
use crate::error::Result;
use crate::sample::Sample;

/// Hue in degrees [0, 360), saturation and value in [0, 1]. A grey pixel has hue 0, a black one
/// saturation 0.
///
/// As OpenCV for 32-bit images; scikit-image divides the hue by 360.
///
/// # Errors
/// Not three channels.
pub fn rgb_to_hsv<T: Sample>(image: ArrayView3<T>) -> Result<Array3<f32>> {
    map_pixels(image, |pixel| {
        let [red, green, blue] = pixel.map(fraction);
        let value = red.max(green).max(blue);
        let chroma = value - red.min(green).min(blue);
        let saturation = if value > 0.0 { chroma / value } else { 0.0 };
        let sixths = if chroma <= 0.0 {
            0.0
        } else if value == red {
            (green - blue) / chroma
        } else if value == green {
            2.0 + (blue - red) / chroma
        } else {
            4.0 + (red - green) / chroma
        };
        let hue = (60.0 * sixths.rem_euclid(6.0)) as f32;
        // Rounding to 32 bits can close the circle.
        let hue = if hue < 360.0 { hue } else { 0.0 };
        [hue, saturation as f32, value as f32]
    })
}

/// The inverse of [`rgb_to_hsv`]; hues may lie beyond the circle.
///
/// # Errors
/// Not three channels.
pub fn hsv_to_rgb(image: ArrayView3<f32>) -> Result<Array3<f32>> {
    map_pixels(image, |[hue, saturation, value]| {
        to_rgb(hue / 60.0, saturation, value)
    })
}

/// `u8` images as OpenCV's: hue in units of 2°, 0 to 179, saturation and value 0 to 255. Equal to
/// `cv2.COLOR_RGB2HSV`, whose quotients have 12 binary digits after the point.
///
/// # Errors
/// Not three channels.
pub fn rgb_to_hsv_u8(image: ArrayView3<u8>) -> Result<Array3<u8>> {
    const ONE: i32 = 1 << 12;
    let quotient = |numerator: i32, denominator: usize| {
        (f64::from(numerator * ONE) / denominator.max(1) as f64).round_ties_even() as i32
    };
    let per_value: Vec<i32> = (0..256).map(|value| quotient(255, value)).collect();
    // 180 units around the circle, which has six parts.
    let per_chroma: Vec<i32> = (0..256).map(|chroma| quotient(30, chroma)).collect();
    let scale = |number: i32, factor: i32| (number * factor + ONE / 2) >> 12;
    map_pixels(image, |pixel| {
        let [red, green, blue] = pixel.map(i32::from);
        let value = red.max(green).max(blue);
        let chroma = value - red.min(green).min(blue);
        let sixths = if value == red {
            green - blue
        } else if value == green {
            blue - red + 2 * chroma
        } else {
            red - green + 4 * chroma
        };
        let hue = scale(sixths, per_chroma[chroma as usize]);
        let hue = if hue < 0 { hue + 180 } else { hue };
        let saturation = scale(chroma, per_value[value as usize]);
        [hue as u8, saturation as u8, value as u8]
    })
}

/// The inverse of [`rgb_to_hsv_u8`] as far as that has one; hues of 180 and more go on around the
/// circle. Within 1 of `cv2.COLOR_HSV2RGB`, which computes in 32 bits.
///
/// # Errors
/// Not three channels.
pub fn hsv_to_rgb_u8(image: ArrayView3<u8>) -> Result<Array3<u8>> {
    map_pixels(image, |[hue, saturation, value]| {
        let parts = [saturation, value].map(|part| f32::from(part) / 255.0);
        to_rgb(f32::from(hue) / 30.0, parts[0], parts[1]).map(|value| u8::from_f32(255.0 * value))
    })
}

fn to_rgb(sixths: f32, saturation: f32, value: f32) -> [f32; 3] {
    let sixths = sixths.rem_euclid(6.0);
    // A channel is full within one sixth of the circle around its own hue, falls over one and is
    // least opposite.
    [5.0, 3.0, 1.0].map(|offset| {
        let along = (offset + sixths).rem_euclid(6.0);
        let missing = along.min(4.0 - along).clamp(0.0, 1.0);
        value * (1.0 - saturation * missing)
    })
}
