//! What reads slides.

mod mosaic;
mod plain;
mod tiff;
mod zarr;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use image::RgbImage;

pub use self::zarr::is_ome_zarr;
use crate::error::{Error, Result};
use crate::openslide;
use crate::slide::{Description, Inside, Level, OpenOptions, UseOpenSlide};

/// A file that was opened.
pub(crate) trait Reader: Send + Sync {
    /// What it is.
    fn description(&self) -> &Description;

    /// Reads a part of a level into a region, which is white.
    fn read(&self, part: &Inside, region: &mut RgbImage) -> Result<()>;

    /// An image beside it, by a name of its description.
    fn associated(&self, name: &str) -> Result<RgbImage>;
}

/// Opens a file with the first reader that knows it.
pub(crate) fn open(path: &Path, options: &OpenOptions) -> Result<Box<dyn Reader>> {
    if options.openslide == UseOpenSlide::Always {
        return openslide::open(path, options);
    }
    if is_ome_zarr(path) {
        return zarr::open(path, options);
    }
    if path.is_dir() {
        return openslide_or(path, options, "it is a folder, as slides in DICOM are");
    }
    let mut start = [0; 8];
    let mut file = File::open(path).map_err(|error| Error::io("open", path, error))?;
    let length = fill(&mut file, &mut start).map_err(|error| Error::io("read", path, error))?;
    let start = &start[..length];
    if start.is_empty() {
        return Err(Error::file(path, "it is empty"));
    }
    if tiff::begins(start) {
        return match tiff::open(file, path, options)? {
            tiff::Opened::Slide(slide) => Ok(slide),
            // A variant of a maker that is not read here, such as NDPI.
            tiff::Opened::Foreign(reason) => openslide_or(path, options, &reason),
        };
    }
    match image::guess_format(start) {
        Ok(format) => plain::open(path, format),
        Err(_) => openslide_or(
            path,
            options,
            "its first bytes are of no kind that is read here",
        ),
    }
}

/// By OpenSlide; without it, what keeps others from reading it.
fn openslide_or(path: &Path, options: &OpenOptions, reason: &str) -> Result<Box<dyn Reader>> {
    let unknown = |reason: String| Error::Unknown {
        path: path.to_owned(),
        reason,
    };
    if options.openslide == UseOpenSlide::Never {
        return Err(unknown(reason.to_owned()));
    }
    match openslide::open(path, options) {
        Err(Error::OpenSlide(missing)) => {
            Err(unknown(format!("{reason}, and OpenSlide {missing}")))
        }
        Err(Error::Unknown { reason: known, .. }) => Err(unknown(format!("{reason}, and {known}"))),
        opened => opened,
    }
}

/// Levels by their sizes, from large to small, and those of their tiles. A downsample is the mean of the ratios of the widths and
/// of the heights, as OpenSlide takes it.
fn pyramid(levels: impl Iterator<Item = ([u64; 2], [u32; 2])>) -> Vec<Level> {
    let mut whole = None;
    let level = |(size, tile): ([u64; 2], [u32; 2])| {
        let whole = *whole.get_or_insert(size);
        let ratio = |side: usize| whole[side] as f64 / size[side] as f64;
        Level {
            size,
            downsample: f64::midpoint(ratio(0), ratio(1)),
            tile,
        }
    };
    levels.map(level).collect()
}

/// Reads as much as there is.
fn fill(file: &mut File, bytes: &mut [u8]) -> std::io::Result<usize> {
    let mut length = 0;
    while length < bytes.len() {
        match file.read(&mut bytes[length..])? {
            0 => break,
            more => length += more,
        }
    }
    Ok(length)
}
