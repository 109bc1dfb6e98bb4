//! Thresholds against OpenCV 5.0 and scikit-image 0.26 (`oracles/image_threshold.py`).

#![allow(clippy::unwrap_used)]

mod planes;

use cleanslide_image::Error;
use cleanslide_image::threshold::{
    Side, Surroundings, adaptive_threshold, otsu, otsu_f32, otsu_of_histogram, otsu_u16,
};
use ndarray::{Array2, array, s};
use planes::{any_plane, bits, bytes, cases, on_threads, plane};
use proptest::prelude::*;
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("goldens/threshold.json")).unwrap()
}

#[test]
fn otsu_is_that_of_opencv_and_scikit_image() {
    let mut compared = 0;
    for case in cases(&golden()["otsu"]) {
        let image = bytes(&case["image"]);
        let wide = image.mapv(|value| u16::from(value) * 201);
        let real = image.mapv(|value| f32::from(value).sqrt());
        if image.iter().all(|value| *value == image[[0, 0]]) {
            assert!(matches!(otsu(image.view()), Err(Error::Undefined(_))));
            assert!(matches!(otsu_u16(wide.view()), Err(Error::Undefined(_))));
            assert!(matches!(
                otsu_f32(real.view(), 256),
                Err(Error::Undefined(_))
            ));
            continue;
        }
        let ours = otsu(image.view()).unwrap();
        assert_eq!(case["scikit-image"], ours, "{case}");
        assert_eq!(case["u16"], otsu_u16(wide.view()).unwrap(), "{case}");
        // OpenCV's running means may prefer a later one of levels that part the image alike.
        let opencv = u8::try_from(case["opencv"].as_u64().unwrap()).unwrap();
        let same = |value: &&u8| (**value > ours) == (**value > opencv);
        assert_eq!(image.iter().filter(same).count(), image.len(), "{case}");
        compared += usize::from(ours == opencv);
        for real_case in cases(&case["real"]) {
            let bins = real_case["bins"].as_u64().unwrap() as usize;
            let theirs = real_case["threshold"].as_f64().unwrap();
            // scikit-image computes the middle of the interval in 32 bits.
            let ours = f64::from(otsu_f32(real.view(), bins).unwrap());
            assert!((ours - theirs).abs() < 4e-6, "{ours} {case}");
        }
    }
    assert!(compared > 10, "{compared}");
}

#[test]
fn otsu_says_what_is_wrong() {
    let empty = Array2::<u8>::zeros((0, 3));
    let message = "the image to be thresholded has no pixels (0 × 3)";
    assert_eq!(otsu(empty.view()).unwrap_err().to_string(), message);
    let flat = array![[9u8, 9]];
    let message = "all pixels have the same level, so no threshold parts them";
    assert_eq!(otsu(flat.view()).unwrap_err().to_string(), message);
    let image = array![[0.0f32, 1.0, f32::NAN]];
    let message = "the pixel at row 0, column 2 is NaN, which has no level";
    assert_eq!(
        otsu_f32(image.view(), 256).unwrap_err().to_string(),
        message
    );
    assert!(otsu_f32(image.view(), 1).is_err());
}

#[test]
fn the_lowest_of_equal_levels_wins() {
    assert_eq!(otsu_of_histogram(&[0, 3, 0, 0, 3, 0]), Some(1));
    // Two equal maxima: {0} | {1, 2} and {0, 1} | {2}.
    assert_eq!(otsu_of_histogram(&[5, 5, 5]), Some(0));
    assert_eq!(otsu_of_histogram(&[0, 7, 0]), None);
    assert_eq!(otsu_of_histogram(&[]), None);
}

#[test]
fn adaptive_thresholds_are_those_of_opencv() {
    let golden = golden();
    for case in cases(&golden["adaptive"]) {
        let plane = plane(&golden, case);
        let method = match case["method"].as_str().unwrap() {
            "mean" => Surroundings::Mean,
            _ => Surroundings::Gaussian,
        };
        let side = if case["side"] == "bright" {
            Side::Bright
        } else {
            Side::Dark
        };
        let block = case["block"].as_u64().unwrap() as usize;
        let offset = case["offset"].as_f64().unwrap();
        let ours = adaptive_threshold(plane.view(), method, side, block, offset).unwrap();
        assert_eq!(ours, bits(&case["mask"]), "{case}");
    }
}

#[test]
fn adaptive_thresholds_refuse_what_has_no_meaning() {
    let plane = array![[1u8, 2]];
    for (block, offset) in [(4, 0.0), (1, 0.0), (0, 0.0), (3, f64::NAN), (200_001, 0.0)] {
        let mask = adaptive_threshold(plane.view(), Surroundings::Mean, Side::Dark, block, offset);
        assert!(mask.is_err(), "{block} {offset}");
    }
    let empty = Array2::<u8>::zeros((0, 3));
    let mask = adaptive_threshold(empty.view(), Surroundings::Mean, Side::Dark, 3, 0.0);
    assert_eq!(mask.unwrap().dim(), (0, 3));
}

/// The definition in 64 bits.
fn slow_otsu(image: &Array2<u8>) -> Option<u8> {
    let variance = |level: u8| {
        let (low, high): (Vec<f64>, Vec<f64>) = image
            .iter()
            .map(|&value| f64::from(value))
            .partition(|&value| value <= f64::from(level));
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let (n, m) = (low.len() as f64, high.len() as f64);
        if n * m == 0.0 {
            0.0
        } else {
            n * m * (mean(&low) - mean(&high)).powi(2)
        }
    };
    // Of nearly equal ones the first, so that rounding does not decide.
    let variances: Vec<f64> = (0..=255).map(variance).collect();
    let greatest = variances.iter().fold(0.0, |a: f64, &b| a.max(b));
    let first = variances
        .iter()
        .position(|&v| v >= greatest * (1.0 - 1e-12))?;
    (greatest > 0.0).then_some(first as u8)
}

proptest! {
    #[test]
    fn otsu_has_the_greatest_variance(plane in any_plane(9, 9)) {
        prop_assert_eq!(otsu(plane.view()).ok(), slow_otsu(&plane));
    }

    #[test]
    fn the_two_sides_are_complements_and_turn_with_the_image(
        plane in any_plane(30, 40), radius in 1usize..8, offset in -9i32..9,
    ) {
        for method in [Surroundings::Mean, Surroundings::Gaussian] {
            let mask = |plane: ndarray::ArrayView2<'_, u8>, side| {
                adaptive_threshold(plane, method, side, 2 * radius + 1, f64::from(offset)).unwrap()
            };
            let bright = mask(plane.view(), Side::Bright);
            prop_assert_eq!(mask(plane.view(), Side::Dark), bright.mapv(|bright| !bright));
            let mirrored = mask(plane.slice(s![..;-1, ..;-1]), Side::Bright);
            prop_assert_eq!(mirrored.slice(s![..;-1, ..;-1]), bright.view());
            prop_assert_eq!(on_threads(1, || mask(plane.view(), Side::Bright)), bright);
        }
    }
}
