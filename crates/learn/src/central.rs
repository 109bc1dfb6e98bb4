//! The middles of images, which networks for whole images learn from and predict.

use burn::tensor::{Device, Tensor, TensorData};
use cleanslide_nn::preprocess::{Preprocessing, central_crop};
use image::RgbImage;

use crate::augment::{MEAN, STANDARD_DEVIATION};
use crate::error::{Error, Result};

/// Refuses a central square that crops of so many pixels, called so, do not fit into.
pub(crate) fn check(central: Option<u32>, crop: usize, crops: &str) -> Result<()> {
    match central {
        Some(central) if (central as usize) < crop => Err(Error::Setting {
            name: "central_crop",
            value: central.to_string(),
            reason: format!("{crops} of {crop} pixels do not fit into it"),
        }),
        _ => Ok(()),
    }
}

/// The central square of an image, or all of it, in which there is room for a crop; or why there is not.
pub(crate) fn part(image: RgbImage, central: Option<u32>, crop: usize) -> Result<RgbImage, String> {
    let least = central.unwrap_or(crop as u32);
    let (width, height) = image.dimensions();
    if width < least || height < least {
        return Err(format!(
            "it is {width}×{height} pixels, and {least} are looked at"
        ));
    }
    let part = central_crop(&image, central, 0).map_err(|error| error.to_string())?;
    Ok(part.into_owned())
}

/// The central crops of images as networks see them, `[images, size, size, 3]`.
pub(crate) fn batch(images: &[RgbImage], size: usize, device: &Device) -> Result<Tensor<4>> {
    let look = Preprocessing {
        central_crop: Some(size as u32),
        size: size as u32,
        mean: MEAN,
        std: STANDARD_DEVIATION,
    };
    let mut pixels = Vec::with_capacity(3 * size * size * images.len());
    for image in images {
        let seen = look.apply(image, 0);
        pixels.extend(seen.map_err(|error| Error::Device(error.to_string()))?);
    }
    let pixels = TensorData::new(pixels, [images.len(), size, size, 3]);
    Ok(Tensor::from_data(pixels, device))
}
