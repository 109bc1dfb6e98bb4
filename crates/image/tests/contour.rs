//! Polygons against scikit-image and OpenCV (`oracles/image_contour.py`), and there and back.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashSet;

use cleanslide_data::geometry::signed_area;
use cleanslide_data::{Point, Polygon};
use cleanslide_image::contour::{outlines, paint_polygon, polygon_mask, simplify};
use common::{close, list, mask, numbers};
use ndarray::{Array2, array};
use proptest::prelude::*;
use proptest::{collection, prop_assert, prop_assert_eq, proptest};
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("goldens/contour.json")).unwrap()
}

fn ring(value: &Value) -> Vec<Point> {
    let points = list(value).iter().map(numbers);
    points.map(|point| Point::new(point[0], point[1])).collect()
}

fn points(of: &[(f64, f64)]) -> Vec<Point> {
    of.iter().map(|&(x, y)| Point::new(x, y)).collect()
}

fn solid(outline: Vec<Point>) -> Polygon {
    Polygon {
        outline,
        holes: Vec::new(),
    }
}

#[test]
fn filled_polygons_are_scikit_images() {
    for case in list(&golden()["fills"]) {
        let golden = mask(&case["mask"]);
        let polygon = solid(ring(&case["ring"]));
        assert_eq!(polygon_mask(golden.dim(), &polygon), golden);
    }
}

#[test]
fn simplified_rings_are_scikit_images() {
    for case in list(&golden()["simplified"]) {
        let found = ring(&case["ring"]);
        let tolerance = case["tolerance"].as_f64().unwrap();
        assert_eq!(
            simplify(&found, tolerance).unwrap(),
            ring(&case["simplified"])
        );
        let polygon = solid(found);
        // OpenCV measures 32-bit points.
        close(polygon.area(), case["area"].as_f64().unwrap(), 1e-2, "area");
        let perimeter = case["perimeter"].as_f64().unwrap();
        close(polygon.perimeter(), perimeter, 1e-3, "perimeter");
    }
}

#[test]
fn a_pixel_a_ring_and_a_corner() {
    let labels = array![[0, 7, 7, 7], [0, 7, 0, 7], [0, 7, 7, 0], [5, 0, 0, 7]];
    let found = outlines(labels.view()).unwrap();
    assert_eq!(found.len(), 3);
    let first = &found[0];
    assert_eq!(first.label, 7);
    // The hole touches the outer ring at (3, 2); both rings have that corner once.
    let mut exterior = first.polygon.outline.clone();
    exterior.sort_by(|one, other| one.partial_cmp(other).unwrap());
    assert_eq!(
        exterior,
        points(&[
            (1.0, 0.0),
            (1.0, 3.0),
            (3.0, 2.0),
            (3.0, 3.0),
            (4.0, 0.0),
            (4.0, 2.0)
        ])
    );
    assert_eq!(first.polygon.holes.len(), 1);
    assert_eq!(first.polygon.area(), 7.0);
    assert_eq!(first.polygon.perimeter(), 12.0 + 4.0);
    assert_eq!((found[1].label, found[2].label), (5, 7));
    assert_eq!(
        found[1].polygon.outline,
        points(&[(1.0, 3.0), (1.0, 4.0), (0.0, 4.0), (0.0, 3.0)])
    );
}

#[test]
fn centres_on_sides_belong_to_the_left_and_the_top() {
    // Sides through the centres of pixels.
    let square = solid(points(&[(0.5, 0.5), (2.5, 0.5), (2.5, 2.5), (0.5, 2.5)]));
    let mask = polygon_mask((4, 4), &square);
    assert_eq!(
        mask.mapv(u8::from),
        array![[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    );
    for ring in [&[][..], &[(1.0, 1.0)], &[(1.0, 1.0), (3.0, 3.0)]] {
        assert!(
            !polygon_mask((4, 4), &solid(points(ring)))
                .iter()
                .any(|&inside| inside)
        );
    }
    let broken = solid(points(&[(0.0, 0.0), (f64::NAN, 4.0), (4.0, f64::INFINITY)]));
    assert!(!polygon_mask((4, 4), &broken).iter().any(|&inside| inside));
    assert!(outlines(Array2::zeros((0, 3)).view()).unwrap().is_empty());
    assert!(simplify(&square.outline, -1.0).is_err());
}

fn any_labels() -> impl Strategy<Value = Array2<u32>> {
    (1_usize..25, 1_usize..25, 2_u32..5).prop_flat_map(|(height, width, labels)| {
        collection::vec(0..labels, height * width)
            .prop_map(move |pixels| Array2::from_shape_vec((height, width), pixels).unwrap())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn filling_outlines_gives_the_picture_back(labels in any_labels()) {
        let mut filled = Array2::zeros(labels.dim());
        for outline in outlines(labels.view()).unwrap() {
            let mask = polygon_mask(labels.dim(), &outline.polygon);
            let pixels = mask.iter().filter(|&&inside| inside).count();
            prop_assert_eq!(outline.polygon.area(), pixels as f64);
            paint_polygon(filled.view_mut(), &outline.polygon, outline.label);
        }
        prop_assert_eq!(filled, labels);
    }

    #[test]
    fn rings_are_simple_and_have_corners_only(labels in any_labels()) {
        for outline in outlines(labels.view()).unwrap() {
            prop_assert!(signed_area(&outline.polygon.outline) > 0.0);
            prop_assert!(outline.polygon.holes.iter().all(|hole| signed_area(hole) < 0.0));
            for ring in outline.polygon.rings() {
                let corners: HashSet<(i64, i64)> =
                    ring.iter().map(|point| (point.x as i64, point.y as i64)).collect();
                prop_assert_eq!(corners.len(), ring.len());
                for (index, &Point { x, y }) in ring.iter().enumerate() {
                    let next = ring[(index + 1) % ring.len()];
                    let after = ring[(index + 2) % ring.len()];
                    prop_assert!((next.x == x) != (next.y == y));
                    prop_assert!((next.x == x) != (after.x == next.x));
                }
            }
        }
    }

    #[test]
    fn simplified_rings_stay_within_the_tolerance(
        ring in collection::vec((-50.0..50.0, -50.0..50.0), 3..40),
        tolerance in 0.0..20.0,
    ) {
        let ring = points(&ring);
        let found = simplify(&ring, tolerance).unwrap();
        prop_assert!(found.len() >= 3 && found.len() <= ring.len());
        prop_assert!(found.iter().all(|point| ring.contains(point)));
        prop_assert_eq!(simplify(&ring, 0.0).unwrap().len(), ring.len());
    }

    #[test]
    fn shared_sides_share_no_pixel(
        corners in collection::vec((-5.0..25.0, -5.0..25.0), 4),
    ) {
        // Two triangles with a common side, even-odd: the same as the figure around both.
        let size = (20, 20);
        let corners = points(&corners);
        let mut both = polygon_mask(size, &solid(vec![corners[0], corners[1], corners[2]]));
        let other = polygon_mask(size, &solid(vec![corners[0], corners[2], corners[3]]));
        both.zip_mut_with(&other, |one, other| *one ^= other);
        prop_assert_eq!(both, polygon_mask(size, &solid(corners)));
    }
}
