//! Products of matrices in tiles of registers: a few rows times a few vectors, summed in registers
//! over the whole depth.
//!
//! The right matrix is packed in *panels*: for each block of a few vectors of columns, all rows of
//! the block one after the other, padded with zeros. The left matrix is read where it lies.

use pulp::{Simd, WithSimd};

/// The most rows in a tile. Callers who give fewer repeat the last.
pub(crate) const MOST_ROWS: usize = 8;

/// How many vectors wide the panels of `columns` columns are, in order.
///
/// 32 registers hold 6 × 4, 8 × 3 or 8 × 2 sums, 16 hold 6 × 2.
pub(crate) fn panel_widths<S: Simd>(columns: usize) -> impl Iterator<Item = usize> {
    let widest = if S::REGISTER_COUNT >= 32 { 4 } else { 2 };
    let mut left = columns.div_ceil(S::F32_LANES);
    std::iter::from_fn(move || {
        // Never one vector alone where it can be helped: too few sums to hide the latency.
        let width = if left == widest + 1 && widest > 2 {
            widest - 1
        } else {
            left.min(widest)
        };
        left -= width;
        (width > 0).then_some(width)
    })
}

/// How many rows the tiles have over a panel of so many vectors.
pub(crate) const fn tile_rows<S: Simd>(width: usize) -> usize {
    if S::REGISTER_COUNT >= 32 && width < 4 {
        MOST_ROWS
    } else {
        6
    }
}

/// Calls a method that is generic over the instructions, the rows and the width of a tile with those for a
/// panel of so many vectors.
macro_rules! with_tile {
    ($S:ty, $width:expr, $self:ident.$method:ident($($argument:expr),*)) => {
        match ($width, $crate::tiles::tile_rows::<$S>($width)) {
            (4, _) => $self.$method::<$S, 6, 4>($($argument),*),
            (3, _) => $self.$method::<$S, 8, 3>($($argument),*),
            (2, 8) => $self.$method::<$S, 8, 2>($($argument),*),
            (2, _) => $self.$method::<$S, 6, 2>($($argument),*),
            (_, 8) => $self.$method::<$S, 8, 1>($($argument),*),
            _ => $self.$method::<$S, 6, 1>($($argument),*),
        }
    };
}
pub(crate) use with_tile;

/// The length of `rows` × `columns`, packed.
pub(crate) fn packed_length<S: Simd>(rows: usize, columns: usize) -> usize {
    columns.next_multiple_of(S::F32_LANES) * rows
}

/// Asks the instructions for [`packed_length`] of rows and columns.
pub(crate) struct PackedLength(pub(crate) usize, pub(crate) usize);

impl WithSimd for PackedLength {
    type Output = usize;

    fn with_simd<S: Simd>(self, _simd: S) -> usize {
        packed_length::<S>(self.0, self.1)
    }
}

/// Asks the instructions how many values a vector holds.
pub(crate) struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    fn with_simd<S: Simd>(self, _simd: S) -> usize {
        S::F32_LANES
    }
}

/// Packs a right matrix whose value at (row, column) is `value(row, column)`.
#[inline(always)]
pub(crate) fn pack<S: Simd>(
    rows: usize,
    columns: usize,
    packed: &mut [f32],
    value: impl Fn(usize, usize) -> f32,
) {
    let mut rest = &mut packed[..packed_length::<S>(rows, columns)];
    let mut first = 0;
    for width in panel_widths::<S>(columns) {
        let width = width * S::F32_LANES;
        let (panel, next) = rest.split_at_mut(rows * width);
        rest = next;
        for (row, places) in panel.chunks_exact_mut(width).enumerate() {
            for (column, place) in (first..).zip(places) {
                *place = if column < columns {
                    value(row, column)
                } else {
                    0.0
                };
            }
        }
        first += width;
    }
}

/// Neighbouring values of a row of the left matrix, `offset` from where the row starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) offset: usize,
    pub(crate) length: usize,
}

/// The rows of a left matrix times one panel: `sums[row][vector]`. Row `r` is made of the `runs` that
/// lie at `starts[r]`.
#[inline(always)]
pub(crate) fn rows_by_panel<S: Simd, const ROWS: usize, const WIDTH: usize>(
    simd: S,
    left: &[f32],
    starts: &[usize],
    runs: &[Run],
    panel: &[f32],
) -> [[S::f32s; WIDTH]; ROWS] {
    let mut sums = [[simd.splat_f32s(0.0); WIDTH]; ROWS];
    let mut panel = S::as_simd_f32s(panel).0.as_chunks::<WIDTH>().0;
    for run in runs {
        let rows: [&[f32]; ROWS] =
            std::array::from_fn(|row| &left[starts[row] + run.offset..][..run.length]);
        let (now, next) = panel.split_at(run.length);
        panel = next;
        for (depth, right) in now.iter().enumerate() {
            for (sums, row) in sums.iter_mut().zip(rows) {
                let value = simd.splat_f32s(row[depth]);
                for (sum, &right) in sums.iter_mut().zip(right) {
                    *sum = simd.mul_add_e_f32s(value, right, *sum);
                }
            }
        }
    }
    sums
}

/// Adds the transpose of some left rows times a panel to `sums[row][vector]`: the depth runs over
/// `panel`, whose step `d` takes the values `left[d * step..][..ROWS]`.
#[inline(always)]
pub(crate) fn add_columns_by_panel<S: Simd, const ROWS: usize, const WIDTH: usize>(
    simd: S,
    left: &[f32],
    step: usize,
    panel: &[[S::f32s; WIDTH]],
    sums: &mut [[S::f32s; WIDTH]; ROWS],
) {
    let mut now = *sums;
    for (depth, right) in panel.iter().enumerate() {
        let values: &[f32] = &left[depth * step..][..ROWS];
        for (sums, &value) in now.iter_mut().zip(values) {
            let value = simd.splat_f32s(value);
            for (sum, &right) in sums.iter_mut().zip(right) {
                *sum = simd.mul_add_e_f32s(value, right, *sum);
            }
        }
    }
    *sums = now;
}

/// Writes a row of sums to the columns that exist.
#[inline(always)]
pub(crate) fn store<S: Simd, const WIDTH: usize>(
    simd: S,
    sums: &[S::f32s; WIDTH],
    places: &mut [f32],
) {
    let (whole, rest) = S::as_mut_simd_f32s(places);
    for (place, &sum) in whole.iter_mut().zip(sums) {
        *place = sum;
    }
    if let Some(&sum) = sums.get(whole.len())
        && !rest.is_empty()
    {
        simd.partial_store_f32s(rest, sum);
    }
}
