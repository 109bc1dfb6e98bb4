//! Products of matrices in tiles of registers: a few rows times a few vectors, summed in registers
//! over the whole depth.
//!
//! The right matrix is packed in *panels*: for each block of a few vectors of columns, all rows of
//! the block one after the other, padded with zeros. The left matrix is read where it lies.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::Instructions;

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

/// The most rows in a tile whose rows are side by side: one address is enough, so they may be more.
pub(crate) const TALLEST_ROWS: usize = 14;

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

/// Like [`with_tile`], for tiles whose rows are side by side.
macro_rules! with_tall_tile {
    ($S:ty, $width:expr, $self:ident.$method:ident($($argument:expr),*)) => {
        match ($width, <$S>::REGISTER_COUNT >= 32) {
            (4, _) => $self.$method::<$S, 6, 4>($($argument),*),
            (3, _) => $self.$method::<$S, 9, 3>($($argument),*),
            (2, true) => $self.$method::<$S, { $crate::tiles::TALLEST_ROWS }, 2>($($argument),*),
            (2, false) => $self.$method::<$S, 6, 2>($($argument),*),
            (_, true) => $self.$method::<$S, { $crate::tiles::TALLEST_ROWS }, 1>($($argument),*),
            (_, false) => $self.$method::<$S, 12, 1>($($argument),*),
        }
    };
}
pub(crate) use with_tall_tile;

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

/// Asks the instructions for [`panel_widths`], in values.
pub(crate) struct PanelWidths(pub(crate) usize);

impl WithSimd for PanelWidths {
    type Output = Vec<usize>;

    fn with_simd<S: Simd>(self, _simd: S) -> Vec<usize> {
        panel_widths::<S>(self.0)
            .map(|width| width * S::F32_LANES)
            .collect()
    }
}

/// A panel's first column, its width in values and its place in what is packed.
pub(crate) struct PanelPlaces<'a> {
    pub(crate) first: usize,
    pub(crate) width: usize,
    pub(crate) values: &'a mut [f32],
}

/// The panels of a right matrix, which threads can share among them.
pub(crate) fn panels(
    instructions: Instructions,
    rows: usize,
    columns: usize,
    packed: &mut [f32],
) -> Vec<PanelPlaces<'_>> {
    let (mut rest, mut next) = (packed, 0);
    let widths = instructions.dispatch(PanelWidths(columns));
    let panel = widths.into_iter().map(|width| {
        let (values, behind) = std::mem::take(&mut rest).split_at_mut(rows * width);
        rest = behind;
        let first = next;
        next += width;
        PanelPlaces {
            first,
            width,
            values,
        }
    });
    panel.collect()
}

/// Packs a right matrix whose value at (row, column) is `value(row, column)`.
pub(crate) fn pack(
    instructions: Instructions,
    rows: usize,
    columns: usize,
    packed: &mut [f32],
    value: impl Fn(usize, usize) -> f32 + Sync,
) {
    panels(instructions, rows, columns, packed)
        .into_par_iter()
        .for_each(|panel| {
            for (row, places) in panel.values.chunks_exact_mut(panel.width).enumerate() {
                for (column, place) in (panel.first..).zip(places) {
                    *place = if column < columns {
                        value(row, column)
                    } else {
                        0.0
                    };
                }
            }
        });
}

/// Packs a right matrix whose rows of so many columns lie one after the other.
pub(crate) struct PackRows<'a> {
    pub(crate) columns: usize,
    pub(crate) values: &'a [f32],
    pub(crate) packed: &'a mut [f32],
}

impl WithSimd for PackRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let rows = self.values.len() / self.columns;
        let (mut rest, mut first) = (self.packed, 0);
        for width in panel_widths::<S>(self.columns) {
            let lanes = width * S::F32_LANES;
            let (panel, next) = rest.split_at_mut(rows * lanes);
            rest = next;
            let last = self.columns.min(first + lanes);
            let panel = S::as_mut_simd_f32s(panel).0.chunks_exact_mut(width);
            for (places, row) in panel.zip(self.values.chunks_exact(self.columns)) {
                let (whole, part) = S::as_simd_f32s(&row[first..last]);
                for (place, &value) in places.iter_mut().zip(whole) {
                    *place = value;
                }
                if let Some(place) = places.get_mut(whole.len()) {
                    *place = simd.partial_load_f32s(part);
                }
            }
            first += lanes;
        }
    }
}

/// Neighbouring values of a row of the left matrix, `offset` from where the row starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) offset: usize,
    pub(crate) length: usize,
}

/// The rows of a left matrix times one panel, added to `start`: `sums[row][vector]`. Row `r` is made of the `runs` that
/// lie at `starts[r]`.
#[inline(always)]
pub(crate) fn rows_by_panel<S: Simd, const ROWS: usize, const WIDTH: usize>(
    simd: S,
    left: &[f32],
    starts: &[usize],
    runs: &[Run],
    panel: &[f32],
    start: [S::f32s; WIDTH],
) -> [[S::f32s; WIDTH]; ROWS] {
    let mut sums = [start; ROWS];
    let mut panel = S::as_simd_f32s(panel).0.as_chunks::<WIDTH>().0;
    for run in runs {
        // Written so that the compiler sees that all rows are as long as the panel, and checks no bounds below.
        let mut rows: [&[f32]; ROWS] = [&[]; ROWS];
        for (row, start) in rows.iter_mut().zip(starts) {
            *row = &left[start + run.offset..][..run.length];
        }
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

/// Neighbouring values of the left matrix as rows, times one panel, added to `sums[row][vector]`: the values of
/// each step of the depth lie at `offsets`.
#[inline(always)]
pub(crate) fn neighbours_by_panel<S: Simd, const ROWS: usize, const WIDTH: usize>(
    simd: S,
    left: &[f32],
    offsets: &[usize],
    panel: &[[S::f32s; WIDTH]],
    mut sums: [[S::f32s; WIDTH]; ROWS],
) -> [[S::f32s; WIDTH]; ROWS] {
    for (&offset, right) in offsets.iter().zip(panel) {
        let values: &[f32] = &left[offset..][..ROWS];
        for (sums, &value) in sums.iter_mut().zip(values) {
            let value = simd.splat_f32s(value);
            for (sum, &right) in sums.iter_mut().zip(right) {
                *sum = simd.mul_add_e_f32s(value, right, *sum);
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

/// As many vectors of `bias` as there are, zeros behind them and where there is none.
#[inline(always)]
pub(crate) fn load_bias<S: Simd, const WIDTH: usize>(
    simd: S,
    bias: Option<&[f32]>,
) -> [S::f32s; WIDTH] {
    let mut vectors = [simd.splat_f32s(0.0); WIDTH];
    let values = bias.unwrap_or_default().chunks(S::F32_LANES);
    for (vector, values) in vectors.iter_mut().zip(values) {
        *vector = simd.partial_load_f32s(values);
    }
    vectors
}

/// Writes the first `count` rows of a tile to the `columns` values that each has at its place in `result`.
#[inline(always)]
pub(crate) fn store_tile<S: Simd, const ROWS: usize, const WIDTH: usize>(
    simd: S,
    sums: [[S::f32s; WIDTH]; ROWS],
    [count, columns]: [usize; 2],
    result: &mut [f32],
    place: impl Fn(usize) -> usize,
) {
    // A loop whose end the compiler does not know keeps the sums in memory rather than in registers.
    if count == ROWS && columns == WIDTH * S::F32_LANES {
        for (row, sums) in sums.iter().enumerate() {
            let places = &mut result[place(row)..][..WIDTH * S::F32_LANES];
            for (place, &sum) in S::as_mut_simd_f32s(places).0.iter_mut().zip(sums) {
                *place = sum;
            }
        }
        return;
    }
    let kept = sums;
    for (row, sums) in kept.iter().enumerate().take(count) {
        store(simd, sums, &mut result[place(row)..][..columns]);
    }
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
