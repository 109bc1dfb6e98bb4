//! Measures what the machine can do, for `benches/peers/convolution.py`: prints the operations per second of
//! multiply-adds that stay in registers, and the bytes per second of a triad (a = b + s c) over memory much larger
//! than a core's caches, both with all of rayon's threads and the widest instructions. The best of some runs counts.

use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

use cleanslide_kernels::Instructions;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

const REPEATS: usize = 7;
const STEPS: usize = 5_000_000;
/// 512 MB for each of three arrays.
const VALUES: usize = 128 << 20;

/// Multiplies and adds for so many steps; returns how many operations that was, and a value that needs them all.
struct MultiplyAdds(usize);

impl WithSimd for MultiplyAdds {
    type Output = (usize, f32);

    fn with_simd<S: Simd>(self, simd: S) -> (usize, f32) {
        if S::REGISTER_COUNT >= 32 {
            multiply_adds::<S, 24>(simd, self.0)
        } else {
            multiply_adds::<S, 12>(simd, self.0)
        }
    }
}

/// Sums side by side, enough that none waits for another.
#[inline(always)]
fn multiply_adds<S: Simd, const SUMS: usize>(simd: S, steps: usize) -> (usize, f32) {
    let factor = simd.splat_f32s(black_box(0.5));
    let addend = simd.splat_f32s(black_box(1.0));
    let mut sums = [simd.splat_f32s(black_box(0.0)); SUMS];
    for _ in 0..steps {
        for sum in &mut sums {
            *sum = simd.mul_add_e_f32s(*sum, factor, addend);
        }
    }
    let total = sums
        .into_iter()
        .fold(simd.splat_f32s(0.0), |total, sum| simd.add_f32s(total, sum));
    let operations = 2 * steps * SUMS * S::F32_LANES;
    (operations, simd.reduce_sum_f32s(total))
}

fn main() -> std::io::Result<()> {
    let instructions = Instructions::new();
    let rates = (0..REPEATS).map(|_| {
        let start = Instant::now();
        let operations: usize = (0..rayon::current_num_threads())
            .into_par_iter()
            .map(|_| {
                let (operations, value) = instructions.dispatch(MultiplyAdds(STEPS));
                black_box(value);
                operations
            })
            .sum();
        operations as f64 / start.elapsed().as_secs_f64()
    });
    let peak = rates.fold(0.0, f64::max);

    let [mut sums, first, second] = [0.0_f32, 1.0, 2.0].map(|value| {
        // Written by the threads that will read it.
        let mut values = vec![0.0; VALUES];
        values.par_iter_mut().for_each(|place| *place = value);
        values
    });
    let chunk = VALUES.div_ceil(rayon::current_num_threads());
    let rates = (0..REPEATS).map(|_| {
        let factor = black_box(3.0);
        let start = Instant::now();
        sums.par_chunks_mut(chunk)
            .zip(first.par_chunks(chunk))
            .zip(second.par_chunks(chunk))
            .for_each(|((sums, first), second)| {
                for ((sum, first), second) in sums.iter_mut().zip(first).zip(second) {
                    *sum = first + factor * second;
                }
            });
        black_box(&mut sums);
        (3 * VALUES * size_of::<f32>()) as f64 / start.elapsed().as_secs_f64()
    });
    let bandwidth = rates.fold(0.0, f64::max);
    writeln!(std::io::stdout(), "{peak} {bandwidth}")
}
