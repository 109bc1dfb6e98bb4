//! Our side of `benches/peers/pixel_audit.py`: audits the pixels of images once, and prints the wall
//! time of the call and the memory it took as JSON.
//!
//! Arguments: a raw file of 8-bit labels `[images, height, width]`, one of 32-bit probabilities
//! `[images, classes, height, width]`, the four sizes in that order, and `memory` (everything is
//! loaded before the clock starts) or `file` (images are read one at a time while it runs).

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::time::Instant;

use cleanslide_audit::pixels::{PixelArrays, PixelAudit, PixelBlocks, ReadImages};
use ndarray::{Array2, Array3};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let size = |position: usize| arguments[position].parse::<usize>().unwrap();
    let (images, classes, height, width) = (size(3), size(4), size(5), size(6));
    let labels = File::open(&arguments[1]).unwrap();
    let probabilities = File::open(&arguments[2]).unwrap();
    let read = |image: usize| {
        let pixels = height * width;
        let mut mask = vec![0; pixels];
        labels
            .read_exact_at(&mut mask, (image * pixels) as u64)
            .unwrap();
        let mut bytes = vec![0; pixels * classes * 4];
        let start = (image * bytes.len()) as u64;
        probabilities.read_exact_at(&mut bytes, start).unwrap();
        let numbers = bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|&number| f32::from_le_bytes(number));
        let planes = Array3::from_shape_vec((classes, height, width), numbers.collect());
        Ok((
            Array2::from_shape_vec((height, width), mask).unwrap(),
            planes.unwrap(),
        ))
    };
    if arguments[7] == "file" {
        measure(&ReadImages::new(images, classes, read));
        return;
    }
    let loaded: Vec<(Array2<u8>, Array3<f32>)> =
        (0..images).map(|image| read(image).unwrap()).collect();
    let labels: Vec<_> = loaded.iter().map(|image| image.0.view()).collect();
    let planes: Vec<_> = loaded.iter().map(|image| image.1.view()).collect();
    measure(&PixelArrays::new(&labels, &planes).unwrap());
}

fn measure(images: &dyn PixelBlocks) {
    let before = memory("VmRSS:");
    // Forget the peak of loading, so that the peak afterwards is that of the call.
    let _ = fs::write("/proc/self/clear_refs", "5");
    let start = Instant::now();
    let audit = PixelAudit::new(images).unwrap();
    let found = audit.mark(images, &mut |_, _| Ok(())).unwrap();
    let seconds = start.elapsed().as_secs_f64();
    let issues: u64 = found.images.iter().map(|image| image.issues).sum();
    let scores: f64 = audit.softmin().iter().flatten().sum();
    let peak = memory("VmHWM:");
    println!(
        "{{\"seconds\": {seconds}, \"issues\": {issues}, \"scores\": {scores}, \"before\": {before}, \
         \"peak\": {peak}}}"
    );
}

/// Kibibytes.
fn memory(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
