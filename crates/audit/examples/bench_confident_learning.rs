//! Our side of `benches/peers/confident_learning.py`: finds label issues once, and prints the wall
//! time of the call and the memory it took as JSON.
//!
//! Arguments: a safetensors file with `probabilities`, a raw file of 32-bit labels,
//! `memory` (probabilities are loaded before the clock starts) or `file` (they are read by block
//! while it runs).

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::fs;
use std::time::Instant;

use cleanslide_audit::{ConfidentLearning, FilterOptions, ProbabilityBlocks, ProbabilityFile};
use ndarray::Array2;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let file = ProbabilityFile::open(&arguments[1], "probabilities").unwrap();
    let labels: Vec<usize> = fs::read(&arguments[2])
        .unwrap()
        .as_chunks::<4>()
        .0
        .iter()
        .map(|&label| u32::from_le_bytes(label) as usize)
        .collect();
    let mut numbers = Vec::new();
    let loaded: Array2<f32>;
    let view;
    let probabilities: &dyn ProbabilityBlocks = if arguments[3] == "memory" {
        numbers.reserve_exact(file.items() * file.classes());
        file.visit_blocks(&mut |_, rows| {
            numbers.extend_from_slice(rows);
            Ok(())
        })
        .unwrap();
        loaded = Array2::from_shape_vec((file.items(), file.classes()), numbers).unwrap();
        view = loaded.view();
        &view
    } else {
        &file
    };
    let before = memory("VmRSS:");
    // Forget the peak of loading, so that the peak afterwards is that of the call.
    let _ = fs::write("/proc/self/clear_refs", "5");
    let start = Instant::now();
    let learning = ConfidentLearning::new(&labels, probabilities).unwrap();
    let flags = learning.issues(&FilterOptions::default()).unwrap();
    let seconds = start.elapsed().as_secs_f64();
    let issues = flags.iter().filter(|&&flag| flag).count();
    let peak = memory("VmHWM:");
    println!(
        "{{\"seconds\": {seconds}, \"issues\": {issues}, \"before\": {before}, \"peak\": {peak}}}"
    );
}

/// Kibibytes.
fn memory(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
