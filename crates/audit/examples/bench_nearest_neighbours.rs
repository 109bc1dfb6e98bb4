//! Our side of `benches/peers/nearest_neighbours.py`: finds nearest neighbours once, writes their
//! indices, and prints the wall time of the call and the memory it took as JSON.
//!
//! Arguments: a raw file of 32-bit features, rows, columns, neighbours, `cosine` or `euclidean`,
//! the file for the indices (raw 64-bit).

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::fs;
use std::io::{BufReader, Read};
use std::time::Instant;

use cleanslide_audit::{Metric, nearest_neighbours};
use ndarray::Array2;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |position: usize| arguments[position].parse::<usize>().unwrap();
    let (rows, columns, k) = (number(2), number(3), number(4));
    let metric = match arguments[5].as_str() {
        "cosine" => Metric::Cosine,
        "euclidean" => Metric::Euclidean,
        other => panic!("no metric {other}"),
    };
    let mut file = BufReader::with_capacity(1 << 20, fs::File::open(&arguments[1]).unwrap());
    let mut next = [0; 4];
    let features = Array2::from_shape_simple_fn((rows, columns), || {
        file.read_exact(&mut next).unwrap();
        f32::from_le_bytes(next)
    });
    let before = memory("VmRSS:");
    // Forget the peak of loading, so that the peak afterwards is that of the call.
    let _ = fs::write("/proc/self/clear_refs", "5");
    let start = Instant::now();
    let neighbours = nearest_neighbours(features.view(), k, metric).unwrap();
    let seconds = start.elapsed().as_secs_f64();
    let peak = memory("VmHWM:");
    let indices: Vec<u8> = neighbours
        .indices
        .iter()
        .flat_map(|&index| (index as u64).to_le_bytes())
        .collect();
    fs::write(&arguments[6], indices).unwrap();
    println!("{{\"seconds\": {seconds}, \"before\": {before}, \"peak\": {peak}}}");
}

/// Kibibytes.
fn memory(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
