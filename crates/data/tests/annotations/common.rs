use std::path::{Path, PathBuf};

use cleanslide_data::formats::{AnnotatedImage, Annotation, Attribute, Shape};
use cleanslide_data::{Point, Polygon, Rectangle};
use proptest::collection::vec;
use proptest::prelude::*;

/// A folder of real data, or a line that the test is skipped.
pub fn real_data(folder: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    // A work tree may lie a folder deeper.
    let root = if root.exists() {
        root
    } else {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data")
    };
    let path = root.join(folder);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: ../shared/data/{folder} is absent");
    None
}

pub fn box_of(left: f64, top: f64, right: f64, bottom: f64) -> Shape {
    Shape::Rectangle(Rectangle::new(left, top, right, bottom).unwrap())
}

pub fn points(places: &[(f64, f64)]) -> Vec<Point> {
    places.iter().map(|&(x, y)| Point::new(x, y)).collect()
}

pub fn polygon(places: &[(f64, f64)]) -> Shape {
    Shape::Polygon(Polygon {
        outline: points(places),
        holes: Vec::new(),
    })
}

/// Numbers with few bits, so that adding 1 or 2 to them is exact.
pub fn coordinate() -> impl Strategy<Value = f64> {
    (0..8000_i32).prop_map(|eighths| f64::from(eighths) / 8.0)
}

pub fn any_rectangle() -> impl Strategy<Value = Rectangle> {
    (coordinate(), coordinate(), 1..4000_i32, 1..4000_i32).prop_map(|(left, top, width, height)| {
        let (right, bottom) = (left + f64::from(width) / 8.0, top + f64::from(height) / 8.0);
        Rectangle::new(left, top, right, bottom).unwrap()
    })
}

pub fn any_point() -> impl Strategy<Value = Point> {
    (coordinate(), coordinate()).prop_map(|(x, y)| Point::new(x, y))
}

pub fn any_ring() -> impl Strategy<Value = Vec<Point>> {
    vec(any_point(), 3..8).prop_filter("the last point repeats the first", |ring| {
        ring.first() != ring.last()
    })
}

pub fn any_polygon(holes: usize) -> impl Strategy<Value = Polygon> {
    (any_ring(), vec(any_ring(), 0..=holes)).prop_map(|(outline, holes)| Polygon { outline, holes })
}

/// Names as people give them, and those that break careless writers.
pub fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,8}",
        "[A-Z][a-z \"'<>&{}\\[\\],:;/\\\\]{0,8}[a-z]",
        Just("Zellkern – größer".to_owned()),
        Just("有丝分裂".to_owned()),
    ]
}

pub fn any_flag() -> impl Strategy<Value = Attribute> {
    any::<bool>().prop_map(Attribute::Flag)
}

pub fn image(file_name: &str, annotations: Vec<Annotation>) -> AnnotatedImage {
    AnnotatedImage {
        file_name: file_name.into(),
        size: Some((2000, 1800)),
        annotations,
    }
}
