//! A slide, whatever reads it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::{Rgb, RgbImage};

use crate::error::{Error, Result};
use crate::fingerprint::fingerprint;
use crate::reader::{self, Reader};

/// One size of a slide.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    /// Pixels, width and height.
    pub size: [u64; 2],
    /// How many pixels of level 0 are beside each other in one of its pixels: the mean of width and height.
    pub downsample: f64,
    /// Pixels of what is decoded at once, width and height.
    pub tile: [u32; 2],
}

/// What a reader knows of a slide before any pixel is decoded.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Description {
    /// From large to small.
    pub(crate) levels: Vec<Level>,
    pub(crate) microns_per_pixel: Option<f64>,
    /// What of level 0 was scanned: left, top, width, height.
    pub(crate) bounds: Option<[u64; 4]>,
    /// Names of images beside it: label, macro, thumbnail.
    pub(crate) associated: Vec<String>,
    /// What the file says of itself, by name.
    pub(crate) properties: BTreeMap<String, String>,
    /// What reads it, as people call it.
    pub(crate) format: String,
}

/// How a slide is opened.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenOptions {
    /// Bytes of decoded tiles that are kept. Default 64 MiB.
    pub cache: u64,
    /// The size of a pixel of level 0, if the file does not know it, or not rightly.
    pub microns_per_pixel: Option<f64>,
    /// When OpenSlide reads. Default where nothing else does.
    pub openslide: UseOpenSlide,
}

/// When OpenSlide reads a slide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UseOpenSlide {
    /// Never, even if it is there.
    Never,
    /// Where a slide is not read here.
    #[default]
    WhereNeeded,
    /// Always.
    Always,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            cache: 64 << 20,
            microns_per_pixel: None,
            openslide: UseOpenSlide::default(),
        }
    }
}

/// A pyramid of images; see the [crate].
pub struct Slide {
    path: PathBuf,
    reader: Box<dyn Reader>,
    description: Description,
}

/// Where pixels of a level differ by less than this share from the size that is asked for, each is taken as it is.
const SAME_SCALE: f64 = 0.01;
/// Pixels of a level that are read at once to be made smaller: about 100 MB.
const MOST_AT_ONCE: f64 = 32e6;
/// What cannot be decoded is looked for to parts of so many pixels.
const SMALLEST_PART: u32 = 64;

impl Slide {
    /// Opens a slide; no pixel is decoded. Aperio SVS, tiled TIFF and OME-TIFF (8 bits, JPEG, JPEG 2000, deflate, LZW or
    /// uncompressed), OME-Zarr (8 bits, folders), PNG, JPEG and BMP are read here, all else by OpenSlide.
    ///
    /// # Errors
    /// A file that cannot be read, that is damaged, or that no reader knows.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self> {
        let reader = reader::open(path, options)?;
        let mut description = reader.description().clone();
        if let Some(microns) = options.microns_per_pixel {
            description.microns_per_pixel = Some(microns);
        }
        Ok(Self {
            path: path.to_owned(),
            reader,
            description,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What kind of slide it is and what reads it: `Aperio SVS`, `hamamatsu, by OpenSlide 4.0.0`.
    pub fn format(&self) -> &str {
        &self.description.format
    }

    /// What tells it from another slide of the same name: a hash of the length of its file and of the first and last mebibyte; of a
    /// folder, of the names and lengths of all files in it.
    ///
    /// # Errors
    /// Something cannot be read.
    pub fn fingerprint(&self) -> Result<String> {
        fingerprint(&self.path)
    }

    /// Its levels, from large to small.
    pub fn levels(&self) -> &[Level] {
        &self.description.levels
    }

    /// The size of a pixel of level 0, in microns: the mean of width and height.
    ///
    /// # Errors
    /// It is not known.
    pub fn microns_per_pixel(&self) -> Result<f64> {
        (self.description.microns_per_pixel).ok_or_else(|| Error::NoResolution {
            path: self.path.clone(),
        })
    }

    /// What of level 0 was scanned: left, top, width, height; all of it where the file does not say.
    pub fn bounds(&self) -> [u64; 4] {
        let [width, height] = self.description.levels[0].size;
        self.description.bounds.unwrap_or([0, 0, width, height])
    }

    /// What the file says of itself, by name.
    pub fn properties(&self) -> &BTreeMap<String, String> {
        &self.description.properties
    }

    /// Names of the images beside it, such as `label`, `macro` and `thumbnail`.
    pub fn associated(&self) -> &[String] {
        &self.description.associated
    }

    /// An image beside it.
    ///
    /// # Errors
    /// There is none of that name, or it cannot be decoded.
    pub fn associated_image(&self, name: &str) -> Result<RgbImage> {
        let associated = &self.description.associated;
        if !associated.iter().any(|of| of == name) {
            return Err(Error::NoAssociated {
                path: self.path.clone(),
                name: name.to_owned(),
                present: match associated.is_empty() {
                    true => "none".to_owned(),
                    false => associated.join(", "),
                },
            });
        }
        self.reader.associated(name)
    }

    /// A region of a level, by its own pixels; what lies outside is white.
    ///
    /// # Errors
    /// There is no such level, or a tile cannot be decoded.
    pub fn region(&self, level: usize, left: i64, top: i64, size: [u32; 2]) -> Result<RgbImage> {
        let levels = &self.description.levels;
        let Some(of_level) = levels.get(level) else {
            return Err(Error::NoLevel {
                path: self.path.clone(),
                count: levels.len(),
                level,
            });
        };
        let mut region = RgbImage::from_pixel(size[0], size[1], WHITE);
        // The part of it that is inside.
        let inside = |from: i64, length: u32, all: u64| {
            let start = from.max(0);
            let end = from.saturating_add(i64::from(length)).min(all as i64);
            (start < end).then_some((start, (end - start) as u32))
        };
        if let (Some((x, width)), Some((y, height))) = (
            inside(left, size[0], of_level.size[0]),
            inside(top, size[1], of_level.size[1]),
        ) {
            let place = Inside {
                level,
                left: x as u64,
                top: y as u64,
                at: [(x - left) as u32, (y - top) as u32],
                size: [width, height],
            };
            self.reader.read(&place, &mut region)?;
        }
        Ok(region)
    }

    /// The level that a region with pixels of so many of level 0 is best read from: the smallest one that is no coarser.
    pub fn best_level(&self, downsample: f64) -> usize {
        let mut levels = self.description.levels.iter();
        let fine = levels.rposition(|level| level.downsample <= downsample * (1.0 + SAME_SCALE));
        fine.unwrap_or(0)
    }

    /// A region at any scale: `size` pixels, each as wide as `downsample` pixels of level 0, from (left, top) in pixels of level 0.
    /// It is read from the [best level](Self::best_level), and made smaller by the mean of the pixels that are covered; pixels of nearly
    /// the size that is asked for are taken as they are, the nearest one each.
    ///
    /// # Errors
    /// A tile cannot be decoded.
    pub fn region_at(&self, downsample: f64, place: [f64; 2], size: [u32; 2]) -> Result<RgbImage> {
        self.scaled(downsample, place, size, Self::region)
    }

    /// A region at any scale of what `region` reads of a level. What is to be made much smaller is read in parts, one below the other.
    fn scaled(
        &self,
        downsample: f64,
        [left, top]: [f64; 2],
        size: [u32; 2],
        region: impl Fn(&Self, usize, i64, i64, [u32; 2]) -> Result<RgbImage> + Copy,
    ) -> Result<RgbImage> {
        let level = self.best_level(downsample);
        let of_level = self.description.levels[level].downsample;
        let factor = downsample / of_level;
        if (factor - 1.0).abs() * f64::from(size[0].max(size[1])) < 0.5 {
            let [left, top] = [left, top].map(|at| (at / of_level).round() as i64);
            return region(self, level, left, top, size);
        }
        let read = f64::from(size[0]) * f64::from(size[1]) * factor * factor;
        if read > MOST_AT_ONCE && size[1] > 1 {
            let upper = size[1] / 2;
            let lower = top + f64::from(upper) * downsample;
            let mut whole = RgbImage::new(size[0], size[1]);
            for (from, top, height) in [(0, top, upper), (upper, lower, size[1] - upper)] {
                let part = self.scaled(downsample, [left, top], [size[0], height], region)?;
                image::imageops::replace(&mut whole, &part, 0, i64::from(from));
            }
            return Ok(whole);
        }
        let [x, y] = [(left, size[0]), (top, size[1])]
            .map(|(from, length)| Span::of(from / of_level, f64::from(length) * factor));
        let fine = region(self, level, x.first, y.first, [x.pixels, y.pixels])?;
        let part = [x.from, y.from, x.length, y.length];
        resized(&fine, part, size, factor).map_err(|problem| Error::Region {
            path: self.path.clone(),
            level,
            left: x.first,
            top: y.first,
            width: x.pixels,
            height: y.pixels,
            problem,
        })
    }

    /// A region of a level of which what cannot be decoded is white.
    fn forgiving(&self, level: usize, left: i64, top: i64, size: [u32; 2]) -> Result<RgbImage> {
        match self.region(level, left, top, size) {
            Err(Error::Tile { .. } | Error::Region { .. }) => {}
            read => return read,
        }
        let longer = usize::from(size[1] > size[0]);
        if size[longer] <= SMALLEST_PART {
            return Ok(RgbImage::from_pixel(size[0], size[1], WHITE));
        }
        let mut whole = RgbImage::new(size[0], size[1]);
        let half = size[longer] / 2;
        for (from, length) in [(0, half), (half, size[longer] - half)] {
            let (mut at, mut part) = ([0i64; 2], size);
            (at[longer], part[longer]) = (i64::from(from), length);
            let read = self.forgiving(level, left + at[0], top + at[1], part)?;
            image::imageops::replace(&mut whole, &read, at[0], at[1]);
        }
        Ok(whole)
    }

    /// A region at any scale, as [`Slide::region_at`] reads it, of which what cannot be decoded is white.
    pub(crate) fn forgiving_region_at(
        &self,
        downsample: f64,
        place: [f64; 2],
        size: [u32; 2],
    ) -> Result<RgbImage> {
        self.scaled(downsample, place, size, Self::forgiving)
    }

    /// Pixels as wide as `downsample` pixels of level 0, of the whole slide; what cannot be decoded is white.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn picture(&self, downsample: f64) -> Result<RgbImage> {
        let whole = self.description.levels[0].size;
        let size = whole.map(|side| (side as f64 / downsample).ceil().max(1.0) as u32);
        self.scaled(downsample, [0.0; 2], size, Self::forgiving)
    }

    /// All of it, so small that neither side is longer than `side`; what cannot be decoded is white.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn thumbnail(&self, side: u32) -> Result<RgbImage> {
        let [width, height] = self.description.levels[0].size.map(|length| length as f64);
        let downsample = (width.max(height) / f64::from(side)).max(1.0);
        let size = [width, height].map(|length| (length / downsample).round().max(1.0) as u32);
        self.scaled(downsample, [0.0; 2], size, Self::forgiving)
    }
}

impl fmt::Debug for Slide {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Slide");
        shown.field("path", &self.path);
        shown.field("description", &self.description);
        shown.finish_non_exhaustive()
    }
}

/// What is not there.
pub(crate) const WHITE: Rgb<u8> = Rgb([255; 3]);

/// A part of a level that lies inside it, and where it goes in a region.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inside {
    pub(crate) level: usize,
    pub(crate) left: u64,
    pub(crate) top: u64,
    /// Of its first pixel in the region.
    pub(crate) at: [u32; 2],
    pub(crate) size: [u32; 2],
}

/// Whole pixels of a level along a side, and what of them is resampled.
struct Span {
    first: i64,
    pixels: u32,
    /// Where what is resampled begins, in the first of the pixels.
    from: f64,
    length: f64,
}

impl Span {
    /// The pixels around a length from a place, in pixels of the level.
    fn of(start: f64, length: f64) -> Self {
        let first = start.floor();
        let pixels = ((start + length).ceil() - first).max(1.0);
        let from = start - first;
        // By rounding it may end a trifle behind the last pixel.
        let length = match from + length > pixels {
            true => (pixels - from).next_down(),
            false => length,
        };
        Self {
            first: first as i64,
            pixels: pixels as u32,
            from,
            length,
        }
    }
}

/// A part of an image (left, top, width, height) as an image of another size, whose pixels are `factor` times as wide: the mean of the
/// pixels in each, or the nearest where they are nearly as wide, or between those around it.
fn resized(
    image: &RgbImage,
    [left, top, width, height]: [f64; 4],
    size: [u32; 2],
    factor: f64,
) -> Result<RgbImage, String> {
    let mut to = RgbImage::new(size[0], size[1]);
    let filter = match factor > 1.0 - SAME_SCALE {
        true => FilterType::Box,
        false => FilterType::Bilinear,
    };
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(filter))
        .crop(left, top, width, height);
    let from = ImageRef::new(
        image.width(),
        image.height(),
        image.as_raw(),
        PixelType::U8x3,
    );
    let from = from.map_err(|error| error.to_string())?;
    let target = Image::from_slice_u8(size[0], size[1], &mut to, PixelType::U8x3);
    let mut target = target.map_err(|error| error.to_string())?;
    let resized = Resizer::new().resize(&from, &mut target, &options);
    resized.map_err(|error| error.to_string())?;
    Ok(to)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn spans_lie_in_their_pixels(column in 0u32..2000, side in 1u32..1024, of_level in 1.0f64..64.0, scale in 0.1f64..40.0) {
            let downsample = of_level * scale;
            let start = f64::from(column) * f64::from(side) * downsample / of_level;
            let length = f64::from(side) * scale;
            let span = Span::of(start, length);
            prop_assert!(span.from >= 0.0 && span.from + span.length <= f64::from(span.pixels));
            prop_assert!((span.length - length).abs() < 1e-6, "{} {length}", span.length);
            prop_assert!((span.first as f64 + span.from - start).abs() < 1e-6);
        }
    }
}
