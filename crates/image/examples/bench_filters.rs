//! Our side of `benches/peers/image_filters.py`: runs one filter on a raw `u8` plane, writes its result,
//! and prints the wall time of one call and the memory it took as JSON.
//!
//! Arguments: a raw file of `u8` pixels, height, width, `canny`, lower and upper threshold, repetitions,
//! the file for the result (raw, 0 or 1).

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::fs;
use std::hint::black_box;
use std::time::Instant;

use cleanslide_image::edge::{GradientNorm, canny};
use ndarray::Array2;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |position: usize| arguments[position].parse::<usize>().unwrap();
    let shape = (number(2), number(3));
    let plane = Array2::from_shape_vec(shape, fs::read(&arguments[1]).unwrap()).unwrap();
    assert_eq!(arguments[4], "canny", "the only filter so far");
    let threshold = |position: usize| arguments[position].parse::<f64>().unwrap();
    let (low, high) = (threshold(5), threshold(6));
    let repetitions = number(7);
    // Once for the threads to start.
    black_box(canny(plane.view(), low, high, GradientNorm::Manhattan).unwrap());
    let before = memory("VmRSS:");
    // Forget the peak of loading, so that the peak afterwards is that of the call.
    let _ = fs::write("/proc/self/clear_refs", "5");
    let start = Instant::now();
    for _ in 1..repetitions {
        black_box(canny(plane.view(), low, high, GradientNorm::Manhattan).unwrap());
    }
    let edges = canny(plane.view(), low, high, GradientNorm::Manhattan).unwrap();
    let seconds = start.elapsed().as_secs_f64() / repetitions as f64;
    let peak = memory("VmHWM:");
    let edges: Vec<u8> = edges.iter().map(|&edge| u8::from(edge)).collect();
    fs::write(&arguments[8], edges).unwrap();
    println!("{{\"seconds\": {seconds}, \"before\": {before}, \"peak\": {peak}}}");
}

/// Kibibytes.
fn memory(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
