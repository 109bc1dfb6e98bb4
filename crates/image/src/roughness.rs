//! The roughness map that weights pixels in the loss of Xiao et al. (arXiv 2104.02602).

use ndarray::{Array2, Array3, ArrayView3, Axis, Zip};

use crate::border::Border;
use crate::error::{Error, Result, check};
use crate::sample::Sample;

/// The settings of [`roughness`]. The default is the paper's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Roughness {
    /// The radius of the Gaussian's window in pixels: 5, that is 11 × 11.
    pub radius: usize,
    /// The Gaussian's standard deviation in pixels: 3.
    pub sigma: f32,
    /// The paper's λa, which multiplies what the Gaussian takes away: 50.
    pub scale: f32,
    /// The paper's λb, the weight of a smooth place: 1.
    pub offset: f32,
}

impl Default for Roughness {
    fn default() -> Self {
        Self {
            radius: 5,
            sigma: 3.0,
            scale: 50.0,
            offset: 1.0,
        }
    }
}

/// The weight of each pixel: `scale` · |I − Gauss(I)| + `offset`, greater where the image is rough.
///
/// `image` is `[height, width, channels]`, taken in [0, 1] ([`Sample::WHITE`] is 1). The paper
/// leaves open how channels become one: here it is the mean of |I − Gauss(I)| over them. The
/// Gaussian's window is cut off at `radius` and has sum 1; beyond the border the image is mirrored
/// ([`Border::Mirror`]).
///
/// # Errors
/// An image without pixels or channels; a sigma that is not above 0; a scale or offset that is not
/// finite.
pub fn roughness<T: Sample>(image: ArrayView3<T>, settings: Roughness) -> Result<Array2<f32>> {
    let Roughness {
        radius,
        sigma,
        scale,
        offset,
    } = settings;
    let (height, width, channels) = image.dim();
    if height == 0 || width == 0 {
        return Err(Error::Empty {
            what: "image",
            height,
            width,
        });
    }
    check("channels", channels, channels > 0, "at least 1")?;
    check("sigma", sigma, sigma > 0.0 && sigma.is_finite(), "above 0")?;
    check("scale", scale, scale.is_finite(), "a number")?;
    check("offset", offset, offset.is_finite(), "a number")?;
    let kernel = gaussian(radius, sigma);
    let image = image.mapv(|value| value.to_f32() / T::WHITE);
    let blurred = blur(
        blur(image.view(), Axis(0), &kernel).view(),
        Axis(1),
        &kernel,
    );
    let mut result = Array2::zeros((height, width));
    Zip::from(result.rows_mut())
        .and(image.axis_iter(Axis(0)))
        .and(blurred.axis_iter(Axis(0)))
        .par_for_each(|mut weights, image, blurred| {
            for ((weight, image), blurred) in
                weights.iter_mut().zip(image.rows()).zip(blurred.rows())
            {
                let gaps = image.iter().zip(blurred).map(|(a, b)| (a - b).abs());
                *weight = scale * gaps.sum::<f32>() / channels as f32 + offset;
            }
        });
    Ok(result)
}

/// The weights at distances −radius to radius.
fn gaussian(radius: usize, sigma: f32) -> Vec<f32> {
    let weight = |at: usize| {
        let distance = (at as f64 - radius as f64) / f64::from(sigma);
        (-0.5 * distance * distance).exp()
    };
    let weights: Vec<f64> = (0..=2 * radius).map(weight).collect();
    let sum: f64 = weights.iter().sum();
    weights
        .into_iter()
        .map(|weight| (weight / sum) as f32)
        .collect()
}

/// Weighted sums along rows or columns.
fn blur(image: ArrayView3<f32>, axis: Axis, kernel: &[f32]) -> Array3<f32> {
    let length = image.len_of(axis);
    let radius = (kernel.len() / 2) as isize;
    let mut result = Array3::zeros(image.dim());
    let lines = |y: usize, mut row: ndarray::ArrayViewMut2<f32>| {
        for (offset, weight) in (-radius..).zip(kernel) {
            if axis == Axis(0) {
                if let Some(from) = Border::Mirror.index(y as isize + offset, length) {
                    row.scaled_add(*weight, &image.index_axis(Axis(0), from));
                }
                continue;
            }
            for x in 0..length {
                if let Some(from) = Border::Mirror.index(x as isize + offset, length) {
                    for channel in 0..image.len_of(Axis(2)) {
                        row[[x, channel]] += weight * image[[y, from, channel]];
                    }
                }
            }
        }
    };
    Zip::indexed(result.axis_iter_mut(Axis(0))).par_for_each(lines);
    result
}
