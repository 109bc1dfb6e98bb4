//! Gaussian blur.
//!
//! ```text
//! weight(d) = exp(−d² / 2σ²) / Σ exp(−d² / 2σ²)     d = −radius … radius
//! ```
//!
//! applied along columns, then along rows, in 32 bits; the result is rounded once, at the end.

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Dimension};

use crate::error::{Result, check};
use crate::rows::{by_row, samples};
use crate::vectors::vectorised;
use crate::{Border, Sample};

/// A kernel longer than any image; a longer one is a mistake in the unit of sigma.
const LARGEST_RADIUS: f64 = 50_000.0;

/// The weights of one side of a Gaussian of odd length, which is symmetric and sums to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct GaussianKernel {
    /// Weights at distances 0, 1, … radius.
    weights: Vec<f64>,
}

impl GaussianKernel {
    /// A Gaussian of standard deviation `sigma` pixels, cut off at `truncate` standard deviations:
    /// the radius is `truncate · sigma`, rounded with halves up.
    ///
    /// `truncate` 4 is `scipy.ndimage.gaussian_filter`, which scikit-image uses too. `sigma` 0
    /// leaves the image as it is.
    ///
    /// # Errors
    /// If `sigma` or `truncate` is negative or no number, or the radius exceeds 50,000.
    pub fn of_sigma(sigma: f64, truncate: f64) -> Result<Self> {
        check("sigma", sigma, sigma >= 0.0, "a number of at least 0")?;
        check(
            "truncate",
            truncate,
            truncate >= 0.0,
            "a number of at least 0",
        )?;
        let radius = (truncate * sigma + 0.5).floor();
        check(
            "sigma",
            sigma,
            radius <= LARGEST_RADIUS,
            "a radius of at most 50,000 pixels",
        )?;
        Ok(Self::sampled(sigma, radius as usize))
    }

    /// The kernel of OpenCV's `GaussianBlur` with `ksize` = `size` and `sigma` as there; without
    /// `sigma`, OpenCV's default for `sigma` 0: 0.15 · size + 0.35, except that the sizes 3, 5, 7 and
    /// 9 have weights of their own in 256ths.
    ///
    /// # Errors
    /// If `size` is not odd or exceeds 100,001, or `sigma` is not above 0.
    pub fn of_size(size: usize, sigma: Option<f64>) -> Result<Self> {
        let fits = size % 2 == 1 && (size / 2) as f64 <= LARGEST_RADIUS;
        check("size", size, fits, "an odd number of at most 100,001")?;
        let in_256ths: &[f64] = match (sigma, size) {
            (Some(sigma), _) => {
                check("sigma", sigma, sigma > 0.0, "a number above 0")?;
                return Ok(Self::sampled(sigma, size / 2));
            }
            (None, 1) => &[256.0],
            (None, 3) => &[128.0, 64.0],
            (None, 5) => &[96.0, 64.0, 16.0],
            (None, 7) => &[72.0, 56.0, 28.0, 8.0],
            (None, 9) => &[60.0, 51.0, 30.0, 13.0, 4.0],
            (None, _) => return Ok(Self::sampled(0.15 * size as f64 + 0.35, size / 2)),
        };
        Ok(Self {
            weights: in_256ths.iter().map(|weight| weight / 256.0).collect(),
        })
    }

    fn sampled(sigma: f64, radius: usize) -> Self {
        if sigma == 0.0 {
            return Self { weights: vec![1.0] };
        }
        let mut weights: Vec<f64> = (0..=radius)
            .map(|distance| (-0.5 * (distance as f64 / sigma).powi(2)).exp())
            .collect();
        let sum = 2.0 * weights[1..].iter().sum::<f64>() + weights[0];
        for weight in &mut weights {
            *weight /= sum;
        }
        Self { weights }
    }

    /// How far the kernel reaches to each side, in pixels.
    pub fn radius(&self) -> usize {
        self.weights.len() - 1
    }

    /// The weights at distances 0, 1, … `radius`.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    fn single(&self) -> Vec<f32> {
        self.weights.iter().map(|&weight| weight as f32).collect()
    }
}

/// Blurs a plane.
///
/// `vertical` is the kernel along columns, `horizontal` along rows. A constant border is rounded to
/// the kind of the samples first.
///
/// Each value is the exact one, rounded (halves to even for integers). OpenCV blurs `u8` with weights
/// rounded to 1/256: it is within one grey level of this on photographs, and can be two away where many
/// taps meet pure noise or a plane of a few pixels.
pub fn gaussian_blur<T: Sample>(
    image: ArrayView2<'_, T>,
    vertical: &GaussianKernel,
    horizontal: &GaussianKernel,
    border: Border,
) -> Array2<T> {
    let pixels = samples(image);
    let blur = Blur::new(&pixels, image.dim(), 1, vertical, horizontal, border);
    blur.run(image.raw_dim())
}

/// Blurs each channel of a colour image; see [`gaussian_blur`].
pub fn gaussian_blur_colour<T: Sample>(
    image: ArrayView3<'_, T>,
    vertical: &GaussianKernel,
    horizontal: &GaussianKernel,
    border: Border,
) -> Array3<T> {
    let (height, width, channels) = image.dim();
    let pixels = samples(image);
    let blur = Blur::new(
        &pixels,
        (height, width),
        channels,
        vertical,
        horizontal,
        border,
    );
    blur.run(image.raw_dim())
}

/// How many neighbouring samples are summed at once, so that the sums stay in registers.
const LANES: usize = 32;

/// One blur. A sample's distance to the next pixel's same channel is `channels`.
struct Blur<'a, T> {
    samples: &'a [T],
    height: usize,
    width: usize,
    channels: usize,
    vertical: Vec<f32>,
    horizontal: Vec<f32>,
    border: Border,
    beyond: Vec<T>,
}

/// What one thread needs: a blurred column sum of each sample, with the border to the left and right.
struct Buffers<'a, T> {
    padded: Vec<f32>,
    above: Vec<&'a [T]>,
    below: Vec<&'a [T]>,
}

impl<'a, T: Sample> Blur<'a, T> {
    fn new(
        samples: &'a [T],
        (height, width): (usize, usize),
        channels: usize,
        vertical: &GaussianKernel,
        horizontal: &GaussianKernel,
        border: Border,
    ) -> Self {
        let beyond = match border {
            Border::Constant(value) => vec![T::from_f32(value); width * channels],
            _ => Vec::new(),
        };
        Self {
            samples,
            height,
            width,
            channels,
            vertical: vertical.single(),
            horizontal: horizontal.single(),
            border,
            beyond,
        }
    }

    fn run<D: Dimension>(&self, shape: D) -> ndarray::Array<T, D> {
        let padding = 2 * (self.horizontal.len() - 1) * self.channels;
        let buffers = || Buffers {
            padded: vec![0.0; self.width * self.channels + padding],
            above: Vec::with_capacity(self.vertical.len()),
            below: Vec::with_capacity(self.vertical.len()),
        };
        by_row(shape, buffers, |buffers, y, row| {
            vectorised(
                #[inline(always)]
                || {
                    self.sum_columns(buffers, y);
                    self.sum_row(&buffers.padded, row);
                },
            );
        })
    }

    fn row(&self, y: isize) -> &[T] {
        let length = self.width * self.channels;
        match self.border.index(y, self.height) {
            Some(y) => &self.samples[y * length..(y + 1) * length],
            None => &self.beyond,
        }
    }

    /// Weighted sums along columns, then what lies left and right of them.
    #[inline(always)]
    fn sum_columns<'b>(&'b self, buffers: &mut Buffers<'b, T>, y: usize) {
        let y = y as isize;
        let distances = 0..self.vertical.len() as isize;
        buffers.above.clear();
        buffers
            .above
            .extend(distances.clone().map(|d| self.row(y - d)));
        buffers.below.clear();
        buffers.below.extend(distances.map(|d| self.row(y + d)));
        let length = self.width * self.channels;
        let left = (buffers.padded.len() - length) / 2;
        let sums = &mut buffers.padded[left..left + length];
        let (above, below) = (&buffers.above, &buffers.below);
        in_lanes(sums, |start, count, sums| {
            let end = start + count;
            scale(sums, &above[0][start..end], self.vertical[0]);
            for ((above, below), &weight) in above.iter().zip(below).zip(&self.vertical).skip(1) {
                add_pair(sums, &above[start..end], &below[start..end], weight);
            }
        });
        self.pad(&mut buffers.padded, left);
    }

    #[inline(always)]
    fn pad(&self, padded: &mut [f32], left: usize) {
        let constant = match self.border {
            Border::Constant(value) => T::from_f32(value).to_f32(),
            _ => 0.0,
        };
        let radius = (self.horizontal.len() - 1) as isize;
        let width = self.width as isize;
        for x in (-radius..0).chain(width..width + radius) {
            let source = self.border.index(x, self.width);
            let target = ((x + radius) as usize) * self.channels;
            for channel in 0..self.channels {
                padded[target + channel] = source.map_or(constant, |source| {
                    padded[left + source * self.channels + channel]
                });
            }
        }
    }

    #[inline(always)]
    fn sum_row(&self, padded: &[f32], row: &mut [T]) {
        let radius = self.horizontal.len() - 1;
        let mut sums = [0.0; LANES];
        let mut start = 0;
        for pixels in row.chunks_mut(LANES) {
            let count = pixels.len();
            let sums = &mut sums[..count];
            in_lanes(sums, |_, _, sums| {
                let at = |offset: usize| {
                    let from = start + offset * self.channels;
                    &padded[from..from + count]
                };
                scale(sums, at(radius), self.horizontal[0]);
                for (distance, &weight) in self.horizontal.iter().enumerate().skip(1) {
                    add_pair(sums, at(radius - distance), at(radius + distance), weight);
                }
            });
            for (pixel, &sum) in pixels.iter_mut().zip(sums.iter()) {
                *pixel = T::from_f32(sum);
            }
            start += count;
        }
    }
}

/// Calls `sum` on pieces of `LANES` samples (start, length, samples) and on what is left.
#[inline(always)]
fn in_lanes(sums: &mut [f32], sum: impl Fn(usize, usize, &mut [f32])) {
    let mut pieces = sums.chunks_exact_mut(LANES);
    let mut start = 0;
    for piece in &mut pieces {
        // A local array of known length: the sums live in registers until they are complete.
        let mut lanes = [0.0; LANES];
        sum(start, LANES, &mut lanes);
        piece.copy_from_slice(&lanes);
        start += LANES;
    }
    let rest = pieces.into_remainder();
    if !rest.is_empty() {
        sum(start, rest.len(), rest);
    }
}

#[inline(always)]
fn scale<S: Sample>(sums: &mut [f32], samples: &[S], weight: f32) {
    for (sum, sample) in sums.iter_mut().zip(samples) {
        *sum = weight * sample.to_f32();
    }
}

#[inline(always)]
fn add_pair<S: Sample>(sums: &mut [f32], left: &[S], right: &[S], weight: f32) {
    for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
        *sum += weight * (left.to_f32() + right.to_f32());
    }
}
