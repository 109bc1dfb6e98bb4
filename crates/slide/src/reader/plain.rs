//! A plain image as a slide of one level.

use std::io::Cursor;
use std::path::Path;

use image::{GenericImageView, ImageFormat, ImageReader, RgbImage};

use super::Reader;
use crate::error::{Error, Result};
use crate::slide::{Description, Inside, Level};

struct Plain {
    image: RgbImage,
    description: Description,
}

/// Decodes all of it; it stays in memory.
pub(super) fn open(path: &Path, format: ImageFormat) -> Result<Box<dyn Reader>> {
    let bytes = std::fs::read(path).map_err(|error| Error::io("read", path, error))?;
    let image = ImageReader::with_format(Cursor::new(bytes), format).decode();
    let image = image.map_err(|error| Error::file(path, error))?.into_rgb8();
    let size = [image.width(), image.height()];
    let names = format.extensions_str().first().copied().unwrap_or("image");
    let description = Description {
        levels: vec![Level {
            size: size.map(u64::from),
            downsample: 1.0,
            tile: size,
        }],
        format: format!("{} image", names.to_uppercase()),
        ..Description::default()
    };
    Ok(Box::new(Plain { image, description }))
}

impl Reader for Plain {
    fn description(&self) -> &Description {
        &self.description
    }

    fn read(&self, part: &Inside, region: &mut RgbImage) -> Result<()> {
        let [width, height] = part.size;
        // Inside an image, whose sides are of 32 bits.
        let view = self
            .image
            .view(part.left as u32, part.top as u32, width, height);
        image::imageops::replace(region, &*view, part.at[0].into(), part.at[1].into());
        Ok(())
    }

    fn associated(&self, _name: &str) -> Result<RgbImage> {
        Ok(self.image.clone())
    }
}
