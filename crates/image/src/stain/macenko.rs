//! Stain estimation and normalisation by Macenko et al. 2009 (doi 10.1109/ISBI.2009.5193250).

use ndarray::{Array3, ArrayView3};
use rayon::prelude::*;

use super::dot;
use crate::colour::{check_colour, density, from_fraction, map_pixels};
use crate::error::{Error, Result, check};
use crate::sample::Sample;

/// The settings of Macenko's method.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Macenko {
    /// The grey level of empty glass: 240. Densities are those of
    /// [`optical_density`](crate::colour::optical_density).
    pub white: f32,
    /// Pixels that have a lower density in any channel are glass and do not count in the estimate:
    /// 0.15. The density is natural, as in the common implementations; the paper's is decadic.
    pub threshold: f64,
    /// The stains are the directions at this percentile of the pixels' angles and at 100 minus it:
    /// 1 (and 99).
    pub percentile: f64,
}

impl Default for Macenko {
    fn default() -> Self {
        Self {
            white: 240.0,
            threshold: 0.15,
            percentile: 1.0,
        }
    }
}

/// Haematoxylin and eosin of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TwoStains {
    /// The densities of red, green and blue of haematoxylin, then of eosin, each of length 1.
    pub densities: [[f64; 3]; 2],
    /// The 99th percentile of the amount of each over all pixels, glass included.
    pub strengths: [f64; 2],
}

impl Macenko {
    /// Estimates the two stains of an image.
    ///
    /// The pixels' densities are projected on the plane of their covariance's two main directions;
    /// the stains are the directions at the outer percentiles of the angle in that plane (linear
    /// between ranks, as `numpy.percentile`). The one that absorbs more red is haematoxylin.
    ///
    /// # Errors
    /// Not three channels; settings out of range; fewer than two stained pixels, or stained pixels
    /// of a single colour.
    pub fn estimate<T: Sample>(&self, image: ArrayView3<T>) -> Result<TwoStains> {
        self.check()?;
        check_colour(image)?;
        let densities: Vec<[f64; 3]> = image
            .rows()
            .into_iter()
            .map(|pixel| density([pixel[0], pixel[1], pixel[2]], self.white))
            .collect();
        let stained: Vec<[f64; 3]> = densities
            .iter()
            .filter(|pixel| pixel.iter().all(|&value| value >= self.threshold))
            .copied()
            .collect();
        if stained.len() < 2 {
            return Err(Error::Undefined(format!(
                "the image has {} stained pixels, too few to estimate stains from",
                stained.len()
            )));
        }
        let [first, second, _] = directions(covariance(&stained));
        let mut angles: Vec<f64> = stained
            .par_iter()
            .map(|&pixel| dot(pixel, first).atan2(dot(pixel, second)))
            .collect();
        let ends = [self.percentile, 100.0 - self.percentile].map(|share| {
            let (sine, cosine) = percentile(&mut angles, share).sin_cos();
            std::array::from_fn(|channel| cosine * second[channel] + sine * first[channel])
        });
        let [low, high]: [[f64; 3]; 2] = ends;
        let mut stains = TwoStains {
            densities: if low[0] > high[0] {
                [low, high]
            } else {
                [high, low]
            },
            strengths: [0.0; 2],
        };
        let amounts = stains.unmixing()?;
        stains.strengths = amounts.map(|amount| {
            let mut values: Vec<f64> = densities.iter().map(|&pixel| dot(amount, pixel)).collect();
            percentile(&mut values, 99.0)
        });
        Ok(stains)
    }

    /// Gives an image the stains of a reference: amounts are those of the image's own stains,
    /// scaled so that the 99th percentiles agree, colours those of the reference.
    ///
    /// Colours brighter than white are cut off. Integers are rounded.
    ///
    /// # Errors
    /// As [`Macenko::estimate`]; an image with a stain of no strength.
    pub fn normalise<T: Sample>(
        &self,
        image: ArrayView3<T>,
        reference: &TwoStains,
    ) -> Result<Array3<T>> {
        let own = self.estimate(image)?;
        self.transfer(&own, reference)?.apply(image)
    }

    /// What gives images that have some stains those of a reference; of a slide, stains are estimated once.
    ///
    /// # Errors
    /// Stains of a single colour; a stain of no strength.
    pub fn transfer(&self, own: &TwoStains, reference: &TwoStains) -> Result<StainTransfer> {
        let amounts = own.unmixing()?;
        let factors: [f64; 2] =
            std::array::from_fn(|stain| reference.strengths[stain] / own.strengths[stain]);
        if !factors.iter().all(|factor| factor.is_finite()) {
            return Err(Error::Undefined(
                "a stain of the image has no strength to be scaled".into(),
            ));
        }
        let scaled = |stain: usize| amounts[stain].map(|amount| factors[stain] * amount);
        Ok(StainTransfer {
            white: self.white,
            amounts: [scaled(0), scaled(1)],
            densities: reference.densities,
        })
    }

    fn check(&self) -> Result<()> {
        let white = self.white;
        check("white", white, white > 0.0 && white.is_finite(), "above 0")?;
        let threshold = self.threshold;
        check("threshold", threshold, threshold.is_finite(), "a number")?;
        let percentile = self.percentile;
        check(
            "percentile",
            percentile,
            (0.0..50.0).contains(&percentile),
            "at least 0 and below 50",
        )
    }
}

/// Gives images the stains of a reference; see [`Macenko::transfer`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StainTransfer {
    white: f32,
    /// The products with a density are the amounts of the reference's stains.
    amounts: [[f64; 3]; 2],
    densities: [[f64; 3]; 2],
}

impl StainTransfer {
    /// An image in the stains of the reference. Colours brighter than white are cut off. Integers are rounded.
    ///
    /// # Errors
    /// Not three channels.
    pub fn apply<T: Sample>(&self, image: ArrayView3<T>) -> Result<Array3<T>> {
        map_pixels(image, |pixel| {
            let pixel = density(pixel, self.white);
            let [first, second] = self.amounts.map(|amount| dot(amount, pixel));
            std::array::from_fn(|channel| {
                let density =
                    first * self.densities[0][channel] + second * self.densities[1][channel];
                let level = f64::from(self.white) * (-density).exp();
                from_fraction((level / 255.0).min(1.0))
            })
        })
    }
}

impl TwoStains {
    /// The vectors whose products with a density are the amounts of the stains, by least squares.
    fn unmixing(&self) -> Result<[[f64; 3]; 2]> {
        let [a, b] = self.densities;
        let (aa, ab, bb) = (dot(a, a), dot(a, b), dot(b, b));
        let determinant = aa * bb - ab * ab;
        if determinant.is_nan() || determinant <= 1e-12 * aa * bb {
            return Err(Error::Undefined(
                "the stained pixels have a single colour: two stains cannot be told apart".into(),
            ));
        }
        let mix = |p: f64, q: f64| {
            std::array::from_fn(|channel| (p * a[channel] + q * b[channel]) / determinant)
        };
        Ok([mix(bb, -ab), mix(-ab, aa)])
    }
}

fn covariance(pixels: &[[f64; 3]]) -> [[f64; 3]; 3] {
    let count = pixels.len() as f64;
    let sum = |term: &dyn Fn(&[f64; 3]) -> f64| pixels.iter().map(term).sum::<f64>();
    let mean: [f64; 3] = std::array::from_fn(|channel| sum(&|pixel| pixel[channel]) / count);
    std::array::from_fn(|row| {
        std::array::from_fn(|column| {
            sum(&|pixel| (pixel[row] - mean[row]) * (pixel[column] - mean[column])) / (count - 1.0)
        })
    })
}

/// The unit eigenvectors of a symmetric matrix, greatest eigenvalue first, by Jacobi's rotations.
/// The first points towards positive sums.
fn directions(mut matrix: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    let mut vectors = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    // Convergence is quadratic: a few rounds reach the last digit.
    for _ in 0..30 {
        for (p, q) in [(0, 1), (0, 2), (1, 2)] {
            if matrix[p][q] == 0.0 {
                continue;
            }
            let ratio = (matrix[q][q] - matrix[p][p]) / (2.0 * matrix[p][q]);
            let tangent = ratio.signum() / (ratio.abs() + ratio.hypot(1.0));
            let cosine = 1.0 / tangent.hypot(1.0);
            let sine = tangent * cosine;
            for row in &mut matrix {
                (row[p], row[q]) = (
                    cosine * row[p] - sine * row[q],
                    sine * row[p] + cosine * row[q],
                );
            }
            let (upper, lower) = (matrix[p], matrix[q]);
            for at in 0..3 {
                matrix[p][at] = cosine * upper[at] - sine * lower[at];
                matrix[q][at] = sine * upper[at] + cosine * lower[at];
            }
            let (upper, lower) = (vectors[p], vectors[q]);
            for at in 0..3 {
                vectors[p][at] = cosine * upper[at] - sine * lower[at];
                vectors[q][at] = sine * upper[at] + cosine * lower[at];
            }
        }
    }
    let mut order = [0, 1, 2];
    order.sort_by(|&a, &b| matrix[b][b].total_cmp(&matrix[a][a]));
    let mut sorted = order.map(|at| vectors[at]);
    if sorted[0].iter().sum::<f64>() < 0.0 {
        sorted[0] = sorted[0].map(|value| -value);
    }
    sorted
}

/// Linear between ranks. `values` must not be empty.
fn percentile(values: &mut [f64], share: f64) -> f64 {
    let rank = share / 100.0 * (values.len() - 1) as f64;
    let (_, &mut low, above) = values.select_nth_unstable_by(rank as usize, f64::total_cmp);
    let high = above.iter().copied().fold(f64::INFINITY, f64::min);
    if high.is_finite() {
        low + rank.fract() * (high - low)
    } else {
        low
    }
}
