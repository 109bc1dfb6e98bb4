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
    let sides = [image.height() as usize, image.width() as usize];
    let placement = Placement::draw(settings, sides, size, rng);
    let colours = Colours::draw(settings, rng);
    let mut pixels = colours.apply(placement.image(image), size, rng)?;
    for pixel in pixels.as_chunks_mut::<3>().0 {
        *pixel = standardized(*pixel);
    }
    Ok((pixels, placement))
}
