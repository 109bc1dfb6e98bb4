//! Poisson's equation on a rectangle by sine transforms, and the problem that `cv2.seamlessClone`
//! solves on the mask's bounding rectangle.

use std::ops::Range;

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis, s};
use rayon::prelude::*;
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};

use super::Gradients;

/// The reach of the 7 × 7 neighbourhood that must be masked.
const RIM: usize = 3;

/// OpenCV cuts a result to a whole number. Where the exact result is a whole number, rounding
/// errors must not decide; they are far smaller than this.
const SLACK: f64 = 1e-6;

pub(super) fn clone(
    source: ArrayView3<u8>,
    destination: ArrayView3<u8>,
    mask: ArrayView2<bool>,
    gradients: Gradients,
) -> Array3<u8> {
    let mut result = destination.to_owned();
    let Some((rows, columns)) = bounds(mask) else {
        return result;
    };
    // The rectangle's outermost pixels stay: fewer than three rows or columns have nothing inside.
    if rows.len() < 3 || columns.len() < 3 {
        return result;
    }
    let core = core(mask, &rows, &columns);
    let window = s![rows, columns, ..];
    let (source, destination) = (source.slice(window), destination.slice(window));
    let mut planes: Vec<Array2<f64>> = source
        .axis_iter(Axis(2))
        .into_par_iter()
        .zip(destination.axis_iter(Axis(2)))
        .map(|(source, destination)| excess(source, destination, core.view(), gradients))
        .collect();
    solve(&mut planes);
    let (height, width) = core.dim();
    let mut inside = result.slice_mut(window);
    let mut inside = inside.slice_mut(s![1..height - 1, 1..width - 1, ..]);
    inside
        .axis_iter_mut(Axis(0))
        .into_par_iter()
        .enumerate()
        .for_each(|(y, mut row)| {
            for (plane, mut row) in planes.iter().zip(row.axis_iter_mut(Axis(1))) {
                for (change, value) in plane.row(y).iter().zip(&mut row) {
                    // A cast to `u8` cuts and saturates, as OpenCV does.
                    *value = (f64::from(*value) + change + SLACK) as u8;
                }
            }
        });
    result
}

/// The rectangle around the masked pixels that are not outermost in the image.
fn bounds(mask: ArrayView2<bool>) -> Option<(Range<usize>, Range<usize>)> {
    let (height, width) = mask.dim();
    let mut found: Option<(Range<usize>, Range<usize>)> = None;
    for y in 1..height.saturating_sub(1) {
        for x in 1..width.saturating_sub(1) {
            if mask[[y, x]] {
                let (rows, columns) = found.get_or_insert((y..y + 1, x..x + 1));
                rows.end = y + 1;
                *columns = columns.start.min(x)..columns.end.max(x + 1);
            }
        }
    }
    found
}

/// Where source gradients hold, in the rectangle: pixels whose 7 × 7 neighbourhood is masked as far
/// as it is in the image.
fn core(mask: ArrayView2<bool>, rows: &Range<usize>, columns: &Range<usize>) -> Array2<bool> {
    let (height, width) = mask.dim();
    let masked =
        |y: usize, x: usize| mask[[y, x]] && y > 0 && x > 0 && y + 1 < height && x + 1 < width;
    let around = |at: usize, length: usize| at.saturating_sub(RIM)..length.min(at + RIM + 1);
    let mut across = Array2::from_elem((height, columns.len()), false);
    for ((y, x), all) in across.indexed_iter_mut() {
        *all = around(x + columns.start, width).all(|x| masked(y, x));
    }
    Array2::from_shape_fn((rows.len(), columns.len()), |(y, x)| {
        around(y + rows.start, height).all(|y| across[[y, x]])
    })
}

/// By how much the divergence of the wanted gradients exceeds that of the destination's, inside the
/// rectangle.
fn excess(
    source: ArrayView2<u8>,
    destination: ArrayView2<u8>,
    core: ArrayView2<bool>,
    gradients: Gradients,
) -> Array2<f64> {
    let (height, width) = core.dim();
    let mut sum = Array2::zeros((height - 2, width - 2));
    for y in 0..height - 1 {
        for x in 0..width - 1 {
            if !core[[y, x]] {
                continue;
            }
            let steps = |image: ArrayView2<u8>| {
                let value = |y, x| f64::from(image[[y, x]]);
                let here = value(y, x);
                (value(y, x + 1) - here, value(y + 1, x) - here)
            };
            let (right, down) = steps(source);
            let (old_right, old_down) = steps(destination);
            if gradients == Gradients::Mixed && (right - down).abs() <= (old_right - old_down).abs()
            {
                continue;
            }
            // A gradient flows out of its own pixel's sum and into that of its right or lower one.
            let mut add = |y: usize, x: usize, value: f64| {
                if (1..height - 1).contains(&y) && (1..width - 1).contains(&x) {
                    sum[[y - 1, x - 1]] += value;
                }
            };
            add(y, x, (right - old_right) + (down - old_down));
            add(y, x + 1, old_right - right);
            add(y + 1, x, old_down - down);
        }
    }
    sum
}

/// Replaces right sides f by the solutions of Δu = f that are 0 around the rectangle: sine
/// transforms of the rows leave one tridiagonal system for each frequency, down the columns.
pub(super) fn solve(planes: &mut [Array2<f64>]) {
    let Some(width) = planes.first().map(Array2::ncols) else {
        return;
    };
    let transform = FftPlanner::new().plan_fft_forward(2 * (width + 1));
    let diagonal: Vec<f64> = (1..=width)
        .map(|k| 4.0 - 2.0 * (std::f64::consts::PI * k as f64 / (width + 1) as f64).cos())
        .collect();
    sine_transform(planes, transform.as_ref());
    planes
        .par_iter_mut()
        .for_each(|plane| solve_columns(plane, &diagonal));
    sine_transform(planes, transform.as_ref());
    // The transform is its own inverse but for this factor.
    let scale = 2.0 / (width + 1) as f64;
    for plane in planes {
        plane.par_mapv_inplace(|value| value * scale);
    }
}

/// The sine transform (DST-I) of every row: Σ value(j) sin(π j k / (n + 1)).
///
/// It is the imaginary part of the Fourier transform of the row followed by its negative mirror
/// image. Two rows share one transform as real and imaginary part.
fn sine_transform(planes: &mut [Array2<f64>], transform: &dyn Fft<f64>) {
    let mut rows: Vec<_> = planes
        .iter_mut()
        .flat_map(|plane| plane.rows_mut())
        .collect();
    let length = transform.len();
    let zero = Complex::new(0.0, 0.0);
    rows.par_chunks_mut(2).for_each_init(
        || {
            (
                vec![zero; length],
                vec![zero; transform.get_inplace_scratch_len()],
            )
        },
        |(buffer, scratch), pair| {
            buffer.fill(zero);
            for j in 0..pair[0].len() {
                let value = Complex::new(pair[0][j], pair.get(1).map_or(0.0, |row| row[j]));
                buffer[j + 1] = value;
                buffer[length - 1 - j] = -value;
            }
            transform.process_with_scratch(buffer, scratch);
            for j in 0..pair[0].len() {
                pair[0][j] = -0.5 * buffer[j + 1].im;
                if let Some(row) = pair.get_mut(1) {
                    row[j] = 0.5 * buffer[j + 1].re;
                }
            }
        },
    );
}

/// Solves u(y − 1) − diagonal · u(y) + u(y + 1) = f(y) in every column, u = 0 beyond both ends, by
/// elimination, all columns side by side.
fn solve_columns(plane: &mut Array2<f64>, diagonal: &[f64]) {
    let height = plane.nrows();
    let mut factors = Array2::zeros(plane.dim());
    for y in 0..height {
        for x in 0..diagonal.len() {
            let (factor, value) = if y == 0 {
                (0.0, 0.0)
            } else {
                (factors[[y - 1, x]], plane[[y - 1, x]])
            };
            factors[[y, x]] = 1.0 / (diagonal[x] - factor);
            plane[[y, x]] = (value - plane[[y, x]]) * factors[[y, x]];
        }
    }
    for y in (0..height.saturating_sub(1)).rev() {
        for x in 0..diagonal.len() {
            plane[[y, x]] += factors[[y, x]] * plane[[y + 1, x]];
        }
    }
}
