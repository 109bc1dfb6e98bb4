//! Circles against OpenCV, from OpenCV's edges (`oracles/image_circle.py`).

#![allow(clippy::unwrap_used)]

mod common;

use cleanslide_image::circle::{Circle, HoughCircles, hough_circles};
use common::{cases, list, numbers, on_threads, text};
use ndarray::Array2;
use serde_json::Value;

struct Scene {
    edges: Array2<bool>,
    dx: Array2<i16>,
    dy: Array2<i16>,
}

fn scene(case: &Value) -> Scene {
    let size = numbers(&case["size"]);
    let size = (size[0] as usize, size[1] as usize);
    let (mut edges, mut dx, mut dy) = (
        Array2::default(size),
        Array2::zeros(size),
        Array2::zeros(size),
    );
    for voter in numbers(&case["voters"]).chunks_exact(4) {
        let at = (voter[1] as usize, voter[0] as usize);
        edges[at] = true;
        dx[at] = voter[2] as i16;
        dy[at] = voter[3] as i16;
    }
    Scene { edges, dx, dy }
}

fn find(scene: &Scene, settings: &HoughCircles) -> Vec<Circle> {
    hough_circles(
        scene.edges.view(),
        scene.dx.view(),
        scene.dy.view(),
        settings,
    )
    .unwrap()
}

fn settings(golden: &[f64]) -> HoughCircles {
    HoughCircles {
        cell: golden[0] as f32,
        distance: golden[1] as f32,
        votes: golden[2] as u32,
        radii: golden[3] as u32..=golden[4] as u32,
        most: None,
    }
}

#[test]
fn circles_are_opencvs() {
    for case in cases(include_str!("goldens/circle.json")) {
        let scene = scene(&case);
        for golden in list(&case["golden"]) {
            let settings = settings(&numbers(&golden["settings"]));
            // Every step is OpenCV's, in the same 32-bit numbers: equal, not just close.
            let golden: Vec<Circle> = list(&golden["circles"])
                .iter()
                .map(numbers)
                .map(|circle| Circle {
                    x: circle[0] as f32,
                    y: circle[1] as f32,
                    radius: circle[2] as f32,
                    votes: circle[3] as u32,
                })
                .collect();
            let name = format!("{} {settings:?}", text(&case["name"]));
            assert_eq!(find(&scene, &settings), golden, "{name}");
            let few = HoughCircles {
                most: Some(2),
                ..settings.clone()
            };
            assert_eq!(find(&scene, &few), golden[..golden.len().min(2)], "{name}");
            let [one, three] = on_threads(|| find(&scene, &settings));
            assert_eq!(one, three, "{name}");
        }
    }
}

#[test]
fn bad_settings_are_refused() {
    let good = settings(&[1.0, 10.0, 5.0, 3.0, 9.0]);
    let bad = [
        HoughCircles {
            cell: 0.5,
            ..good.clone()
        },
        HoughCircles {
            cell: f32::NAN,
            ..good.clone()
        },
        HoughCircles {
            distance: 0.0,
            ..good.clone()
        },
        HoughCircles {
            radii: 5..=5,
            ..good.clone()
        },
    ];
    let none = Array2::<i16>::zeros((4, 4));
    let edges = Array2::default((4, 4));
    for settings in bad {
        assert!(hough_circles(edges.view(), none.view(), none.view(), &settings).is_err());
    }
    let small = Array2::<i16>::zeros((3, 4));
    assert!(hough_circles(edges.view(), none.view(), small.view(), &good).is_err());
    let nothing = Array2::<f32>::zeros((0, 0));
    let none = hough_circles(
        Array2::default((0, 0)).view(),
        nothing.view(),
        nothing.view(),
        &good,
    );
    assert!(none.unwrap().is_empty());
}
