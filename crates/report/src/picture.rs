//! Pictures inside the page, as data URIs.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, RgbImage, Rgba, RgbaImage};

/// The longest side of a picture in a page, in pixels; larger images are reduced to it.
pub const LONGEST_SIDE: u32 = 1024;

/// JPEG quality of pictures that had to be encoded anew.
const QUALITY: u8 = 90;

/// A picture that could not be put into the page.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The bytes are not an image that can be decoded.
    #[error("{path} is not a readable image: {source}")]
    Decode {
        /// The file, or a name for an image in memory.
        path: PathBuf,
        /// What the decoder said.
        source: image::ImageError,
    },
    /// The picture cannot be encoded for the page.
    #[error("cannot encode {path} for the page: {source}")]
    Encode {
        /// The file, or a name for an image in memory.
        path: PathBuf,
        /// What the encoder said.
        source: image::ImageError,
    },
}

/// An image as it stands in the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// `data:image/…;base64,…`
    pub(crate) data_uri: String,
    /// Width of the original in pixels.
    pub(crate) width: u32,
    /// Height of the original in pixels.
    pub(crate) height: u32,
}

impl Picture {
    /// Reads an image file.
    ///
    /// An 8-bit JPEG or PNG without transparency whose sides are at most [`LONGEST_SIDE`] pixels
    /// goes into the page byte for byte. Anything else is shown as [`Picture::from_image`] shows it.
    ///
    /// # Errors
    /// The file cannot be read or is not an image.
    pub fn from_file(path: &Path) -> Result<Self, PictureError> {
        let bytes = std::fs::read(path).map_err(|source| PictureError::Read {
            path: path.to_owned(),
            source,
        })?;
        let decode = |source| PictureError::Decode {
            path: path.to_owned(),
            source,
        };
        let reader = ImageReader::new(Cursor::new(&bytes))
            .with_guessed_format()
            .map_err(|source| PictureError::Read {
                path: path.to_owned(),
                source,
            })?;
        let format = reader.format();
        let mut decoder = reader.into_decoder().map_err(decode)?;
        let orientation = decoder.orientation().map_err(decode)?;
        let mut image = DynamicImage::from_decoder(decoder).map_err(decode)?;

        let media_type = match format {
            Some(ImageFormat::Jpeg) => Some("image/jpeg"),
            Some(ImageFormat::Png) => Some("image/png"),
            _ => None,
        };
        let plain = matches!(
            image,
            DynamicImage::ImageRgb8(_) | DynamicImage::ImageLuma8(_)
        ) && image.width().max(image.height()) <= LONGEST_SIDE
            && orientation == Orientation::NoTransforms;
        match media_type {
            Some(media_type) if plain => Ok(Self {
                data_uri: data_uri(media_type, &bytes),
                width: image.width(),
                height: image.height(),
            }),
            _ => {
                image.apply_orientation(orientation);
                Self::encode(&image, path)
            }
        }
    }

    /// Encodes an image in memory as JPEG, reduced to [`LONGEST_SIDE`].
    ///
    /// Images of more than 8 bits are stretched linearly so that their darkest value becomes black
    /// and their brightest white; transparency is laid on white.
    ///
    /// # Errors
    /// The image has no pixels.
    pub fn from_image(image: &DynamicImage) -> Result<Self, PictureError> {
        Self::encode(image, Path::new("an image in memory"))
    }

    fn encode(image: &DynamicImage, path: &Path) -> Result<Self, PictureError> {
        let (width, height) = (image.width(), image.height());
        let mut rgb = eight_bit(image);
        if width.max(height) > LONGEST_SIDE {
            rgb = DynamicImage::ImageRgb8(rgb)
                .thumbnail(LONGEST_SIDE, LONGEST_SIDE)
                .into_rgb8();
        }
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, QUALITY)
            .encode_image(&rgb)
            .map_err(|source| PictureError::Encode {
                path: path.to_owned(),
                source,
            })?;
        Ok(Self {
            data_uri: data_uri("image/jpeg", &bytes),
            width,
            height,
        })
    }
}

fn data_uri(media_type: &str, bytes: &[u8]) -> String {
    format!("data:{media_type};base64,{}", BASE64.encode(bytes))
}

fn eight_bit(image: &DynamicImage) -> RgbImage {
    match image {
        DynamicImage::ImageLuma8(_) | DynamicImage::ImageRgb8(_) => image.to_rgb8(),
        DynamicImage::ImageLumaA8(_) | DynamicImage::ImageRgba8(_) => on_white(&image.to_rgba8()),
        _ => on_white(&stretched(image)),
    }
}

/// Many microscopes write 12 bits into 16: shown as they are, such images are black.
fn stretched(image: &DynamicImage) -> RgbaImage {
    let deep = image.to_rgba32f();
    let colours = || deep.pixels().flat_map(|pixel| pixel.0[..3].iter().copied());
    let darkest = colours()
        .filter(|value| value.is_finite())
        .fold(f32::INFINITY, f32::min);
    let brightest = colours()
        .filter(|value| value.is_finite())
        .fold(f32::NEG_INFINITY, f32::max);
    let range = if brightest > darkest {
        brightest - darkest
    } else {
        1.0
    };
    // `as u8` maps NaN to 0 and saturates.
    let byte = |value: f32| (255.0 * (value - darkest) / range).round() as u8;
    RgbaImage::from_fn(deep.width(), deep.height(), |x, y| {
        let [red, green, blue, alpha] = deep.get_pixel(x, y).0;
        Rgba([
            byte(red),
            byte(green),
            byte(blue),
            (255.0 * alpha).round() as u8,
        ])
    })
}

fn on_white(image: &RgbaImage) -> RgbImage {
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let [red, green, blue, alpha] = image.get_pixel(x, y).0.map(u32::from);
        let over = |colour: u32| ((colour * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
        image::Rgb([over(red), over(green), over(blue)])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageBuffer, Luma};

    fn decoded(picture: &Picture) -> RgbImage {
        let (_, encoded) = picture.data_uri.split_once(";base64,").unwrap();
        image::load_from_memory(&BASE64.decode(encoded).unwrap())
            .unwrap()
            .into_rgb8()
    }

    #[test]
    fn a_small_png_goes_in_byte_for_byte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("patch.png");
        RgbImage::from_pixel(8, 6, image::Rgb([200, 20, 120]))
            .save(&path)
            .unwrap();
        let picture = Picture::from_file(&path).unwrap();
        assert_eq!((picture.width, picture.height), (8, 6));
        assert_eq!(
            picture.data_uri,
            data_uri("image/png", &std::fs::read(&path).unwrap())
        );
    }

    #[test]
    fn a_large_image_is_reduced_and_keeps_its_true_size() {
        let large = DynamicImage::ImageRgb8(RgbImage::new(3000, 1500));
        let picture = Picture::from_image(&large).unwrap();
        assert_eq!((picture.width, picture.height), (3000, 1500));
        assert_eq!(decoded(&picture).dimensions(), (1024, 512));
    }

    #[test]
    fn twelve_bits_in_sixteen_are_visible() {
        let ramp = ImageBuffer::from_fn(64, 8, |x, _| Luma([(x * 60) as u16]));
        let picture = Picture::from_image(&DynamicImage::ImageLuma16(ramp)).unwrap();
        let shown = decoded(&picture);
        assert!(shown.get_pixel(0, 4).0[0] < 10);
        assert!(shown.get_pixel(63, 4).0[0] > 245);
    }

    #[test]
    fn transparency_is_laid_on_white() {
        let clear = RgbaImage::from_pixel(16, 16, Rgba([0, 0, 0, 0]));
        let picture = Picture::from_image(&DynamicImage::ImageRgba8(clear)).unwrap();
        assert!(
            decoded(&picture)
                .pixels()
                .all(|pixel| pixel.0.iter().all(|&value| value > 250))
        );
    }

    #[test]
    fn a_bad_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broken.png");
        std::fs::write(&path, b"not an image").unwrap();
        let message = Picture::from_file(&path).unwrap_err().to_string();
        assert!(
            message.contains("broken.png is not a readable image"),
            "{message}"
        );
        let message = Picture::from_file(&folder.path().join("none.png"))
            .unwrap_err()
            .to_string();
        assert!(message.contains("cannot read"), "{message}");
    }
}
