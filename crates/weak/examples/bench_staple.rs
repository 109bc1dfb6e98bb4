//! Our side of `benches/peers/staple.py`: runs STAPLE on the masks of one image a few times and prints
//! one line of JSON with the shortest wall time, the iterations and the peak memory.
//!
//! ```text
//! bench_staple MASKS EXPERTS HEIGHT WIDTH REPETITIONS PROBABILITY
//! ```
//!
//! `MASKS` holds one byte per pixel, expert after expert, in raster order. `PROBABILITY` is written as
//! little-endian f32. Timed is everything from masks to the picture of probabilities. Threads:
//! `RAYON_NUM_THREADS`.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::time::Instant;

use cleanslide_weak::fusion::masks::{Staple, VotePatterns};
use ndarray::{Array3, Axis};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, experts, height, width, repetitions, output] = arguments.as_slice() else {
        return Err(
            "usage: bench_staple MASKS EXPERTS HEIGHT WIDTH REPETITIONS PROBABILITY".into(),
        );
    };
    let shape = (experts.parse()?, height.parse()?, width.parse()?);
    let masks = Array3::from_shape_vec(shape, std::fs::read(input)?)?;
    let views: Vec<_> = masks.axis_iter(Axis(0)).map(Some).collect();

    // Starting the threads is not part of the work, as starting Python is not part of the peer's.
    rayon::join(|| (), || ());
    let mut shortest = f64::INFINITY;
    let mut last = None;
    for _ in 0..repetitions.parse()? {
        let start = Instant::now();
        let mut patterns = VotePatterns::new(shape.0, 2)?;
        let map = patterns.add(&views)?;
        let consensus = Staple::default().fuse(&patterns)?;
        let probability = consensus.probability(map.view());
        shortest = shortest.min(start.elapsed().as_secs_f64());
        last = Some((probability, consensus.iterations));
    }
    let (probability, iterations) = last.ok_or("no repetitions")?;
    let peak = peak_memory_kib()?;
    let bytes: Vec<u8> = probability
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    std::fs::write(output, bytes)?;
    println!("{{\"seconds\": {shortest}, \"iterations\": {iterations}, \"peak_kib\": {peak}}}");
    Ok(())
}

/// Greatest resident memory of this process so far (`VmHWM`), in KiB.
fn peak_memory_kib() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .ok_or("no VmHWM in /proc/self/status")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}
