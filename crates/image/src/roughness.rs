//! The roughness map that weights pixels in the loss of Xiao et al. (arXiv 2104.02602).

use ndarray::{Array2, ArrayView3, Axis, Zip};

use crate::error::{Error, Result, check};
use crate::filter::{GaussianKernel, gaussian_blur_colour};
use crate::{Border, Sample};

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
/// An image without pixels or channels; a radius above 50,000; a sigma that is not above 0; a scale or
/// offset that is not finite.
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
    check("radius", radius, radius <= 50_000, "at most 50,000 pixels")?;
    let kernel = GaussianKernel::of_size(2 * radius + 1, Some(f64::from(sigma)))?;
    check("scale", scale, scale.is_finite(), "a number")?;
    check("offset", offset, offset.is_finite(), "a number")?;
    let image = image.mapv(|value| value.to_f32() / T::WHITE);
    let blurred = gaussian_blur_colour(image.view(), &kernel, &kernel, Border::Mirror);
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
