//! Our side of `benches/peers/metrics.py`: runs one task on raw input files and prints seconds,
//! peak resident memory in KiB (Linux) and the result.
//!
//! Usage: metrics_speed TASK FOLDER, where FOLDER holds `truth.u8`, and `score.f32` or
//! `predicted.u8` and `group.u32`, little-endian without header.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use cleanslide_eval::{Bootstrap, Groups, LabelPairs, Ranking, Weights};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, task, folder] = arguments.as_slice() else {
        return Err("usage: metrics_speed TASK FOLDER".into());
    };
    let folder = Path::new(folder);
    let truth = std::fs::read(folder.join("truth.u8"))?;
    let (seconds, value) = match task.as_str() {
        "auroc" | "average_precision" => {
            let positive: Vec<bool> = truth.iter().map(|&class| class == 1).collect();
            let scores: Vec<f32> = words(&folder.join("score.f32"))?
                .into_iter()
                .map(f32::from_le_bytes)
                .collect();
            let start = Instant::now();
            let ranking = Ranking::new(&positive, &scores)?;
            let value = match task.as_str() {
                "auroc" => ranking.auroc(Weights::Equal)?,
                _ => ranking.average_precision(Weights::Equal)?,
            };
            (start.elapsed(), format!("{value:.6}"))
        }
        "bootstrap" => {
            let index = |bytes: Vec<u8>| bytes.into_iter().map(usize::from).collect::<Vec<_>>();
            let (truth, predicted) = (
                index(truth),
                index(std::fs::read(folder.join("predicted.u8"))?),
            );
            let group: Vec<usize> = words(&folder.join("group.u32"))?
                .into_iter()
                .map(|bytes| u32::from_le_bytes(bytes) as usize)
                .collect();
            let start = Instant::now();
            let labels = LabelPairs::new(&truth, &predicted, 4)?;
            let estimate = Bootstrap::default().estimate(&Groups::new(&group)?, |weights| {
                labels.confusion(weights)?.balanced_accuracy()
            })?;
            (start.elapsed(), estimate.to_string())
        }
        _ => return Err(format!("no task is called {task}").into()),
    };
    println!("{}\t{}\t{value}", seconds.as_secs_f64(), peak_memory()?);
    Ok(())
}

fn words(path: &Path) -> Result<Vec<[u8; 4]>, Box<dyn Error>> {
    let bytes = std::fs::read(path)?;
    let (words, rest) = bytes.as_chunks::<4>();
    if rest.is_empty() {
        Ok(words.to_vec())
    } else {
        Err("not a multiple of 4 bytes".into())
    }
}

fn peak_memory() -> Result<String, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    Ok(line
        .and_then(|line| line.split_whitespace().next())
        .ok_or("no VmHWM")?
        .to_owned())
}
