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
    let density = |value: T| fraction(value).max(BLACK).ln() / BLACK.ln();
    if T::WHITE == f32::from(u8::MAX) {
        let levels = Levels::new(&inverse, |level| density(T::from_f32(f32::from(level))));
        return map_pixels(
            image,
            #[inline(always)]
            |[red, green, blue]| {
                levels.amounts([red.rank() as u8, green.rank() as u8, blue.rank() as u8])
            },
        );
    }
    map_pixels(image, |pixel| {
        product(pixel.map(density), &inverse).map(amount)
    })
}

#[inline(always)]
fn amount(value: f64) -> f32 {
    value.max(0.0) as f32
}

/// What each level of each channel adds to the amounts. The fourth numbers are 0: four fill a vector
/// register.
struct Levels {
    channels: [[[f64; 4]; 256]; 3],
}

impl Levels {
    fn new(inverse: &[[f64; 3]; 3], density: impl Fn(u8) -> f64) -> Self {
        let share = |channel: usize, level: usize| {
            let [a, b, c] = inverse[channel].map(|share| density(level as u8) * share);
            [a, b, c, 0.0]
        };
        Self {
            channels: std::array::from_fn(|channel| {
                std::array::from_fn(|level| share(channel, level))
            }),
        }
    }

    #[inline(always)]
    fn amounts(&self, [red, green, blue]: [u8; 3]) -> [f32; 3] {
        let [reds, greens, blues] = &self.channels;
        let red = &reds[usize::from(red)];
        let green = &greens[usize::from(green)];
        let blue = &blues[usize::from(blue)];
        let mut amounts = [0.0; 4];
        for stain in 0..4 {
            amounts[stain] = amount(red[stain] + green[stain] + blue[stain]);
        }
        let [a, b, c, _] = amounts;
        [a, b, c]
    }
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
