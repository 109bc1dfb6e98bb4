//! Nuclei on the haematoxylin channel.

use cleanslide_image::Border;
use cleanslide_image::filter::{GaussianKernel, gaussian_blur};
use cleanslide_image::threshold::otsu_f32;
use ndarray::ArrayView3;

use super::{Diameters, Found, GenerateError, Generator, plane, shape};

/// Finds nuclei in bright-field images stained with haematoxylin, and cuts clusters apart.
///
/// 1. The amount of haematoxylin (colour deconvolution with Ruifrok and Johnston's stains), smoothed by
///    a Gaussian whose standard deviation is a tenth of the smallest diameter.
/// 2. Otsu's threshold, shifted by `sensitivity`.
/// 3. Opening, holes filled, a watershed of the distance transform, and the range of diameters, as
///    [`Blobs`](super::Blobs).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nuclei {
    /// Sizes to look for; nuclei are 5 to 20 µm across.
    pub diameters: Diameters,
    /// Divides the threshold: above 1 finds paler nuclei, below 1 only dark ones. Positive.
    pub sensitivity: f64,
}

impl Nuclei {
    /// Nuclei of these sizes, at Otsu's threshold.
    pub fn new(diameters: Diameters) -> Self {
        Self {
            diameters,
            sensitivity: 1.0,
        }
    }
}

impl Generator for Nuclei {
    fn name(&self) -> &'static str {
        "nuclei"
    }

    fn find(
        &self,
        image: ArrayView3<'_, u8>,
        microns_per_pixel: Option<f64>,
    ) -> Result<Found, GenerateError> {
        let sensitivity = self.sensitivity;
        let valid = sensitivity > 0.0 && sensitivity.is_finite();
        super::check("sensitivity", sensitivity, valid, "a positive number")?;
        let diameters = self.diameters.in_pixels(microns_per_pixel, 4.0)?;
        let amount = plane::haematoxylin(image)?;
        let kernel = GaussianKernel::of_sigma(diameters.start() / 10.0, 4.0)?;
        let amount = gaussian_blur(amount.view(), &kernel, &kernel, Border::Replicate);
        let flat = amount.iter().all(|value| *value == amount[(0, 0)]);
        let mask = if flat {
            amount.mapv(|_| false)
        } else {
            let level = f64::from(otsu_f32(amount.view(), 256)?) / sensitivity;
            amount.mapv(|value| f64::from(value) > level)
        };
        let mask = shape::tidy(mask.view(), *diameters.start())?;
        let objects = shape::apart(mask.view(), *diameters.start())?;
        Ok(Found::Instances(shape::sized(objects, &diameters)))
    }
}
