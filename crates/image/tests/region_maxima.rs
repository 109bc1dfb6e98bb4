//! Maxima and skeletons against scikit-image, and ImageJ's maxima against their definition
//! (`oracles/image_region.py`).

#![allow(clippy::unwrap_used)]

mod common;

use cleanslide_image::Sample;
use cleanslide_image::region::{
    FindMaxima, Neighbours, Peaks, components, find_maxima, high_maxima, local_maxima, peaks,
    skeleton,
};
use common::{cases, list, mask, numbers, on_threads, picture, text};
use ndarray::{Array2, s};
use proptest::prelude::*;
use proptest::{collection, prop_assert, prop_assert_eq, proptest};
use serde_json::Value;

fn each_image(check: impl Fn(&Value, Array2<f64>)) {
    for case in cases(include_str!("goldens/region_maxima.json")) {
        check(&case, picture(&case["image"]));
    }
}

/// Runs a check with the case's image in its kind.
macro_rules! in_kind {
    ($case:expr, $image:expr, $check:expr) => {
        match text(&$case["kind"]) {
            "uint8" => $check($case, $image.mapv(|value| value as u8)),
            "uint16" => $check($case, $image.mapv(|value| value as u16)),
            _ => $check($case, $image.mapv(|value| value as f32)),
        }
    };
}

#[test]
fn plateaus_are_scikit_images() {
    fn check<T: Sample>(case: &Value, image: Array2<T>) {
        for (key, neighbours) in [("four", Neighbours::Four), ("eight", Neighbours::Eight)] {
            let found = local_maxima(image.view(), neighbours).unwrap();
            assert_eq!(found, mask(&case[key]), "{} {key}", case["name"]);
        }
        for golden in list(&case["heights"]) {
            let height = golden[0].as_f64().unwrap();
            let found = high_maxima(image.view(), Neighbours::Eight, height).unwrap();
            assert_eq!(found, mask(&golden[1]), "{} {height}", case["name"]);
            let found = high_maxima(image.view(), Neighbours::Four, height).unwrap();
            assert_eq!(found, mask(&golden[2]), "{} {height}", case["name"]);
        }
    }
    each_image(|case, image| in_kind!(case, image, check));
}

#[test]
fn peaks_are_scikit_images() {
    fn check<T: Sample>(case: &Value, image: Array2<T>) {
        for golden in list(&case["peaks"]) {
            let whole = |index: usize| golden[index].as_u64().map(|value| value as usize);
            let settings = Peaks {
                distance: whole(0).unwrap(),
                threshold: golden[1].as_f64(),
                relative_threshold: golden[2].as_f64(),
                border: whole(3).unwrap(),
                most: whole(4),
            };
            let found: Vec<Vec<f64>> = peaks(image.view(), &settings)
                .unwrap()
                .iter()
                .map(|peak| vec![peak.y as f64, peak.x as f64])
                .collect();
            let golden: Vec<Vec<f64>> = list(&golden[5]).iter().map(numbers).collect();
            assert_eq!(found, golden, "{} {settings:?}", case["name"]);
        }
    }
    each_image(|case, image| in_kind!(case, image, check));
}

#[test]
fn maxima_are_imagejs() {
    fn check<T: Sample>(case: &Value, image: Array2<T>) {
        for golden in list(&case["prominences"]) {
            let settings = FindMaxima {
                prominence: golden[0].as_f64().unwrap() as f32,
                exclude_edges: false,
            };
            let found = find_maxima(image.view(), &settings).unwrap();
            let golden = list(&golden[1]);
            assert_eq!(found.len(), golden.len(), "{} {settings:?}", case["name"]);
            for nearest in golden {
                let is = |at: &Value| {
                    let at = numbers(at);
                    found
                        .iter()
                        .any(|peak| [peak.y as f64, peak.x as f64] == *at)
                };
                assert!(list(nearest).iter().any(is), "{} {nearest}", case["name"]);
            }
        }
    }
    each_image(|case, image| in_kind!(case, image, check));
}

#[test]
fn plateaus_of_equal_pixels_have_one_point_and_edges_can_be_left_out() {
    let mut image = Array2::<u8>::from_elem((7, 9), 10);
    image.slice_mut(s![2..5, 2..7]).fill(50);
    image[(6, 8)] = 90;
    let points = |settings: &FindMaxima| -> Vec<(usize, usize)> {
        let found = find_maxima(image.view(), settings).unwrap();
        found.iter().map(|peak| (peak.x, peak.y)).collect()
    };
    let all = FindMaxima::default();
    assert_eq!(points(&all), [(8, 6), (4, 3)]);
    let inner = FindMaxima {
        exclude_edges: true,
        ..all
    };
    assert_eq!(points(&inner), [(4, 3)]);
    let high = FindMaxima {
        prominence: 40.0,
        ..all
    };
    assert_eq!(points(&high), [(8, 6)]);
}

#[test]
fn bad_settings_and_values_are_refused() {
    let image = Array2::<u8>::zeros((2, 2));
    let eight = Neighbours::Eight;
    assert!(high_maxima(image.view(), eight, 0.0).is_err());
    assert!(
        peaks(
            image.view(),
            &Peaks {
                distance: 0,
                ..Peaks::default()
            }
        )
        .is_err()
    );
    let settings = FindMaxima {
        prominence: -1.0,
        exclude_edges: false,
    };
    assert!(find_maxima(image.view(), &settings).is_err());
    let broken = Array2::from_elem((2, 2), f32::NAN);
    let error = local_maxima(broken.view(), eight).unwrap_err().to_string();
    assert!(error.contains("not numbers"), "{error}");
    let none = Array2::<u8>::zeros((0, 3));
    assert_eq!(local_maxima(none.view(), eight).unwrap().dim(), (0, 3));
    assert_eq!(high_maxima(none.view(), eight, 1.0).unwrap().dim(), (0, 3));
    assert!(peaks(none.view(), &Peaks::default()).unwrap().is_empty());
    assert!(
        find_maxima(none.view(), &FindMaxima::default())
            .unwrap()
            .is_empty()
    );
    assert_eq!(skeleton(Array2::default((3, 0)).view()).dim(), (3, 0));
}

#[test]
fn skeletons_are_scikit_images() {
    for case in cases(include_str!("goldens/region_skeleton.json")) {
        let mask = mask(&case["mask"]);
        assert_eq!(skeleton(mask.view()), common::mask(&case["skeleton"]));
    }
}

fn any_image() -> impl Strategy<Value = Array2<u8>> {
    (1_usize..30, 1_usize..30, 1_u8..40).prop_flat_map(|(height, width, levels)| {
        collection::vec(0..=levels, height * width)
            .prop_map(move |pixels| Array2::from_shape_vec((height, width), pixels).unwrap())
    })
}

#[test]
fn skeletons_do_not_depend_on_bands() {
    // Noise in blocks, many times as high as a band of rows; bands depend on the number of threads.
    let block = |y: usize, x: usize| (y / 3 * 131 + x / 3 * 71 + (y / 3) * (x / 3) * 17) % 7 < 5;
    let mask = Array2::from_shape_fn((203, 61), |(y, x)| block(y, x));
    let [one, three] = on_threads(|| skeleton(mask.view()));
    assert_eq!(one, three);
    assert_ne!(one, mask);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn imagej_finds_the_high_maxima(image in any_image(), prominence in 0_u8..20) {
        // Of integers, more than the prominence is at least one more.
        let height = f64::from(prominence) + 1.0;
        let high = high_maxima(image.view(), Neighbours::Eight, height).unwrap();
        let settings = FindMaxima { prominence: f32::from(prominence), exclude_edges: false };
        let found = find_maxima(image.view(), &settings).unwrap();
        let highest = f32::from(image.iter().copied().max().unwrap());
        for peak in &found {
            // The highest counts for ImageJ whatever the image spans.
            prop_assert!(high[(peak.y, peak.x)] || peak.value == highest);
        }
        prop_assert!(found.len() <= components(high.view(), Neighbours::Eight).unwrap().count.max(1));
        prop_assert!(found.is_sorted_by(|one, other| one.value >= other.value));
    }

    #[test]
    fn maxima_do_not_depend_on_threads_or_direction(image in any_image(), height in 1_u8..9) {
        for neighbours in [Neighbours::Four, Neighbours::Eight] {
            let maxima = |image| (
                local_maxima(image, neighbours).unwrap(),
                high_maxima(image, neighbours, f64::from(height)).unwrap(),
            );
            let [one, three] = on_threads(|| maxima(image.view()));
            prop_assert_eq!(&one, &three);
            let turned = maxima(image.t());
            prop_assert_eq!(turned.0.t(), one.0.view());
            prop_assert_eq!(turned.1.t(), one.1.view());
            // Every high maximum is a local one.
            prop_assert!(one.0.iter().zip(&one.1).all(|(local, high)| *local || !high));
        }
    }

    #[test]
    fn peaks_keep_their_distance(image in any_image(), distance in 2_usize..6) {
        let settings = Peaks { distance, ..Peaks::default() };
        let [found, three] = on_threads(|| peaks(image.view(), &settings).unwrap());
        prop_assert_eq!(&found, &three);
        for (index, one) in found.iter().enumerate() {
            for other in &found[..index] {
                prop_assert!(one.x.abs_diff(other.x).max(one.y.abs_diff(other.y)) >= distance);
            }
        }
    }

    #[test]
    fn skeletons_lie_in_the_mask_and_are_thin(image in any_image()) {
        let mask = image.mapv(|value| value > 0);
        let [thin, three] = on_threads(|| skeleton(mask.view()));
        prop_assert_eq!(&thin, &three);
        prop_assert!(thin.iter().zip(&mask).all(|(thin, mask)| *mask || !thin));
        prop_assert_eq!(&skeleton(thin.view()), &thin);
    }
}
