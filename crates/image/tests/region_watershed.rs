//! Watershed against scikit-image's algorithm with a stable queue (`oracles/image_region.py`).

#![allow(clippy::unwrap_used)]

mod common;

use cleanslide_image::Sample;
use cleanslide_image::region::{Neighbours, Watershed, components, watershed};
use common::{cases, labels, mask, on_threads, picture, text};
use ndarray::{Array2, array};
use proptest::prelude::*;
use proptest::{collection, prop_assert, prop_assert_eq, proptest};

fn compare<T: Sample>(case: &serde_json::Value, image: &Array2<T>) {
    let markers = labels(&case["markers"]);
    let mask = case.get("mask").map(mask);
    for (key, neighbours, line) in [
        ("four", Neighbours::Four, false),
        ("four line", Neighbours::Four, true),
        ("eight", Neighbours::Eight, false),
        ("eight line", Neighbours::Eight, true),
    ] {
        let settings = Watershed {
            neighbours,
            mask: mask.as_ref().map(|mask| mask.view()),
            line,
        };
        let found = watershed(image.view(), markers.view(), &settings).unwrap();
        assert_eq!(found, labels(&case[key]), "{} {key}", text(&case["name"]));
    }
}

#[test]
fn basins_are_the_references() {
    for case in cases(include_str!("goldens/region_watershed.json")) {
        let image = picture(&case["image"]);
        match text(&case["kind"]) {
            "uint8" => {
                compare(&case, &image.mapv(|value| value as u8));
                // The three queues must agree.
                compare(&case, &image.mapv(|value| value as u16));
                compare(&case, &image.mapv(|value| value as f32));
            }
            "uint16" => {
                compare(&case, &image.mapv(|value| value as u16));
                compare(&case, &image.mapv(|value| value as f32));
            }
            "float32" => compare(&case, &image.mapv(|value| value as f32)),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn odd_input() {
    let settings = Watershed::default();
    let markers = Array2::zeros((2, 3));
    let error = watershed(
        Array2::<u8>::zeros((3, 2)).view(),
        markers.view(),
        &settings,
    );
    assert_eq!(
        error.unwrap_err().to_string(),
        "the marker picture is (2, 3) (height, width), expected (3, 2)"
    );
    for size in [(0, 0), (0, 3), (3, 0)] {
        let none = Array2::<f32>::zeros(size);
        let found = watershed(none.view(), Array2::zeros(size).view(), &settings).unwrap();
        assert_eq!(found.dim(), size);
    }
    // Not a number comes last, and −0 is 0.
    let image = array![[0.0, f32::NAN, -0.0, 5.0, 0.0_f32]];
    let found = watershed(image.view(), array![[1, 0, 0, 0, 2]].view(), &settings).unwrap();
    assert_eq!(found, array![[1, 1, 2, 2, 2]]);
    // Every label but 0 can mark.
    let markers = array![[0, 0, u32::MAX, 0, 0]];
    let found = watershed(image.view(), markers.view(), &settings).unwrap();
    assert!(found.iter().all(|&label| label == u32::MAX));
}

fn scene() -> impl Strategy<Value = (Array2<u8>, Array2<u32>)> {
    (1_usize..30, 1_usize..30).prop_flat_map(|(height, width)| {
        let pixels = height * width;
        let marker = prop_oneof![12 => Just(0_u32), 1 => 1_u32..6];
        (
            collection::vec(0_u8..9, pixels),
            collection::vec(marker, pixels),
        )
            .prop_map(move |(image, markers)| {
                let size = (height, width);
                (
                    Array2::from_shape_vec(size, image).unwrap(),
                    Array2::from_shape_vec(size, markers).unwrap(),
                )
            })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_pixel_that_water_reaches_is_flooded((image, markers) in scene()) {
        let found = watershed(image.view(), markers.view(), &Watershed::default()).unwrap();
        let any = markers.iter().any(|&marker| marker > 0);
        prop_assert!(found.iter().all(|&label| (label > 0) == any));
        for (&marker, &label) in markers.iter().zip(&found) {
            prop_assert!(marker == 0 || marker == label);
        }
        // Flooding its own result changes nothing.
        prop_assert_eq!(&watershed(image.view(), found.view(), &Watershed::default()).unwrap(), &found);
    }

    #[test]
    fn each_basin_hangs_together_with_its_markers((image, markers) in scene()) {
        let found = watershed(image.view(), markers.view(), &Watershed::default()).unwrap();
        for label in 1..6 {
            let basin = components(found.mapv(|at| at == label).view(), Neighbours::Four).unwrap();
            let marked: std::collections::BTreeSet<u32> = basin
                .labels
                .iter()
                .zip(&markers)
                .filter(|(_, marker)| **marker == label)
                .map(|(part, _)| *part)
                .collect();
            prop_assert_eq!(marked.len(), basin.count);
        }
    }

    #[test]
    fn queues_and_threads_agree((image, markers) in scene(), line: bool) {
        let settings = Watershed { line, ..Watershed::default() };
        let float = image.mapv(|value| f32::from(value) / 7.0 - 0.4);
        let [one, three] = on_threads(|| watershed(image.view(), markers.view(), &settings).unwrap());
        prop_assert_eq!(&one, &three);
        prop_assert_eq!(watershed(float.view(), markers.view(), &settings).unwrap(), one);
    }
}
