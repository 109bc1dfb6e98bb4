//! Distances to the background.

use std::ops::{Add, Mul, Sub};

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::{picture, raster};
use crate::error::{Result, check};

/// The distance from each pixel of the mask to the nearest pixel outside it, centre to centre in
/// pixels; 0 outside the mask, infinite if nothing is outside it (what lies beyond the border counts
/// for nothing).
///
/// Exact: the square root, rounded to `f32`, of an integer. Equal to
/// `scipy.ndimage.distance_transform_edt`, except that SciPy's answer to a mask that covers the whole
/// image is without meaning; OpenCV's `DIST_L2` with `DIST_MASK_PRECISE` is the same but for rounding.
///
/// Along columns first, then along rows by the lower envelope of parabolas (C. Maurer, R. Qi,
/// V. Raghavan, IEEE Transactions on Pattern Analysis and Machine Intelligence 25, 2003,
/// doi:10.1109/TPAMI.2003.1177156).
pub fn distance(mask: ArrayView2<'_, bool>) -> Array2<f32> {
    let (height, width) = mask.dim();
    // An f32 root of an exact f32 is the exact root rounded; above this the square is not exact.
    if height * height + width * width < 1 << 24 {
        transform(mask, 1_i64, 1, f32::INFINITY, |squared| {
            (squared as f32).sqrt()
        })
    } else {
        transform(mask, 1_i64, 1, f32::INFINITY, |squared| {
            (squared as f64).sqrt() as f32
        })
    }
}

/// As [`distance`], squared: integers, [`u64::MAX`] if nothing is outside the mask.
pub fn squared_distance(mask: ArrayView2<'_, bool>) -> Array2<u64> {
    transform(mask, 1_i64, 1, u64::MAX, |squared| squared as u64)
}

/// As [`distance`], where pixels are `spacing` (x, y) apart, for example in microns.
///
/// Not rounded to `f32`, and equal to `scipy.ndimage.distance_transform_edt` with
/// `sampling=(y, x)` but for the rounding of sums of squares.
///
/// # Errors
/// A spacing that is not finite and positive.
pub fn spaced_distance(mask: ArrayView2<'_, bool>, spacing: (f64, f64)) -> Result<Array2<f64>> {
    for (name, value) in [("spacing.x", spacing.0), ("spacing.y", spacing.1)] {
        let valid = value.is_finite() && value > 0.0;
        check(name, value, valid, "a finite positive number")?;
    }
    let (x, y) = spacing;
    Ok(transform(mask, x, y, f64::INFINITY, f64::sqrt))
}

/// Steps that count as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Steps {
    /// To the four pixels that share an edge (L1, taxicab, city block).
    Straight,
    /// To the eight pixels that share an edge or corner (L∞, chessboard).
    Diagonal,
}

/// The fewest steps from each pixel of the mask to a pixel outside it; 0 outside the mask,
/// [`u32::MAX`] if nothing is outside it.
///
/// Equal to `scipy.ndimage.distance_transform_cdt` with `taxicab` or `chessboard`, which says −1 where
/// this says [`u32::MAX`].
pub fn step_distance(mask: ArrayView2<'_, bool>, steps: Steps) -> Array2<u32> {
    let start = |&inside: &bool| if inside { u32::MAX } else { 0 };
    let mut distances: Array2<u32> = mask.map(start);
    // Once forwards and once backwards over the raster (A. Rosenfeld, J. Pfaltz, "Sequential
    // operations in digital picture processing", Journal of the ACM 13, 1966,
    // doi:10.1145/321356.321357).
    sweep(&mut distances, steps);
    distances.invert_axis(Axis(0));
    distances.invert_axis(Axis(1));
    sweep(&mut distances, steps);
    distances.invert_axis(Axis(0));
    distances.invert_axis(Axis(1));
    distances
}

fn sweep(distances: &mut Array2<u32>, steps: Steps) {
    let (height, width) = distances.dim();
    for y in 0..height {
        for x in 0..width {
            let mut nearest = u32::MAX;
            if y > 0 {
                nearest = nearest.min(distances[(y - 1, x)]);
            }
            if x > 0 {
                nearest = nearest.min(distances[(y, x - 1)]);
            }
            if steps == Steps::Diagonal && y > 0 {
                if x > 0 {
                    nearest = nearest.min(distances[(y - 1, x - 1)]);
                }
                if x + 1 < width {
                    nearest = nearest.min(distances[(y - 1, x + 1)]);
                }
            }
            let here = &mut distances[(y, x)];
            *here = (*here).min(nearest.saturating_add(1));
        }
    }
}

/// Numbers that squared distances can be in.
trait Length:
    Copy + PartialOrd + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Send + Sync
{
    fn of(steps: u32) -> Self;
}

impl Length for i64 {
    fn of(steps: u32) -> Self {
        Self::from(steps)
    }
}

impl Length for f64 {
    fn of(steps: u32) -> Self {
        Self::from(steps)
    }
}

/// Steps from here on mean that no pixel of the column is outside the mask; images have fewer rows.
const NONE: u32 = 1 << 31;

/// Rows that are worked on together: few enough that their steps stay in the cache.
const BAND: usize = 32;

fn transform<L: Length, T: Copy + Default + Send + Sync>(
    mask: ArrayView2<'_, bool>,
    step_x: L,
    step_y: L,
    unreached: T,
    finish: impl Fn(L) -> T + Sync,
) -> Array2<T> {
    let size @ (height, width) = mask.dim();
    if mask.is_empty() {
        return Array2::default(size);
    }
    let pixels = raster(mask);
    let (above, below) = around_bands(&pixels, width);
    let mut distances = vec![T::default(); height * width];
    distances
        .par_chunks_mut(BAND * width)
        .zip(pixels.par_chunks(BAND * width))
        .zip(above.into_par_iter().zip(below))
        .for_each_init(
            || (Vec::new(), Row::default()),
            |(steps, row), ((distances, pixels), (above, below))| {
                along_columns(pixels, above, below, steps);
                for (distances, steps) in distances
                    .chunks_exact_mut(width)
                    .zip(steps.chunks_exact(width))
                {
                    row.transform(steps, step_x, step_y, unreached, &finish, distances);
                }
            },
        );
    picture(size, distances)
}

/// For each band of rows, the steps along each column to the nearest pixel outside the mask that is
/// above the band, from the row before it, and to the nearest below, from the row after it.
fn around_bands(pixels: &[bool], width: usize) -> (Vec<Vec<u32>>, Vec<Vec<u32>>) {
    let bands: Vec<(usize, Vec<u32>, Vec<u32>)> = pixels
        .par_chunks(BAND * width)
        .map(|band| {
            let rows = band.chunks_exact(width);
            let mut down = vec![NONE; width];
            let mut up = down.clone();
            rows.clone().for_each(|row| advance(&mut down, row));
            rows.clone().rev().for_each(|row| advance(&mut up, row));
            (rows.len(), down, up)
        })
        .collect();
    let down = bands.iter().map(|(rows, down, _)| (*rows, down));
    let up = bands.iter().rev().map(|(rows, _, up)| (*rows, up));
    let above = carry(down, width);
    let mut below = carry(up, width);
    below.reverse();
    (above, below)
}

/// The steps with which each band is entered, given how many rows it has and what it says alone.
fn carry<'a>(bands: impl Iterator<Item = (usize, &'a Vec<u32>)>, width: usize) -> Vec<Vec<u32>> {
    let mut entering = vec![NONE; width];
    bands
        .map(|(rows, alone)| {
            let leaving = std::iter::zip(alone, &entering)
                .map(|(&alone, &entering)| alone.min(entering + rows as u32))
                .collect();
            std::mem::replace(&mut entering, leaving)
        })
        .collect()
}

/// Goes on by a row.
fn advance(steps: &mut [u32], row: &[bool]) {
    for (steps, &inside) in steps.iter_mut().zip(row) {
        *steps = (*steps + 1) * u32::from(inside);
    }
}

/// For each pixel of a band the steps along its column to the nearest pixel outside the mask.
fn along_columns(pixels: &[bool], mut above: Vec<u32>, mut below: Vec<u32>, steps: &mut Vec<u32>) {
    let width = above.len();
    steps.clear();
    for row in pixels.chunks_exact(width) {
        advance(&mut above, row);
        steps.extend_from_slice(&above);
    }
    for (steps, row) in
        std::iter::zip(steps.chunks_exact_mut(width), pixels.chunks_exact(width)).rev()
    {
        advance(&mut below, row);
        for (steps, below) in steps.iter_mut().zip(&below) {
            *steps = (*steps).min(*below);
        }
    }
}

/// One parabola of the envelope: at `at`, with this squared height.
#[derive(Clone, Copy)]
struct Parabola<L> {
    at: L,
    height: L,
}

impl<L: Length> Parabola<L> {
    fn over(&self, at: L) -> L {
        let offset = at - self.at;
        offset * offset + self.height
    }

    /// Whether it is nowhere the lowest, given one to its left and one to its right.
    fn hidden(&self, left: &Self, right: &Self) -> bool {
        let (before, after) = (self.at - left.at, right.at - self.at);
        let whole = before + after;
        whole * self.height - after * left.height - before * right.height - before * after * whole
            >= L::of(0)
    }
}

/// Working memory for rows.
struct Row<L> {
    envelope: Vec<Parabola<L>>,
}

impl<L> Default for Row<L> {
    fn default() -> Self {
        Self {
            envelope: Vec::new(),
        }
    }
}

impl<L: Length> Row<L> {
    fn transform<T: Copy>(
        &mut self,
        steps: &[u32],
        step_x: L,
        step_y: L,
        unreached: T,
        finish: impl Fn(L) -> T,
        distances: &mut [T],
    ) {
        // A run of the mask needs no pixel beyond the two outside pixels that enclose it: these are
        // nearer than whatever is behind them.
        let mut start = 0;
        for run in steps.chunk_by(|&one, &other| (one == 0) == (other == 0)) {
            let end = start + run.len();
            if run[0] == 0 {
                distances[start..end].fill(finish(L::of(0)));
            } else {
                let from = start.saturating_sub(1);
                let until = (end + 1).min(steps.len());
                self.envelope.clear();
                for (x, &steps) in (from as u32..).zip(&steps[from..until]) {
                    if steps < NONE {
                        self.push(L::of(x) * step_x, L::of(steps) * step_y);
                    }
                }
                self.read(
                    start,
                    step_x,
                    unreached,
                    &finish,
                    &mut distances[start..end],
                );
            }
            start = end;
        }
    }

    fn push(&mut self, at: L, height: L) {
        let new = Parabola {
            at,
            height: height * height,
        };
        while let [.., left, last] = self.envelope.as_slice()
            && last.hidden(left, &new)
        {
            self.envelope.pop();
        }
        self.envelope.push(new);
    }

    fn read<T: Copy>(
        &self,
        start: usize,
        step_x: L,
        unreached: T,
        finish: impl Fn(L) -> T,
        distances: &mut [T],
    ) {
        let Some((mut lowest, mut rest)) = self.envelope.split_first() else {
            distances.fill(unreached);
            return;
        };
        for (x, distance) in (start as u32..).zip(distances) {
            let at = L::of(x) * step_x;
            let mut value = lowest.over(at);
            while let Some((next, after)) = rest.split_first() {
                let other = next.over(at);
                if other > value {
                    break;
                }
                (lowest, rest, value) = (next, after, other);
            }
            *distance = finish(value);
        }
    }
}
