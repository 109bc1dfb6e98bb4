//! Reading goldens and comparing pictures.

#![allow(dead_code, clippy::unwrap_used)]

use ndarray::Array2;
use serde_json::Value;

pub fn cases(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

pub fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

/// A picture: rows of numbers, or of digits in base 36.
pub fn picture(value: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = list(value).iter().map(row).collect();
    let size = (rows.len(), rows.first().map_or(0, Vec::len));
    Array2::from_shape_vec(size, rows.concat()).unwrap()
}

fn row(value: &Value) -> Vec<f64> {
    match value {
        Value::String(digits) => digits
            .chars()
            .map(|digit| f64::from(digit.to_digit(36).unwrap()))
            .collect(),
        _ => numbers(value),
    }
}

pub fn numbers(value: &Value) -> Vec<f64> {
    list(value)
        .iter()
        .map(|number| number.as_f64().unwrap())
        .collect()
}

pub fn mask(value: &Value) -> Array2<bool> {
    picture(value).mapv(|pixel| pixel != 0.0)
}

pub fn labels(value: &Value) -> Array2<u32> {
    picture(value).mapv(|pixel| pixel as u32)
}

#[track_caller]
pub fn close(found: f64, expected: f64, tolerance: f64, what: &str) {
    assert!(
        (found - expected).abs() <= tolerance,
        "{what}: {found}, expected {expected}"
    );
}

/// The same work on one thread and on three.
pub fn on_threads<T: Send>(work: impl Fn() -> T + Sync) -> [T; 2] {
    [1, 3].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(&work)
    })
}
