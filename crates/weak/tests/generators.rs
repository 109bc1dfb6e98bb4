//! The labellers of SISSI against OpenCV and scikit-image: `goldens/generators.json`, written by
//! `oracles/weak_generators.py`.

#![allow(clippy::unwrap_used)]

use cleanslide_data::Rectangle;
use cleanslide_weak::generate::{Found, Generator, sissi};
use ndarray::Array3;
use serde_json::Value;

fn cases() -> Vec<(Array3<u8>, Value)> {
    let golden: Value = serde_json::from_str(include_str!("goldens/generators.json")).unwrap();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/");
    let read = |case: &Value| {
        let path = format!("{folder}{}", case["image"].as_str().unwrap());
        let pixels = image::open(path).unwrap().into_rgb8();
        let size = (pixels.height() as usize, pixels.width() as usize, 3);
        let image = Array3::from_shape_vec(size, pixels.into_raw()).unwrap();
        (image, case.clone())
    };
    golden["cases"]
        .as_array()
        .unwrap()
        .iter()
        .map(read)
        .collect()
}

fn rectangles(value: &Value) -> Vec<Rectangle> {
    let side = |value: &Value, at: usize| value[at].as_f64().unwrap();
    let boxes = value.as_array().unwrap().iter();
    boxes
        .map(|b| Rectangle::new(side(b, 0), side(b, 1), side(b, 2), side(b, 3)).unwrap())
        .collect()
}

fn found(generator: &dyn Generator, image: &Array3<u8>) -> Vec<Rectangle> {
    match generator.find(image.view(), None).unwrap() {
        Found::Boxes(boxes) => boxes.iter().map(|found| found.rectangle).collect(),
        Found::Instances(_) => panic!("SISSI's labellers give boxes"),
    }
}

/// Share of boxes on either side that have a partner on the other with at least this overlap.
fn agreement(one: &[Rectangle], other: &[Rectangle], iou: f64) -> f64 {
    let matched = |from: &[Rectangle], to: &[Rectangle]| {
        from.iter()
            .filter(|a| to.iter().any(|b| a.iou(b) >= iou))
            .count()
    };
    (matched(one, other) + matched(other, one)) as f64 / (one.len() + other.len()) as f64
}

#[test]
fn dead_cells_are_opencvs_circles() {
    for (image, case) in cases() {
        assert_eq!(found(&sissi::Dead, &image), rectangles(&case["dead"]));
    }
}

#[test]
fn inhibited_cells_are_those_of_opencv_and_scikit_image() {
    for (image, case) in cases() {
        // scikit-image's Canny finds ridges between pixels by interpolation and leaves out the
        // outermost pixels; OpenCV's, ours, takes one of four directions. A few edges of single pixels
        // differ, and with them what hangs together.
        let ours = found(&sissi::Inhibited, &image);
        let share = agreement(&ours, &rectangles(&case["inhibited"]), 0.8);
        assert!(share >= 0.8, "{share}");
    }
}

#[test]
fn living_cells_are_those_of_opencv_and_scikit_image() {
    for (image, case) in cases() {
        // Watersheds differ in pixels at equal height, so boxes by a pixel on a side.
        let ours = found(&sissi::Alive, &image);
        let share = agreement(&ours, &rectangles(&case["alive"]), 0.85);
        assert!(share >= 0.9, "{share}");
    }
}

#[test]
fn images_without_pixels_have_no_cells() {
    let nothing = Array3::zeros((0, 0, 3));
    for generator in [
        &sissi::Dead as &dyn Generator,
        &sissi::Inhibited,
        &sissi::Alive,
    ] {
        assert!(
            found(generator, &nothing).is_empty(),
            "{}",
            generator.name()
        );
        let flat = Array3::from_elem((50, 60, 3), 90);
        assert!(found(generator, &flat).is_empty(), "{}", generator.name());
    }
}
