use image::RgbImage;
use rand_chacha::ChaCha8Rng;

use super::{AugmentSettings, Colours, Placement, standardized};
use crate::error::Result;

/// A random crop of an image, `size` × `size` pixels of three channels as networks see them, in colours that the
/// settings allow; and where it lies, which decides what is said of it.
pub(crate) fn crop(
    settings: &AugmentSettings,
    image: &RgbImage,
    size: usize,
    rng: &mut ChaCha8Rng,
) -> Result<(Vec<f32>, Placement)> {
    let plan = CropPlan::draw(settings, image, size, rng);
    let pixels = plan.pixels(image, rng)?;
    Ok((pixels, plan.placement))
}

/// A crop before it is made, for images of which only that part is made that it shows.
pub(crate) struct CropPlan {
    pub(crate) placement: Placement,
    colours: Colours,
    size: usize,
}

impl CropPlan {
    /// Draws a place and colours; of the image only its size is looked at.
    pub(crate) fn draw(
        settings: &AugmentSettings,
        image: &RgbImage,
        size: usize,
        rng: &mut ChaCha8Rng,
    ) -> Self {
        let sides = [image.height() as usize, image.width() as usize];
        Self {
            placement: Placement::draw(settings, sides, size, rng),
            colours: Colours::draw(settings, rng),
            size,
        }
    }

    /// The crop of an image, `[size, size, 3]`.
    pub(crate) fn pixels(&self, image: &RgbImage, rng: &mut ChaCha8Rng) -> Result<Vec<f32>> {
        let crop = self.placement.image(image);
        let mut pixels = self.colours.apply(crop, self.size, rng)?;
        for pixel in pixels.as_chunks_mut::<3>().0 {
            *pixel = standardized(*pixel);
        }
        Ok(pixels)
    }
}
