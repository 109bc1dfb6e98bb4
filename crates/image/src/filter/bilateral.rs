//! Bilateral filter: smooths, but not across edges.
//!
//! Tomasi and Manduchi, *Bilateral filtering for gray and color images*, ICCV 1998, 839–846,
//! doi 10.1109/ICCV.1998.710815, as OpenCV's `bilateralFilter` defines it:
//!
//! ```text
//! weight = exp(−distance² / 2 sigma_space²) · exp(−difference² / 2 sigma_colour²)
//! ```
//!
//! over the pixels no farther than `radius`, where the difference of two colours is the sum of the
//! absolute differences of their channels.

use ndarray::{Array, Array2, Array3, ArrayView2, ArrayView3, Dimension};

use super::padded::Padded;
use crate::Border;
use crate::error::{Result, check};
use crate::rows::{by_row, samples};
use crate::vectors::vectorised;

/// A larger radius takes hours.
const LARGEST_RADIUS: usize = 1000;

/// Smooths a grey plane.
///
/// OpenCV's `d` is 2 · `radius` + 1. Sums are of 32-bit numbers and rounded once, halves to even; OpenCV
/// cuts some grey values off instead and so differs by at most one level.
///
/// # Errors
/// If `radius` is 0 or exceeds 1000, or a sigma is not a number above 0.
pub fn bilateral(
    image: ArrayView2<'_, u8>,
    radius: usize,
    sigma_colour: f64,
    sigma_space: f64,
    border: Border,
) -> Result<Array2<u8>> {
    let filter = Bilateral::new(radius, sigma_colour, sigma_space, 1)?;
    Ok(filter.run::<_, 1>(&samples(image), image.dim(), image.raw_dim(), border))
}

/// Smooths a colour image [height, width, 3]; see [`bilateral`].
///
/// # Errors
/// If the image has other than 3 channels, `radius` is 0 or exceeds 1000, or a sigma is not a number
/// above 0.
pub fn bilateral_colour(
    image: ArrayView3<'_, u8>,
    radius: usize,
    sigma_colour: f64,
    sigma_space: f64,
    border: Border,
) -> Result<Array3<u8>> {
    let (height, width, channels) = image.dim();
    check("channels", channels, channels == 3, "3")?;
    let filter = Bilateral::new(radius, sigma_colour, sigma_space, channels)?;
    Ok(filter.run::<_, 3>(&samples(image), (height, width), image.raw_dim(), border))
}

/// A neighbour: columns right and rows down from the window's upper left pixel, and its weight.
struct Tap {
    right: usize,
    down: usize,
    weight: f32,
}

/// Pixels smoothed at once.
const LANES: usize = 32;

struct Bilateral {
    radius: usize,
    taps: Vec<Tap>,
    /// By difference of colours.
    weights: Vec<f32>,
}

impl Bilateral {
    fn new(radius: usize, sigma_colour: f64, sigma_space: f64, channels: usize) -> Result<Self> {
        let fits = (1..=LARGEST_RADIUS).contains(&radius);
        check("radius", radius, fits, "1 to 1000 pixels")?;
        for (name, sigma) in [("sigma_colour", sigma_colour), ("sigma_space", sigma_space)] {
            check(name, sigma, sigma > 0.0, "a number above 0")?;
        }
        // Divided twice: the square of a small sigma is 0.
        let weight =
            |square: usize, sigma: f64| (-0.5 * square as f64 / sigma / sigma).exp() as f32;
        let mut taps = Vec::new();
        for down in 0..=2 * radius {
            for right in 0..=2 * radius {
                let square = down.abs_diff(radius).pow(2) + right.abs_diff(radius).pow(2);
                if square <= radius * radius {
                    let weight = weight(square, sigma_space);
                    taps.push(Tap {
                        right,
                        down,
                        weight,
                    });
                }
            }
        }
        let weights =
            (0..=255 * channels).map(|difference| weight(difference.pow(2), sigma_colour));
        Ok(Self {
            radius,
            taps,
            weights: weights.collect(),
        })
    }

    fn run<D: Dimension, const CHANNELS: usize>(
        &self,
        samples: &[u8],
        (height, width): (usize, usize),
        shape: D,
        border: Border,
    ) -> Array<u8, D> {
        if samples.is_empty() {
            return Array::zeros(shape);
        }
        let padded = Padded::new(samples, (height, width), CHANNELS, self.radius, border);
        let write = |(): &mut (), y: usize, row: &mut [u8]| {
            let (pixels, _) = samples[y * width * CHANNELS..].as_chunks::<CHANNELS>();
            let (row, _) = row.as_chunks_mut::<CHANNELS>();
            vectorised(
                #[inline(always)]
                || {
                    for start in (0..width).step_by(LANES) {
                        let count = LANES.min(width - start);
                        let pixels = &pixels[start..start + count];
                        let row = &mut row[start..start + count];
                        let place = (y, start);
                        // A count that is known: the sums stay in registers.
                        if count == LANES {
                            self.smooth(&padded, place, &pixels[..LANES], &mut row[..LANES]);
                        } else {
                            self.smooth(&padded, place, pixels, row);
                        }
                    }
                },
            );
        };
        by_row(shape, || (), write)
    }

    /// Smooths up to `LANES` pixels from row `y` and column `start` on.
    #[inline(always)]
    fn smooth<const CHANNELS: usize>(
        &self,
        padded: &Padded<u8>,
        (y, start): (usize, usize),
        pixels: &[[u8; CHANNELS]],
        row: &mut [[u8; CHANNELS]],
    ) {
        let count = pixels.len();
        let mut sums = [[0f32; LANES]; CHANNELS];
        let mut total = [0f32; LANES];
        for tap in &self.taps {
            let (around, _) = padded.row(y + tap.down).as_chunks::<CHANNELS>();
            let around = &around[start + tap.right..][..count];
            let mut weights = [0f32; LANES];
            for lane in 0..count {
                let mut difference = 0;
                for channel in 0..CHANNELS {
                    let (here, there) = (pixels[lane][channel], around[lane][channel]);
                    difference += usize::from(here.abs_diff(there));
                }
                weights[lane] = self.weights[difference];
            }
            for lane in 0..count {
                let weight = tap.weight * weights[lane];
                for channel in 0..CHANNELS {
                    sums[channel][lane] += weight * f32::from(around[lane][channel]);
                }
                total[lane] += weight;
            }
        }
        for lane in 0..count {
            for channel in 0..CHANNELS {
                row[lane][channel] = (sums[channel][lane] / total[lane]).round_ties_even() as u8;
            }
        }
    }
}
