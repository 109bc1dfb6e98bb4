//! Our side of `benches/peers/dawid_skene.py`: fits Dawid–Skene to votes from a file and prints
//! one line of JSON with seconds, iterations and peak memory.
//!
//! ```text
//! bench_dawid_skene VOTES POSTERIOR
//! ```
//!
//! `VOTES` holds little-endian u32: items, annotators, classes, then (item, annotator, class) per
//! vote. `POSTERIOR` is written as little-endian f64, \[items, classes\], for comparison. Only the
//! fit is timed. Threads: `RAYON_NUM_THREADS`.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::time::Instant;

use cleanslide_data::Votes;
use cleanslide_weak::fusion::DawidSkene;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: bench_dawid_skene VOTES POSTERIOR";
    let (input, output) = (
        arguments.next().ok_or(usage)?,
        arguments.next().ok_or(usage)?,
    );
    let votes = read(&input)?;

    // Starting the threads is not part of the fit, as starting Python is not part of the peer's.
    rayon::join(|| (), || ());
    let start = Instant::now();
    let consensus = DawidSkene::default().fuse(&votes)?;
    let seconds = start.elapsed().as_secs_f64();

    let peak = peak_memory_kib()?;
    let bytes: Vec<u8> = consensus
        .posterior
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    std::fs::write(output, bytes)?;
    println!(
        "{{\"seconds\": {seconds}, \"iterations\": {}, \"peak_kib\": {peak}}}",
        consensus.iterations
    );
    Ok(())
}

fn read(path: &str) -> Result<Votes, Box<dyn Error>> {
    let bytes = std::fs::read(path)?;
    let numbers: Vec<usize> = bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|&word| u32::from_le_bytes(word) as usize)
        .collect();
    let [items, annotators, classes, rest @ ..] = numbers.as_slice() else {
        return Err("the votes file is shorter than its header".into());
    };
    let triplets: Vec<_> = rest
        .as_chunks::<3>()
        .0
        .iter()
        .map(|&[i, a, c]| (i, a, c))
        .collect();
    Ok(Votes::from_triplets(
        *items,
        *annotators,
        *classes,
        &triplets,
    )?)
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
