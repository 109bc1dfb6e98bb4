//! The median by histograms: of columns, which move down, and of the window, which moves right over them.
//!
//! Perreault and Hébert, *Median filtering in constant time*, IEEE Transactions on Image Processing 16
//! (2007) 2389–2394, doi 10.1109/TIP.2007.902329.

use std::ops::Range;

use ndarray::Array2;
use rayon::prelude::*;

use super::Padded;
use crate::rows::slice_mut;
use crate::vectors::vectorised;

/// Columns at a time, whose histograms fit into the processor's second cache.
const STRIP: usize = 400;

/// Writes the median of the `size` × `size` pixels around each pixel; `size` is at most 255.
pub(super) fn medians(padded: &Padded<u8>, size: usize, output: &mut Array2<u8>) {
    let width = output.ncols();
    // A band begins with counting `size` rows, so it has several times as many.
    let band = (4 * size).max(32);
    let bands = slice_mut(output).par_chunks_mut(band * width).enumerate();
    bands.for_each(|(number, output)| {
        vectorised(
            #[inline(always)]
            || {
                for start in (0..width).step_by(STRIP) {
                    let strip = start..(start + STRIP).min(width);
                    medians_of_strip(padded, number * band, strip, size, width, output);
                }
            },
        );
    });
}

/// Counts of 256 levels and, for a quick search, of 16 groups of 16.
#[derive(Clone)]
struct Histogram {
    groups: [u16; 16],
    levels: [[u16; 16]; 16],
}

impl Histogram {
    const EMPTY: Self = Self {
        groups: [0; 16],
        levels: [[0; 16]; 16],
    };

    #[inline(always)]
    fn insert(&mut self, value: u8) {
        self.groups[usize::from(value >> 4)] += 1;
        self.levels[usize::from(value >> 4)][usize::from(value & 15)] += 1;
    }

    #[inline(always)]
    fn remove(&mut self, value: u8) {
        self.groups[usize::from(value >> 4)] -= 1;
        self.levels[usize::from(value >> 4)][usize::from(value & 15)] -= 1;
    }
}

/// The medians of a strip of a band; `output` is the whole band.
#[inline(always)]
fn medians_of_strip(
    padded: &Padded<u8>,
    first: usize,
    strip: Range<usize>,
    size: usize,
    width: usize,
    output: &mut [u8],
) {
    let seen = strip.start..strip.end + size - 1;
    let mut columns = vec![Histogram::EMPTY; seen.len()];
    for y in first..first + size - 1 {
        for (column, &value) in columns.iter_mut().zip(&padded.row(y)[seen.clone()]) {
            column.insert(value);
        }
    }
    for (y, row) in (first..).zip(output.chunks_exact_mut(width)) {
        let next = &padded.row(y + size - 1)[seen.clone()];
        for (column, &value) in columns.iter_mut().zip(next) {
            column.insert(value);
        }
        medians_of_row(&columns, size, &mut row[strip.clone()]);
        for (column, &value) in columns.iter_mut().zip(&padded.row(y)[seen.clone()]) {
            column.remove(value);
        }
    }
}

#[inline(always)]
fn medians_of_row(columns: &[Histogram], size: usize, row: &mut [u8]) {
    let rank = (size * size / 2) as u16;
    let mut window = Histogram::EMPTY;
    for column in &columns[..size - 1] {
        add(&mut window.groups, &column.groups);
    }
    // The levels of a group are counted only when the median lies there; they are those of the window
    // that begins at this column.
    let mut counted_at = [None; 16];
    for (x, value) in row.iter_mut().enumerate() {
        add(&mut window.groups, &columns[x + size - 1].groups);
        let (group, below) = find(&window.groups, rank);
        let levels = &mut window.levels[group];
        match counted_at[group] {
            Some(last) if x - last < size => {
                for (old, new) in (last..x).zip(last + size..) {
                    add(levels, &columns[new].levels[group]);
                    subtract(levels, &columns[old].levels[group]);
                }
            }
            _ => {
                *levels = [0; 16];
                for column in &columns[x..x + size] {
                    add(levels, &column.levels[group]);
                }
            }
        }
        counted_at[group] = Some(x);
        let (level, _) = find(levels, rank - below);
        *value = (group * 16 + level) as u8;
        subtract(&mut window.groups, &columns[x].groups);
    }
}

#[inline(always)]
fn add(counts: &mut [u16; 16], more: &[u16; 16]) {
    for (count, more) in counts.iter_mut().zip(more) {
        *count += more;
    }
}

#[inline(always)]
fn subtract(counts: &mut [u16; 16], less: &[u16; 16]) {
    for (count, less) in counts.iter_mut().zip(less) {
        *count -= less;
    }
}

/// Where the value of this rank (from 0) is counted, and how many values come before.
#[inline(always)]
fn find(counts: &[u16; 16], rank: u16) -> (usize, u16) {
    let mut before = 0;
    for (place, &count) in counts.iter().enumerate() {
        if before + count > rank {
            return (place, before);
        }
        before += count;
    }
    unreachable!("the rank is below the number of values")
}
