//! Our side of `benches/peers/weighted_boxes_fusion.py`: fuses the boxes of many images a few times and
//! prints one line of JSON with the shortest wall time.
//!
//! ```text
//! bench_weighted_boxes_fusion BOXES REPETITIONS FUSED
//! ```
//!
//! `BOXES` holds little-endian f64: images, views, boxes per view, then class, score, left, top,
//! right, bottom of each box, view after view, image after image. `FUSED` gets, image after image, the
//! number of fused boxes, then the same six numbers of each. Images are shared among the threads
//! (`RAYON_NUM_THREADS`).
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::time::Instant;

use cleanslide_data::{Detection, Rectangle};
use cleanslide_weak::fusion::FusionError;
use cleanslide_weak::fusion::boxes::{FusedDetection, WeightedBoxesFusion};
use rayon::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, repetitions, output] = arguments.as_slice() else {
        return Err("usage: bench_weighted_boxes_fusion BOXES REPETITIONS FUSED".into());
    };
    let images = read(input)?;
    let rule = WeightedBoxesFusion::default();

    // Starting the threads is not part of the work, as starting Python is not part of the peer's.
    rayon::join(|| (), || ());
    let mut shortest = f64::INFINITY;
    let mut fused: Vec<Vec<FusedDetection>> = Vec::new();
    for _ in 0..repetitions.parse()? {
        let start = Instant::now();
        fused = images
            .par_iter()
            .map(|views| rule.fuse(views))
            .collect::<Result<_, FusionError>>()?;
        shortest = shortest.min(start.elapsed().as_secs_f64());
    }
    let mut numbers = Vec::new();
    for image in &fused {
        numbers.push(image.len() as f64);
        for FusedDetection { detection, .. } in image {
            let Rectangle {
                left,
                top,
                right,
                bottom,
            } = detection.rectangle;
            numbers.extend([
                detection.class as f64,
                detection.score,
                left,
                top,
                right,
                bottom,
            ]);
        }
    }
    let bytes: Vec<u8> = numbers
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    std::fs::write(output, bytes)?;
    println!("{{\"seconds\": {shortest}}}");
    Ok(())
}

fn read(path: &str) -> Result<Vec<Vec<Vec<Detection>>>, Box<dyn Error>> {
    let bytes = std::fs::read(path)?;
    let numbers: Vec<f64> = bytes
        .as_chunks::<8>()
        .0
        .iter()
        .map(|&word| f64::from_le_bytes(word))
        .collect();
    let [_, views, boxes, rest @ ..] = numbers.as_slice() else {
        return Err("the file of boxes is shorter than its header".into());
    };
    let detections = rest
        .as_chunks::<6>()
        .0
        .iter()
        .map(|&[class, score, left, top, right, bottom]| {
            Ok(Detection {
                rectangle: Rectangle::new(left, top, right, bottom)?,
                class: class as usize,
                score,
            })
        })
        .collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    Ok(detections
        .chunks((views * boxes) as usize)
        .map(|image| image.chunks(*boxes as usize).map(<[_]>::to_vec).collect())
        .collect())
}
