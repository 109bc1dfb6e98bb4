//! Edges against OpenCV 5.0 (`oracles/image_edge.py`): exact.

#![allow(clippy::unwrap_used)]

mod planes;

use cleanslide_image::Border;
use cleanslide_image::edge::{GradientNorm, canny, sobel, sobel_u8};
use ndarray::{Array2, array, s};
use planes::{any_plane, bits, border, cases, numbers, on_threads, plane};
use proptest::prelude::*;
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("goldens/edge.json")).unwrap()
}

#[test]
fn sobel_is_that_of_opencv() {
    let golden = golden();
    for case in cases(&golden["sobel"]) {
        let plane = plane(&golden, case);
        let ours = sobel_u8(plane.view(), border(&case["border"]));
        assert_eq!(ours.x.mapv(i64::from), numbers(&case["x"]), "{case}");
        assert_eq!(ours.y.mapv(i64::from), numbers(&case["y"]), "{case}");
        let wide = sobel(plane.mapv(u16::from).view(), border(&case["border"]));
        assert_eq!(wide.x, ours.x.mapv(f32::from));
        assert_eq!(wide.y, ours.y.mapv(f32::from));
    }
}

#[test]
fn the_magnitude_is_the_length_of_the_gradient() {
    let plane = array![[0u8, 0, 3], [0, 0, 3], [4, 4, 4]];
    let gradient = sobel_u8(plane.view(), Border::Constant(0.0));
    assert_eq!((gradient.x[[1, 1]], gradient.y[[1, 1]]), (9, 13));
    assert_eq!(gradient.magnitude()[[1, 1]], 250f32.sqrt());
}

#[test]
fn canny_is_that_of_opencv() {
    let golden = golden();
    for case in cases(&golden["canny"]) {
        let plane = plane(&golden, case);
        let norm = if case["euclidean"].as_bool().unwrap() {
            GradientNorm::Euclidean
        } else {
            GradientNorm::Manhattan
        };
        let (low, high) = (
            case["low"].as_f64().unwrap(),
            case["high"].as_f64().unwrap(),
        );
        let ours = canny(plane.view(), low, high, norm).unwrap();
        assert_eq!(
            ours,
            bits(&case["edges"]),
            "{} {low} {high} {norm:?}",
            case["plane"]
        );
    }
}

#[test]
fn canny_refuses_thresholds_without_meaning() {
    let plane = array![[1u8]];
    for (low, high) in [(-1.0, 5.0), (9.0, 5.0), (f64::NAN, 5.0), (1.0, f64::NAN)] {
        assert!(canny(plane.view(), low, high, GradientNorm::Manhattan).is_err());
    }
    let error = canny(plane.view(), 9.0, 5.0, GradientNorm::Manhattan).unwrap_err();
    let message = "the setting `high` is 5: expected a number of at least `low`";
    assert_eq!(error.to_string(), message);
    let far = canny(plane.view(), 1e300, f64::INFINITY, GradientNorm::Euclidean).unwrap();
    assert_eq!(far, array![[false]]);
}

#[test]
fn edges_of_an_empty_plane_are_empty() {
    for shape in [(0, 4), (4, 0), (0, 0)] {
        let empty = Array2::<u8>::zeros(shape);
        let edges = canny(empty.view(), 1.0, 2.0, GradientNorm::Manhattan).unwrap();
        assert_eq!(edges.dim(), shape);
        assert_eq!(sobel_u8(empty.view(), Border::Mirror).x.dim(), shape);
    }
}

proptest! {
    #[test]
    fn sobel_turns_with_the_image(plane in any_plane(24, 70)) {
        let gradient = sobel_u8(plane.view(), Border::Mirror);
        let turned = sobel_u8(plane.t(), Border::Mirror);
        prop_assert_eq!(turned.x, gradient.y.t());
        let mirrored = sobel_u8(plane.slice(s![.., ..;-1]), Border::Mirror);
        prop_assert_eq!(mirrored.x.slice(s![.., ..;-1]), gradient.x.mapv(|x| -x));
    }

    #[test]
    fn canny_is_the_same_on_many_threads_and_grows_with_lower_thresholds(
        plane in any_plane(200, 20), low in 0.0f64..500.0, high in 500.0f64..1500.0,
    ) {
        for norm in [GradientNorm::Manhattan, GradientNorm::Euclidean] {
            let edges = canny(plane.view(), low, high, norm).unwrap();
            let one = on_threads(1, || canny(plane.view(), low, high, norm).unwrap());
            let three = on_threads(3, || canny(plane.view(), low, high, norm).unwrap());
            prop_assert_eq!(&edges, &one);
            prop_assert_eq!(&edges, &three);
            let strong = canny(plane.view(), high, high, norm).unwrap();
            let weak = canny(plane.view(), low, low, norm).unwrap();
            prop_assert!(strong.iter().zip(&edges).all(|(strong, edge)| edge >= strong));
            prop_assert!(edges.iter().zip(&weak).all(|(edge, weak)| weak >= edge));
        }
    }
}
