//! Attention to edges: how much a pixel counts by how it differs from its blurred surroundings.

use cleanslide_image::Border;
use cleanslide_image::filter::{GaussianKernel, gaussian_blur_colour};
use ndarray::{Array2, Array3, ArrayView3, Axis};
use serde::{Deserialize, Serialize};

use crate::augment::shares_of_white;
use crate::error::{Error, Result};

/// The weights of pixels in the Gaussian attention focal loss of Xiao et al. (arXiv 2104.02602):
///
/// ```text
/// weight = contrast * |image - gaussian blur of the image| + base
/// ```
///
/// of an image whose values are shares of white. The paper does not say how three channels become one, nor what lies
/// beyond the border: here it is the mean of the channels' absolute differences, and the image mirrored at its
/// outermost pixels ([`Border::Mirror`]).
///
/// The loss is [`Focal`](cleanslide_nn::losses::Focal) with these as weights of items, times whatever else they weigh.
/// A mean by weights divides by their sum; the paper's is over pixels, and so larger by the mean weight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GaussianAttention {
    /// How far the blur reaches to each side, in pixels. Default 5.
    pub radius: usize,
    /// The standard deviation of the blur, in pixels, above 0. Default 3.
    pub sigma: f64,
    /// What a difference from black to white adds to the weight of a pixel, at least 0. Default 50.
    pub contrast: f64,
    /// The weight of a pixel that is like its surroundings, at least 0. Default 1.
    pub base: f64,
}

impl Default for GaussianAttention {
    fn default() -> Self {
        Self {
            radius: 5,
            sigma: 3.0,
            contrast: 50.0,
            base: 1.0,
        }
    }
}

impl GaussianAttention {
    /// The weights, `[height, width]`, of an image `[height, width, channels]` of shares of white, before it is
    /// standardised for a network.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn weights(&self, image: ArrayView3<'_, f32>) -> Result<Array2<f32>> {
        let kernel = self.kernel()?;
        let blurred = gaussian_blur_colour(image, &kernel, &kernel, Border::Mirror);
        let difference = (&image - &blurred).mapv_into(f32::abs).sum_axis(Axis(2));
        let contrast = (self.contrast / image.dim().2 as f64) as f32;
        Ok(difference * contrast + self.base as f32)
    }

    /// The weights of the pixels of a square crop, `[size · size]`, as a network sees it.
    pub(crate) fn of_crop(&self, pixels: &[f32], size: usize) -> Result<Vec<f32>> {
        let (pixels, _) = pixels.as_chunks::<3>();
        let shares: Vec<f32> = pixels.iter().copied().flat_map(shares_of_white).collect();
        let image = Array3::from_shape_vec((size, size, 3), shares)
            .map_err(|error| Error::Device(error.to_string()))?;
        Ok(self.weights(image.view())?.into_iter().collect())
    }

    /// Refuses settings out of their range.
    ///
    /// # Errors
    /// The first such setting.
    pub fn check(&self) -> Result<()> {
        self.kernel().map(|_| ())
    }

    fn kernel(&self) -> Result<GaussianKernel> {
        for (name, value) in [("contrast", self.contrast), ("base", self.base)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::Setting {
                    name,
                    value: value.to_string(),
                    reason: "expected at least 0".into(),
                });
            }
        }
        Ok(GaussianKernel::of_size(
            2 * self.radius + 1,
            Some(self.sigma),
        )?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Golden {
        image: Vec<Vec<[f32; 3]>>,
        weights: Vec<Vec<f64>>,
    }

    /// Against SciPy's filter (`oracles/gaussian_attention.py`).
    #[test]
    fn weights_are_those_of_the_formula() {
        let golden: Golden =
            serde_json::from_str(include_str!("../../tests/goldens/gaussian_attention.json"))
                .unwrap();
        let size = (golden.image.len(), golden.image[0].len());
        let image = Array3::from_shape_fn((size.0, size.1, 3), |(row, column, channel)| {
            golden.image[row][column][channel]
        });
        let weights = GaussianAttention::default().weights(image.view()).unwrap();
        assert_eq!(weights.dim(), size);
        for ((row, column), &weight) in weights.indexed_iter() {
            let expected = golden.weights[row][column];
            // Sums of 121 products in f32, times 50.
            assert!((f64::from(weight) - expected).abs() < 50.0 * 121.0 * 6e-8);
        }
    }

    #[test]
    fn flat_images_weigh_their_base_and_settings_are_checked() {
        let flat = Array3::from_elem((20, 9, 3), 0.25_f32);
        let attention = GaussianAttention::default();
        let weights = attention.weights(flat.view()).unwrap();
        assert!(weights.iter().all(|weight| (weight - 1.0).abs() < 1e-4));
        for (wrong, name) in [
            (
                GaussianAttention {
                    contrast: -1.0,
                    ..attention.clone()
                },
                "contrast",
            ),
            (
                GaussianAttention {
                    base: f64::NAN,
                    ..attention.clone()
                },
                "base",
            ),
            (
                GaussianAttention {
                    sigma: 0.0,
                    ..attention
                },
                "sigma",
            ),
        ] {
            let message = wrong.weights(flat.view()).unwrap_err().to_string();
            assert!(message.contains(name), "{message}");
        }
    }
}
