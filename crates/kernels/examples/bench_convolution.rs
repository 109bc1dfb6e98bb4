//! Times convolutions for `benches/peers/convolution.py`: reads lines of sizes, and prints for each the seconds of
//! a forward pass and of the two gradients, the operations by definition and the algorithm.
//!
//! A line is `images size inputs outputs kernel stride depthwise`.

use std::io::{BufRead, Write};
use std::time::Instant;

use cleanslide_kernels::{Convolution, Instructions};

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
        let mut seconds = [0.0; 3];
        // The first run fetches its memory.
        for _ in 0..2 {
            let start = Instant::now();
            sizes.forward(instructions, &pixels, &filters, None, &mut result);
            seconds[0] = start.elapsed().as_secs_f64();
            let start = Instant::now();
            sizes.backward_images(
                instructions,
                &gradient,
                &filters,
                None,
                &mut pixels_gradient,
            );
            seconds[1] = start.elapsed().as_secs_f64();
            let start = Instant::now();
            sizes.backward_filters(instructions, &pixels, &gradient, &mut filters_gradient);
            seconds[2] = start.elapsed().as_secs_f64();
        }
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
