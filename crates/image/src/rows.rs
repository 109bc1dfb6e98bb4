//! Planes as rows of contiguous samples, spread over rayon's threads.

use std::borrow::Cow;

use ndarray::{Array, ArrayView, Dimension};
use rayon::prelude::*;

/// How many rows one thread takes at least: fewer, and starting the work costs more than the work.
const ROWS_AT_LEAST: usize = 8;

/// The samples of an array in row order: borrowed where they already lie so, else copied.
pub(crate) fn samples<T: Copy, D: Dimension>(image: ArrayView<'_, T, D>) -> Cow<'_, [T]> {
    match image.to_slice() {
        Some(samples) => Cow::Borrowed(samples),
        None => Cow::Owned(image.iter().copied().collect()),
    }
}

/// A new array that `write` fills row by row (along the first axis), on many threads.
///
/// `write` gets the row's number and its samples, and buffers made by `buffers`, whose content is
/// left over from some other row.
pub(crate) fn by_row<T, D, B>(
    shape: D,
    buffers: impl Fn() -> B + Send + Sync,
    write: impl Fn(&mut B, usize, &mut [T]) + Send + Sync,
) -> Array<T, D>
where
    T: Copy + Default + Send,
    D: Dimension,
{
    let height = shape.slice().first().copied().unwrap_or(0);
    let mut output = Array::from_elem(shape, T::default());
    let row_length = output.len().checked_div(height).unwrap_or(0);
    if row_length > 0 {
        slice_mut(&mut output)
            .par_chunks_exact_mut(row_length)
            .with_min_len(ROWS_AT_LEAST)
            .enumerate()
            .for_each_init(buffers, |buffers, (y, row)| write(buffers, y, row));
    }
    output
}

/// The samples of an array made here.
pub(crate) fn slice_mut<T, D: Dimension>(array: &mut Array<T, D>) -> &mut [T] {
    match array.as_slice_mut() {
        Some(samples) => samples,
        None => unreachable!("a new array is contiguous and in row order"),
    }
}
