//! Times convolutions for `benches/peers/convolution.py`: reads lines of sizes, and prints for each the seconds of
//! a forward pass and of one with both gradients, each the least of some rounds, the operations by definition and the
//! algorithm.
//!
//! A line is `images size inputs outputs kernel stride depthwise`.

use std::io::{BufRead, Write};
use std::time::Instant;

use cleanslide_kernels::{Convolution, Finish, Instructions};

/// The first round fetches its memory.
const WARM_UP: usize = 2;
const ROUNDS: usize = 15;

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
            sizes.backward_images(
                instructions,
                &gradient,
                &filters,
                None,
                &mut pixels_gradient,
            );
            sizes.backward_filters(instructions, &pixels, &gradient, &mut filters_gradient);
            [forward, start.elapsed()].map(|time| time.as_secs_f64())
        };
        // In a thread of the pool, as PyTorch's caller is one of its threads.
        let rounds: Vec<[f64; 2]> =
            rayon::scope(|_| (0..WARM_UP + ROUNDS).map(|_| round()).collect());
        let [forward, everything] = [0, 1].map(|part| {
            let times = rounds[WARM_UP..].iter().map(|round| round[part]);
            times.fold(f64::INFINITY, f64::min)
        });
        let operations = sizes.operations();
        writeln!(
            out,
            "{forward} {everything} {operations} {:?}",
            sizes.algorithm()
        )?;
        out.flush()?;
    }
    Ok(())
}
