//! Masks of other programs: class masks with a colour table, and instance masks.
//!
//! A class mask is a *palette* PNG (as Pascal VOC's segmentations are) or a *grey* one. The numbers in
//! the file are the classes, or are looked up in a table; a palette is kept, not applied, and masks of
//! 1, 2 or 4 bits are not stretched to 8. The convention of many of these files that 255 is "void" is
//! that of this crate: [`UNLABELLED_CLASS`](crate::UNLABELLED_CLASS).
//!
//! An instance mask is a grey PNG of 8 or 16 bits or a TIFF of 8, 16 or 32 bits, also signed or
//! floating point if all values are whole and not negative. Numbers are taken as they are; 0 is
//! background. [`renumber`] closes their gaps, since a label version keeps at most 65,534 objects.
//!
//! Only the picture's size, which is checked against a limit first, decides the memory.

use std::io::{self, Cursor, Write};
use std::path::Path;

use ndarray::{Array2, ArrayView2};
use png::{BitDepth, ColorType};
use tiff::decoder::{Decoder, DecodingResult, Limits};

use super::xml::refused;
use crate::error::{Error, Result};
use crate::evidence::UNLABELLED_INSTANCE;
use crate::mask::UNLABELLED_OBJECT;
use crate::value_map::ClassTable;

/// A class mask as its file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedMask {
    /// The number of every pixel, `[height, width]`.
    pub classes: Array2<u8>,
    /// The colours (RGB) of the numbers from 0; empty for a grey mask.
    pub palette: Vec<[u8; 3]>,
}

/// Reads a palette or grey PNG of at most 8 bits; `path` is for messages only.
///
/// # Errors
/// Not a PNG, damaged, of another kind, or larger than `max_pixels`.
pub fn read_indexed(path: &Path, bytes: &[u8], max_pixels: u64) -> Result<IndexedMask> {
    let picture = Picture::read(path, bytes, max_pixels)?;
    let palette = match picture.colour {
        ColorType::Indexed => picture.palette,
        ColorType::Grayscale => Vec::new(),
        other => {
            let problem = format!("the mask has colours ({other:?}), not class numbers");
            return Err(Error::image(path, problem).with_help(
                "Export it as a grey PNG of class numbers, or save it as a palette PNG, whose numbers are those of the palette.",
            ));
        }
    };
    let bits = match picture.depth {
        BitDepth::One => 1,
        BitDepth::Two => 2,
        BitDepth::Four => 4,
        BitDepth::Eight => 8,
        BitDepth::Sixteen => {
            return Err(
                Error::image(path, "the mask has 16 bits, class masks have at most 8").with_help(
                    "If its numbers are objects, import it with `cleanslide import instances`.",
                ),
            );
        }
    };
    let (height, width) = picture.size;
    let mut classes = Vec::with_capacity(height * width);
    for row in picture.bytes.chunks_exact(picture.line.max(1)) {
        // The leftmost pixel is in the highest bits.
        let pixel = |x: usize| {
            let place = x * bits;
            (row[place / 8] >> (8 - bits - place % 8)) & (u8::MAX >> (8 - bits))
        };
        classes.extend((0..width).map(pixel));
    }
    Ok(IndexedMask {
        classes: array(path, picture.size, classes)?,
        palette,
    })
}

/// Reads a palette or grey PNG whose numbers stand for classes; `path` is for messages only.
///
/// # Errors
/// As [`read_indexed`], or a number that is not in the table: the message names the first one, where
/// it is, and how many pixels have numbers that are not.
pub fn read_numbered(
    path: &Path,
    bytes: &[u8],
    table: &ClassTable,
    max_pixels: u64,
) -> Result<Array2<u8>> {
    let numbers = read_indexed(path, bytes, max_pixels)?.classes;
    let mut unknown = numbers
        .indexed_iter()
        .filter(|(_, number)| table[usize::from(**number)].is_none());
    if let Some(((row, column), number)) = unknown.next() {
        let pixels = match 1 + unknown.count() {
            1 => "1 pixel has".to_owned(),
            pixels => format!("{pixels} pixels have"),
        };
        return Err(Error::image(
            path,
            format!("the number {number} (column {column}, row {row}) is no class; {pixels} such numbers"),
        )
        .with_help("Say with `--values` what it means: a class, or `unlabelled`. Masks that were scaled have mixed numbers; export them again."));
    }
    Ok(numbers.mapv(|number| table[usize::from(number)].unwrap_or_default()))
}

/// Writes a class mask, with the smallest depth of its palette left to 8 bits; without a palette
/// it is grey.
///
/// # Errors
/// The writer fails, or the mask has no pixels, or a number without a colour (`InvalidInput`).
pub fn write_indexed(writer: impl Write, mask: &IndexedMask) -> io::Result<()> {
    let highest = mask.classes.iter().copied().max();
    let colours = mask.palette.len();
    if colours > 0 && highest.is_some_and(|highest| usize::from(highest) >= colours) {
        return Err(refused(format!(
            "the palette of {colours} colours is too short for the mask"
        )));
    }
    let (width, height) = sides(mask.classes.dim())?;
    let mut encoder = png::Encoder::new(writer, width, height);
    encoder.set_depth(BitDepth::Eight);
    if colours == 0 {
        encoder.set_color(ColorType::Grayscale);
    } else {
        encoder.set_color(ColorType::Indexed);
        encoder.set_palette(mask.palette.as_flattened());
    }
    let pixels: Vec<u8> = mask.classes.iter().copied().collect();
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok(())
}

/// Reads an instance mask from PNG or TIFF; `path` is for messages only. Pixels that have the value
/// `unlabelled` in the file become [`UNLABELLED_OBJECT`].
///
/// # Errors
/// Neither PNG nor TIFF, damaged, of several channels or pages, larger than `max_pixels`, or a value
/// that is negative, broken or above 4,294,967,294.
pub fn read_instances(
    path: &Path,
    bytes: &[u8],
    unlabelled: Option<u32>,
    max_pixels: u64,
) -> Result<Array2<u32>> {
    let mut mask = if bytes.starts_with(b"II") || bytes.starts_with(b"MM") {
        read_tiff(path, bytes, max_pixels)?
    } else {
        let picture = Picture::read(path, bytes, max_pixels)?;
        if picture.depth == BitDepth::Sixteen && picture.colour == ColorType::Grayscale {
            let pixels = picture.bytes.as_chunks::<2>().0.iter();
            let pixels = pixels.map(|&pair| u32::from(u16::from_be_bytes(pair)));
            array(path, picture.size, pixels.collect())?
        } else {
            read_indexed(path, bytes, max_pixels)?
                .classes
                .mapv(u32::from)
        }
    };
    if mask
        .iter()
        .any(|&object| object == UNLABELLED_OBJECT && unlabelled != Some(object))
    {
        return Err(
            Error::image(path, format!("it has an object {UNLABELLED_OBJECT}")).with_help(
                format!(
                    "If this number means that a pixel is not labelled, say so: `--unlabelled {UNLABELLED_OBJECT}`."
                ),
            ),
        );
    }
    if let Some(value) = unlabelled {
        mask.mapv_inplace(|object| {
            if object == value {
                UNLABELLED_OBJECT
            } else {
                object
            }
        });
    }
    Ok(mask)
}

fn read_tiff(path: &Path, bytes: &[u8], max_pixels: u64) -> Result<Array2<u32>> {
    let broken = |error: tiff::TiffError| {
        Error::image(path, format!("not a TIFF file that can be read: {error}"))
            .with_help("Save it again without compression, or as PNG.")
    };
    let mut limits = Limits::default();
    let most = usize::try_from(max_pixels.saturating_mul(8)).unwrap_or(usize::MAX);
    limits.decoding_buffer_size = most;
    limits.intermediate_buffer_size = most;
    let mut decoder = Decoder::new(Cursor::new(bytes))
        .map_err(broken)?
        .with_limits(limits);
    let (width, height) = decoder.dimensions().map_err(broken)?;
    check_size(path, (width, height), max_pixels)?;
    let colour = decoder.colortype().map_err(broken)?;
    if !matches!(colour, tiff::ColorType::Gray(8 | 16 | 32)) {
        return Err(Error::image(
            path,
            format!("the mask is {colour:?}, not grey of 8, 16 or 32 bits"),
        )
        .with_help("Save one channel of it."));
    }
    if decoder.more_images() {
        return Err(Error::image(path, "the TIFF has several pages")
            .with_help("Save each page as a file of its own."));
    }
    let size = (height as usize, width as usize);
    let numbers = match decoder.read_image().map_err(broken)? {
        DecodingResult::U8(values) => values.into_iter().map(u32::from).collect(),
        DecodingResult::U16(values) => values.into_iter().map(u32::from).collect(),
        DecodingResult::U32(values) => values,
        DecodingResult::I8(values) => whole(path, values)?,
        DecodingResult::I16(values) => whole(path, values)?,
        DecodingResult::I32(values) => whole(path, values.into_iter().map(f64::from))?,
        DecodingResult::F32(values) => whole(path, values)?,
        _ => {
            return Err(Error::image(
                path,
                "the TIFF has numbers of a kind that masks do not have",
            ));
        }
    };
    array(path, size, numbers)
}

fn whole<T: Into<f64>>(path: &Path, values: impl IntoIterator<Item = T>) -> Result<Vec<u32>> {
    let number = |value: T| {
        let value = value.into();
        if value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&value) {
            Ok(value as u32)
        } else {
            Err(
                Error::image(path, format!("{value} is not the number of an object"))
                    .with_help("Instance masks have whole numbers from 0."),
            )
        }
    };
    values.into_iter().map(number).collect()
}

/// Numbers the objects of a mask from 1 without gaps, in the order of their old numbers, which
/// it returns. Background and unlabelled pixels stay.
///
/// # Errors
/// There are more than 65,534 objects; the mask is then as it was.
pub fn renumber(mask: &mut Array2<u32>) -> Result<Vec<u32>> {
    let mut objects: Vec<u32> = Vec::new();
    // Runs of one number are sorted once.
    for &object in mask.iter() {
        if object != 0 && object != UNLABELLED_OBJECT && objects.last() != Some(&object) {
            objects.push(object);
        }
    }
    objects.sort_unstable();
    objects.dedup();
    if objects.len() >= usize::from(UNLABELLED_INSTANCE) {
        return Err(Error::labels(format!(
            "the mask has {} objects; at most 65,534 can be kept",
            objects.len()
        ))
        .with_help("Cut the image into tiles."));
    }
    mask.mapv_inplace(|object| match objects.binary_search(&object) {
        Ok(index) => index as u32 + 1,
        Err(_) => object,
    });
    Ok(objects)
}

/// Writes an instance mask as PNG of 16 bits, with 65535 for unlabelled.
///
/// # Errors
/// The writer fails, or the mask has no pixels or a number above 65,534: [`renumber`] it
/// (`InvalidInput`).
pub fn write_instances_png(writer: impl Write, mask: ArrayView2<'_, u32>) -> io::Result<()> {
    let (width, height) = sides(mask.dim())?;
    let mut bytes = Vec::with_capacity(2 * mask.len());
    for &object in &mask {
        let number = match u16::try_from(object) {
            _ if object == UNLABELLED_OBJECT => UNLABELLED_INSTANCE,
            Ok(number) if number != UNLABELLED_INSTANCE => number,
            _ => {
                return Err(refused(format!(
                    "object {object} does not fit into 16 bits"
                )));
            }
        };
        bytes.extend(number.to_be_bytes());
    }
    let mut encoder = png::Encoder::new(writer, width, height);
    encoder.set_color(ColorType::Grayscale);
    encoder.set_depth(BitDepth::Sixteen);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&bytes)?;
    writer.finish()?;
    Ok(())
}

/// A PNG as it is in the file.
struct Picture {
    size: (usize, usize),
    colour: ColorType,
    depth: BitDepth,
    palette: Vec<[u8; 3]>,
    /// Bytes of a row.
    line: usize,
    bytes: Vec<u8>,
}

impl Picture {
    fn read(path: &Path, bytes: &[u8], max_pixels: u64) -> Result<Self> {
        let broken = |error: png::DecodingError| {
            Error::image(path, format!("not a PNG file that can be read: {error}"))
                .with_help("Save it again as PNG; if it was not copied to the end, copy it again.")
        };
        let mut decoder = png::Decoder::new(Cursor::new(bytes));
        decoder.set_transformations(png::Transformations::IDENTITY);
        decoder.set_ignore_text_chunk(true);
        decoder.set_ignore_iccp_chunk(true);
        let mut reader = decoder.read_info().map_err(broken)?;
        let info = reader.info();
        let (width, height) = (info.width, info.height);
        check_size(path, (width, height), max_pixels)?;
        let palette = info.palette.as_deref().unwrap_or_default();
        let palette = palette.as_chunks::<3>().0.to_vec();
        let too_large = || Error::image(path, "the mask does not fit into the memory");
        let mut bytes = vec![0; reader.output_buffer_size().ok_or_else(too_large)?];
        let frame = reader.next_frame(&mut bytes).map_err(broken)?;
        Ok(Self {
            size: (height as usize, width as usize),
            colour: frame.color_type,
            depth: frame.bit_depth,
            palette,
            line: frame.line_size,
            bytes,
        })
    }
}

fn check_size(path: &Path, (width, height): (u32, u32), max_pixels: u64) -> Result<()> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 || pixels > max_pixels {
        return Err(Error::image(
            path,
            format!("the mask has {width} × {height} pixels; the limit is {max_pixels}"),
        )
        .with_help("Cut it into tiles first."));
    }
    Ok(())
}

fn array<T>(path: &Path, size: (usize, usize), pixels: Vec<T>) -> Result<Array2<T>> {
    Array2::from_shape_vec(size, pixels)
        .map_err(|_| Error::image(path, "the mask has fewer pixels than its header says"))
}

fn sides((height, width): (usize, usize)) -> io::Result<(u32, u32)> {
    match (u32::try_from(width), u32::try_from(height)) {
        (Ok(width @ 1..), Ok(height @ 1..)) => Ok((width, height)),
        _ => Err(refused(format!(
            "a mask of {width} × {height} pixels cannot be written"
        ))),
    }
}
