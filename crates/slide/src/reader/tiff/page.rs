//! The directories of a TIFF file.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Seek};
use std::path::Path;

use image::{Rgb, RgbImage};
use tiff::decoder::ifd::Value;
use tiff::decoder::{Decoder, Limits};
use tiff::tags::{IfdPointer, Tag};
use tiff::{TiffError, TiffResult};

use super::decode::{Coding, Colours, Compression};
use crate::error::{Error, Result};
use crate::slide::WHITE;

/// An image of a file: cut into tiles, or into strips, which are tiles as wide as it is.
#[derive(Debug, Clone)]
pub(super) struct Page {
    /// Width and height.
    pub(super) size: [u64; 2],
    /// Width and height.
    pub(super) tile: [u32; 2],
    pub(super) tiled: bool,
    /// By row and column; of planes that are stored apart, all of the first, then all of the next.
    pub(super) chunks: Vec<Chunk>,
    pub(super) coding: Coding,
    pub(super) description: String,
    /// What it is for, in bits.
    pub(super) subfile: u64,
    /// Of a pixel, if the file says it.
    pub(super) microns: Option<f64>,
    /// Smaller ones of the same, as OME-TIFF has them.
    pub(super) smaller: Vec<Page>,
    /// Whether a tag says that it is of a maker whose files are not read here.
    pub(super) foreign: Option<&'static str>,
}

/// Where a tile is in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk {
    pub(super) offset: u64,
    pub(super) length: u64,
}

impl Chunk {
    pub(super) fn end(&self) -> u64 {
        self.offset.saturating_add(self.length)
    }
}

/// Tables of offsets of more bytes than this are not those of a slide: a hundred million tiles.
const MOST_BYTES_OF_TABLE: usize = 1 << 30;
/// Tags of NDPI files.
const NDPI: u16 = 65420;

type Tags<'a> = tiff::decoder::IfdDecoder<'a>;

/// All images of a file; or why they are left to another reader, which may know better.
pub(super) fn read_all(file: &File, path: &Path) -> Result<Result<Vec<Page>, String>> {
    let of_file = file
        .try_clone()
        .and_then(|mut file| file.rewind().map(|()| file));
    let of_file = of_file.map_err(|error| Error::io("read", path, error))?;
    Ok(read_pages(of_file).unwrap_or_else(|error| {
        Err(match error {
            TiffError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
                "it is cut off: the file ends where it should say what is in it".to_owned()
            }
            error => format!("what it says of its images is damaged: {error}"),
        })
    }))
}

fn read_pages(file: File) -> TiffResult<Result<Vec<Page>, String>> {
    let mut decoder = Decoder::new(BufReader::new(file))?;
    let mut limits = Limits::default();
    limits.ifd_value_size = MOST_BYTES_OF_TABLE;
    decoder = decoder.with_limits(limits);
    let mut next = decoder.ifd_pointer();
    let (mut seen, mut pages) = (BTreeSet::new(), Vec::new());
    while let Some(pointer) = next.filter(|pointer| pointer.0 != 0) {
        if !seen.insert(pointer.0) {
            return Ok(Err("what it says of its images runs in a circle".to_owned()));
        }
        let read = read(&mut decoder, pointer, true)?;
        next = read.next;
        match read.page {
            Ok(page) => pages.push(page),
            Err(foreign) => return Ok(Err(foreign)),
        }
    }
    if pages.is_empty() {
        return Ok(Err("there is no image in it".to_owned()));
    }
    Ok(Ok(pages))
}

/// An image, or why it is left to another reader; and the one after it.
struct Read {
    page: Result<Page, String>,
    next: Option<IfdPointer>,
}

fn read(
    decoder: &mut Decoder<BufReader<File>>,
    pointer: IfdPointer,
    with_smaller: bool,
) -> TiffResult<Read> {
    let directory = decoder.read_directory(pointer)?;
    let next = directory.next();
    let mut tags = decoder.read_directory_tags(&directory);
    let mut page = match page_of(&mut tags)? {
        Ok(page) => page,
        Err(foreign) => {
            return Ok(Read {
                page: Err(foreign),
                next,
            });
        }
    };
    if with_smaller && let Some(pointers) = tags.find_tag(Tag::SubIfd)? {
        for pointer in pointers.into_ifd_vec()? {
            match read(decoder, pointer, false)?.page {
                Ok(smaller) => page.smaller.push(smaller),
                Err(foreign) => {
                    return Ok(Read {
                        page: Err(foreign),
                        next,
                    });
                }
            }
        }
    }
    Ok(Read {
        page: Ok(page),
        next,
    })
}

fn page_of(tags: &mut Tags<'_>) -> TiffResult<Result<Page, String>> {
    let number = |tags: &mut Tags<'_>, tag: Tag| tags.find_tag_unsigned::<u64>(tag);
    let or = |tags: &mut Tags<'_>, tag, default| -> TiffResult<u64> {
        Ok(number(tags, tag)?.unwrap_or(default))
    };
    let size = [
        or(tags, Tag::ImageWidth, 0)?,
        or(tags, Tag::ImageLength, 0)?,
    ];
    if size.contains(&0) {
        return Ok(Err("an image in it has no size".to_owned()));
    }
    let tiled = number(tags, Tag::TileWidth)?.is_some();
    let (tile, offsets, lengths) = if tiled {
        let tile = [or(tags, Tag::TileWidth, 0)?, or(tags, Tag::TileLength, 0)?];
        (tile, Tag::TileOffsets, Tag::TileByteCounts)
    } else {
        let rows = or(tags, Tag::RowsPerStrip, size[1])?.min(size[1]);
        ([size[0], rows], Tag::StripOffsets, Tag::StripByteCounts)
    };
    let bits = tags.find_tag_unsigned_vec::<u64>(Tag::BitsPerSample)?;
    let samples = or(tags, Tag::SamplesPerPixel, 1)?;
    let apart = or(tags, Tag::PlanarConfiguration, 1)? == 2;
    let [columns, rows] = [0, 1].map(|side| size[side].div_ceil(tile[side].max(1)));
    let planes = if apart { samples } else { 1 };
    let expected = columns.saturating_mul(rows).saturating_mul(planes);
    let offsets = tags
        .find_tag_unsigned_vec::<u64>(offsets)?
        .unwrap_or_default();
    let lengths = tags
        .find_tag_unsigned_vec::<u64>(lengths)?
        .unwrap_or_default();
    if tile.contains(&0) || tile.iter().any(|side| *side > u64::from(u16::MAX) * 4) {
        return Ok(Err(format!(
            "an image in it has tiles of {} x {} pixels",
            tile[0], tile[1]
        )));
    }
    if offsets.len() as u64 != expected || lengths.len() != offsets.len() {
        return Ok(Err(format!(
            "an image in it has {} tiles, of which it names {}",
            expected,
            offsets.len().min(lengths.len())
        )));
    }
    let chunks = offsets.into_iter().zip(lengths);
    let coding = Coding {
        compression: Compression::of(or(tags, Tag::Compression, 1)?),
        colours: Colours::of(or(tags, Tag::PhotometricInterpretation, 1)?),
        samples: samples.min(u64::from(u16::MAX)) as usize,
        bits: bits.and_then(|bits| bits.into_iter().max()).unwrap_or(1),
        predicted: or(tags, Tag::Predictor, 1)? == 2,
        apart,
        tables: tags
            .find_tag(Tag::JPEGTables)?
            .map(Value::into_u8_vec)
            .transpose()?,
    };
    Ok(Ok(Page {
        size,
        tile: tile.map(|side| side as u32),
        tiled,
        chunks: chunks
            .map(|(offset, length)| Chunk { offset, length })
            .collect(),
        coding,
        description: text(tags, Tag::ImageDescription)?,
        subfile: or(tags, Tag::NewSubfileType, 0)?,
        microns: microns(tags)?,
        smaller: Vec::new(),
        foreign: foreign(tags)?,
    }))
}

/// The maker of a file that is not read here, by what only its files have.
fn foreign(tags: &mut Tags<'_>) -> TiffResult<Option<&'static str>> {
    if tags.directory().contains(Tag::Unknown(NDPI)) {
        return Ok(Some("a Hamamatsu NDPI slide"));
    }
    let description = text(tags, Tag::ImageDescription)?;
    let software = text(tags, Tag::Software)?;
    let xml = text(tags, Tag::Unknown(700))?;
    Ok(match () {
        () if software.starts_with("Philips") => Some("a Philips TIFF slide"),
        () if software.starts_with("MedScan") => Some("a Trestle slide"),
        () if description.contains("http://www.leica-microsystems.com/scn/") => {
            Some("a Leica SCN slide")
        }
        () if xml.contains("iScan") || description.contains("iScan") => Some("a Ventana BIF slide"),
        () => None,
    })
}

/// Text of a tag, whatever bytes are in it; empty if it is not there.
fn text(tags: &mut Tags<'_>, tag: Tag) -> TiffResult<String> {
    if !tags.directory().contains(tag) {
        return Ok(String::new());
    }
    Ok(match tags.find_tag(tag) {
        Ok(Some(Value::Ascii(text))) => text,
        Ok(Some(value)) => value
            .into_u8_vec()
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default(),
        // Text that is not ASCII is none to the library, and nothing hangs on it.
        Ok(None) | Err(_) => String::new(),
    })
}

/// The size of a pixel by the resolution tags: the mean of both directions.
fn microns(tags: &mut Tags<'_>) -> TiffResult<Option<f64>> {
    let unit = match tags
        .find_tag_unsigned::<u64>(Tag::ResolutionUnit)?
        .unwrap_or(2)
    {
        2 => 25_400.0,
        3 => 10_000.0,
        _ => return Ok(None),
    };
    let mut per_unit = |tag| -> TiffResult<Option<f64>> {
        Ok(match tags.find_tag(tag)? {
            Some(Value::Rational(above, below)) if above > 0 && below > 0 => {
                Some(f64::from(above) / f64::from(below))
            }
            _ => None,
        })
    };
    let both = (per_unit(Tag::XResolution)?, per_unit(Tag::YResolution)?);
    // Fewer than 1,000 pixels to a centimetre are those of a screen or a printer, which programs put there unasked.
    Ok(match both {
        (Some(x), Some(y)) => {
            Some(f64::midpoint(unit / x, unit / y)).filter(|microns| *microns <= 10.0)
        }
        _ => None,
    })
}

impl Page {
    /// Columns and rows of tiles.
    pub(super) fn grid(&self) -> [u64; 2] {
        [0, 1].map(|side| self.size[side].div_ceil(u64::from(self.tile[side])))
    }

    /// Bytes of a tile when it is decoded.
    pub(super) fn tile_bytes(&self) -> u64 {
        3 * u64::from(self.tile[0]) * u64::from(self.tile[1])
    }

    /// A tile, without what of it lies beyond the edge; white if it is not stored.
    pub(super) fn decoded(&self, file: &File, [column, row]: [u64; 2]) -> Result<RgbImage, String> {
        let [columns, rows] = self.grid();
        let left = |side: usize, place: u64| {
            let side_left = self.size[side] - place * u64::from(self.tile[side]);
            side_left.min(u64::from(self.tile[side])) as u32
        };
        let inside = [left(0, column), left(1, row)];
        // Tiles are stored whole, strips as far as there are rows.
        let stored = if self.tiled { self.tile } else { inside };
        let number = (row * columns + column) as usize;
        let planes = if self.coding.apart {
            self.coding.samples
        } else {
            1
        };
        let chunks =
            (0..planes).map(|plane| self.chunks[plane * (columns * rows) as usize + number]);
        let mut bytes = Vec::new();
        for chunk in chunks {
            if chunk.length == 0 {
                return Ok(RgbImage::from_pixel(inside[0], inside[1], WHITE));
            }
            bytes.push(read_at(file, chunk).map_err(|error| error.to_string())?);
        }
        let tile = self.coding.decode(bytes, stored)?;
        if stored == inside {
            return Ok(tile);
        }
        Ok(RgbImage::from_fn(inside[0], inside[1], |x, y| -> Rgb<u8> {
            tile[(x, y)]
        }))
    }
}

/// The bytes of a tile; threads read side by side.
fn read_at(file: &File, chunk: Chunk) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; chunk.length as usize];
    #[cfg(unix)]
    std::os::unix::fs::FileExt::read_exact_at(file, &mut bytes, chunk.offset)?;
    #[cfg(windows)]
    {
        let mut done = 0;
        while done < bytes.len() {
            let at = chunk.offset + done as u64;
            match std::os::windows::fs::FileExt::seek_read(file, &mut bytes[done..], at)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                more => done += more,
            }
        }
    }
    Ok(bytes)
}
