//! Our side of `benches/peers/efficientnet_lite.py`: embeds one batch of random images repeatedly.
//!
//! `bench_encoder ENCODER BATCH SIDE ROUNDS` prints `{"seconds": [...], "peak_bytes": ...}`, one time
//! per round after a first one that is not counted.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::time::Instant;

use cleanslide_nn::encoders::open;
use image::RgbImage;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [encoder, batch, side, rounds] = arguments.as_slice() else {
        return Err("usage: bench_encoder ENCODER BATCH SIDE ROUNDS".into());
    };
    let (batch, side, rounds): (u32, u32, u32) = (batch.parse()?, side.parse()?, rounds.parse()?);
    let encoder = open(encoder, None)?;
    let images: Vec<RgbImage> = (0..batch).map(|seed| picture(seed, side)).collect();
    encoder.embed(&images)?;
    let mut seconds = Vec::new();
    for _ in 0..rounds {
        let start = Instant::now();
        encoder.embed(&images)?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    println!(
        "{{\"seconds\": {seconds:?}, \"peak_bytes\": {}}}",
        peak_bytes()
    );
    Ok(())
}

fn picture(seed: u32, side: u32) -> RgbImage {
    RgbImage::from_fn(side, side, |x, y| {
        let hash = (x + y * side + seed * side * side).wrapping_mul(2_654_435_761);
        let smooth = ((x / 16 + y / 16 + seed) * 40 % 200) as u8;
        image::Rgb([
            smooth + (hash >> 27) as u8,
            smooth,
            smooth / 2 + (hash >> 26) as u8,
        ])
    })
}

/// The peak resident size of this process, 0 where the system does not tell.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}
