//! Our side of `benches/peers/image_filters.py`: runs one operator on a raw `u8` image for half a second,
//! writes its result, and prints the wall time of one call and the memory it took as JSON.
//!
//! Arguments: a raw file of `u8` samples, height, width, channels (1 or 3), the file for the raw result,
//! the operator (see `work`).

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use cleanslide_image::Border;
use cleanslide_image::edge::{GradientNorm, canny};
use cleanslide_image::filter::{GaussianKernel, bilateral, clahe, gaussian_blur, median};
use cleanslide_image::morphology::{Element, Reach, dilate, reconstruct_by_dilation};
use cleanslide_image::region::skeleton;
use cleanslide_image::stain::{Macenko, StainMatrix, separate_stains};
use cleanslide_image::threshold::{Side, Surroundings, adaptive_threshold, otsu};
use ndarray::{Array2, Array3, ArrayView2};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |position: usize| arguments[position].parse::<usize>().unwrap();
    let shape = (number(2), number(3), number(4));
    let image = Array3::from_shape_vec(shape, fs::read(&arguments[1]).unwrap()).unwrap();
    let work = work(&arguments[6], &image);
    // Once for the threads to start.
    black_box(work());
    let before = memory("VmRSS:");
    // Forget the peak of loading, so that the peak afterwards is that of the calls.
    let _ = fs::write("/proc/self/clear_refs", "5");
    let start = Instant::now();
    let mut calls = 0;
    let mut result = Vec::new();
    let mut writing = Duration::ZERO;
    while calls == 0 || start.elapsed() - writing < Duration::from_millis(500) {
        let found = work();
        calls += 1;
        let done = Instant::now();
        if calls == 1 {
            result = found.bytes();
        } else {
            black_box(found);
        }
        writing += done.elapsed();
    }
    let seconds = (start.elapsed() - writing).as_secs_f64() / f64::from(calls);
    let peak = memory("VmHWM:");
    fs::write(&arguments[5], result).unwrap();
    println!("{{\"seconds\": {seconds}, \"before\": {before}, \"peak\": {peak}}}");
}

/// What an operator makes.
enum Found {
    Grey(Array2<u8>),
    Mask(Array2<bool>),
    Colour(Array3<u8>),
    Amounts(Array3<f32>),
}

impl Found {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Grey(plane) => plane.iter().copied().collect(),
            Self::Mask(mask) => mask.iter().map(|&inside| u8::from(inside)).collect(),
            Self::Colour(image) => image.iter().copied().collect(),
            Self::Amounts(image) => image.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    }
}

fn work<'a>(operator: &str, image: &'a Array3<u8>) -> Box<dyn Fn() -> Found + 'a> {
    let colour = image.view();
    let plane: ArrayView2<'a, u8> = image.index_axis(ndarray::Axis(2), 0);
    let grey = |work: Box<dyn Fn() -> Array2<u8> + 'a>| -> Box<dyn Fn() -> Found + 'a> {
        Box::new(move || Found::Grey(work()))
    };
    let adaptive = |surroundings| -> Box<dyn Fn() -> Found + 'a> {
        Box::new(move || {
            let found = adaptive_threshold(plane, surroundings, Side::Bright, 51, 5.0);
            Found::Mask(found.unwrap())
        })
    };
    let dilation = |element: Element| grey(Box::new(move || dilate(plane, &element)));
    let medians = |size| {
        grey(Box::new(move || {
            median(plane, size, Border::Replicate).unwrap()
        }))
    };
    match operator {
        "canny" => Box::new(move || {
            Found::Mask(canny(plane, 50.0, 150.0, GradientNorm::Manhattan).unwrap())
        }),
        "gaussian 21" => {
            let kernel = GaussianKernel::of_size(21, None).unwrap();
            grey(Box::new(move || {
                gaussian_blur(plane, &kernel, &kernel, Border::Mirror)
            }))
        }
        "median 5" => medians(5),
        "median 15" => medians(15),
        "bilateral 9" => grey(Box::new(move || {
            bilateral(plane, 4, 75.0, 75.0, Border::Mirror).unwrap()
        })),
        "CLAHE 8 x 8" => grey(Box::new(move || clahe(plane, 2.0, (8, 8)).unwrap())),
        "Otsu threshold" => Box::new(move || {
            let level = otsu(plane).unwrap();
            Found::Mask(plane.mapv(|value| value > level))
        }),
        "adaptive threshold, mean 51" => adaptive(Surroundings::Mean),
        "adaptive threshold, Gaussian 51" => adaptive(Surroundings::Gaussian),
        "dilation, rectangle 15" => dilation(Element::rectangle(15, 15).unwrap()),
        "dilation, ellipse 15" => dilation(Element::ellipse(15, 15).unwrap()),
        "reconstruction by dilation" => {
            let marker = plane.mapv(|value| value.saturating_sub(40));
            grey(Box::new(move || {
                reconstruct_by_dilation(marker.view(), plane, Reach::Eight).unwrap()
            }))
        }
        "skeleton" => {
            let level = otsu(plane).unwrap();
            let dark = plane.mapv(|value| value <= level);
            Box::new(move || Found::Mask(skeleton(dark.view())))
        }
        "stain separation" => {
            Box::new(move || Found::Amounts(separate_stains(colour, &StainMatrix::HED).unwrap()))
        }
        "Macenko normalisation" => {
            let reference = Macenko::default().estimate(colour.slice(ndarray::s![..;2, .., ..]));
            let reference = reference.unwrap();
            Box::new(move || {
                let found = Macenko::default().normalise(colour, &reference);
                Found::Colour(found.unwrap())
            })
        }
        other => panic!("no operator {other}"),
    }
}

/// Kibibytes.
fn memory(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
