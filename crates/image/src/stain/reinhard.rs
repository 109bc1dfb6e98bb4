//! Colour transfer by Reinhard et al. 2001 (doi 10.1109/38.946629).

use ndarray::{Array3, ArrayView3, Axis};
use rayon::prelude::*;

use crate::colour::{map_pixels, rgb, rgb_to_lab};
use crate::error::{Error, Result};
use crate::sample::Sample;

/// How L*, a* and b* are spread over an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LabStatistics {
    /// The mean of each.
    pub means: [f64; 3],
    /// The standard deviation of each over the pixels (divided by their number).
    pub deviations: [f64; 3],
}

/// Means and standard deviations of an image in L*a*b* (as
/// [`rgb_to_lab`](crate::colour::rgb_to_lab)).
///
/// # Errors
/// Not three channels; an image without pixels.
pub fn lab_statistics<T: Sample>(image: ArrayView3<T>) -> Result<LabStatistics> {
    check_pixels(image)?;
    Ok(statistics(rgb_to_lab(image)?.view()))
}

fn check_pixels<T>(image: ArrayView3<T>) -> Result<()> {
    let (height, width, _) = image.dim();
    if height > 0 && width > 0 {
        return Ok(());
    }
    Err(Error::Empty {
        what: "image",
        height,
        width,
    })
}

fn statistics(lab: ArrayView3<f32>) -> LabStatistics {
    let count = (lab.len_of(Axis(0)) * lab.len_of(Axis(1))) as f64;
    let means = sum(lab, |value, _| value).map(|sum| sum / count);
    let squares = sum(lab, |value, channel| (value - means[channel]).powi(2));
    LabStatistics {
        means,
        deviations: squares.map(|sum| (sum / count).sqrt()),
    }
}

/// Gives an image the means and deviations of a reference in each of L*, a* and b*.
///
/// The paper works in Ruderman's lαβ; here, as in most of histopathology, it is CIE L*a*b*. All
/// pixels count, glass included. A channel without spread only gets the reference's mean.
///
/// # Errors
/// As [`lab_statistics`].
pub fn reinhard<T: Sample>(image: ArrayView3<T>, reference: &LabStatistics) -> Result<Array3<T>> {
    check_pixels(image)?;
    let lab = rgb_to_lab(image)?;
    let own = statistics(lab.view());
    map_pixels(lab.view(), |values| {
        rgb(std::array::from_fn(|channel| {
            let deviation = own.deviations[channel];
            // Rounding alone spreads equal values by some 1e-14.
            let factor = if deviation > 1e-9 {
                reference.deviations[channel] / deviation
            } else {
                1.0
            };
            factor * (f64::from(values[channel]) - own.means[channel]) + reference.means[channel]
        }))
    })
}

/// Sums over all pixels, row by row, so that the number of threads does not change them.
fn sum(image: ArrayView3<f32>, term: impl Fn(f64, usize) -> f64 + Sync) -> [f64; 3] {
    let rows: Vec<[f64; 3]> = image
        .axis_iter(Axis(0))
        .into_par_iter()
        .map(|row| {
            let mut sums = [0.0; 3];
            for pixel in row.rows() {
                for (channel, &value) in pixel.iter().enumerate() {
                    sums[channel] += term(f64::from(value), channel);
                }
            }
            sums
        })
        .collect();
    std::array::from_fn(|channel| rows.iter().map(|sums| sums[channel]).sum())
}
