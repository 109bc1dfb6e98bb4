//! Distances against SciPy (`oracles/image_region.py`).

#![allow(clippy::unwrap_used)]

mod common;

use cleanslide_image::region::{Steps, distance, spaced_distance, squared_distance, step_distance};
use common::{cases, close, mask, on_threads, picture, text};
use ndarray::{Array2, s};
use proptest::prelude::*;
use proptest::{collection, prop_assert_eq, proptest};

#[test]
fn distances_are_scipys() {
    for case in cases(include_str!("goldens/region_distance.json")) {
        let name = text(&case["name"]);
        let mask = mask(&case["mask"]);
        let squared = picture(&case["squared"]);
        assert_eq!(
            squared_distance(mask.view()),
            squared.mapv(|value| value as u64),
            "{name}"
        );
        assert_eq!(
            distance(mask.view()),
            squared.mapv(|value| value.sqrt() as f32),
            "{name}"
        );
        for (key, steps) in [("blocks", Steps::Straight), ("chessboard", Steps::Diagonal)] {
            let golden = picture(&case[key]).mapv(|value| value as u32);
            assert_eq!(step_distance(mask.view(), steps), golden, "{name} {key}");
        }
        if !case["spaced"].is_null() {
            let found = spaced_distance(mask.view(), (1.25, 0.5)).unwrap();
            for (found, golden) in found.iter().zip(&picture(&case["spaced"])) {
                // The goldens keep nine decimals.
                close(*found, *golden, 1e-9, name);
            }
        }
    }
}

#[test]
fn without_background_distances_are_infinite() {
    let mask = Array2::from_elem((3, 4), true);
    assert!(
        distance(mask.view())
            .iter()
            .all(|&value| value == f32::INFINITY)
    );
    assert!(
        squared_distance(mask.view())
            .iter()
            .all(|&value| value == u64::MAX)
    );
    assert!(
        step_distance(mask.view(), Steps::Straight)
            .iter()
            .all(|&value| value == u32::MAX)
    );
    for size in [(0, 0), (0, 3), (3, 0)] {
        let nothing = Array2::default(size);
        assert_eq!(distance(nothing.view()).dim(), size);
        assert_eq!(step_distance(nothing.view(), Steps::Diagonal).dim(), size);
    }
}

#[test]
fn bad_spacings_are_refused() {
    let mask = Array2::from_elem((3, 4), true);
    for spacing in [
        (0.0, 1.0),
        (1.0, -1.0),
        (f64::NAN, 1.0),
        (1.0, f64::INFINITY),
    ] {
        let error = spaced_distance(mask.view(), spacing)
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("the setting `spacing."), "{error}");
    }
}

fn any_mask() -> impl Strategy<Value = Array2<bool>> {
    (1_usize..40, 1_usize..150, 1_u32..30).prop_flat_map(|(height, width, rarity)| {
        collection::vec(0..rarity, height * width).prop_map(move |pixels| {
            let pixels = pixels.into_iter().map(|pixel| pixel > 0).collect();
            Array2::from_shape_vec((height, width), pixels).unwrap()
        })
    })
}

/// By trying every pair of pixels.
fn nearest(mask: &Array2<bool>) -> Array2<u64> {
    let outside: Vec<(usize, usize)> = mask
        .indexed_iter()
        .filter(|(_, inside)| !**inside)
        .map(|(at, _)| at)
        .collect();
    Array2::from_shape_fn(mask.dim(), |(y, x)| {
        let squared =
            |at: &(usize, usize)| (y.abs_diff(at.0).pow(2) + x.abs_diff(at.1).pow(2)) as u64;
        outside.iter().map(squared).min().unwrap_or(u64::MAX)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn distances_are_the_nearest(mask in any_mask()) {
        prop_assert_eq!(squared_distance(mask.view()), nearest(&mask));
    }

    #[test]
    fn distances_do_not_depend_on_threads_or_direction(mask in any_mask()) {
        let [one, three] = on_threads(|| distance(mask.view()));
        prop_assert_eq!(&one, &three);
        prop_assert_eq!(distance(mask.t()), one.t());
        let flipped = distance(mask.slice(s![..;-1, ..;-1]));
        prop_assert_eq!(flipped.slice(s![..;-1, ..;-1]), one.view());
    }
}
