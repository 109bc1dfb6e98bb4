//! CIE L*a*b*.

use ndarray::{Array3, ArrayView3};

use super::{fraction, from_fraction, map_pixels};
use crate::error::Result;
use crate::sample::Sample;

/// Linear red, green and blue to X, Y, Z (Rec. 709 primaries, white D65).
const XYZ_OF_RGB: [[f64; 3]; 3] = [
    [0.412453, 0.357580, 0.180423],
    [0.212671, 0.715160, 0.072169],
    [0.019334, 0.119193, 0.950227],
];

/// The inverse of [`XYZ_OF_RGB`].
const RGB_OF_XYZ: [[f64; 3]; 3] = [
    [3.2404813432005266, -1.5371515162713183, -0.4985363261688878],
    [-0.9692549499965682, 1.8759900014898907, 0.04155592655829284],
    [
        0.055646639135177166,
        -0.20404133836651123,
        1.0573110696453443,
    ],
];

/// X, Y, Z of D65 for the 2° observer.
const WHITE: [f64; 3] = [0.95047, 1.0, 1.08883];

/// L* in [0, 100], a* and b*, for sRGB and the white D65 (2° observer): `skimage.color.rgb2lab`.
///
/// The constants of the CIE's two branches are the rounded ones (0.008856, 7.787) of scikit-image
/// and OpenCV; a grey pixel therefore has a* and b* of up to 0.005 in magnitude.
///
/// # Errors
/// Not three channels.
pub fn rgb_to_lab<T: Sample>(image: ArrayView3<T>) -> Result<Array3<f32>> {
    map_pixels(image, |pixel| lab(pixel).map(|value| value as f32))
}

/// The inverse of [`rgb_to_lab`]: `skimage.color.lab2rgb`. Colours that sRGB lacks are cut off to
/// its range, channel by channel.
///
/// # Errors
/// Not three channels.
pub fn lab_to_rgb<T: Sample>(image: ArrayView3<f32>) -> Result<Array3<T>> {
    map_pixels(image, |pixel| rgb(pixel.map(f64::from)))
}

fn lab<T: Sample>(pixel: [T; 3]) -> [f64; 3] {
    let linear = pixel.map(|value| decode(fraction(value)));
    let xyz = product(&XYZ_OF_RGB, linear);
    let [x, y, z] = std::array::from_fn(|axis| {
        let share = xyz[axis] / WHITE[axis];
        if share > 0.008856 {
            share.cbrt()
        } else {
            7.787 * share + 16.0 / 116.0
        }
    });
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

pub(crate) fn rgb<T: Sample>([lightness, a, b]: [f64; 3]) -> [T; 3] {
    let y = (lightness + 16.0) / 116.0;
    let roots = [y + a / 500.0, y, (y - b / 200.0).max(0.0)];
    let xyz = std::array::from_fn(|axis| {
        let root: f64 = roots[axis];
        WHITE[axis]
            * if root > 0.2068966 {
                root.powi(3)
            } else {
                (root - 16.0 / 116.0) / 7.787
            }
    });
    product(&RGB_OF_XYZ, xyz).map(|linear| from_fraction(encode(linear).clamp(0.0, 1.0)))
}

/// sRGB to linear light.
fn decode(value: f64) -> f64 {
    if value > 0.04045 {
        ((value + 0.055) / 1.055).powf(2.4)
    } else {
        value / 12.92
    }
}

/// Linear light to sRGB.
fn encode(value: f64) -> f64 {
    if value > 0.0031308 {
        1.055 * value.powf(1.0 / 2.4) - 0.055
    } else {
        12.92 * value
    }
}

fn product(matrix: &[[f64; 3]; 3], vector: [f64; 3]) -> [f64; 3] {
    matrix.map(|row| row.iter().zip(vector).map(|(a, b)| a * b).sum())
}
