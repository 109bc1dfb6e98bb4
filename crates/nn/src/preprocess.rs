//! From an 8-bit RGB image to the input of a network.
//!
//! ```text
//! 1. central crop of c × c pixels (optional); offsets are floor((width − c) / 2), floor((height − c) / 2)
//! 2. resize to s × s: triangle filter, widened by the scale when reducing (antialiasing), 8-bit
//!    result; the aspect ratio is not kept; an image of s × s pixels is not resampled
//! 3. (value / 255 − mean) / std, per channel
//! ```
//!
//! Step 2 is Pillow's `Image.resize(…, BILINEAR)` and equals it within one grey level.

use std::borrow::Cow;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::error::EncoderError;

/// What is done to an image before a network sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// The side of the central crop in pixels; `None` takes the whole image.
    pub central_crop: Option<u32>,
    /// The side of the network's input in pixels.
    pub size: u32,
    /// Subtracted after division by 255; red, green, blue.
    pub mean: [f32; 3],
    /// Divided by after the subtraction; red, green, blue.
    pub std: [f32; 3],
}

impl Preprocessing {
    /// The input of the network, shape [size, size, 3]. `index` names the image in messages.
    ///
    /// # Errors
    /// When the image has no pixels or is smaller than the crop.
    pub fn apply(&self, image: &RgbImage, index: usize) -> Result<Vec<f32>, EncoderError> {
        let image = central_crop(image, self.central_crop, index)?;
        let image = resize(&image, self.size, self.size, index)?;
        let scale = self.std.map(|std| 1.0 / std);
        let pixels = image.as_raw().as_chunks::<3>().0.iter();
        Ok(pixels
            .flat_map(|pixel| {
                std::array::from_fn::<f32, 3, _>(|channel| {
                    (f32::from(pixel[channel]) / 255.0 - self.mean[channel]) * scale[channel]
                })
            })
            .collect())
    }
}

/// The central `side` × `side` pixels of an image, or all of it when `side` is `None`.
///
/// # Errors
/// When the image has no pixels, or is narrower or lower than `side`, or `side` is 0.
pub fn central_crop(
    image: &RgbImage,
    side: Option<u32>,
    index: usize,
) -> Result<Cow<'_, RgbImage>, EncoderError> {
    let (width, height) = image.dimensions();
    if width == 0 || height == 0 {
        return Err(EncoderError::EmptyImage {
            index,
            width,
            height,
        });
    }
    match side {
        None => Ok(Cow::Borrowed(image)),
        Some(0) => Err(EncoderError::EmptyCrop),
        Some(crop) if crop > width || crop > height => Err(EncoderError::CropTooLarge {
            index,
            width,
            height,
            crop,
        }),
        Some(crop) => {
            let (left, top) = ((width - crop) / 2, (height - crop) / 2);
            let view = image::imageops::crop_imm(image, left, top, crop, crop);
            Ok(Cow::Owned(view.to_image()))
        }
    }
}

/// Bilinear resampling with antialiasing, on one thread.
///
/// # Errors
/// When the resampling library refuses the image.
pub fn resize(
    image: &RgbImage,
    width: u32,
    height: u32,
    index: usize,
) -> Result<Cow<'_, RgbImage>, EncoderError> {
    if image.dimensions() == (width, height) {
        return Ok(Cow::Borrowed(image));
    }
    let failed = |reason: String| EncoderError::Resize { index, reason };
    // The typed interface: the other one compiles the library once for each of its 13 pixel types.
    let source = TypedImageRef::<U8x3>::from_buffer(image.width(), image.height(), image.as_raw())
        .map_err(|error| failed(error.to_string()))?;
    let mut target = TypedImage::<U8x3>::new(width, height);
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .use_alpha(false);
    Resizer::new()
        .resize_typed(&source, &mut target, &options)
        .map_err(|error| failed(error.to_string()))?;
    let values = target.pixels().iter().flat_map(|pixel| pixel.0).collect();
    RgbImage::from_raw(width, height, values)
        .map(Cow::Owned)
        .ok_or_else(|| failed("the result has the wrong length".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(central_crop: Option<u32>, size: u32) -> Preprocessing {
        Preprocessing {
            central_crop,
            size,
            mean: [0.5, 0.25, 0.0],
            std: [0.5, 1.0, 0.25],
        }
    }

    #[test]
    fn values_are_scaled_and_normalised() {
        let image = RgbImage::from_pixel(2, 2, image::Rgb([255, 0, 51]));
        let input = settings(None, 2).apply(&image, 0).unwrap();
        assert_eq!(input.len(), 12);
        for (value, expected) in input.iter().zip([1.0, -0.25, 0.8].iter().cycle()) {
            assert!((value - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn the_crop_is_central_and_odd_rests_go_right_and_down() {
        let image = RgbImage::from_fn(5, 4, |x, y| image::Rgb([x as u8, y as u8, 0]));
        let crop = central_crop(&image, Some(2), 0).unwrap();
        assert_eq!(crop.get_pixel(0, 0).0, [1, 1, 0]);
        assert_eq!(crop.get_pixel(1, 1).0, [2, 2, 0]);
    }

    #[test]
    fn impossible_crops_are_named() {
        let image = RgbImage::new(5, 4);
        let message = |crop| settings(crop, 2).apply(&image, 7).unwrap_err().to_string();
        assert_eq!(
            message(Some(5)),
            "image 7 is 5×4 pixels, smaller than the central crop of 5; choose a smaller crop"
        );
        assert_eq!(
            message(Some(0)),
            "the central crop must be at least 1 pixel wide"
        );
        let empty = settings(None, 2)
            .apply(&RgbImage::new(0, 3), 1)
            .unwrap_err()
            .to_string();
        assert_eq!(empty, "image 1 has no pixels (0×3)");
    }

    #[test]
    fn a_constant_image_stays_constant() {
        for side in [1, 3, 100, 1000] {
            let image = RgbImage::from_pixel(side, 2 * side, image::Rgb([200, 3, 77]));
            let resized = resize(&image, 224, 224, 0).unwrap();
            assert!(resized.pixels().all(|pixel| pixel.0 == [200, 3, 77]));
        }
    }
}
