//! Goldens of `oracles/image_*.py` as arrays.

#![allow(dead_code, reason = "each test of a group uses a part of this")]
#![allow(clippy::unwrap_used)]

use cleanslide_image::Border;
use ndarray::{Array2, ArrayView2};
use proptest::prelude::*;
use serde_json::Value;

/// An array of arrays of whole numbers.
pub fn numbers(value: &Value) -> Array2<i64> {
    let rows = value.as_array().unwrap();
    let width = rows.first().map_or(0, |row| row.as_array().unwrap().len());
    Array2::from_shape_fn((rows.len(), width), |(y, x)| rows[y][x].as_i64().unwrap())
}

/// Rows of hexadecimal digits.
pub fn bytes(value: &Value) -> Array2<u8> {
    let rows = value.as_array().unwrap();
    let rows: Vec<&str> = rows.iter().map(|row| row.as_str().unwrap()).collect();
    Array2::from_shape_fn((rows.len(), rows[0].len() / 2), |(y, x)| {
        u8::from_str_radix(&rows[y][2 * x..2 * x + 2], 16).unwrap()
    })
}

/// Whole millionths.
pub fn millionths(value: &Value) -> Array2<f64> {
    numbers(value).mapv(|number| number as f64 / 1e6)
}

/// Rows of 0 and 1.
pub fn bits(value: &Value) -> Array2<bool> {
    let rows = value.as_array().unwrap();
    let rows: Vec<&[u8]> = rows
        .iter()
        .map(|row| row.as_str().unwrap().as_bytes())
        .collect();
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(y, x)| rows[y][x] == b'1')
}

/// The plane of `golden["planes"]` that `case["plane"]` names.
pub fn plane(golden: &Value, case: &Value) -> Array2<u8> {
    bytes(&golden["planes"][case["plane"].as_str().unwrap()])
}

pub fn cases(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

pub fn pair<T>(value: &Value, read: impl Fn(&Value) -> T) -> (T, T) {
    (read(&value[0]), read(&value[1]))
}

pub fn border(value: &Value) -> Border {
    match value.as_str().unwrap() {
        "mirror" => Border::Mirror,
        "reflect" => Border::Reflect,
        "replicate" => Border::Replicate,
        "constant" => Border::Constant(0.0),
        other => panic!("no border {other}"),
    }
}

/// The greatest absolute difference.
pub fn farthest<A: Copy + Into<f64>, B: Copy + Into<f64>>(
    ours: ArrayView2<'_, A>,
    theirs: ArrayView2<'_, B>,
) -> f64 {
    assert_eq!(ours.dim(), theirs.dim());
    let pairs = ours.iter().zip(theirs);
    pairs
        .map(|(&a, &b)| (a.into() - b.into()).abs())
        .fold(0.0, f64::max)
}

/// Noise, of at most this height and width.
pub fn any_plane(height: usize, width: usize) -> impl Strategy<Value = Array2<u8>> {
    (1..height, 1..width).prop_flat_map(|(height, width)| {
        prop::collection::vec(any::<u8>(), height * width)
            .prop_map(move |values| Array2::from_shape_vec((height, width), values).unwrap())
    })
}

/// What `operator` makes with this many threads.
pub fn on_threads<T: Send>(threads: usize, operator: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.unwrap().install(operator)
}
