//! Colour deconvolution (Ruifrok and Johnston 2001, Analytical and Quantitative Cytology and
//! Histology 23:291–299).

use ndarray::{Array3, ArrayView3};

use super::{cross, dot};
use crate::colour::{fraction, from_fraction, map_pixels};
use crate::error::{Error, Result};
use crate::sample::Sample;

/// The least fraction of white: darker values count as this one, whose density is 1.
const BLACK: f64 = 1e-6;

/// The optical densities of red, green and blue of three stains, one stain a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StainMatrix {
    /// `[stain][channel]`.
    pub densities: [[f64; 3]; 3],
}

impl StainMatrix {
    /// Haematoxylin, eosin, diaminobenzidine: Ruifrok and Johnston's, as
    /// `skimage.color.rgb_from_hed`.
    pub const HED: Self = Self {
        densities: [[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]],
    };

    /// Haematoxylin and eosin as [`StainMatrix::HED`] has them, and what neither absorbs.
    pub fn haematoxylin_eosin() -> Self {
        Self::with_normal(Self::HED.densities[0], Self::HED.densities[1])
    }

    /// Two stains and, as third, the direction at right angles to both, of length 1.
    ///
    /// # Errors
    /// Stains of the same colour.
    pub fn from_two(first: [f64; 3], second: [f64; 3]) -> Result<Self> {
        let matrix = Self::with_normal(first, second);
        matrix.inverse().map(|_| matrix)
    }

    fn with_normal(first: [f64; 3], second: [f64; 3]) -> Self {
        let normal = cross(first, second);
        let length = dot(normal, normal).sqrt();
        Self {
            densities: [first, second, normal.map(|value| value / length)],
        }
    }

    /// The matrix that takes densities of colours (a row) to amounts of stains.
    fn inverse(&self) -> Result<[[f64; 3]; 3]> {
        let [a, b, c] = self.densities;
        let columns = [cross(b, c), cross(c, a), cross(a, b)];
        let determinant = dot(a, columns[0]);
        let sizes: f64 = self
            .densities
            .map(|row| dot(row, row).sqrt())
            .iter()
            .product();
        // The volume that three directions span, as a share of the most they can.
        if !determinant.is_finite() || determinant.abs() <= 1e-9 * sizes {
            return Err(Error::Undefined(
                "the stain matrix has no inverse: two stains have the same colour".into(),
            ));
        }
        Ok(std::array::from_fn(|channel| {
            columns.map(|column| column[channel] / determinant)
        }))
    }
}

/// The amount of each stain, `[height, width, stain]`, never below 0:
/// `skimage.color.separate_stains`.
///
/// Densities are logarithms to the base 10⁻⁶ of fractions of white, so black has density 1 in each
/// channel. With [`StainMatrix::HED`] it is `skimage.color.rgb2hed`.
///
/// # Errors
/// Not three channels; a matrix without inverse.
pub fn separate_stains<T: Sample>(
    image: ArrayView3<T>,
    matrix: &StainMatrix,
) -> Result<Array3<f32>> {
    let inverse = matrix.inverse()?;
    map_pixels(image, |pixel| {
        let density = pixel.map(|value| fraction(value).max(BLACK).ln() / BLACK.ln());
        product(density, &inverse).map(|amount| amount.max(0.0) as f32)
    })
}

/// The colours of amounts of stains: `skimage.color.combine_stains`, with [`StainMatrix::HED`]
/// `skimage.color.hed2rgb`. Negative amounts can be brighter than white, which is cut off.
///
/// # Errors
/// Not three channels.
pub fn combine_stains<T: Sample>(
    stains: ArrayView3<f32>,
    matrix: &StainMatrix,
) -> Result<Array3<T>> {
    map_pixels(stains, |amounts| {
        product(amounts.map(f64::from), &matrix.densities)
            .map(|density| from_fraction((density * BLACK.ln()).exp().clamp(0.0, 1.0)))
    })
}

/// Row times matrix.
fn product(row: [f64; 3], matrix: &[[f64; 3]; 3]) -> [f64; 3] {
    std::array::from_fn(|column| (0..3).map(|at| row[at] * matrix[at][column]).sum())
}
