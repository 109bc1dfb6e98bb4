//! Images as they really arrive: every mode is read, every kind of damage is named.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use cleanslide_data::{MAX_PIXELS, Notice, image_size, read_image};
use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage};

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn tissue() -> DynamicImage {
    RgbImage::from_fn(40, 30, |x, y| {
        Rgb([(x * 6) as u8, (y * 8) as u8, ((x * y) % 251) as u8])
    })
    .into()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

fn problem(path: &Path) -> String {
    let error = read_image(path, MAX_PIXELS).unwrap_err();
    assert!(error.help().is_some(), "{error}: no remedy");
    error
        .to_string()
        .replace(&path.display().to_string(), "FILE")
}

#[test]
fn modes_are_converted_and_losses_are_told() {
    let folder = Folder::new();
    let rgb = read_image(
        &folder.with("rgb.png", &encoded(&tissue(), ImageFormat::Png)),
        MAX_PIXELS,
    )
    .unwrap();
    assert_eq!(rgb.pixels, tissue().into_rgb8());
    assert!(rgb.notices.is_empty());

    let grey: DynamicImage = GrayImage::from_pixel(3, 2, Luma([7])).into();
    let read = read_image(
        &folder.with("grey.png", &encoded(&grey, ImageFormat::Png)),
        MAX_PIXELS,
    )
    .unwrap();
    assert_eq!(read.pixels.get_pixel(2, 1), &Rgb([7, 7, 7]));

    let deep: DynamicImage =
        image::ImageBuffer::from_pixel(2, 2, Rgb([65535u16, 257 * 9 + 128, 0])).into();
    let read = read_image(
        &folder.with("deep.png", &encoded(&deep, ImageFormat::Png)),
        MAX_PIXELS,
    )
    .unwrap();
    assert_eq!(read.pixels.get_pixel(0, 0), &Rgb([255, 9, 0]));
    assert_eq!(read.notices, [Notice::DepthReduced]);

    let glass: DynamicImage = RgbaImage::from_pixel(2, 2, Rgba([100, 0, 255, 51])).into();
    let read = read_image(
        &folder.with("glass.png", &encoded(&glass, ImageFormat::Png)),
        MAX_PIXELS,
    )
    .unwrap();
    assert_eq!(read.pixels.get_pixel(0, 0), &Rgb([224, 204, 255]));
    assert_eq!(read.notices, [Notice::TransparencyFlattened]);
    let opaque: DynamicImage = RgbaImage::from_pixel(2, 2, Rgba([100, 0, 255, 255])).into();
    let read = read_image(
        &folder.with("opaque.png", &encoded(&opaque, ImageFormat::Png)),
        MAX_PIXELS,
    )
    .unwrap();
    assert!(read.notices.is_empty());
}

#[test]
fn the_size_is_read_from_the_head() {
    let folder = Folder::new();
    let jpeg = encoded(&tissue(), ImageFormat::Jpeg);
    // The name does not decide, and the end of the file is not needed.
    let path = folder.with("head.png", &jpeg[..jpeg.len() - 20]);
    assert_eq!(image_size(&path).unwrap(), (30, 40));
    let text = folder.with("text.jpg", b"this is a text");
    let error = image_size(&text).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("this is not an image that can be read")
    );
    assert!(error.help().is_some());
    assert!(image_size(&folder.0.path().join("none.png")).is_err());
}

/// A JPEG whose Exif says how it is to be turned.
fn turned_jpeg(orientation: u8) -> Vec<u8> {
    let jpeg = encoded(&tissue(), ImageFormat::Jpeg);
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat()
}

fn turned_tiff(orientation: u16) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = tiff::encoder::TiffEncoder::new(&mut bytes).unwrap();
    let mut image = encoder
        .new_image::<tiff::encoder::colortype::RGB8>(40, 30)
        .unwrap();
    let tag = tiff::tags::Tag::Orientation;
    image.encoder().write_tag(tag, orientation).unwrap();
    image.write_data(&tissue().into_rgb8()).unwrap();
    bytes.into_inner()
}

#[test]
fn pictures_are_turned_as_their_files_say() {
    let folder = Folder::new();
    let upright = read_image(&folder.with("1.jpg", &turned_jpeg(1)), MAX_PIXELS).unwrap();
    let upright = DynamicImage::from(upright.pixels);
    let turns: [fn(&DynamicImage) -> DynamicImage; 7] = [
        DynamicImage::fliph,
        DynamicImage::rotate180,
        DynamicImage::flipv,
        |image| image.rotate90().fliph(),
        DynamicImage::rotate90,
        |image| image.rotate270().fliph(),
        DynamicImage::rotate270,
    ];
    for (orientation, turn) in (2..).zip(turns) {
        let jpeg = folder.with("turned.jpg", &turned_jpeg(orientation));
        let tiff = folder.with("turned.tif", &turned_tiff(orientation.into()));
        for (path, upright) in [(jpeg, &upright), (tiff, &tissue())] {
            let read = read_image(&path, MAX_PIXELS).unwrap().pixels;
            assert_eq!(read, turn(upright).into_rgb8(), "{orientation}");
            let size = (read.height() as usize, read.width() as usize);
            assert_eq!(image_size(&path).unwrap(), size, "{orientation}");
        }
    }
}

/// A 2 × 1 PNG with a palette, which no encoder of the `image` crate writes.
#[test]
fn palettes_are_looked_up() {
    let chunk = |kind: &[u8; 4], data: &[u8]| {
        let body = [kind.as_slice(), data].concat();
        let mut crc = u32::MAX;
        for &byte in &body {
            crc ^= u32::from(byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 {
                    crc >> 1 ^ 0xedb8_8320
                } else {
                    crc >> 1
                };
            }
        }
        [
            &(data.len() as u32).to_be_bytes(),
            body.as_slice(),
            &(!crc).to_be_bytes(),
        ]
        .concat()
    };
    // One stored deflate block: filter byte 0, then palette entries 1 and 0.
    let pixels = [0u8, 1, 0];
    let (mut a, mut b) = (1u32, 0u32);
    for &byte in &pixels {
        a += u32::from(byte);
        b += a;
    }
    let stored = [
        &[0x78, 0x01, 1, 3, 0, 252, 255],
        pixels.as_slice(),
        &(b << 16 | a).to_be_bytes(),
    ]
    .concat();
    let png = [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(b"IHDR", &[0, 0, 0, 2, 0, 0, 0, 1, 8, 3, 0, 0, 0]),
        chunk(b"PLTE", &[10, 20, 30, 200, 100, 50]),
        chunk(b"IDAT", &stored),
        chunk(b"IEND", &[]),
    ]
    .concat();
    let read = read_image(&Folder::new().with("palette.png", &png), MAX_PIXELS).unwrap();
    assert_eq!(read.pixels.get_pixel(0, 0), &Rgb([200, 100, 50]));
    assert_eq!(read.pixels.get_pixel(1, 0), &Rgb([10, 20, 30]));
}

#[test]
fn damage_is_named_with_a_remedy() {
    let folder = Folder::new();
    assert_eq!(
        problem(&folder.with("empty.png", b"")),
        "FILE: the file is empty (0 bytes)"
    );
    assert_eq!(
        problem(&folder.with("text.png", b"hello there")),
        "FILE: this is not an image that can be read"
    );
    assert_eq!(
        problem(&folder.0.path().join("missing.png")),
        "failed to read FILE: No such file or directory (os error 2)"
    );
    for format in [
        ImageFormat::Png,
        ImageFormat::Jpeg,
        ImageFormat::Tiff,
        ImageFormat::Bmp,
    ] {
        let bytes = encoded(&tissue(), format);
        let name = format!("cut.{}", format.extensions_str()[0]);
        for keep in [bytes.len() / 2, bytes.len() * 9 / 10] {
            let said = problem(&folder.with(&name, &bytes[..keep]));
            assert!(
                said.contains("truncated") || said.contains("damaged"),
                "{format:?} {keep}: {said}"
            );
        }
    }
    let mut damaged = encoded(&tissue(), ImageFormat::Png);
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    assert!(problem(&folder.with("damaged.png", &damaged)).contains("damaged"));
}

#[test]
fn huge_images_are_refused_before_they_are_decoded() {
    let folder = Folder::new();
    let path = folder.with("big.png", &encoded(&tissue(), ImageFormat::Png));
    let error = read_image(&path, 1000).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("the image has 40 × 30 pixels; the limit is 1000")
    );
    assert_eq!(error.help().unwrap(), "Cut it into tiles first.");
}

#[test]
fn planes_are_refused_with_a_way_out() {
    let planes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../slide/tests/goldens/planes.tif");
    let told = problem(&planes);
    assert!(told.contains("red, green and blue apart"), "{told}");
}

#[test]
fn the_content_decides_the_format() {
    let path = Folder::new();
    let path = path.with("really_a_png.jpg", &encoded(&tissue(), ImageFormat::Png));
    assert_eq!(
        read_image(&path, MAX_PIXELS).unwrap().pixels,
        tissue().into_rgb8()
    );
}
