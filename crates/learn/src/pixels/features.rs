//! Measurements of every pixel at several scales, as interactive pixel classifiers use them (Berg et
//! al., ilastik, [doi:10.1038/s41592-019-0582-9](https://doi.org/10.1038/s41592-019-0582-9)).
//!
//! With the channels `c` of the image and its brightness `l` (their mean), all from 0 to 1, and `G` a
//! Gaussian of standard deviation σ = 1, 2, 4, 8 pixels:
//!
//! ```text
//! 0–2           c
//! then, for each σ:
//! +0 to +2      G c                                                  colour
//! +3            |∇ G l| · σ                                          gradient, by central differences
//! +4            √(G l² − (G l)²)                                     roughness
//! +5, +6        the larger and the smaller eigenvalue of σ² · Hessian of G l    valleys and ridges
//! ```
//!
//! Beyond its border the image is mirrored, outermost pixels repeated (`reflect` of
//! `scipy.ndimage`); Gaussians end at 4 σ.

use cleanslide_image::filter::{GaussianKernel, gaussian_blur};
use cleanslide_image::{Border, Error};
use image::RgbImage;
use ndarray::{Array2, Array3, ArrayView2, Axis, s};

/// Standard deviations in pixels.
const SCALES: [f64; 4] = [1.0, 2.0, 4.0, 8.0];
const PER_SCALE: usize = 7;
/// The number of measurements of a pixel.
pub const PIXEL_FEATURES: usize = 3 + PER_SCALE * SCALES.len();

/// The measurements of all pixels of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct PixelFeatures {
    /// `[measurements, height, width]`.
    planes: Array3<f32>,
}

impl PixelFeatures {
    /// Measures an image.
    ///
    /// # Errors
    /// None for images that have pixels.
    pub fn of(image: &RgbImage) -> Result<Self, Error> {
        let (height, width) = (image.height() as usize, image.width() as usize);
        let mut planes = Array3::zeros((PIXEL_FEATURES, height, width));
        for (at, pixel) in image.pixels().enumerate() {
            let (row, column) = (at / width, at % width);
            for channel in 0..3 {
                planes[[channel, row, column]] = f32::from(pixel.0[channel]) / 255.0;
            }
        }
        let channels = planes.slice(s![..3, .., ..]).to_owned();
        let brightness = channels.mean_axis(Axis(0)).unwrap_or_default();
        let squared = brightness.mapv(|value| value * value);
        for (number, sigma) in SCALES.into_iter().enumerate() {
            let kernel = GaussianKernel::of_sigma(sigma, 4.0)?;
            let blur = |plane: ArrayView2<'_, f32>| {
                gaussian_blur(plane, &kernel, &kernel, Border::Reflect)
            };
            let first = 3 + number * PER_SCALE;
            for channel in 0..3 {
                let smooth = blur(channels.index_axis(Axis(0), channel));
                planes
                    .index_axis_mut(Axis(0), first + channel)
                    .assign(&smooth);
            }
            let smooth = blur(brightness.view());
            let mean_square = blur(squared.view());
            let derivatives = Derivatives {
                plane: &smooth,
                sigma: sigma as f32,
            };
            for row in 0..height {
                for column in 0..width {
                    let mean = smooth[[row, column]];
                    let variance = mean_square[[row, column]] - mean * mean;
                    let [larger, smaller] = derivatives.curvatures(row, column);
                    planes[[first + 3, row, column]] = derivatives.gradient(row, column);
                    planes[[first + 4, row, column]] = variance.max(0.0).sqrt();
                    planes[[first + 5, row, column]] = larger;
                    planes[[first + 6, row, column]] = smaller;
                }
            }
        }
        Ok(Self { planes })
    }

    /// Height and width of the image.
    pub fn size(&self) -> (usize, usize) {
        let (_, height, width) = self.planes.dim();
        (height, width)
    }

    /// The measurements of some rows of pixels, `[pixels, measurements]`, in raster order.
    ///
    /// # Panics
    /// If there are no such rows.
    pub fn rows(&self, rows: std::ops::Range<usize>) -> Array2<f32> {
        let part = self.planes.slice(s![.., rows, ..]);
        let pixels = part.len_of(Axis(1)) * part.len_of(Axis(2));
        let mut result = Array2::zeros((pixels, PIXEL_FEATURES));
        for (plane, mut column) in part.outer_iter().zip(result.columns_mut()) {
            for (value, place) in plane.iter().zip(&mut column) {
                *place = *value;
            }
        }
        result
    }

    /// The measurements of one pixel.
    ///
    /// # Panics
    /// If there is no such pixel.
    pub fn pixel(&self, row: usize, column: usize) -> impl Iterator<Item = f32> + '_ {
        self.planes.slice(s![.., row, column]).into_iter().copied()
    }
}

/// Derivatives of a smooth plane by differences of neighbours, in units of the scale.
struct Derivatives<'a> {
    plane: &'a Array2<f32>,
    sigma: f32,
}

impl Derivatives<'_> {
    /// The value of a neighbour, mirrored at the border.
    fn at(&self, row: usize, column: usize, down: isize, right: isize) -> f32 {
        let (height, width) = self.plane.dim();
        let fold = |position: usize, step: isize, length: usize| {
            Border::Reflect
                .index(position as isize + step, length)
                .unwrap_or(position)
        };
        self.plane[[fold(row, down, height), fold(column, right, width)]]
    }

    fn gradient(&self, row: usize, column: usize) -> f32 {
        let at = |down, right| self.at(row, column, down, right);
        let down = (at(1, 0) - at(-1, 0)) / 2.0;
        let right = (at(0, 1) - at(0, -1)) / 2.0;
        down.hypot(right) * self.sigma
    }

    /// The larger and the smaller eigenvalue of the Hessian.
    fn curvatures(&self, row: usize, column: usize) -> [f32; 2] {
        let at = |down, right| self.at(row, column, down, right);
        let centre = 2.0 * at(0, 0);
        let (vertical, horizontal) = (at(1, 0) + at(-1, 0) - centre, at(0, 1) + at(0, -1) - centre);
        let mixed = (at(1, 1) + at(-1, -1) - at(1, -1) - at(-1, 1)) / 4.0;
        let middle = (vertical + horizontal) / 2.0;
        let spread = ((vertical - horizontal) / 2.0).hypot(mixed);
        let scale = self.sigma * self.sigma;
        [(middle + spread) * scale, (middle - spread) * scale]
    }
}
