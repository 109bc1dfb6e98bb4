//! Our side of `benches/peers/image_regions.py`: runs one operator on raw files a few times and prints
//! the shortest wall time as JSON.
//!
//! Arguments: the operator, height, width, repetitions, the file for the result, and the operator's
//! files, all in raster order:
//! `components MASK` (bytes 0 or 1; result 32-bit labels), `distance MASK` (32-bit floats),
//! `watershed IMAGE MARKERS` (bytes; 32-bit labels; result 32-bit labels),
//! `circles EDGES DX DY CELL DISTANCE VOTES SMALLEST LARGEST` (bytes; 16-bit gradients; result 32-bit
//! floats x, y, radius, votes).

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::fs;
use std::time::Instant;

use cleanslide_image::circle::{Circle, HoughCircles, hough_circles};
use cleanslide_image::region::{Neighbours, Watershed, components, distance, watershed};
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
    let seconds = match operator {
        "components" => {
            let mask = arguments.bytes(0).mapv(|byte| byte != 0);
            arguments.time(
                || components(mask.view(), Neighbours::Eight).unwrap(),
                |found| {
                    found
                        .labels
                        .iter()
                        .flat_map(|label| label.to_le_bytes())
                        .collect()
                },
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
            let edges = arguments.bytes(0).mapv(|byte| byte != 0);
            let [dx, dy] = [1, 2].map(|file| arguments.values(file, i16::from_le_bytes));
            let number = |position: usize| arguments.rest[position].parse::<f32>().unwrap();
            let settings = HoughCircles {
                cell: number(3),
                distance: number(4),
                votes: number(5).round_ties_even() as u32,
                radii: number(6) as u32..=number(7) as u32,
                most: None,
            };
            let row = |circle: &Circle| [circle.x, circle.y, circle.radius, circle.votes as f32];
            arguments.time(
                || hough_circles(edges.view(), dx.view(), dy.view(), &settings).unwrap(),
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
    println!("{{\"seconds\": {seconds}}}");
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

    fn time<T>(&self, work: impl Fn() -> T, bytes: impl Fn(&T) -> Vec<u8>) -> f64 {
        let mut shortest = f64::INFINITY;
        for repetition in 0..self.repetitions {
            let start = Instant::now();
            let found = work();
            shortest = shortest.min(start.elapsed().as_secs_f64());
            if repetition == 0 {
                fs::write(&self.result, bytes(&found)).unwrap();
            }
        }
        shortest
    }
}
