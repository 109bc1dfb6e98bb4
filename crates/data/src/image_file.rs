//! Reading images as 8-bit RGB, whatever way they were saved.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Cursor, Seek};
use std::path::Path;

use image::metadata::Orientation;
use image::{
    ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, RgbImage,
};

use crate::error::{Error, Result};

/// An image, and what had to be done to it.
#[derive(Debug, Clone)]
pub struct LoadedImage {
    /// Height × width × RGB, 8 bits each.
    pub pixels: RgbImage,
    /// Hash (BLAKE3, hexadecimal) of the file's bytes.
    pub hash: String,
    /// Conversions that lose something; a user should hear of them once.
    pub notices: Vec<Notice>,
}

/// A conversion that loses something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Notice {
    /// 16 bits (or floating point) per channel were reduced to 8: 65535 became 255.
    DepthReduced,
    /// Transparent pixels were laid on white, the bright field's background.
    TransparencyFlattened,
}

impl Notice {
    /// What was done, as a sentence.
    pub fn text(self) -> &'static str {
        match self {
            Self::DepthReduced => "reduced from 16 to 8 bits per channel",
            Self::TransparencyFlattened => "transparent pixels laid on white",
        }
    }
}

/// Images with more pixels than this are refused unless the caller allows more: they are slides,
/// to be cut into tiles, and would fill the memory.
pub const MAX_PIXELS: u64 = 100_000_000;

/// Formats that can be read, by the endings people use.
pub const ENDINGS: [&str; 6] = ["png", "jpg", "jpeg", "tif", "tiff", "bmp"];

/// True for file names that end like an image.
pub fn looks_like_image(path: &Path) -> bool {
    path.extension()
        .and_then(|ending| ending.to_str())
        .is_some_and(|ending| ENDINGS.contains(&ending.to_ascii_lowercase().as_str()))
}

/// Reads an image as 8-bit RGB.
///
/// Grey becomes three equal channels, a palette is looked up, 16 bits are reduced to 8 by
/// rounding `value / 257`, and transparency is laid on white. A picture that its file says to turn or
/// mirror (Exif, TIFF) is turned, as viewers show it. The file's content decides the format, not its name.
///
/// # Errors
/// The file is missing, empty, truncated, damaged, not an image, or has more than `max_pixels`.
pub fn read_image(path: &Path, max_pixels: u64) -> Result<LoadedImage> {
    let bytes = fs::read(path).map_err(|error| Error::io("read", path, error))?;
    if bytes.is_empty() {
        return Err(Error::image(path, "the file is empty (0 bytes)")
            .with_help("It was probably not copied to the end; copy it again."));
    }
    let (format, mut decoder) = decoder(path, Cursor::new(&bytes))?;
    if format == ImageFormat::Tiff && is_planar(&bytes) {
        return Err(
            Error::image(path, "it stores red, green and blue apart, as planes").with_help(
                "Store them together, for instance by `tiffcp -p contig`, or read the file as a slide, whose pixels have a size.",
            ),
        );
    }
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err(Error::image(
            path,
            format!("the image has no pixels ({width} × {height})"),
        ));
    }
    if pixels > max_pixels {
        return Err(Error::image(
            path,
            format!("the image has {width} × {height} pixels; the limit is {max_pixels}"),
        )
        .with_help("Cut it into tiles first."));
    }
    decoder
        .set_limits(image::Limits::no_limits())
        .map_err(|error| unreadable(path, &error))?;
    let colour = decoder.color_type();
    let orientation = orientation(path, &mut decoder)?;
    let mut image =
        DynamicImage::from_decoder(decoder).map_err(|error| unreadable(path, &error))?;
    if format == ImageFormat::Jpeg && !jpeg_is_whole(&bytes) {
        return Err(
            Error::image(path, "the JPEG ends before its picture does (truncated)")
                .with_help("It was probably not copied to the end; copy it again."),
        );
    }
    image.apply_orientation(orientation);
    let mut notices = Vec::new();
    if !matches!(
        colour,
        ColorType::L8 | ColorType::La8 | ColorType::Rgb8 | ColorType::Rgba8
    ) {
        notices.push(Notice::DepthReduced);
    }
    let pixels = if colour.has_alpha() {
        flatten(&image, &mut notices)
    } else {
        image.into_rgb8()
    };
    Ok(LoadedImage {
        pixels,
        hash: blake3::hash(&bytes).to_hex().to_string(),
        notices,
    })
}

/// Refuses an image that is smaller than the part of its middle that will be looked at.
///
/// # Errors
/// One of its sides is shorter than `crop` pixels.
pub fn refuse_smaller(path: &Path, image: &RgbImage, crop: Option<u32>) -> Result<()> {
    let (width, height) = image.dimensions();
    match crop {
        Some(crop) if width.min(height) < crop => Err(Error::image(
            path,
            format!("it is {width} × {height} pixels, smaller than the crop of {crop} × {crop}"),
        )
        .with_help("Leave it out, or look at a smaller part of all images.")),
        _ => Ok(()),
    }
}

/// Whether a TIFF file stores its channels apart, where the decoder gives up without an error.
fn is_planar(bytes: &[u8]) -> bool {
    const APART: u16 = 2;
    let decoder = tiff::decoder::Decoder::new(Cursor::new(bytes));
    decoder
        .and_then(|mut decoder| decoder.find_tag_unsigned(tiff::tags::Tag::PlanarConfiguration))
        .is_ok_and(|stored: Option<u16>| stored == Some(APART))
}

/// Height and width of an image in pixels as [`read_image`] reads it, from the head of its file.
///
/// # Errors
/// The file is missing, or does not begin as an image that can be read.
pub fn image_size(path: &Path) -> Result<(usize, usize)> {
    let file = File::open(path).map_err(|error| Error::io("read", path, error))?;
    let (_, mut decoder) = decoder(path, BufReader::new(file))?;
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    Ok(match orientation(path, &mut decoder)? {
        Orientation::Rotate90
        | Orientation::Rotate270
        | Orientation::Rotate90FlipH
        | Orientation::Rotate270FlipH => (width, height),
        _ => (height, width),
    })
}

fn orientation(path: &Path, decoder: &mut impl ImageDecoder) -> Result<Orientation> {
    decoder
        .orientation()
        .map_err(|error| unreadable(path, &error))
}

/// The file's content decides the format, not its name.
fn decoder<'a>(
    path: &Path,
    file: impl BufRead + Seek + 'a,
) -> Result<(ImageFormat, impl ImageDecoder + 'a)> {
    let reader = ImageReader::new(file)
        .with_guessed_format()
        .map_err(|error| Error::io("read", path, error))?;
    let Some(format) = reader.format() else {
        return Err(Error::image(path, "this is not an image that can be read")
            .with_help("PNG, JPEG, TIFF and BMP can be read; convert other formats first."));
    };
    let decoder = reader
        .into_decoder()
        .map_err(|error| unreadable(path, &error))?;
    Ok((format, decoder))
}

fn unreadable(path: &Path, error: &ImageError) -> Error {
    let text = error.to_string();
    let cut = matches!(error, ImageError::IoError(_)) || text.to_lowercase().contains("eof");
    if cut {
        Error::image(path, "the file ends before its picture does (truncated)")
            .with_help("It was probably not copied to the end; copy it again.")
    } else {
        Error::image(
            path,
            format!("the image is damaged or of an unknown kind: {text}"),
        )
        .with_help("Open and save it again with an image program, or leave it out.")
    }
}

/// Decoders fill what is missing of a JPEG with grey and do not complain, which would put made-up
/// pixels into a data set. The end marker must come after the last start of a scan; within a scan
/// neither can occur.
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    let last = |marker: u8| bytes.windows(2).rposition(|pair| pair == [0xff, marker]);
    last(0xd9) > last(0xda)
}

fn flatten(image: &DynamicImage, notices: &mut Vec<Notice>) -> RgbImage {
    let with_alpha = image.to_rgba8();
    if with_alpha.pixels().any(|pixel| pixel.0[3] < 255) {
        notices.push(Notice::TransparencyFlattened);
    }
    RgbImage::from_fn(with_alpha.width(), with_alpha.height(), |x, y| {
        let [red, green, blue, alpha] = with_alpha.get_pixel(x, y).0.map(u32::from);
        image::Rgb([red, green, blue].map(|channel| {
            // Rounded channel·alpha + white·(1 − alpha).
            ((channel * alpha + 255 * (255 - alpha) + 127) / 255) as u8
        }))
    })
}
