//! Our side of `benches/peers/coco_evaluation.py`: evaluates raw input files and prints seconds, peak
//! resident memory in KiB (Linux) and COCO's AP, AP50 and AR.
//!
//! Usage: coco_speed evaluate|bootstrap FOLDER, where FOLDER holds `truth.f64` (rows of image, class,
//! left, top, right, bottom) and `found.f64` (the same and a score), little-endian without header.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use cleanslide_data::{Detection, Rectangle};
use cleanslide_eval::detection::{Coco, CocoSubset, TrueBox};
use cleanslide_eval::{Bootstrap, Groups, Weights};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, task, folder] = arguments.as_slice() else {
        return Err("usage: coco_speed evaluate|bootstrap FOLDER".into());
    };
    let folder = Path::new(folder);
    let (truth, found) = (
        rows::<6>(&folder.join("truth.f64"))?,
        rows::<7>(&folder.join("found.f64"))?,
    );
    let number = |value: f64| value as usize;
    let last = |rows: &mut dyn Iterator<Item = f64>| rows.map(number).max().unwrap_or(0) + 1;
    let images = last(&mut truth.iter().map(|row| row[0]));
    let classes = last(&mut truth.iter().map(|row| row[1]));
    let rectangle = |row: &[f64]| Rectangle::new(row[2], row[3], row[4], row[5]);

    let start = Instant::now();
    let mut boxes = vec![(Vec::new(), Vec::new()); images];
    for row in &truth {
        let one = TrueBox::new(rectangle(row)?, number(row[1]));
        boxes[number(row[0])].0.push(one);
    }
    for row in &found {
        boxes[number(row[0])].1.push(Detection {
            rectangle: rectangle(row)?,
            class: number(row[1]),
            score: row[6],
        });
    }
    let views: Vec<(&[TrueBox], &[Detection])> = boxes
        .iter()
        .map(|(truth, found)| (&truth[..], &found[..]))
        .collect();
    let matches = Coco::new(classes).match_images(&views)?;
    let result = if task == "bootstrap" {
        let bootstrap = Bootstrap {
            replicates: 1000,
            ..Bootstrap::default()
        };
        let at_half = CocoSubset {
            iou: Some(0.5),
            ..CocoSubset::default()
        };
        let groups = Groups::single_items(images)?;
        bootstrap
            .estimate(&groups, |weights| {
                matches.average_precision(&at_half, weights)
            })?
            .to_string()
    } else {
        let summary = matches.summary(Weights::Equal)?;
        let numbers = [
            summary.average_precision,
            summary.average_precision_50,
            summary.average_recall_100,
        ];
        let shown = numbers.map(|number| format!("{:.9}", number.unwrap_or(-1.0)));
        shown.join(" ")
    };
    println!(
        "{}\t{}\t{result}",
        start.elapsed().as_secs_f64(),
        peak_memory()?
    );
    Ok(())
}

fn rows<const N: usize>(path: &Path) -> Result<Vec<[f64; N]>, Box<dyn Error>> {
    let bytes = std::fs::read(path)?;
    let (words, rest) = bytes.as_chunks::<8>();
    let numbers: Vec<f64> = words.iter().map(|&word| f64::from_le_bytes(word)).collect();
    let (rows, left) = numbers.as_chunks::<N>();
    if rest.is_empty() && left.is_empty() {
        Ok(rows.to_vec())
    } else {
        Err("not a whole number of rows".into())
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
