use cleanslide_image::region::Bounds;
use image::RgbImage;
use rand_chacha::ChaCha8Rng;

use super::{AugmentSettings, Colours, Placement, standardized};
use crate::error::Result;

/// A random crop of an image before it is made, `size` × `size` pixels in colours that the settings allow.
pub(crate) struct CropPlan {
    /// Where it lies, which decides what is said of it.
    pub(crate) placement: Placement,
    /// Height and width of the image.
    pub(crate) sides: [usize; 2],
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
            sides,
            colours: Colours::draw(settings, rng),
            size,
        }
    }

    /// The part of the image that it shows.
    pub(crate) fn shown(&self) -> Bounds {
        self.placement.shown(self.sides)
    }

    /// Its three channels as networks see them, `[size, size, 3]`, of this image or another one of its size.
    pub(crate) fn pixels(&self, image: &RgbImage, rng: &mut ChaCha8Rng) -> Result<Vec<f32>> {
        let crop = self.placement.image(image);
        let mut pixels = self.colours.apply(crop, self.size, rng)?;
        for pixel in pixels.as_chunks_mut::<3>().0 {
            *pixel = standardized(*pixel);
        }
        Ok(pixels)
    }
}
