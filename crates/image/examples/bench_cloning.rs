//! Our side of `benches/peers/image_cloning.py`: clones once and prints the wall time of the call
//! as JSON.
//!
//! Arguments: a raw file of source (RGB), destination (RGB) and mask (0 or 255), height, width,
//! `mask` or `opencv` (whose problem is solved), `normal` or `mixed`, the file for the raw result.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::fs;
use std::time::Instant;

use cleanslide_image::cloning::{Gradients, seamless_clone, seamless_clone_opencv};
use ndarray::{ArrayView2, ArrayView3};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let bytes = fs::read(&arguments[1]).unwrap();
    let number = |position: usize| arguments[position].parse::<usize>().unwrap();
    let (height, width) = (number(2), number(3));
    let clone = match arguments[4].as_str() {
        "mask" => seamless_clone::<u8>,
        "opencv" => seamless_clone_opencv,
        other => panic!("no problem {other}"),
    };
    let gradients = match arguments[5].as_str() {
        "normal" => Gradients::Normal,
        "mixed" => Gradients::Mixed,
        other => panic!("no gradients {other}"),
    };
    let (source, rest) = bytes.split_at(height * width * 3);
    let (destination, mask) = rest.split_at(height * width * 3);
    let source = ArrayView3::from_shape((height, width, 3), source).unwrap();
    let destination = ArrayView3::from_shape((height, width, 3), destination).unwrap();
    let mask = ArrayView2::from_shape((height, width), mask).unwrap();
    let mask = mask.mapv(|value| value > 0);
    // Starts the threads, as the peer's are started by its first call.
    rayon::broadcast(|_| ());
    let start = Instant::now();
    let result = clone(source, destination, mask.view(), gradients).unwrap();
    let seconds = start.elapsed().as_secs_f64();
    fs::write(&arguments[6], result.as_slice().unwrap()).unwrap();
    println!("{{\"seconds\": {seconds}}}");
}
