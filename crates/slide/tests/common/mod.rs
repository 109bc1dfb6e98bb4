//! Where slides for tests are.
#![allow(
    dead_code,
    clippy::print_stderr,
    reason = "each test uses some of it, and says where it skips"
)]

use std::path::{Path, PathBuf};

use cleanslide_slide::{OpenOptions, Slide, UseOpenSlide, openslide};
use image::RgbImage;

pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/goldens")
        .join(name)
}

pub fn picture(name: &str) -> RgbImage {
    image::open(golden(&format!("{name}.png")))
        .unwrap()
        .into_rgb8()
}

/// Only what is read here.
pub fn own() -> OpenOptions {
    OpenOptions {
        openslide: UseOpenSlide::Never,
        ..OpenOptions::default()
    }
}

pub fn open(name: &str) -> Slide {
    Slide::open(&golden(name), &own()).unwrap()
}

pub fn whole(slide: &Slide, level: usize) -> RgbImage {
    let size = slide.levels()[level].size.map(|side| side as u32);
    slide.region(level, 0, 0, size).unwrap()
}

/// Real slides beside the checkout; `None`, and a line that says so, where there are none.
pub fn real_slides() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/slides");
    if !folder.is_dir() {
        eprintln!("skipped: ../shared/data/slides is not there");
        return None;
    }
    Some(folder)
}

/// Whether OpenSlide is there; a line that says so where it is not.
pub fn has_openslide() -> bool {
    let version = openslide::version();
    if let Err(error) = &version {
        eprintln!("skipped: {error}; {} may name it", openslide::VARIABLE);
    }
    version.is_ok()
}

/// How far two images differ in any number.
pub fn distance(one: &RgbImage, other: &RgbImage) -> u8 {
    assert_eq!(one.dimensions(), other.dimensions());
    let pairs = one.as_raw().iter().zip(other.as_raw());
    pairs
        .map(|(one, other)| one.abs_diff(*other))
        .max()
        .unwrap_or(0)
}
