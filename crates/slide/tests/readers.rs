//! Slides are read as tifffile, libjpeg-turbo, openjpeg and OpenSlide read them.
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use std::path::Path;

use cleanslide_slide::{Error, OpenOptions, Slide, UseOpenSlide};
use common::{distance, golden, has_openslide, open, own, picture, real_slides, whole};
use image::{Rgb, RgbImage, imageops};
use proptest::prelude::*;
use serde::Deserialize;

#[test]
fn pixels_are_those_of_other_readers() {
    // Decoders of JPEG may each round luminance and colour differences by one to either side, and a number of RGB is their sum
    // with a factor of at most 1.8: 2.8. Where differences are stored at half the size, interpolating them rounds once more:
    // 4.6. Nearly all numbers are nearer.
    let cases = [
        ("raw.tif", "picture", 3, 0),
        ("deflate-predicted.tif", "picture", 3, 0),
        ("lzw-big-endian.tif", "picture", 3, 0),
        ("big.tif", "picture", 3, 0),
        ("planes.tif", "picture", 1, 0),
        ("strips.tif", "picture", 1, 0),
        ("jpeg2000.tif", "picture", 2, 0),
        ("pyramid.ome.tif", "picture", 3, 0),
        ("grey.tif", "grey", 1, 0),
        ("inverse.tif", "grey", 1, 0),
        ("jpeg-grey.tif", "jpeg-grey.tif", 1, 1),
        ("jpeg-444.tif", "jpeg-444.tif", 1, 2),
        ("jpeg-422.tif", "jpeg-422.tif", 1, 4),
        ("jpeg-420.tif", "jpeg-420.tif", 3, 4),
        ("jpeg-rgb.tif", "jpeg-rgb.tif", 1, 1),
        ("aperio-strips.tif", "picture", 1, 0),
        ("series.ome.tif", "picture", 2, 0),
        ("below.tif", "picture", 2, 0),
        ("ycc.svs", "ycc.svs", 2, 1),
    ];
    for (name, expected, levels, tolerance) in cases {
        let slide = open(name);
        assert_eq!(slide.levels().len(), levels, "{name}");
        for level in 0..levels {
            let found = distance(
                &whole(&slide, level),
                &picture(&format!("{expected}-{level}")),
            );
            assert!(found <= tolerance, "{name}, level {level}: {found}");
        }
    }
}

#[test]
fn ome_zarr_is_what_zarr_python_wrote() {
    for (name, levels) in [("blosc", 3), ("layout", 2), ("shards", 3)] {
        let slide = open(&format!("zarr/{name}.ome.zarr"));
        assert_eq!(slide.levels().len(), levels, "{name}");
        for level in 0..levels {
            let expected = picture(&format!("picture-{level}"));
            assert!(whole(&slide, level) == expected, "{name}, level {level}");
        }
        assert_eq!(slide.format(), "OME-Zarr");
        assert_eq!(slide.microns_per_pixel().unwrap(), 0.25, "{name}");
        assert_eq!(slide.properties()["name"], "picture");
        let level = &slide.levels()[1];
        let (size, tile) = (level.size, level.tile);
        assert_eq!((size, level.downsample, tile[0]), ([80, 55], 2.0, 48));
        assert!(slide.associated_image("label").is_err());
    }
    // A chunk that was never written has the value that the array says, and a grey pixel three equal colours.
    let slide = open("zarr/grey.ome.zarr");
    let mut expected = picture("grey-0");
    for (x, y) in (48..96).flat_map(|x| (64..110).map(move |y| (x, y))) {
        expected[(x, y)] = Rgb([0; 3]);
    }
    assert!(whole(&slide, 0) == expected);
    assert!(matches!(
        slide.microns_per_pixel(),
        Err(Error::NoResolution { .. })
    ));
    let region = slide.region(0, 40, 60, [30, 20]).unwrap();
    let part = imageops::crop_imm(&expected, 40, 60, 30, 20).to_image();
    assert_eq!(region, part);
}

#[test]
fn ome_zarr_that_is_no_slide_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let slide = folder.path().join("Schnitt – 組織.zarr");
    let copy = |name: &str| {
        let from = golden(&format!("zarr/{name}.ome.zarr"));
        let _ = std::fs::remove_dir_all(&slide);
        copy_folder(&from, &slide);
    };
    // The whole message after the name of the slide.
    let refused = |name: &str, file: &str, from: &str, to: &str| {
        copy(name);
        let path = slide.join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file}: {text}");
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let message = Slide::open(&slide, &own()).unwrap_err().to_string();
        let start = format!("{}: ", slide.display());
        message.strip_prefix(&start).unwrap().to_owned()
    };
    let layout = |from, to| refused("layout", "0/0/.zarray", from, to);
    assert_eq!(
        layout("|u1", "<u2"),
        "its array `0` has no channels of 8 bits, which alone are read"
    );
    let four = layout("\"shape\": [\n    3", "\"shape\": [\n    4");
    assert_eq!(four, "its array `0` has 4 channels; 1 and 3 are read");
    let axes = |from, to| refused("layout", "0/.zattrs", from, to);
    let axis = "\"name\": \"c\"";
    assert_eq!(
        axes(axis, "\"name\": \"z\""),
        "its array `0` has 3 planes along z, of which a slide has one"
    );
    assert_eq!(
        axes("\"path\": \"1\"", "\"path\": \"7\""),
        "its array `7` cannot be read: array metadata is missing"
    );
    let none = axes("\"multiscales\"", "\"others\"");
    assert!(none.contains("Zarr without `multiscales`"), "{none}");
    let plate = refused("grey", ".zattrs", "\"multiscales\"", "\"plate\"");
    assert!(plate.contains("a plate of many images"), "{plate}");
    let broken = refused("shards", "zarr.json", "{", "");
    assert!(broken.starts_with("its group `/`: "), "{broken}");

    // A chunk that is damaged is an error of its own.
    copy("shards");
    let shard = slide.join("0/c/0/0/0");
    let mut bytes = std::fs::read(&shard).unwrap();
    bytes[10..60].fill(0xff);
    std::fs::write(&shard, bytes).unwrap();
    let opened = Slide::open(&slide, &own()).unwrap();
    let damaged = opened.region(0, 0, 0, [160, 110]).unwrap_err().to_string();
    let place = "level 0, tile in column 0 and row 0: ";
    assert!(damaged.contains(place), "{damaged}");
    let beside = opened.region(0, 48, 0, [112, 110]).unwrap();
    let expected = imageops::crop_imm(&picture("picture-0"), 48, 0, 112, 110).to_image();
    assert!(beside == expected);
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

#[test]
fn a_slide_says_what_it_is() {
    let slide = open("ycc.svs");
    assert_eq!(slide.format(), "Aperio SVS");
    assert_eq!(slide.microns_per_pixel().unwrap(), 0.501);
    assert_eq!(slide.properties()["AppMag"], "20");
    assert_eq!(slide.associated(), ["label", "thumbnail"]);
    for (name, tolerance) in [("label", 0), ("thumbnail", 4)] {
        let found = slide.associated_image(name).unwrap();
        assert!(distance(&found, &picture(&format!("ycc.svs-{name}"))) <= tolerance);
    }
    let missing = slide.associated_image("macro").unwrap_err().to_string();
    assert!(
        missing.ends_with("no image `macro` beside it, only: label, thumbnail"),
        "{missing}"
    );
    let level = &slide.levels()[1];
    assert_eq!(
        (level.size, level.downsample, level.tile),
        ([80, 55], 2.0, [48, 64])
    );
    assert!(matches!(
        slide.region(2, 0, 0, [1, 1]),
        Err(Error::NoLevel {
            count: 2,
            level: 2,
            ..
        })
    ));

    assert_eq!(open("raw.tif").microns_per_pixel().unwrap(), 0.5);
    assert_eq!(open("pyramid.ome.tif").microns_per_pixel().unwrap(), 0.25);
    assert_eq!(open("pyramid.ome.tif").format(), "OME-TIFF");
    // Not of the macro image, which comes first.
    assert_eq!(open("series.ome.tif").microns_per_pixel().unwrap(), 0.25);
    assert_eq!(open("series.ome.tif").associated(), ["image-2"]);
    assert_eq!(open("below.tif").microns_per_pixel().unwrap(), 0.5);
    assert_eq!(open("aperio-strips.tif").format(), "TIFF");
    assert!(matches!(
        open("grey.tif").microns_per_pixel(),
        Err(Error::NoResolution { .. })
    ));
    let told = OpenOptions {
        microns_per_pixel: Some(0.3),
        ..own()
    };
    let slide = Slide::open(&golden("raw.tif"), &told).unwrap();
    assert_eq!(slide.microns_per_pixel().unwrap(), 0.3);
    // A plain image is a slide of one level.
    let slide = open("picture-0.png");
    assert_eq!((slide.format(), slide.levels().len()), ("PNG image", 1));
    assert_eq!(whole(&slide, 0), picture("picture-0"));
}

#[test]
fn what_is_not_read_here_is_said() {
    let refused = |name: &str| match Slide::open(&golden(name), &own()) {
        Err(Error::Unknown { reason, .. }) => reason,
        other => panic!("{name}: {other:?}"),
    };
    assert!(refused("zstd.tif").contains("compressed by method 50000"));
    assert!(refused("sixteen-bits.tif").contains("of 16 bits a channel"));
    assert!(refused("channels.ome.tif").contains("2 channels"));
    assert!(refused("regions.json").contains("first bytes"));
    assert!(refused("").contains("a folder"));
    let Some(real) = real_slides() else { return };
    let ndpi = Slide::open(&real.join("test3-tritc.ndpi"), &own()).unwrap_err();
    assert!(
        ndpi.to_string().contains("a Hamamatsu NDPI slide"),
        "{ndpi}"
    );
}

#[test]
fn broken_files_are_said_to_be_broken_and_where() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(golden("deflate-predicted.tif")).unwrap();
    let open = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        Slide::open(&path, &own())
    };
    let failure = |bytes: &[u8]| open("broken.tif", bytes).unwrap_err().to_string();
    assert!(failure(b"").contains("it is empty"));
    assert!(failure(&bytes[..6]).contains("it is cut off"));
    assert!(failure(&bytes[..bytes.len() / 2]).contains("it is cut off"));
    assert!(failure(b"GIF89a..").to_lowercase().contains("gif"));
    // A tile that is damaged is an error of its own; all others are there. Spaces and letters of any script may be in a name.
    let slide = open("Schnitt 1 – 組織.tif", &bytes).unwrap();
    let before = whole(&slide, 0);
    let mut damaged = bytes.clone();
    let start = 8 + damaged[8..]
        .windows(2)
        .position(|of| of == [0x78, 0xda] || of == [0x78, 0x9c])
        .unwrap();
    damaged[start..start + 40].fill(0xff);
    let slide = open("Schnitt 1 – 組織.tif", &damaged).unwrap();
    let whole = slide.region(0, 0, 0, [160, 110]).unwrap_err().to_string();
    assert!(
        whole.contains("level 0, tile in column 0 and row 0"),
        "{whole}"
    );
    assert!(whole.contains("組織"));
    let beside = slide.region(0, 48, 0, [112, 110]).unwrap();
    assert_eq!(
        beside,
        imageops::crop_imm(&before, 48, 0, 112, 110).to_image()
    );
    // Pictures of the whole have a white place there.
    let picture = slide.picture(1.0).unwrap();
    assert_eq!(picture[(5, 5)], Rgb([255; 3]));
    assert_eq!(picture[(150, 100)], before[(150, 100)]);
    // No error is kept for good, and none is forgotten.
    assert!(slide.region(0, 0, 0, [10, 10]).is_err());
}

#[test]
fn many_threads_read_the_same_as_one() {
    use rayon::prelude::*;
    let options = OpenOptions {
        cache: 30_000,
        ..own()
    };
    let slide = Slide::open(&golden("lzw-big-endian.tif"), &options).unwrap();
    let all = whole(&open("lzw-big-endian.tif"), 0);
    (0..400u32).into_par_iter().for_each(|number| {
        let (x, y) = (number * 7 % 120, number * 13 % 80);
        let region = slide.region(0, x.into(), y.into(), [40, 30]).unwrap();
        assert_eq!(region, imageops::crop_imm(&all, x, y, 40, 30).to_image());
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_region_is_that_of_the_whole_level_on_white(
        level in 0usize..3,
        left in -60i64..200,
        top in -60i64..150,
        width in 1u32..120,
        height in 1u32..120,
    ) {
        let slide = open("lzw-big-endian.tif");
        let all = whole(&slide, level);
        let region = slide.region(level, left, top, [width, height]).unwrap();
        let expected = RgbImage::from_fn(width, height, |x, y| {
            let [x, y] = [left + i64::from(x), top + i64::from(y)];
            let inside = (0..i64::from(all.width())).contains(&x) && (0..i64::from(all.height())).contains(&y);
            if inside { all[(x as u32, y as u32)] } else { Rgb([255; 3]) }
        });
        prop_assert!(region == expected);
    }
}

proptest! {
    #[test]
    fn no_region_at_any_scale_has_other_colours_than_the_slide(
        scale in prop_oneof![0.3f64..9.0, Just(1.6), Just(0.8), Just(1.2), 0.98f64..1.02],
        column in 0u32..40,
        row in 0u32..40,
        side in 1u32..90,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grey.bmp");
        RgbImage::from_pixel(300, 260, Rgb([120; 3])).save(&path).unwrap();
        let slide = Slide::open(&path, &own()).unwrap();
        let step = f64::from(side) * scale;
        let place = [column, row].map(|at| f64::from(at) * step);
        let region = slide.region_at(scale, place, [side; 2]).unwrap();
        // Where a pixel lies on the slide with all of it.
        for (x, y, pixel) in region.enumerate_pixels() {
            let ends = [(x, place[0], 300.0), (y, place[1], 260.0)]
                .map(|(at, from, length)| (from + f64::from(at + 1) * scale).ceil() <= length - scale.max(1.0));
            if ends == [true; 2] {
                prop_assert_eq!(pixel.0, [120; 3], "({}, {}) at {}", x, y, scale);
            }
        }
    }
}

/// Half dark, half light, with the border at a column.
fn halves(width: u32, height: u32, border: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, _| match x < border {
        true => Rgb([40, 60, 80]),
        false => Rgb([200, 180, 160]),
    })
}

#[test]
fn pictures_of_nearly_the_scale_of_a_level_are_of_their_own_scale() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("halves.bmp");
    halves(2000, 8, 1800).save(&path).unwrap();
    let slide = Slide::open(&path, &own()).unwrap();
    for downsample in [0.994, 0.999, 1.003, 1.009] {
        let picture = slide.picture(downsample).unwrap();
        assert_eq!(picture.width(), (2000.0_f64 / downsample).ceil() as u32);
        let border = picture
            .enumerate_pixels()
            .position(|(_, _, of)| of.0[0] > 100);
        let expected = 1800.0 / downsample;
        let border = border.unwrap() as f64;
        assert!(
            (border - expected).abs() <= 1.0,
            "{downsample}: {border} for {expected}"
        );
        // Pixels are those of the level, not mixtures.
        assert!(
            picture
                .pixels()
                .all(|of| [40, 200].contains(&of.0[0]) || of.0 == [255; 3])
        );
    }
}

#[test]
fn large_levels_are_made_smaller_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.bmp");
    // More pixels than are read at once.
    let pixels = RgbImage::from_fn(8000, 4200, |x, y| {
        let spot = (x / 50 + y / 70) % 3 == 0;
        Rgb([(x / 40) as u8, (y / 20) as u8, if spot { 200 } else { 90 }])
    });
    pixels.save(&path).unwrap();
    let slide = Slide::open(&path, &own()).unwrap();
    let picture = slide.picture(10.0).unwrap();
    let expected = imageops::thumbnail(&pixels, 800, 420);
    assert!(
        distance(&picture, &expected) <= 1,
        "{}",
        distance(&picture, &expected)
    );
}

#[test]
fn regions_at_any_scale_are_means_of_what_they_cover() {
    let slide = open("strips.tif");
    let [fine, half, quarter] = [0, 1, 2].map(|level| picture(&format!("picture-{level}")));
    let at = |downsample, size: &RgbImage| {
        slide
            .region_at(downsample, [0.0; 2], [size.width(), size.height()])
            .unwrap()
    };
    assert_eq!(at(1.0, &fine), fine);
    assert!(distance(&at(2.0, &half), &half) <= 1);
    // The quarter was made from the rounded half.
    assert!(distance(&at(4.0, &quarter), &quarter) <= 1);
    let shifted = slide.region_at(2.0, [16.0, 8.0], [20, 20]).unwrap();
    let expected = imageops::crop_imm(&half, 8, 4, 20, 20).to_image();
    assert!(distance(&shifted, &expected) <= 1);
    // Across the edge there is white.
    let outside = slide.region_at(2.0, [156.0, 0.0], [4, 1]).unwrap();
    assert_eq!(outside[(3, 0)], Rgb([255; 3]));
    // A level that is there is taken as it is, the next finer one otherwise.
    let pyramid = open("raw.tif");
    assert_eq!(
        [0.7, 1.0, 1.9, 2.0, 3.9, 4.0, 99.0].map(|of| pyramid.best_level(of)),
        [0, 0, 0, 1, 1, 2, 2]
    );
    assert_eq!(pyramid.region_at(2.0, [0.0; 2], [80, 55]).unwrap(), half);
    assert_eq!(pyramid.thumbnail(80).unwrap(), half);
}

#[derive(Deserialize)]
struct Case {
    slide: String,
    level: usize,
    left: i64,
    top: i64,
}

#[test]
fn regions_of_real_slides_are_those_of_openslide() {
    let Some(real) = real_slides() else { return };
    let cases = std::fs::read_to_string(golden("regions.json")).unwrap();
    let cases: Vec<Case> = serde_json::from_str(&cases).unwrap();
    let sheet = picture("regions");
    let here = |name: &str| Path::new(name).extension().is_some_and(|of| of == "svs");
    let openslide = has_openslide();
    let mut seen = 0;
    for (number, case) in cases.iter().enumerate() {
        // What OpenSlide reads is its own: only that places and colours arrive is in question.
        let (options, tolerance) = match here(&case.slide) {
            true => (own(), 1),
            false => (OpenOptions::default(), 0),
        };
        // Its levels of DICOM are no whole parts of level 0, and OpenSlide's places are those of level 0: between pixels it
        // interpolates.
        let between = case.slide.ends_with("dicom") && case.level > 0;
        if between || !here(&case.slide) && !openslide {
            continue;
        }
        let slide = Slide::open(&real.join(&case.slide), &options).unwrap();
        let region = slide
            .region(case.level, case.left, case.top, [48, 40])
            .unwrap();
        let expected = imageops::crop_imm(&sheet, 0, 40 * number as u32, 48, 40).to_image();
        let found = distance(&region, &expected);
        let Case {
            slide,
            level,
            left,
            top,
        } = case;
        assert!(
            found <= tolerance,
            "{slide}, level {level}, {left}, {top}: {found}"
        );
        seen += 1;
    }
    assert!(seen >= 9, "{seen}");
}

#[test]
fn openslide_and_this_reader_see_the_same_slides() {
    let Some(real) = real_slides() else { return };
    if !has_openslide() {
        return;
    }
    for name in ["cmu-1-small-region.svs", "tcga-cr-7395.svs"] {
        let ours = Slide::open(&real.join(name), &own()).unwrap();
        let always = OpenOptions {
            openslide: UseOpenSlide::Always,
            ..OpenOptions::default()
        };
        let theirs = Slide::open(&real.join(name), &always).unwrap();
        assert_eq!(ours.levels(), theirs.levels());
        assert_eq!(
            ours.microns_per_pixel().ok(),
            theirs.microns_per_pixel().ok()
        );
        assert_eq!(ours.associated(), theirs.associated());
        for level in 0..ours.levels().len() {
            assert!(distance(&whole(&ours, level), &whole(&theirs, level)) <= 1);
        }
        for name in ours.associated() {
            let [ours, theirs] =
                [&ours, &theirs].map(|slide| slide.associated_image(name).unwrap());
            assert!(distance(&ours, &theirs) <= 1, "{name}");
        }
    }
}
