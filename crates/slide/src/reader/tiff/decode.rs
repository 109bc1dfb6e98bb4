//! Tiles from their bytes.

use std::io::Read;

use flate2::read::ZlibDecoder;
use hayro_jpeg2000::{DecodeSettings, DecoderContext, Image};
use image::RgbImage;
use weezl::BitOrder;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// How the tiles of an image are stored.
#[derive(Debug, Clone)]
pub(super) struct Coding {
    pub(super) compression: Compression,
    pub(super) colours: Colours,
    /// Numbers of a pixel.
    pub(super) samples: usize,
    pub(super) bits: u64,
    /// Whether numbers are differences to those on the left.
    pub(super) predicted: bool,
    /// Whether the planes of a tile are stored apart.
    pub(super) apart: bool,
    /// What all JPEG tiles share.
    pub(super) tables: Option<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Lzw,
    Deflate,
    Jpeg,
    /// Whose numbers are luminance and two colour differences, as Aperio stores them.
    Jpeg2000Ycc,
    Jpeg2000,
    Other(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colours {
    Grey,
    /// Grey, from bright to dark.
    Inverse,
    Rgb,
    Ycc,
    Other(u64),
}

type Problem<T> = Result<T, String>;

impl Compression {
    pub(super) fn of(number: u64) -> Self {
        match number {
            1 => Self::None,
            5 => Self::Lzw,
            7 => Self::Jpeg,
            8 | 32_946 => Self::Deflate,
            33_003 => Self::Jpeg2000Ycc,
            33_004 | 33_005 | 34_712 => Self::Jpeg2000,
            other => Self::Other(other),
        }
    }
}

impl Colours {
    pub(super) fn of(number: u64) -> Self {
        match number {
            0 => Self::Inverse,
            1 => Self::Grey,
            2 => Self::Rgb,
            6 => Self::Ycc,
            other => Self::Other(other),
        }
    }
}

impl Coding {
    /// Why tiles are not read here, if they are not.
    pub(super) fn unread(&self) -> Option<String> {
        let says = |what: String| Some(format!("its pixels are {what}, which is not read here"));
        let itself = matches!(
            self.compression,
            Compression::Jpeg | Compression::Jpeg2000 | Compression::Jpeg2000Ycc
        );
        match (self.compression, self.colours, self.samples) {
            (Compression::Other(number), ..) => says(format!("compressed by method {number}")),
            _ if self.bits != 8 => says(format!("of {} bits a channel", self.bits)),
            (_, Colours::Other(number), _) => says(format!("colours of kind {number}")),
            (_, Colours::Ycc, _) if !itself => {
                says("luminance and colour differences without JPEG".to_owned())
            }
            (_, Colours::Grey | Colours::Inverse, 1) | (_, Colours::Rgb | Colours::Ycc, 3) => None,
            // Transparency is not looked at.
            (_, Colours::Rgb, 4) if !itself => None,
            (_, _, samples) => says(format!("of {samples} channels")),
        }
    }

    /// A tile of so many pixels, by the bytes of its planes.
    pub(super) fn decode(&self, planes: Vec<Vec<u8>>, size: [u32; 2]) -> Problem<RgbImage> {
        let pixels = size[0] as usize * size[1] as usize;
        let samples = if self.apart { 1 } else { self.samples };
        let mut decoded = Vec::new();
        for plane in planes {
            decoded.push(self.samples_of(plane, size, samples)?);
        }
        let expected = pixels * samples;
        if let Some(plane) = decoded.iter().find(|plane| plane.len() != expected) {
            return Err(format!("{} bytes in place of {expected}", plane.len()));
        }
        let inverse = self.colours == Colours::Inverse;
        let grey = |value: &u8| [if inverse { 255 - value } else { *value }; 3];
        let bytes = match (decoded.as_mut_slice(), samples) {
            ([red, green, blue, ..], 1) => {
                let planes = red.iter().zip(green.iter()).zip(blue.iter());
                planes
                    .flat_map(|((red, green), blue)| [*red, *green, *blue])
                    .collect()
            }
            ([one], 1) => one.iter().flat_map(grey).collect(),
            ([all], 3) => std::mem::take(all),
            ([all], _) => all
                .chunks_exact(samples)
                .flat_map(|of| [of[0], of[1], of[2]])
                .collect(),
            _ => return Err("a number of planes that no colours have".to_owned()),
        };
        RgbImage::from_raw(size[0], size[1], bytes).ok_or_else(|| "its size is wrong".to_owned())
    }

    /// The numbers of a tile or of one of its planes, row by row.
    fn samples_of(&self, bytes: Vec<u8>, size: [u32; 2], samples: usize) -> Problem<Vec<u8>> {
        let row = size[0] as usize * samples;
        let expected = row * size[1] as usize;
        let mut decoded = match self.compression {
            Compression::Jpeg => return self.jpeg(&bytes, size, samples),
            Compression::Jpeg2000 | Compression::Jpeg2000Ycc => return self.jpeg2000(&bytes, size),
            Compression::None => bytes,
            Compression::Deflate => {
                let mut decoded = Vec::with_capacity(expected);
                let mut decoder = ZlibDecoder::new(bytes.as_slice()).take(expected as u64);
                decoder
                    .read_to_end(&mut decoded)
                    .map_err(|error| error.to_string())?;
                decoded
            }
            Compression::Lzw => {
                let mut decoder =
                    weezl::decode::Configuration::with_tiff_size_switch(BitOrder::Msb, 8)
                        .with_yield_on_full_buffer(true)
                        .build();
                let mut decoded = vec![0; expected];
                let (mut from, mut to) = (0, 0);
                while to < expected {
                    let result = decoder.decode_bytes(&bytes[from..], &mut decoded[to..]);
                    (from, to) = (from + result.consumed_in, to + result.consumed_out);
                    match result.status.map_err(|error| error.to_string())? {
                        weezl::LzwStatus::Ok if result.consumed_in + result.consumed_out > 0 => {}
                        _ => break,
                    }
                }
                decoded.truncate(to);
                decoded
            }
            Compression::Other(number) => {
                return Err(format!("compression {number} is not read here"));
            }
        };
        // Some writers fill the last strip.
        decoded.truncate(expected);
        if self.predicted {
            for row in decoded.chunks_exact_mut(row) {
                for place in samples..row.len() {
                    row[place] = row[place].wrapping_add(row[place - samples]);
                }
            }
        }
        Ok(decoded)
    }

    fn jpeg(&self, bytes: &[u8], size: [u32; 2], samples: usize) -> Problem<Vec<u8>> {
        let whole;
        let bytes = match &self.tables {
            // The tables without their end, then the tile without its beginning.
            Some(tables) if tables.len() > 4 && bytes.len() > 2 => {
                whole = [&tables[..tables.len() - 2], &bytes[2..]].concat();
                &whole
            }
            _ => bytes,
        };
        let options = DecoderOptions::default().set_strict_mode(true);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
        decoder
            .decode_headers()
            .map_err(|error| error.to_string())?;
        let colours = match (samples, self.colours) {
            (1, _) => ColorSpace::Luma,
            (_, Colours::Ycc) => ColorSpace::RGB,
            // Where the file says that numbers are red, green and blue, they are taken as they are, whatever the JPEG says.
            _ => decoder.input_colorspace().unwrap_or(ColorSpace::RGB),
        };
        decoder.set_options(options.jpeg_set_out_colorspace(colours));
        let decoded = decoder.decode().map_err(|error| error.to_string())?;
        let is = decoder
            .info()
            .map(|info| [u32::from(info.width), u32::from(info.height)]);
        same_size(is, size)?;
        Ok(decoded)
    }

    fn jpeg2000(&self, bytes: &[u8], size: [u32; 2]) -> Problem<Vec<u8>> {
        let settings = DecodeSettings {
            strict: true,
            ..DecodeSettings::default()
        };
        let image = Image::new(bytes, &settings).map_err(|error| error.to_string())?;
        same_size(Some([image.width(), image.height()]), size)?;
        let mut context = DecoderContext::default();
        let decoded = image
            .decode(&mut context)
            .map_err(|error| error.to_string())?;
        let mut bytes = decoded.data_u8();
        if self.compression == Compression::Jpeg2000Ycc && self.samples == 3 {
            for pixel in bytes.chunks_exact_mut(3) {
                pixel.copy_from_slice(&rgb([pixel[0], pixel[1], pixel[2]]));
            }
        }
        Ok(bytes)
    }
}

fn same_size(is: Option<[u32; 2]>, expected: [u32; 2]) -> Problem<()> {
    match is {
        Some(is) if is != expected => Err(format!(
            "it has {} x {} pixels in place of {} x {}",
            is[0], is[1], expected[0], expected[1]
        )),
        _ => Ok(()),
    }
}

/// Red, green and blue of luminance and two colour differences (ITU-T T.871).
fn rgb([luminance, blue, red]: [u8; 3]) -> [u8; 3] {
    let [luminance, blue, red] = [
        f32::from(luminance),
        f32::from(blue) - 128.0,
        f32::from(red) - 128.0,
    ];
    [
        luminance + 1.402 * red,
        luminance - 0.344_136 * blue - 0.714_136 * red,
        luminance + 1.772 * blue,
    ]
    .map(|value| value.round().clamp(0.0, 255.0) as u8)
}
