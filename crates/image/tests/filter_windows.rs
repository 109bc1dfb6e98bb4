//! Median, bilateral filter, CLAHE and gamma against OpenCV 5.0, SciPy 1.17 and scikit-image 0.26
//! (`oracles/image_filter.py`).

#![allow(clippy::unwrap_used)]

mod planes;

use cleanslide_image::Border;
use cleanslide_image::filter::{
    Rounding, apply_table, bilateral, bilateral_colour, clahe, gamma, gamma_table, median,
};
use ndarray::{Array2, Array3, Axis, array, s, stack};
use planes::{any_plane, border, bytes, cases, farthest, on_threads, pair, plane};
use proptest::prelude::*;
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("goldens/filter_windows.json")).unwrap()
}

fn whole(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

fn real(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[test]
fn the_median_is_that_of_opencv_and_scipy() {
    let golden = golden();
    for case in cases(&golden["median"]) {
        let plane = plane(&golden, case);
        let (size, border) = (whole(&case["size"]), border(&case["border"]));
        let theirs = bytes(&case["result"]);
        assert_eq!(
            median(plane.view(), size, border).unwrap(),
            theirs,
            "{case}"
        );
        let wide = median(
            plane.mapv(|value| u16::from(value) * 256).view(),
            size,
            border,
        );
        assert_eq!(
            wide.unwrap(),
            theirs.mapv(|value| u16::from(value) * 256),
            "{case}"
        );
        let real = median(
            plane.mapv(|value| f32::from(value) / 8.0).view(),
            size,
            border,
        );
        assert_eq!(
            real.unwrap(),
            theirs.mapv(|value| f32::from(value) / 8.0),
            "{case}"
        );
    }
}

#[test]
fn the_bilateral_filter_is_within_a_level_of_that_of_opencv() {
    let golden = golden();
    for case in cases(&golden["bilateral"]) {
        let plane = plane(&golden, case);
        let (colour, space) = (real(&case["sigma_colour"]), real(&case["sigma_space"]));
        let border = border(&case["border"]);
        let ours = bilateral(plane.view(), whole(&case["radius"]), colour, space, border).unwrap();
        // OpenCV cuts some results off where ours are rounded: its distance from the filter in 64 bits
        // is up to 1, and ours 0.5.
        let distance = farthest(ours.view(), bytes(&case["result"]).view());
        assert!(distance <= 1.0, "{distance} {case}");
    }
    let case = &golden["bilateral of colours"];
    let [image, theirs] = ["image", "result"].map(|name| {
        let rows = &case[name];
        Array3::from_shape_fn((19, 15, 3), |(y, x, channel)| {
            whole(&rows[y][x][channel]) as u8
        })
    });
    let ours = bilateral_colour(image.view(), 3, 60.0, 4.0, Border::Mirror).unwrap();
    let farthest = ours.iter().zip(&theirs).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(farthest <= Some(1), "{farthest:?}");
}

#[test]
fn clahe_is_that_of_opencv() {
    let golden = golden();
    for case in cases(&golden["clahe"]) {
        let plane = plane(&golden, case);
        let ours = clahe(
            plane.view(),
            real(&case["clip"]),
            pair(&case["tiles"], whole),
        );
        assert_eq!(ours.unwrap(), bytes(&case["result"]), "{case}");
    }
}

#[test]
fn gamma_tables_are_those_of_numpy_and_scikit_image() {
    for case in cases(&golden()["gamma"]) {
        let exponent = real(&case["gamma"]);
        for (name, rounding) in [("down", Rounding::Down), ("nearest", Rounding::Nearest)] {
            let table = gamma_table(exponent, rounding).unwrap();
            assert_eq!(
                table[..],
                bytes(&case[name]).row(0).to_vec(),
                "{exponent} {name}"
            );
        }
    }
    let image = array![[[0u8, 64, 255]]];
    let table = gamma_table(2.0, Rounding::Nearest).unwrap();
    assert_eq!(
        gamma(image.view(), 2.0, Rounding::Nearest).unwrap(),
        array![[[0u8, 16, 255]]]
    );
    assert_eq!(apply_table(image.view(), &table), array![[[0u8, 16, 255]]]);
}

#[test]
fn filters_refuse_what_has_no_meaning() {
    let plane = array![[1u8, 2], [3, 4]];
    for size in [0, 2, 257] {
        assert!(median(plane.view(), size, Border::Reflect).is_err());
    }
    for (radius, colour, space) in [
        (0, 1.0, 1.0),
        (1, 0.0, 1.0),
        (1, 1.0, f64::NAN),
        (1001, 1.0, 1.0),
    ] {
        assert!(bilateral(plane.view(), radius, colour, space, Border::Mirror).is_err());
    }
    let two_channels = Array3::<u8>::zeros((3, 3, 2));
    assert!(bilateral_colour(two_channels.view(), 1, 1.0, 1.0, Border::Mirror).is_err());
    for (clip, tiles) in [
        (-1.0, (8, 8)),
        (f64::NAN, (8, 8)),
        (1.0, (0, 8)),
        (1.0, (8, 257)),
    ] {
        assert!(clahe(plane.view(), clip, tiles).is_err());
    }
    for exponent in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(gamma_table(exponent, Rounding::Down).is_err());
    }
}

#[test]
fn a_bilateral_filter_of_almost_no_sigma_changes_nothing() {
    let plane = array![[1u8, 2], [3, 255]];
    for (colour, space) in [(1e-300, 1.0), (1.0, 1e-300), (1e-300, f64::INFINITY)] {
        let found = bilateral(plane.view(), 1, colour, space, Border::Mirror).unwrap();
        assert_eq!(found, plane);
    }
}

#[test]
fn what_is_not_a_number_is_greater_than_numbers() {
    let plane = array![[1.0, f32::NAN, 3.0f32], [f32::NAN, 2.0, f32::NAN]];
    let found = median(plane.view(), 3, Border::Constant(f32::NAN)).unwrap();
    assert!(found.iter().all(|value| value.is_nan()));
    let found = median(plane.view(), 3, Border::Constant(-1.0)).unwrap();
    assert_eq!(found, array![[-1.0, 2.0, -1.0], [-1.0, 2.0, -1.0]]);
}

#[test]
fn filters_of_an_empty_plane_are_empty() {
    for shape in [(0, 4), (4, 0), (0, 0)] {
        let empty = Array2::<u8>::zeros(shape);
        assert_eq!(median(empty.view(), 3, Border::Mirror).unwrap(), empty);
        assert_eq!(
            bilateral(empty.view(), 1, 1.0, 1.0, Border::Mirror).unwrap(),
            empty
        );
        assert_eq!(clahe(empty.view(), 2.0, (8, 8)).unwrap(), empty);
        assert_eq!(gamma(empty.view(), 2.0, Rounding::Down).unwrap(), empty);
    }
}

fn any_border() -> impl Strategy<Value = Border> {
    prop_oneof![
        Just(Border::Mirror),
        Just(Border::Reflect),
        Just(Border::Replicate),
        Just(Border::Constant(99.0)),
    ]
}

/// The border of a plane from which 99 is taken away.
fn below(border: Border) -> Border {
    match border {
        Border::Constant(value) => Border::Constant(value - 99.0),
        other => other,
    }
}

fn middle_of_windows(plane: &Array2<u8>, radius: usize, border: Border) -> Array2<u8> {
    let reach = radius as isize;
    Array2::from_shape_fn(plane.dim(), |(y, x)| {
        let mut window = Vec::new();
        for y in y as isize - reach..=y as isize + reach {
            for x in x as isize - reach..=x as isize + reach {
                let at = border
                    .index(y, plane.nrows())
                    .zip(border.index(x, plane.ncols()));
                window.push(at.map_or(99, |at| plane[at]));
            }
        }
        window.sort_unstable();
        window[window.len() / 2]
    })
}

proptest! {
    #[test]
    fn medians_are_the_middle_of_the_sorted_window(
        plane in any_plane(40, 150), radius in 0usize..5, border in any_border(),
    ) {
        let size = 2 * radius + 1;
        let found = median(plane.view(), size, border).unwrap();
        prop_assert_eq!(&found, &middle_of_windows(&plane, radius, border));
        prop_assert_eq!(median(plane.t(), size, border).unwrap(), found.t());
        prop_assert_eq!(on_threads(1, || median(plane.view(), size, border).unwrap()), found.clone());
        // The other kinds go other ways.
        let wide = median(plane.mapv(u16::from).view(), size, border).unwrap();
        prop_assert_eq!(wide, found.mapv(u16::from));
        let real = median(plane.mapv(|value| f32::from(value) - 99.0).view(), size, below(border));
        prop_assert_eq!(real.unwrap(), found.mapv(|value| f32::from(value) - 99.0));
    }

    #[test]
    fn the_bilateral_filter_keeps_the_range_and_treats_grey_colours_as_three_times_the_difference(
        plane in any_plane(20, 20), radius in 1usize..4, sigma in 1.0f64..90.0,
    ) {
        let grey = bilateral(plane.view(), radius, sigma, 2.0, Border::Mirror).unwrap();
        prop_assert!(grey.iter().max() <= plane.iter().max());
        prop_assert!(grey.iter().min() >= plane.iter().min());
        let colours = stack(Axis(2), &[plane.view(); 3]).unwrap();
        let smooth = bilateral_colour(colours.view(), radius, 3.0 * sigma, 2.0, Border::Mirror);
        let smooth = smooth.unwrap();
        for channel in 0..3 {
            let distance = farthest(smooth.slice(s![.., .., channel]), grey.view());
            // Weights of the same size, computed from different numbers.
            prop_assert!(distance <= 1.0, "{}", distance);
        }
    }

    #[test]
    fn clahe_of_a_flat_plane_is_flat_and_threads_do_not_matter(
        plane in any_plane(30, 40), level in any::<u8>(), rows in 1usize..9, columns in 1usize..9,
    ) {
        let flat = Array2::from_elem(plane.dim(), level);
        let equalised = clahe(flat.view(), 3.0, (rows, columns)).unwrap();
        let first = equalised[[0, 0]];
        prop_assert!(equalised.iter().all(|&value| value.abs_diff(first) <= 1));
        let wide = clahe(plane.view(), 3.0, (rows, columns)).unwrap();
        prop_assert_eq!(on_threads(1, || clahe(plane.view(), 3.0, (rows, columns)).unwrap()), wide);
    }
}
