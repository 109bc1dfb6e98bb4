//! Our side of `benches/peers/slides.py`: reads all tiles of level 0 of a slide on as many threads as rayon has, and prints
//! seconds, peak resident memory in KiB (Linux) and the mean of all numbers.
//!
//! Usage: slide_speed SLIDE SIDE PASSES

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use cleanslide_slide::{OpenOptions, Slide, TilePlan, TileSettings};
use rayon::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, slide, side, passes] = arguments.as_slice() else {
        return Err("usage: slide_speed SLIDE SIDE PASSES".into());
    };
    let settings = TileSettings {
        side: side.parse()?,
        ..TileSettings::default()
    };
    let start = Instant::now();
    let (mut sum, mut count) = (0, 0);
    for _ in 0..passes.parse()? {
        let slide = Slide::open(Path::new(slide), &OpenOptions::default())?;
        let plan = TilePlan::new(&slide, &settings)?;
        let sums = (0..plan.count()).into_par_iter().map(|number| {
            let tile = plan.read(&slide, &plan.tile(number))?;
            Ok(tile
                .as_raw()
                .iter()
                .map(|&value| u64::from(value))
                .sum::<u64>())
        });
        sum += sums
            .collect::<cleanslide_slide::Result<Vec<u64>>>()?
            .iter()
            .sum::<u64>();
        count += plan.count() * 3 * u64::from(plan.side).pow(2);
    }
    let seconds = start.elapsed().as_secs_f64();
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak
        .and_then(|line| line.split_whitespace().next())
        .unwrap_or("0");
    println!("{seconds}\t{peak}\t{:.3}", sum as f64 / count as f64);
    Ok(())
}
