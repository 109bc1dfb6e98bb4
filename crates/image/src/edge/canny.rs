//! Canny's edges.
//!
//! Canny, *A computational approach to edge detection*, IEEE PAMI 8 (1986) 679–698,
//! doi 10.1109/TPAMI.1986.4767851, as OpenCV's `Canny` with `apertureSize` 3 computes them, bit for
//! bit: Sobel's derivatives with the outermost pixels repeated, then ridges, then hysteresis.
//!
//! A pixel lies on a ridge if its gradient's magnitude exceeds that of its two neighbours across the
//! edge. Which two follows from the gradient's direction in sectors of 45°, whose limits are
//! tan 22.5° = 13573 / 2¹⁵ and that plus 2. Tie rule: of two equal neighbours in a row the left one
//! wins, of two in a column the upper one; equal diagonal neighbours both lose. Beyond the image the
//! magnitude is 0.

use std::ops::Add;

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use super::sobel::{Columns, Sums};
use crate::Border;
use crate::error::{Result, check};
use crate::rows::{by_row, samples};
use crate::vectors::vectorised;

/// How the magnitude of a gradient is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GradientNorm {
    /// |x| + |y|: OpenCV's default.
    #[default]
    Manhattan,
    /// √(x² + y²): OpenCV's `L2gradient`.
    Euclidean,
}

/// The edges of a `u8` plane.
///
/// Edges are the ridges whose gradient exceeds `high`, and those that exceed `low` and touch such
/// a ridge, directly or through others, with 8 neighbours. Thresholds are in units of
/// [`sobel_u8`](super::sobel_u8): a step from black to white is 4 · 255. Smooth a noisy image first.
///
/// # Errors
/// If a threshold is negative or no number, or `low` exceeds `high` (OpenCV would exchange them).
pub fn canny(
    image: ArrayView2<'_, u8>,
    low: f64,
    high: f64,
    norm: GradientNorm,
) -> Result<Array2<bool>> {
    check("low", low, low >= 0.0, "a number of at least 0")?;
    check("high", high, high >= low, "a number of at least `low`")?;
    let (height, width) = image.dim();
    if image.is_empty() {
        return Ok(Array2::from_elem((height, width), false));
    }
    let pixels = samples(image);
    let plane = Plane {
        columns: Columns::new(&pixels, width, Border::Replicate),
        height,
        width,
    };
    let mut ridges = match norm {
        GradientNorm::Manhattan => {
            // No magnitude exceeds 8 · 255, so higher thresholds are all alike.
            let limits = (low.min(32767.0) as i16, high.min(32767.0) as i16);
            plane.ridges(limits, |x: i16, y: i16| x.abs() + y.abs())
        }
        GradientNorm::Euclidean => {
            let square = |limit: f64| limit.min(32767.0).powi(2) as i32;
            plane.ridges((square(low), square(high)), |x: i16, y: i16| {
                let (x, y) = (i32::from(x), i32::from(y));
                x * x + y * y
            })
        }
    };
    join_bands(&mut ridges, height, width + 2);
    Ok(by_row(
        image.raw_dim(),
        || (),
        |(), y, row| {
            let start = y * (width + 2) + 1;
            let kinds = &ridges[start..start + width];
            for (edge, &kind) in row.iter_mut().zip(kinds) {
                *edge = kind == EDGE;
            }
        },
    ))
}

/// No ridge, or too faint a one.
const NOTHING: u8 = 0;
/// A ridge above the lower threshold.
const CANDIDATE: u8 = 1;
/// A ridge above the upper threshold or connected with one.
const EDGE: u8 = 2;

/// The rows that are followed as one piece of work.
const BAND: usize = 64;

struct Plane<'a> {
    columns: Columns<'a, u8>,
    height: usize,
    width: usize,
}

/// The gradients of one row.
struct Row<M> {
    x: Vec<i16>,
    y: Vec<i16>,
    /// With one column more on each side, which is 0.
    magnitude: Vec<M>,
}

impl<M: Copy + Default> Row<M> {
    fn new(width: usize) -> Self {
        Self {
            x: vec![0; width],
            y: vec![0; width],
            magnitude: vec![M::default(); width + 2],
        }
    }
}

impl Plane<'_> {
    /// The kind of each pixel, with a column of nothing on each side; edges are complete within each
    /// band of rows.
    fn ridges<M: Magnitude>(
        &self,
        limits: (M, M),
        norm: impl Fn(i16, i16) -> M + Copy + Send + Sync,
    ) -> Vec<u8> {
        let stride = self.width + 2;
        let mut kinds = vec![NOTHING; self.height * stride];
        let bands = kinds.par_chunks_mut(BAND * stride).enumerate();
        bands.for_each(|(band, kinds)| {
            let mut sums = Sums::new(self.width);
            let mut rows = [(); 3].map(|()| Row::new(self.width));
            let first = band * BAND;
            let mut gradients = |y: usize, row: &mut Row<M>| {
                vectorised(
                    #[inline(always)]
                    || self.gradients(y, &mut sums, row, norm),
                );
            };
            if first > 0 {
                gradients(first - 1, &mut rows[0]);
            }
            gradients(first, &mut rows[1]);
            for (y, kinds) in (first..).zip(kinds.chunks_exact_mut(stride)) {
                if y + 1 < self.height {
                    gradients(y + 1, &mut rows[2]);
                } else {
                    rows[2].magnitude.fill(M::default());
                }
                let kinds = &mut kinds[1..=self.width];
                vectorised(
                    #[inline(always)]
                    || suppress(&rows, limits, kinds),
                );
                rows.rotate_left(1);
            }
            follow_all(kinds, stride);
        });
        kinds
    }

    #[inline(always)]
    fn gradients<M: Magnitude>(
        &self,
        y: usize,
        sums: &mut Sums<i16>,
        row: &mut Row<M>,
        norm: impl Fn(i16, i16) -> M,
    ) {
        self.columns.sum(y, self.height, sums, i16::from);
        sums.along_x(&mut row.x);
        sums.along_y(&mut row.y);
        let magnitudes = &mut row.magnitude[1..=self.width];
        for ((magnitude, &x), &y) in magnitudes.iter_mut().zip(&row.x).zip(&row.y) {
            *magnitude = norm(x, y);
        }
    }
}

/// A whole number wide enough for a magnitude.
trait Magnitude: Copy + Default + Ord + Send + Sync + Add<Output = Self> {}
impl Magnitude for i16 {}
impl Magnitude for i32 {}

/// Writes the kinds of the middle one of three rows.
///
/// Every neighbour is compared and the right comparison chosen afterwards: without branches, many
/// pixels are done at once.
#[inline(always)]
fn suppress<M: Magnitude>(
    [above, here, below]: &[Row<M>; 3],
    (low, high): (M, M),
    kinds: &mut [u8],
) {
    let width = kinds.len();
    let (x, y) = (&here.x[..width], &here.y[..width]);
    let [up_left, up, up_right] = columns(&above.magnitude, width);
    let [left, middle, right] = columns(&here.magnitude, width);
    let [down_left, down, down_right] = columns(&below.magnitude, width);
    for i in 0..width {
        let magnitude = middle[i];
        let (along, across) = (x[i].abs(), y[i].abs());
        // Below 2¹¹, so that twice the value times 13573 / 2¹⁶ is exact in the high half.
        let flat = ((i32::from(along + along) * 13573) >> 16) as i16;
        let is_horizontal = across <= flat;
        let is_vertical = across > flat + along + along;
        let falls = (x[i] ^ y[i]) >= 0;
        let horizontal = (magnitude > left[i]) & (magnitude >= right[i]);
        let vertical = (magnitude > up[i]) & (magnitude >= down[i]);
        let falling = (magnitude > up_left[i]) & (magnitude > down_right[i]);
        let rising = (magnitude > up_right[i]) & (magnitude > down_left[i]);
        let diagonal = (falls & falling) | (!falls & rising);
        let oblique = !is_horizontal & !is_vertical;
        let ridge = (is_horizontal & horizontal) | (is_vertical & vertical) | (oblique & diagonal);
        let candidate = ridge & (magnitude > low);
        kinds[i] = u8::from(candidate) + u8::from(candidate & (magnitude > high));
    }
}

/// The left neighbours, the pixels themselves and the right neighbours of a row.
#[inline(always)]
fn columns<M>(row: &[M], width: usize) -> [&[M]; 3] {
    [&row[..width], &row[1..1 + width], &row[2..2 + width]]
}

/// Follows edges from every edge pixel of a band.
fn follow_all(kinds: &mut [u8], stride: usize) {
    let mut pending = Vec::new();
    let whole = kinds.len() / 8 * 8;
    for start in (0..whole).step_by(8) {
        // Most pixels are no edges: eight at a time.
        let any = kinds[start..start + 8]
            .iter()
            .fold(0, |any, kind| any | kind);
        if any & EDGE != 0 {
            follow_from(kinds, stride, start..start + 8, &mut pending);
        }
    }
    follow_from(kinds, stride, whole..kinds.len(), &mut pending);
}

fn follow_from(
    kinds: &mut [u8],
    stride: usize,
    pixels: std::ops::Range<usize>,
    pending: &mut Vec<usize>,
) {
    for pixel in pixels {
        if kinds[pixel] == EDGE {
            pending.push(pixel);
            follow(kinds, stride, pending);
        }
    }
}

/// Turns the candidates that touch pending edge pixels into edges, and those that touch them.
fn follow(kinds: &mut [u8], stride: usize, pending: &mut Vec<usize>) {
    while let Some(pixel) = pending.pop() {
        // No pixel lies in the first or last column, so neighbours in a row always exist.
        promote(kinds, pixel - 1, pending);
        promote(kinds, pixel + 1, pending);
        if pixel >= stride {
            for neighbour in pixel - stride - 1..pixel - stride + 2 {
                promote(kinds, neighbour, pending);
            }
        }
        if pixel + stride < kinds.len() {
            for neighbour in pixel + stride - 1..pixel + stride + 2 {
                promote(kinds, neighbour, pending);
            }
        }
    }
}

fn promote(kinds: &mut [u8], pixel: usize, pending: &mut Vec<usize>) {
    if kinds[pixel] == CANDIDATE {
        kinds[pixel] = EDGE;
        pending.push(pixel);
    }
}

/// Follows the edges that cross from band to band.
fn join_bands(kinds: &mut [u8], height: usize, stride: usize) {
    let mut pending = Vec::new();
    for first in (BAND..height).step_by(BAND) {
        // The rows on both sides of the seam.
        let seam = (first - 1) * stride..(first + 1) * stride;
        pending.extend(seam.filter(|&pixel| kinds[pixel] == EDGE));
        follow(kinds, stride, &mut pending);
    }
}
