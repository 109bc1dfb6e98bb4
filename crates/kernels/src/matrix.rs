//! Products of matrices.
//!
//! This is the one place in this crate that is not safe Rust: the `gemm` crate, which reaches what the machine
//! can do, takes pointers. What it may touch is checked here before. It chooses the instructions that the
//! machine has by itself.

use gemm::Parallelism;

/// A matrix in a slice: the value of a row and a column is at `row · row_stride + column · column_stride`.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows one after the other, `row_stride` values apart.
    ///
    /// # Panics
    /// When the slice is too short.
    pub fn new(values: &'a [f32], [rows, columns]: [usize; 2], row_stride: usize) -> Self {
        assert!(
            reach(rows, columns, row_stride) <= values.len(),
            "{rows} rows of {columns} values, {row_stride} apart, in {} values",
            values.len()
        );
        Self {
            values,
            rows,
            columns,
            row_stride,
            column_stride: 1,
        }
    }

    /// Rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// The values from the first to the last.
fn reach(rows: usize, columns: usize, row_stride: usize) -> usize {
    if rows == 0 || columns == 0 {
        return 0;
    }
    (rows - 1) * row_stride + columns
}

/// What is done with the values that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// They are written over.
    Replaced,
    /// The product is added to them.
    Added,
}

/// Writes `factor · left · right` into the rows of `result`, `row_stride` values apart; with `threads`, spread over
/// rayon's current threads.
///
/// # Panics
/// When sizes do not fit, the slice is too short, or rows of the result overlap.
pub fn product(
    result: &mut [f32],
    row_stride: usize,
    before: Before,
    factor: f32,
    left: Matrix,
    right: Matrix,
    threads: bool,
) {
    let (rows, columns, inner) = (left.rows, right.columns, left.columns);
    assert_eq!(
        inner, right.rows,
        "columns of the left are rows of the right"
    );
    assert!(
        row_stride >= columns || rows <= 1,
        "rows of {columns} values that are {row_stride} apart overlap"
    );
    assert!(
        reach(rows, columns, row_stride) <= result.len(),
        "{rows} rows of {columns} values, {row_stride} apart, in {} values",
        result.len()
    );
    if rows == 0 || columns == 0 {
        return;
    }
    let stride = |stride: usize| stride as isize;
    let parallelism = if threads {
        Parallelism::Rayon(0)
    } else {
        Parallelism::None
    };
    // SAFETY: each `Matrix` was made with a slice that holds all that its sizes and strides reach, transposed or
    // not, and `result` holds all that its own reach, as asserted above; so every access is in bounds. Rows of
    // `result` do not overlap and its columns are one apart, so no value is written twice; it is borrowed
    // mutably and aliases nothing.
    #[allow(unsafe_code)]
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            result.as_mut_ptr(),
            1,
            stride(row_stride),
            before == Before::Added,
            left.values.as_ptr(),
            stride(left.column_stride),
            stride(left.row_stride),
            right.values.as_ptr(),
            stride(right.column_stride),
            stride(right.row_stride),
            1.0,
            factor,
            false,
            false,
            false,
            parallelism,
        );
    }
}
