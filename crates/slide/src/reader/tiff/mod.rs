//! Slides in TIFF files: Aperio SVS, OME-TIFF, and pyramids of no maker.

mod decode;
mod makers;
mod page;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use image::RgbImage;

use self::makers::Pages;
use self::page::Page;
use super::{Reader, mosaic, pyramid};
use crate::cache::{Place, Tiles};
use crate::error::{Error, Result};
use crate::slide::{Description, Inside, OpenOptions, WHITE};

/// Whether a file begins as a TIFF file of either kind and order does.
pub(super) fn begins(start: &[u8]) -> bool {
    [b"II\x2a\0", b"MM\0\x2a", b"II\x2b\0", b"MM\0\x2b"]
        .iter()
        .any(|magic| start.starts_with(*magic))
}

/// What a TIFF file is.
pub(super) enum Opened {
    Slide(Box<dyn Reader>),
    /// One that is not read here, and why.
    Foreign(String),
}

struct TiffSlide {
    file: File,
    path: PathBuf,
    /// A page of each level.
    levels: Vec<Page>,
    associated: BTreeMap<String, Page>,
    description: Description,
    tiles: Tiles,
}

/// Reads the directories of a file; no pixel is decoded.
pub(super) fn open(file: File, path: &Path, options: &OpenOptions) -> Result<Opened> {
    let pages = match page::read_all(&file, path)? {
        Ok(pages) => pages,
        Err(foreign) => return Ok(Opened::Foreign(foreign)),
    };
    let Pages {
        maker,
        levels,
        associated,
        microns_per_pixel,
        properties,
    } = match makers::sorted(pages) {
        Ok(pages) => pages,
        Err(foreign) => return Ok(Opened::Foreign(foreign)),
    };
    let unread = levels.iter().find_map(|page| page.coding.unread());
    if let Some(unread) = unread {
        return Ok(Opened::Foreign(unread));
    }
    let length = file
        .metadata()
        .map_err(|error| Error::io("read", path, error))?;
    let largest = levels
        .iter()
        .map(|page| page.tile_bytes())
        .max()
        .unwrap_or(0);
    let description = Description {
        levels: pyramid(levels.iter().map(|page| (page.size, page.tile))),
        microns_per_pixel,
        bounds: None,
        associated: associated.keys().cloned().collect(),
        properties,
        format: maker.name().to_owned(),
    };
    let end = levels
        .iter()
        .flat_map(|page| &page.chunks)
        .map(|chunk| chunk.end())
        .max();
    if end.is_some_and(|end| end > length.len()) {
        let problem = format!(
            "it is cut off: tiles lie up to byte {}, and it has {}",
            end.unwrap_or(0),
            length.len()
        );
        return Err(Error::file(path, problem));
    }
    Ok(Opened::Slide(Box::new(TiffSlide {
        file,
        path: path.to_owned(),
        levels,
        associated,
        description,
        tiles: Tiles::new(options.cache, largest),
    })))
}

impl TiffSlide {
    /// A tile, without what of it lies beyond the edge of its level.
    fn tile(&self, place: Place) -> Result<RgbImage> {
        let page = &self.levels[place.level];
        page.decoded(&self.file, [place.column, place.row])
            .map_err(|problem| Error::tile(&self.path, place, problem))
    }
}

impl Reader for TiffSlide {
    fn description(&self) -> &Description {
        &self.description
    }

    fn read(&self, part: &Inside, region: &mut RgbImage) -> Result<()> {
        let tile = self.levels[part.level].tile;
        mosaic::read(tile, part, region, |place| {
            self.tiles.get(place, || self.tile(place))
        })
    }

    fn associated(&self, name: &str) -> Result<RgbImage> {
        let page = &self.associated[name];
        let [width, height] = page.size.map(|side| side as u32);
        let mut whole = RgbImage::from_pixel(width, height, WHITE);
        let [columns, rows] = page.grid();
        for row in 0..rows {
            for column in 0..columns {
                let tile = page.decoded(&self.file, [column, row]);
                let tile = tile.map_err(|problem| {
                    Error::file(&self.path, format!("its image `{name}`: {problem}"))
                })?;
                let at = [
                    column * u64::from(page.tile[0]),
                    row * u64::from(page.tile[1]),
                ];
                image::imageops::replace(&mut whole, &tile, at[0] as i64, at[1] as i64);
            }
        }
        Ok(whole)
    }
}
