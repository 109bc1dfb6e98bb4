//! Times convolutions for `benches/peers/convolution.py`: reads lines of sizes, and prints for each the seconds of
//! a forward pass and of the two gradients, medians of some rounds, the operations by definition and the algorithm.
//!
//! A line is `images size inputs outputs kernel stride depthwise`.

use std::io::{BufRead, Write};
use std::time::Instant;

use cleanslide_kernels::{Convolution, Finish, Instructions};

/// The first round fetches its memory.
const WARM_UP: usize = 2;
const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let instructions = Instructions::new();
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let numbers: Vec<usize> = line
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        let &[images, size, inputs, outputs, kernel, stride, depthwise] = numbers.as_slice() else {
            return Err("seven numbers a line".into());
        };
        let sizes = Convolution {
            images,
            size: [size; 2],
            inputs,
            outputs,
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [[kernel / 2; 2]; 2],
            dilation: [1, 1],
            depthwise: depthwise == 1,
        };
        let values = |length: usize| -> Vec<f32> {
            (0..length)
                .map(|index| (index * 7919 % 1000) as f32 / 500.0 - 1.0)
                .collect()
        };
        let pixels = values(sizes.images_length());
        let filters = values(sizes.filters_length());
        let gradient = values(sizes.result_length());
        let mut result = vec![0.0; sizes.result_length()];
        let mut pixels_gradient = vec![0.0; sizes.images_length()];
        let mut filters_gradient = vec![0.0; sizes.filters_length()];
        let mut round = || {
            let start = Instant::now();
            sizes.forward(
                instructions,
                &pixels,
                &filters,
                Finish::bias(None),
                &mut result,
            );
            let forward = start.elapsed();
            let start = Instant::now();
            sizes.backward_images(
                instructions,
                &gradient,
                &filters,
                None,
                &mut pixels_gradient,
            );
            let images = start.elapsed();
            let start = Instant::now();
            sizes.backward_filters(instructions, &pixels, &gradient, &mut filters_gradient);
            [forward, images, start.elapsed()].map(|time| time.as_secs_f64())
        };
        // In a thread of the pool, as PyTorch's caller is one of its threads.
        let rounds: Vec<[f64; 3]> =
            rayon::scope(|_| (0..WARM_UP + ROUNDS).map(|_| round()).collect());
        let seconds = [0, 1, 2].map(|part| {
            let mut times: Vec<f64> = rounds[WARM_UP..].iter().map(|round| round[part]).collect();
            times.sort_by(f64::total_cmp);
            times[ROUNDS / 2]
        });
        let operations = sizes.operations();
        writeln!(
            out,
            "{} {} {} {operations} {:?}",
            seconds[0],
            seconds[1],
            seconds[2],
            sizes.algorithm()
        )?;
        out.flush()?;
    }
    Ok(())
}
