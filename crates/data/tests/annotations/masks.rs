use std::fs;
use std::io::Cursor;
use std::path::Path;

use cleanslide_data::formats::mask_file::*;
use cleanslide_data::mask::UNLABELLED_OBJECT;
use image::{ImageBuffer, ImageFormat, Luma, Rgb};
use ndarray::{Array2, ArrayView2, array};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::common::real_data;

const LIMIT: u64 = 1 << 20;

fn path() -> &'static Path {
    Path::new("m.png")
}

/// A PNG of any depth, packed by hand.
fn packed(depth: png::BitDepth, palette: Option<&[u8]>, width: u32, rows: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let line = (width as usize * depth as usize).div_ceil(8);
    let mut encoder = png::Encoder::new(&mut bytes, width, (rows.len() / line) as u32);
    encoder.set_depth(depth);
    encoder.set_color(match palette {
        Some(_) => png::ColorType::Indexed,
        None => png::ColorType::Grayscale,
    });
    if let Some(palette) = palette {
        encoder.set_palette(palette.to_vec());
    }
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(rows).unwrap();
    writer.finish().unwrap();
    bytes
}

/// An instance mask as TIFF of 32 bits.
pub fn instances_tiff(mask: ArrayView2<'_, u32>) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let (height, width) = mask.dim();
    let numbers: Vec<u32> = mask.iter().copied().collect();
    let mut encoder = tiff::encoder::TiffEncoder::new(&mut bytes).unwrap();
    encoder
        .write_image::<tiff::encoder::colortype::Gray32>(width as u32, height as u32, &numbers)
        .unwrap();
    bytes.into_inner()
}

#[test]
fn small_depths_are_numbers_not_greys() {
    let one = packed(png::BitDepth::One, None, 10, &[0b1010_0000, 0b0100_0000]);
    let mask = read_indexed(path(), &one, LIMIT).unwrap();
    assert_eq!(mask.classes, array![[1, 0, 1, 0, 0, 0, 0, 0, 0, 1]]);
    let two = packed(
        png::BitDepth::Two,
        Some(&[9, 8, 7, 1, 2, 3, 4, 5, 6]),
        3,
        &[0b0110_0000],
    );
    let mask = read_indexed(path(), &two, LIMIT).unwrap();
    assert_eq!(mask.classes, array![[1, 2, 0]]);
    assert_eq!(mask.palette, [[9, 8, 7], [1, 2, 3], [4, 5, 6]]);
    let four = packed(png::BitDepth::Four, None, 3, &[0xf0, 0x30]);
    assert_eq!(
        read_indexed(path(), &four, LIMIT).unwrap().classes,
        array![[15, 0, 3]]
    );
    assert_eq!(
        read_instances(path(), &four, Some(15), LIMIT).unwrap()[(0, 0)],
        UNLABELLED_OBJECT
    );
}

#[test]
fn masks_of_colours_are_refused_with_what_helps() {
    let picture = ImageBuffer::from_fn(4, 3, |x, _| Rgb([0, 10 * x as u8, 0]));
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    let error = read_indexed(path(), bytes.get_ref(), LIMIT).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("colours (Rgb), not class numbers")
    );
    assert!(error.help().unwrap().contains("grey PNG of class numbers"));
    let error = read_indexed(path(), bytes.get_ref(), 11).unwrap_err();
    assert!(error.to_string().contains("limit"));
}

#[test]
fn numbers_are_looked_up() {
    let mask = packed(png::BitDepth::Eight, None, 3, &[0, 6, 3, 4, 2, 255]);
    let mut table = [None; 256];
    for (number, class) in [(0, 0), (6, 0), (3, 1), (4, 2), (255, 255)] {
        table[number] = Some(class);
    }
    let error = read_numbered(path(), &mask, &table, LIMIT).unwrap_err();
    assert_eq!(
        error.to_string(),
        "m.png: the number 2 (column 1, row 1) is no class; 1 pixel has such numbers"
    );
    table[2] = Some(2);
    let classes = read_numbered(path(), &mask, &table, LIMIT).unwrap();
    assert_eq!(classes, array![[0, 0, 1], [2, 2, 255]]);
}

#[test]
fn instance_masks_of_all_depths() {
    let deep = ImageBuffer::<Luma<u16>, _>::from_vec(2, 1, vec![65_535, 300]).unwrap();
    let mut bytes = Cursor::new(Vec::new());
    deep.write_to(&mut bytes, ImageFormat::Png).unwrap();
    let read = |unlabelled| read_instances(path(), bytes.get_ref(), unlabelled, LIMIT).unwrap();
    assert_eq!(read(None), array![[65_535, 300]]);
    assert_eq!(read(Some(65_535)), array![[UNLABELLED_OBJECT, 300]]);

    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = tiff::encoder::TiffEncoder::new(&mut bytes).unwrap();
    encoder
        .write_image::<tiff::encoder::colortype::Gray32Float>(2, 1, &[3.0, 0.0])
        .unwrap();
    let read = |bytes: &[u8]| read_instances(path(), bytes, None, LIMIT);
    assert_eq!(read(bytes.get_ref()).unwrap(), array![[3, 0]]);
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = tiff::encoder::TiffEncoder::new(&mut bytes).unwrap();
    encoder
        .write_image::<tiff::encoder::colortype::Gray32Float>(2, 1, &[f32::NAN, 0.5])
        .unwrap();
    assert!(
        read(bytes.get_ref())
            .unwrap_err()
            .to_string()
            .contains("NaN is not the number")
    );
    assert!(read(b"").is_err() && read(b"II*\0").is_err() && read(b"\x89PNG").is_err());
}

#[test]
fn objects_are_numbered_anew() {
    let mut mask = array![[70_000, 0, 5], [UNLABELLED_OBJECT, 5, 70_000]];
    assert_eq!(renumber(&mut mask).unwrap(), [5, 70_000]);
    assert_eq!(mask, array![[2, 0, 1], [UNLABELLED_OBJECT, 1, 2]]);
    let mut many = Array2::from_shape_fn((256, 256), |(y, x)| (y * 256 + x) as u32 + 1);
    let before = many.clone();
    assert!(
        renumber(&mut many)
            .unwrap_err()
            .to_string()
            .contains("65536 objects")
    );
    assert_eq!(many, before);
    assert!(write_instances_png(Vec::new(), many.view()).is_err());
}

#[test]
fn real_masks() {
    let Some(folder) = real_data("he-nuclei/instances_corrected") else {
        return;
    };
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let mut mask = read_instances(&path, &bytes, None, LIMIT).unwrap();
        let plain = image::open(&path).unwrap().into_luma16();
        assert!(
            mask.iter()
                .zip(plain.pixels())
                .all(|(&ours, theirs)| ours == u32::from(theirs.0[0]))
        );
        assert!(renumber(&mut mask).unwrap().len() as u32 == *mask.iter().max().unwrap());
    }
}

proptest! {
    #[test]
    fn round_trip(numbers in vec(any::<u8>(), 12), columns in 1..5_usize, colours in any::<bool>()) {
        let rows = 12 / columns;
        let classes = Array2::from_shape_vec((rows, columns), numbers[..rows * columns].to_vec());
        let palette = (0..=255).map(|index| [index, 0, 255 - index]);
        let mask = IndexedMask {
            classes: classes.unwrap(),
            palette: if colours { palette.collect() } else { Vec::new() },
        };
        let mut bytes = Vec::new();
        write_indexed(&mut bytes, &mask).unwrap();
        prop_assert_eq!(read_indexed(path(), &bytes, LIMIT).unwrap(), mask.clone());

        let objects = mask.classes.mapv(|class| u32::from(class) * 257 % 65_535);
        let mut bytes = Vec::new();
        write_instances_png(&mut bytes, objects.view()).unwrap();
        prop_assert_eq!(&read_instances(path(), &bytes, Some(65_535), LIMIT).unwrap(), &objects);
        let objects = objects.mapv(|object| object * 65_537 % u32::MAX);
        let bytes = instances_tiff(objects.view());
        prop_assert_eq!(&read_instances(path(), &bytes, None, LIMIT).unwrap(), &objects);
    }
}
