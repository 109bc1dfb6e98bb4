//! Flips, turns and warps against numpy and OpenCV; images, boxes and points move together.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use cleanslide_data::{Point, Rectangle};
use cleanslide_image::transform::{
    Affine, Interpolation, Turn, warp_affine, warp_affine_colour, warp_affine_labels,
};
use cleanslide_image::{Border, Error};
use ndarray::{Array2, Array3, Axis, arr2, stack};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    turns: HashMap<String, Vec<Vec<u8>>>,
    warps: Vec<Warp>,
    rotations: Vec<Rotation>,
}

#[derive(Deserialize)]
struct Rotation {
    degrees: f64,
    matrix: [[f64; 3]; 2],
}

#[derive(Deserialize)]
struct Warp {
    shape: (usize, usize),
    byte: Vec<u8>,
    single: Vec<f32>,
    matrix: [[f64; 3]; 2],
    size: (usize, usize),
    border: String,
    byte_linear: Vec<u8>,
    byte_nearest: Vec<u8>,
    single_linear: Vec<f32>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("goldens/transform.json")).unwrap()
}

fn name(turn: Turn) -> &'static str {
    match turn {
        Turn::Identity => "identity",
        Turn::FlipHorizontal => "flip_horizontal",
        Turn::FlipVertical => "flip_vertical",
        Turn::Quarter => "quarter",
        Turn::Half => "half",
        Turn::ThreeQuarters => "three_quarters",
        Turn::Transpose => "transpose",
        Turn::Transverse => "transverse",
    }
}

#[test]
fn turns_are_numpys() {
    let image = Array2::from_shape_fn((3, 4), |(y, x)| (4 * y + x) as u8);
    let golden = golden().turns;
    for turn in Turn::ALL {
        let ours: Vec<Vec<u8>> = turn
            .plane(image.view())
            .rows()
            .into_iter()
            .map(|row| row.to_vec())
            .collect();
        assert_eq!(ours, golden[name(turn)], "{turn:?}");
    }
}

#[test]
fn warps_are_opencvs() {
    for warp in golden().warps {
        let map = Affine::from_pixel_centres(warp.matrix);
        let border = |constant| match warp.border.as_str() {
            "mirror" => Border::Mirror,
            "reflect" => Border::Reflect,
            "replicate" => Border::Replicate,
            _ => Border::Constant(constant),
        };
        let byte = Array2::from_shape_vec(warp.shape, warp.byte.clone()).unwrap();
        let single = Array2::from_shape_vec(warp.shape, warp.single.clone()).unwrap();
        let nearest = Interpolation::Nearest;
        let ours = warp_affine(byte.view(), map, warp.size, nearest, border(77.0)).unwrap();
        assert_eq!(
            ours.as_slice().unwrap(),
            warp.byte_nearest,
            "{}",
            warp.border
        );
        let linear = Interpolation::Bilinear;
        let ours = warp_affine(byte.view(), map, warp.size, linear, border(77.0)).unwrap();
        for (ours, opencv) in ours.iter().zip(&warp.byte_linear) {
            // OpenCV's positions are 32-bit: a sum near a half may round the other way.
            assert!(
                ours.abs_diff(*opencv) <= 1,
                "{}: {ours} {opencv}",
                warp.border
            );
        }
        let ours = warp_affine(single.view(), map, warp.size, linear, border(0.25)).unwrap();
        for (ours, opencv) in ours.iter().zip(&warp.single_linear) {
            // Positions below 16 have errors below 2⁻²⁰, times differences of at most 1 in both
            // directions.
            assert!(
                (ours - opencv).abs() < 5e-6,
                "{}: {ours} {opencv}",
                warp.border
            );
        }
    }
}

#[test]
fn rotations_are_opencvs() {
    for rotation in golden().rotations {
        // OpenCV's centre (3, 7) is that of a pixel.
        let ours = Affine::rotation(rotation.degrees, Point::new(3.5, 7.5)).to_pixel_centres();
        for (ours, opencv) in ours.iter().flatten().zip(rotation.matrix.iter().flatten()) {
            assert!((ours - opencv).abs() < 1e-12);
        }
    }
}

#[test]
fn whole_turns_as_warps_are_exact() {
    let image = Array2::from_shape_fn((5, 8), |(y, x)| (8 * y + x) as u8);
    // A quarter turn around (0, 0) leaves the image above the origin.
    let map = Affine::rotation(90.0, Point::new(0.0, 0.0)).then(Affine::translation(0.0, 8.0));
    let expected = Turn::Quarter.plane(image.view());
    for interpolation in [Interpolation::Nearest, Interpolation::Bilinear] {
        let border = Border::Constant(0.0);
        let ours = warp_affine(image.view(), map, (8, 5), interpolation, border).unwrap();
        assert_eq!(ours, expected);
    }
    assert_eq!(
        warp_affine_labels(image.view(), map, (8, 5), 0).unwrap(),
        expected
    );
}

#[test]
fn colours_are_warped_like_planes_and_masks_like_nearest() {
    let plane = Array2::from_shape_fn((7, 9), |(y, x)| (31 * y + 17 * x) as u8);
    let mirrored = plane.mapv(|value| 255 - value);
    let colour = stack(Axis(2), &[plane.view(), mirrored.view(), plane.view()]).unwrap();
    let map = Affine::rotation(17.0, Point::new(4.0, 3.0)).then(Affine::scaling(1.3, 0.9));
    for interpolation in [Interpolation::Nearest, Interpolation::Bilinear] {
        let run = |plane: &Array2<u8>| {
            warp_affine(plane.view(), map, (8, 10), interpolation, Border::Mirror).unwrap()
        };
        let ours =
            warp_affine_colour(colour.view(), map, (8, 10), interpolation, Border::Mirror).unwrap();
        assert_eq!(ours.index_axis(Axis(2), 0), run(&plane));
        assert_eq!(ours.index_axis(Axis(2), 1), run(&mirrored));
    }
    let mask = plane.mapv(|value| value > 100);
    let border = Border::Constant(0.0);
    let nearest = warp_affine(plane.view(), map, (8, 10), Interpolation::Nearest, border).unwrap();
    let expected = nearest.mapv(|value| value > 100);
    assert_eq!(
        warp_affine_labels(mask.view(), map, (8, 10), false).unwrap(),
        expected
    );
}

#[test]
fn refuses_maps_without_inverse_and_images_without_pixels() {
    let image = Array2::<u8>::zeros((3, 4));
    let flat = Affine {
        matrix: [[1.0, 2.0, 0.0], [2.0, 4.0, 0.0]],
    };
    let run = |image: &Array2<u8>, map| {
        warp_affine(
            image.view(),
            map,
            (2, 2),
            Interpolation::Nearest,
            Border::Mirror,
        )
    };
    assert!(matches!(run(&image, flat), Err(Error::Undefined(_))));
    assert!(matches!(
        run(&image, Affine::translation(f64::NAN, 0.0)),
        Err(Error::Undefined(_))
    ));
    assert!(matches!(
        run(&Array2::zeros((0, 4)), Affine::IDENTITY),
        Err(Error::Empty { .. })
    ));
    let far = run(&image, Affine::translation(1e300, -1e300)).unwrap();
    assert_eq!(far, arr2(&[[0, 0], [0, 0]]));
}

fn any_turn() -> impl Strategy<Value = Turn> {
    prop::sample::select(Turn::ALL.to_vec())
}

/// The square of this size whose upper left pixel is given.
fn square(x: usize, y: usize, size: f64) -> Rectangle {
    let (left, top) = (x as f64, y as f64);
    Rectangle::new(left, top, left + size, top + size).unwrap()
}

proptest! {
    /// What lies at a point of the image lies at the turned point of the turned image, and all the
    /// way back; a box keeps its pixels.
    #[test]
    fn turns_move_images_points_and_boxes_together(
        turn in any_turn(), height in 1_usize..9, width in 1_usize..9, pick in any::<(u16, u16)>(),
    ) {
        let size = (height, width);
        let image = Array2::from_shape_fn(size, |(y, x)| (100 * y + x) as u32);
        let turned = turn.plane(image.view());
        prop_assert_eq!(turned.dim(), turn.size(size));
        let (y, x) = (pick.0 as usize % height, pick.1 as usize % width);
        let point = Point::new(x as f64 + 0.25, y as f64 + 0.75);
        let there = turn.point(size, point);
        prop_assert_eq!(turned[[there.y as usize, there.x as usize]], image[[y, x]]);
        prop_assert_eq!(turn.inverse().point(turned.dim(), there), point);
        prop_assert_eq!(turn.inverse().plane(turned.view()), &image);
        let one = square(x, y, 1.0);
        let moved = turn.rectangle(size, one);
        prop_assert_eq!(turned[[moved.top as usize, moved.left as usize]], image[[y, x]]);
        prop_assert_eq!((moved.width(), moved.height()), (1.0, 1.0));
        prop_assert_eq!(turn.inverse().rectangle(turned.dim(), moved), one);
        let colour = Array3::from_shape_fn((height, width, 3), |(y, x, c)| 100 * y + 10 * x + c);
        let planes = turn.colour(colour.view());
        for channel in 0..3 {
            let own = turn.plane(colour.index_axis(Axis(2), channel));
            prop_assert_eq!(planes.index_axis(Axis(2), channel), own);
        }
    }

    /// A bright square comes to lie around the mapped point, inside the mapped box.
    #[test]
    fn warps_move_images_points_and_boxes_together(
        degrees in -180.0_f64..180.0, factor in 1.0_f64..2.0, x in 4_usize..16, y in 4_usize..12,
    ) {
        let mut image = Array2::<u8>::zeros((20, 24));
        image.slice_mut(ndarray::s![y..y + 3, x..x + 3]).fill(200);
        let map = Affine::rotation(degrees, Point::new(12.0, 10.0))
            .then(Affine::scaling(factor, factor))
            .then(Affine::translation(30.0, 30.0));
        let border = Border::Constant(0.0);
        let centre = map.point(Point::new(x as f64 + 1.5, y as f64 + 1.5));
        let around = map.rectangle(square(x, y, 3.0));
        let warped = warp_affine(image.view(), map, (110, 110), Interpolation::Nearest, border).unwrap();
        prop_assert_eq!(warped[[centre.y as usize, centre.x as usize]], 200);
        for ((y, x), &value) in warped.indexed_iter() {
            let (x, y) = (x as f64 + 0.5, y as f64 + 0.5);
            let across = around.left <= x && x <= around.right;
            let inside = across && around.top <= y && y <= around.bottom;
            prop_assert!(value == 0 || inside);
        }
        let back = map.inverse().unwrap().point(centre);
        prop_assert!((back.x - x as f64 - 1.5).abs() < 1e-9);
        prop_assert!((back.y - y as f64 - 1.5).abs() < 1e-9);
    }
}
