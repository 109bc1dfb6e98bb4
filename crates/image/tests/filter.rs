//! The Gaussian blur against OpenCV 5.0 and SciPy 1.17 (`oracles/image_filter.py`).

#![allow(clippy::unwrap_used)]

mod planes;

use cleanslide_image::Border;
use cleanslide_image::filter::{GaussianKernel, gaussian_blur, gaussian_blur_colour};
use ndarray::{Array2, Array3, Axis, array, s};
use planes::{any_plane, border, bytes, cases, farthest, millionths, on_threads, pair, plane};
use proptest::prelude::*;
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("goldens/filter.json")).unwrap()
}

/// 32-bit sums of numbers in [0, 1] with weights that sum to 1: each of the two passes rounds about as
/// often as there are taps, by at most 2^-24 a time; 5e-7 is the rounding of the goldens.
const SUMS: f64 = 2e-6;

fn in_256ths(plane: &Array2<u8>) -> Array2<f32> {
    plane.mapv(|value| f32::from(value) / 256.0)
}

#[test]
fn gaussian_of_a_size_is_that_of_opencv() {
    let golden = golden();
    for case in cases(&golden["gaussian"]["by size"]) {
        let plane = plane(&golden, case);
        let size = pair(&case["size"], |n| n.as_u64().unwrap() as usize);
        let sigma = pair(&case["sigma"], |n| n.as_f64().filter(|&sigma| sigma > 0.0));
        let vertical = GaussianKernel::of_size(size.0, sigma.0).unwrap();
        let horizontal = GaussianKernel::of_size(size.1, sigma.1).unwrap();
        let border = border(&case["border"]);
        let ours = gaussian_blur(plane.view(), &vertical, &horizontal, border);
        // OpenCV blurs u8 with weights rounded to 256ths. Against its own blur in 64 bits that is up to
        // 1.3 levels off for 21 taps on noise and 1.7 where a narrow plane makes one weight count
        // several times; ours rounds once, so is off by 0.5.
        let allowed = if size.0.max(size.1) > 11 { 2.0 } else { 1.0 };
        let distance = farthest(ours.view(), bytes(&case["u8"]).view());
        assert!(distance <= allowed, "{case}: {distance}");
        let ours = gaussian_blur(in_256ths(&plane).view(), &vertical, &horizontal, border);
        let distance = farthest(ours.view(), millionths(&case["f32"]).view());
        assert!(distance <= SUMS, "{case}: {distance}");
    }
}

#[test]
fn gaussian_of_a_sigma_is_that_of_scipy() {
    let golden = golden();
    for case in cases(&golden["gaussian"]["by sigma"]) {
        let plane = in_256ths(&plane(&golden, case));
        let truncate = case["truncate"].as_f64().unwrap();
        let (vertical, horizontal) = pair(&case["sigma"], |n| {
            GaussianKernel::of_sigma(n.as_f64().unwrap(), truncate).unwrap()
        });
        let ours = gaussian_blur(
            plane.view(),
            &vertical,
            &horizontal,
            border(&case["border"]),
        );
        let distance = farthest(ours.view(), millionths(&case["f64"]).view());
        assert!(distance <= SUMS, "{case}: {distance}");
    }
}

fn pixels(value: &Value, scale: f32) -> Array3<f32> {
    let (height, width) = (cases(value).len(), cases(&value[0]).len());
    Array3::from_shape_fn((height, width, 3), |(y, x, channel)| {
        value[y][x][channel].as_f64().unwrap() as f32 / scale
    })
}

#[test]
fn gaussian_of_colours_is_that_of_opencv_and_of_each_channel() {
    let golden = golden();
    let case = &golden["gaussian"]["colour"];
    let image = pixels(&case["image"], 256.0);
    let vertical = GaussianKernel::of_size(7, None).unwrap();
    let horizontal = GaussianKernel::of_size(5, None).unwrap();
    let ours = gaussian_blur_colour(image.view(), &vertical, &horizontal, Border::Mirror);
    let theirs = pixels(&case["millionths"], 1e6);
    for channel in 0..3 {
        let ours = ours.index_axis(Axis(2), channel);
        let distance = farthest(ours, theirs.index_axis(Axis(2), channel));
        assert!(distance <= SUMS, "{distance}");
        let plane = image.index_axis(Axis(2), channel);
        assert_eq!(
            ours,
            gaussian_blur(plane, &vertical, &horizontal, Border::Mirror)
        );
    }
}

#[test]
fn gaussian_refuses_what_has_no_meaning() {
    for kernel in [
        GaussianKernel::of_sigma(-1.0, 4.0),
        GaussianKernel::of_sigma(f64::NAN, 4.0),
        GaussianKernel::of_sigma(f64::INFINITY, 4.0),
        GaussianKernel::of_sigma(1e9, 4.0),
        GaussianKernel::of_sigma(1.0, -1.0),
        GaussianKernel::of_size(4, None),
        GaussianKernel::of_size(0, None),
        GaussianKernel::of_size(5, Some(0.0)),
    ] {
        assert!(kernel.is_err(), "{kernel:?}");
    }
    let message = GaussianKernel::of_size(4, None).unwrap_err().to_string();
    assert_eq!(
        message,
        "the setting `size` is 4: expected an odd number of at most 100,001"
    );
}

#[test]
fn gaussian_of_an_empty_plane_is_empty() {
    let kernel = GaussianKernel::of_sigma(1.0, 4.0).unwrap();
    for shape in [(0, 5), (5, 0), (0, 0)] {
        let empty = Array2::<u8>::zeros(shape);
        assert_eq!(
            gaussian_blur(empty.view(), &kernel, &kernel, Border::Mirror),
            empty
        );
    }
}

#[test]
fn a_constant_border_is_one_value() {
    let kernel = GaussianKernel::of_size(3, None).unwrap();
    let plane = array![[100u8]];
    let ours = gaussian_blur(plane.view(), &kernel, &kernel, Border::Constant(20.0));
    assert_eq!(ours, array![[40u8]]);
}

proptest! {
    #[test]
    fn gaussian_keeps_the_range_and_turns_with_the_image(plane in any_plane(24, 70), sigma in 0.0f64..4.0) {
        let kernel = GaussianKernel::of_sigma(sigma, 3.0).unwrap();
        let blur = |plane: ndarray::ArrayView2<'_, u8>| {
            gaussian_blur(plane, &kernel, &kernel, Border::Mirror)
        };
        let blurred = blur(plane.view());
        prop_assert!(blurred.iter().max() <= plane.iter().max());
        prop_assert!(blurred.iter().min() >= plane.iter().min());
        // Pairs of equal weight are added first, so mirroring changes no rounding at all.
        prop_assert_eq!(blur(plane.slice(s![..;-1, ..])), blurred.slice(s![..;-1, ..]));
        prop_assert_eq!(blur(plane.slice(s![.., ..;-1])), blurred.slice(s![.., ..;-1]));
        let distance = farthest(blur(plane.t()).view(), blurred.t());
        prop_assert!(distance <= 1.0, "{distance}");
        let wide = on_threads(3, || blur(plane.view()));
        prop_assert_eq!(on_threads(1, || blur(plane.view())), wide);
    }
}
