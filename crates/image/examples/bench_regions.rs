//! Our side of `benches/peers/image_regions.py`: runs one operator on raw files a few times and prints
//! the shortest wall time as JSON.
//!
//! Arguments: the operator, height, width, repetitions, the file for the result, and the operator's
//! files, all in raster order:
//! `components MASK` and `statistics MASK` (bytes 0 or 1; result 32-bit labels), `distance MASK` (32-bit
//! floats), `watershed IMAGE MARKERS` (bytes; 32-bit labels; result 32-bit labels),
//! `circles IMAGE EDGE DISTANCE VOTES SMALLEST LARGEST` (bytes; the upper threshold of the edges; result
//! 32-bit floats x, y, radius).

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::fs;
use std::time::Instant;

use cleanslide_image::Border;
use cleanslide_image::circle::{Circle, HoughCircles, hough_circles};
use cleanslide_image::edge::{GradientNorm, canny, sobel_u8};
use cleanslide_image::region::{
    Components, Neighbours, Watershed, components, components_with_statistics, distance, watershed,
};
use ndarray::Array2;

struct Arguments {
    size: (usize, usize),
    repetitions: usize,
    result: String,
    rest: Vec<String>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |position: usize| arguments[position].parse::<usize>().unwrap();
    let operator = arguments[0].as_str();
    let arguments = Arguments {
        size: (number(1), number(2)),
        repetitions: number(3),
        result: arguments[4].clone(),
        rest: arguments[5..].to_vec(),
    };
    let (seconds, added_kib) = match operator {
        "components" => {
            let mask = arguments.bytes(0).mapv(|byte| byte != 0);
            arguments.time(
                || components(mask.view(), Neighbours::Eight).unwrap(),
                labels,
            )
        }
        "statistics" => {
            let mask = arguments.bytes(0).mapv(|byte| byte != 0);
            arguments.time(
                || components_with_statistics(mask.view(), Neighbours::Eight).unwrap(),
                |(found, _)| labels(found),
            )
        }
        "distance" => {
            let mask = arguments.bytes(0).mapv(|byte| byte != 0);
            arguments.time(
                || distance(mask.view()),
                |found| found.iter().flat_map(|value| value.to_le_bytes()).collect(),
            )
        }
        "watershed" => {
            let image = arguments.bytes(0);
            let markers = arguments.values(1, u32::from_le_bytes);
            let settings = Watershed::default();
            arguments.time(
                || watershed(image.view(), markers.view(), &settings).unwrap(),
                |found| found.iter().flat_map(|label| label.to_le_bytes()).collect(),
            )
        }
        "circles" => {
            let image = arguments.bytes(0);
            let number = |position: usize| arguments.rest[position].parse::<u32>().unwrap();
            let edge = f64::from(number(1));
            let settings = HoughCircles {
                cell: 1.0,
                distance: number(2) as f32,
                votes: number(3),
                radii: number(4)..=number(5),
                most: None,
            };
            let row = |circle: &Circle| [circle.x, circle.y, circle.radius];
            arguments.time(
                || {
                    let edges = canny(image.view(), edge / 2.0, edge, GradientNorm::Manhattan);
                    let gradient = sobel_u8(image.view(), Border::Replicate);
                    let (dx, dy) = (gradient.x.view(), gradient.y.view());
                    hough_circles(edges.unwrap().view(), dx, dy, &settings).unwrap()
                },
                |found| {
                    found
                        .iter()
                        .flat_map(row)
                        .flat_map(f32::to_le_bytes)
                        .collect()
                },
            )
        }
        other => panic!("no operator {other}"),
    };
    println!("{{\"seconds\": {seconds}, \"added_kib\": {added_kib}}}");
}

fn labels(found: &Components) -> Vec<u8> {
    found
        .labels
        .iter()
        .flat_map(|label| label.to_le_bytes())
        .collect()
}

impl Arguments {
    fn bytes(&self, file: usize) -> Array2<u8> {
        self.values(file, |[byte]: [u8; 1]| byte)
    }

    fn values<T, const BYTES: usize>(
        &self,
        file: usize,
        decode: impl Fn([u8; BYTES]) -> T,
    ) -> Array2<T> {
        let bytes = fs::read(&self.rest[file]).unwrap();
        let (values, _) = bytes.as_chunks::<BYTES>();
        Array2::from_shape_vec(
            self.size,
            values.iter().map(|value| decode(*value)).collect(),
        )
        .unwrap()
    }

    /// Seconds, and the kibibytes that the work adds to the process.
    fn time<T>(&self, work: impl Fn() -> T, bytes: impl Fn(&T) -> Vec<u8>) -> (f64, u64) {
        // Starts the threads and makes the result that is compared.
        fs::write(&self.result, bytes(&work())).unwrap();
        let before = memory("VmRSS:");
        // Forget the peak so far, so that the peak afterwards is that of the work.
        let _ = fs::write("/proc/self/clear_refs", "5");
        let mut shortest = f64::INFINITY;
        for _ in 0..self.repetitions {
            let start = Instant::now();
            let found = work();
            shortest = shortest.min(start.elapsed().as_secs_f64());
            drop(found);
        }
        (shortest, memory("VmHWM:").saturating_sub(before))
    }
}

/// Kibibytes.
fn memory(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
