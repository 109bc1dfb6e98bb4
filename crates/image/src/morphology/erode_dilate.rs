//! Erosion and dilation by any element, and what combines the two.
//!
//! ```text
//! erosion(y, x)  = least    of image(y + dy, x + dx) over the element's pixels (dy, dx from its anchor)
//! dilation(y, x) = greatest of the same pixels
//! ```
//!
//! as OpenCV computes them: the element is not turned for the dilation, and pixels beyond the image
//! never win (`morphologyDefaultBorderValue`). scikit-image turns it, which differs for elements that
//! are not symmetric about their anchor; use [`Element::turned`] there.
//!
//! Rectangles take three comparisons a pixel along columns whatever their height (van Herk, *A fast
//! algorithm for local minimum and maximum filters on rectangular and octagonal kernels*, Pattern
//! Recognition Letters 13 (1992) 517–521, doi 10.1016/0167-8655(92)90069-C; Gil and Werman, IEEE PAMI 15
//! (1993) 504–507, doi 10.1109/34.211471); along rows, windows are doubled until they are as long as the
//! rectangle. Other elements are taken apart into runs along rows, whose extrema come from windows of
//! lengths 2ⁿ (Urbach and Wilkinson, *Efficient 2-D grayscale morphological transformations with
//! arbitrary flat structuring elements*, IEEE Transactions on Image Processing 17 (2008) 1–8,
//! doi 10.1109/TIP.2007.912582).

use ndarray::{Array2, ArrayView2, Zip};
use rayon::prelude::*;

use super::element::{Element, Run};
use crate::rows::{by_row, samples, slice_mut};
use crate::vectors::vectorised;

/// Pixel values with a least and a greatest one: `u8`, `u16`, `f32` and `bool`. What is no number has
/// no order, so its results are unspecified.
pub trait Ordered: Copy + PartialOrd + Default + Send + Sync + 'static {
    /// No value is less.
    const LEAST: Self;
    /// No value is greater.
    const GREATEST: Self;

    /// The lesser of two.
    fn least(self, other: Self) -> Self;
    /// The greater of two.
    fn greatest(self, other: Self) -> Self;
    /// The difference, for unsigned kinds not below 0; of masks, what only the first one has.
    fn minus(self, other: Self) -> Self;
}

macro_rules! ordered_whole_numbers {
    ($($kind:ty),*) => {$(
        impl Ordered for $kind {
            const LEAST: Self = Self::MIN;
            const GREATEST: Self = Self::MAX;

            #[inline(always)]
            fn least(self, other: Self) -> Self {
                self.min(other)
            }

            #[inline(always)]
            fn greatest(self, other: Self) -> Self {
                self.max(other)
            }

            #[inline(always)]
            fn minus(self, other: Self) -> Self {
                self.saturating_sub(other)
            }
        }
    )*};
}

ordered_whole_numbers!(u8, u16);

impl Ordered for f32 {
    const LEAST: Self = Self::NEG_INFINITY;
    const GREATEST: Self = Self::INFINITY;

    #[inline(always)]
    fn least(self, other: Self) -> Self {
        // One instruction, unlike `f32::min`, which looks for what is no number.
        if self < other { self } else { other }
    }

    #[inline(always)]
    fn greatest(self, other: Self) -> Self {
        if self > other { self } else { other }
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        self - other
    }
}

impl Ordered for bool {
    const LEAST: Self = false;
    const GREATEST: Self = true;

    #[inline(always)]
    fn least(self, other: Self) -> Self {
        self & other
    }

    #[inline(always)]
    fn greatest(self, other: Self) -> Self {
        self | other
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        self & !other
    }
}

/// The least value around each pixel. Where the element meets no pixel of the image, the greatest value
/// of the kind.
pub fn erode<T: Ordered>(image: ArrayView2<'_, T>, element: &Element) -> Array2<T> {
    extremum::<T, Least>(image, element)
}

/// The greatest value around each pixel. Where the element meets no pixel of the image, the least value
/// of the kind.
pub fn dilate<T: Ordered>(image: ArrayView2<'_, T>, element: &Element) -> Array2<T> {
    extremum::<T, Greatest>(image, element)
}

/// Erosion, then dilation: removes what is bright and smaller than the element.
///
/// With an element of even size the result is shifted by a pixel, as OpenCV's is.
pub fn open<T: Ordered>(image: ArrayView2<'_, T>, element: &Element) -> Array2<T> {
    dilate(erode(image, element).view(), element)
}

/// Dilation, then erosion: fills what is dark and smaller than the element.
///
/// With an element of even size the result is shifted by a pixel, as OpenCV's is.
pub fn close<T: Ordered>(image: ArrayView2<'_, T>, element: &Element) -> Array2<T> {
    erode(dilate(image, element).view(), element)
}

/// Dilation minus erosion: bright along edges.
pub fn gradient<T: Ordered>(image: ArrayView2<'_, T>, element: &Element) -> Array2<T> {
    let least = erode(image.view(), element);
    minus(dilate(image, element), least.view())
}

/// The image minus its opening: what is bright and smaller than the element.
pub fn white_top_hat<T: Ordered>(image: ArrayView2<'_, T>, element: &Element) -> Array2<T> {
    let opened = open(image.view(), element);
    minus(image.to_owned(), opened.view())
}

/// The closing minus the image: what is dark and smaller than the element.
pub fn black_top_hat<T: Ordered>(image: ArrayView2<'_, T>, element: &Element) -> Array2<T> {
    minus(close(image.view(), element), image)
}

fn minus<T: Ordered>(mut from: Array2<T>, other: ArrayView2<'_, T>) -> Array2<T> {
    Zip::from(&mut from)
        .and(other)
        .par_for_each(|value, &other| *value = value.minus(other));
    from
}

/// One of the two extrema.
pub(super) trait Extremum<T: Ordered>: Send + Sync {
    /// The value that never wins.
    const NEUTRAL: T;
    fn of(a: T, b: T) -> T;
}

pub(super) struct Least;
pub(super) struct Greatest;

impl<T: Ordered> Extremum<T> for Least {
    const NEUTRAL: T = T::GREATEST;

    #[inline(always)]
    fn of(a: T, b: T) -> T {
        a.least(b)
    }
}

impl<T: Ordered> Extremum<T> for Greatest {
    const NEUTRAL: T = T::LEAST;

    #[inline(always)]
    fn of(a: T, b: T) -> T {
        a.greatest(b)
    }
}

fn extremum<T: Ordered, E: Extremum<T>>(image: ArrayView2<'_, T>, element: &Element) -> Array2<T> {
    if image.is_empty() {
        return image.to_owned();
    }
    let runs = element.runs();
    let (height, width) = element.mask().dim();
    if runs.len() == height && runs.iter().all(|run| run.length == width) {
        let along_rows = windows_along_rows::<T, E>(image, runs[0]);
        return windows_along_columns::<T, E>(along_rows, runs[0].down, height);
    }
    by_runs::<T, E>(image, &runs)
}

/// The extremum of `length` pixels from the `right`-th on, seen from each pixel of its row.
fn windows_along_rows<T: Ordered, E: Extremum<T>>(image: ArrayView2<'_, T>, run: Run) -> Array2<T> {
    let width = image.ncols();
    let pixels = samples(image);
    let windows = Windows::new(width, &[run]);
    let buffers = || vec![E::NEUTRAL; windows.levels * windows.stride];
    by_row(image.raw_dim(), buffers, |levels, y, row| {
        vectorised(
            #[inline(always)]
            || {
                windows.fill::<E, T>(&pixels[y * width..(y + 1) * width], levels);
                row.fill(E::NEUTRAL);
                windows.combine::<E, T>(levels, run, row);
            },
        );
    })
}

/// Windows of lengths 1, 2, 4, … at every place of a row that has neutral values on both sides.
struct Windows {
    width: usize,
    /// Neutral pixels before the row.
    before: usize,
    /// Pixels of a row with all that surrounds it.
    stride: usize,
    /// How many lengths.
    levels: usize,
}

impl Windows {
    fn new(width: usize, runs: &[Run]) -> Self {
        let first = runs.iter().map(|run| run.right).fold(0, isize::min);
        let ends = runs.iter().map(|run| run.right + run.length as isize);
        let after = ends.fold(1, isize::max) as usize - 1;
        let longest = runs.iter().map(|run| run.length).fold(1, usize::max);
        Self {
            width,
            before: first.unsigned_abs(),
            stride: first.unsigned_abs() + width + after,
            levels: longest.ilog2() as usize + 1,
        }
    }

    /// Fills `levels`: the row itself, then windows twice as long at a time. Each level ends where its
    /// window would leave the row; what follows there is never read.
    #[inline(always)]
    fn fill<E: Extremum<T>, T: Ordered>(&self, row: &[T], levels: &mut [T]) {
        levels[..self.stride].fill(E::NEUTRAL);
        levels[self.before..self.before + self.width].copy_from_slice(row);
        for level in 1..self.levels {
            let (shorter, longer) = levels.split_at_mut(level * self.stride);
            let shorter = &shorter[(level - 1) * self.stride..];
            let half = 1 << (level - 1);
            let shifted = &shorter[half.min(self.stride)..];
            for ((window, &left), &right) in longer.iter_mut().zip(shorter).zip(shifted) {
                *window = E::of(left, right);
            }
        }
    }

    /// Lets the windows of a run win against `row`.
    #[inline(always)]
    fn combine<E: Extremum<T>, T: Ordered>(&self, levels: &[T], run: Run, row: &mut [T]) {
        let level = run.length.ilog2() as usize;
        let windows = &levels[level * self.stride..(level + 1) * self.stride];
        let start = self.before.saturating_add_signed(run.right);
        let left = &windows[start..start + self.width];
        let right = &windows[start + run.length - (1 << level)..][..self.width];
        for ((value, &left), &right) in row.iter_mut().zip(left).zip(right) {
            *value = E::of(*value, E::of(left, right));
        }
    }
}

/// The extremum of `length` pixels from the `down`-th on, seen from each pixel of its column.
///
/// The window of the i-th of `length` consecutive pixels is the end of one block of `length` pixels and
/// the beginning of the next: one pass back over the first, one forth over the second.
fn windows_along_columns<T: Ordered, E: Extremum<T>>(
    plane: Array2<T>,
    down: isize,
    length: usize,
) -> Array2<T> {
    if length == 1 && down == 0 {
        return plane;
    }
    let (height, width) = plane.dim();
    let pixels = samples(plane.view());
    let row = |y: isize| {
        let inside = (0..height as isize).contains(&y);
        inside.then(|| &pixels[y as usize * width..(y as usize + 1) * width])
    };
    let mut output = Array2::from_elem((height, width), E::NEUTRAL);
    slice_mut(&mut output)
        .par_chunks_mut(length * width)
        .enumerate()
        .for_each_init(
            || [(); 2].map(|()| vec![E::NEUTRAL; width]),
            |[last, next], (block, output)| {
                let first = (block * length) as isize + down;
                let count = output.len() / width;
                vectorised(
                    #[inline(always)]
                    || {
                        // Rows after the block's last output row count for all of them.
                        last.fill(E::NEUTRAL);
                        for y in count..length {
                            absorb::<T, E>(last, row(first + y as isize));
                        }
                        for y in (0..count).rev() {
                            absorb::<T, E>(last, row(first + y as isize));
                            output[y * width..(y + 1) * width].copy_from_slice(last);
                        }
                        next.fill(E::NEUTRAL);
                        for y in 1..count {
                            absorb::<T, E>(next, row(first + (length + y - 1) as isize));
                            absorb::<T, E>(&mut output[y * width..(y + 1) * width], Some(next));
                        }
                    },
                );
            },
        );
    output
}

#[inline(always)]
fn absorb<T: Ordered, E: Extremum<T>>(row: &mut [T], other: Option<&[T]>) {
    for (value, &other) in row.iter_mut().zip(other.unwrap_or_default()) {
        *value = E::of(*value, other);
    }
}

/// Rows of one piece of work, which looks at as many more as the element is high.
const BAND: usize = 64;

fn by_runs<T: Ordered, E: Extremum<T>>(image: ArrayView2<'_, T>, runs: &[Run]) -> Array2<T> {
    let (height, width) = image.dim();
    let pixels = samples(image);
    let windows = Windows::new(width, runs);
    let highest = runs.iter().map(|run| run.down).fold(isize::MAX, isize::min);
    let lowest = runs.iter().map(|run| run.down).fold(isize::MIN, isize::max);
    let size = windows.levels * windows.stride;
    let band = BAND.max((lowest - highest) as usize);
    let mut output = Array2::from_elem((height, width), E::NEUTRAL);
    let bands = slice_mut(&mut output)
        .par_chunks_mut(band * width)
        .enumerate();
    bands.for_each_init(Vec::new, |levels, (number, output)| {
        let first = (number * band) as isize;
        let end = first + (output.len() / width) as isize;
        // The rows of the image that this band looks at.
        let from = (first + highest).clamp(0, height as isize);
        let to = (end + lowest).clamp(from, height as isize);
        vectorised(
            #[inline(always)]
            || {
                levels.resize((to - from) as usize * size, E::NEUTRAL);
                for (y, levels) in (from as usize..).zip(levels.chunks_exact_mut(size)) {
                    windows.fill::<E, T>(&pixels[y * width..(y + 1) * width], levels);
                }
                for (y, row) in (first..).zip(output.chunks_exact_mut(width)) {
                    for run in runs
                        .iter()
                        .filter(|run| (from..to).contains(&(y + run.down)))
                    {
                        let start = (y + run.down - from) as usize * size;
                        windows.combine::<E, T>(&levels[start..start + size], *run, row);
                    }
                }
            },
        );
    });
    output
}
