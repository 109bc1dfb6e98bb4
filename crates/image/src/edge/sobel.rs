//! Sobel's 3 × 3 derivatives.
//!
//! ```text
//!         −1 0 1          −1 −2 −1
//! ∂/∂x:   −2 0 2   ∂/∂y:   0  0  0
//!         −1 0 1           1  2  1
//! ```
//!
//! as OpenCV's `Sobel` with `ksize` 3 computes them: not divided by the sum of the weights, so 8 times
//! the slope per pixel. scikit-image's `sobel_h` and `sobel_v` are a quarter of these, with
//! [`Border::Reflect`].

use std::ops::{Add, Sub};

use ndarray::{Array2, ArrayView2, Zip};

use crate::rows::{by_row, samples};
use crate::vectors::vectorised;
use crate::{Border, Sample};

/// The derivatives of a plane, both of its size.
#[derive(Debug, Clone, PartialEq)]
pub struct Gradient<A> {
    /// The derivative along rows; positive where the image brightens to the right.
    pub x: Array2<A>,
    /// The derivative along columns; positive where the image brightens downwards.
    pub y: Array2<A>,
}

impl<A: Copy + Into<f32> + Sync + Send> Gradient<A> {
    /// √(x² + y²) of each pixel.
    pub fn magnitude(&self) -> Array2<f32> {
        Zip::from(&self.x).and(&self.y).par_map_collect(|&x, &y| {
            let (x, y): (f32, f32) = (x.into(), y.into());
            (x * x + y * y).sqrt()
        })
    }
}

/// The derivatives of a `u8` plane, exact.
pub fn sobel_u8(image: ArrayView2<'_, u8>, border: Border) -> Gradient<i16> {
    derivatives(image, border, |value: u8| i16::from(value))
}

/// The derivatives of a plane in 32 bits; exact for integers.
pub fn sobel<T: Sample>(image: ArrayView2<'_, T>, border: Border) -> Gradient<f32> {
    derivatives(image, border, T::to_f32)
}

fn derivatives<T: Sample, A>(
    image: ArrayView2<'_, T>,
    border: Border,
    convert: impl Fn(T) -> A + Copy + Send + Sync,
) -> Gradient<A>
where
    A: Copy + Default + Send + Sync + Add<Output = A> + Sub<Output = A>,
{
    let (height, width) = image.dim();
    let pixels = samples(image);
    let columns = Columns::new(&pixels, width, border);
    let derive = |direction: fn(&Sums<A>, &mut [A])| {
        by_row(
            image.raw_dim(),
            || Sums::new(width),
            |sums, y, row| {
                vectorised(
                    #[inline(always)]
                    || {
                        columns.sum(y, height, sums, convert);
                        direction(sums, row);
                    },
                );
            },
        )
    };
    Gradient {
        x: derive(Sums::along_x),
        y: derive(Sums::along_y),
    }
}

/// Three rows of a plane summed along columns, with one column more on each side.
pub(super) struct Sums<A> {
    /// above + 2 · here + below.
    smooth: Vec<A>,
    /// below − above.
    difference: Vec<A>,
}

impl<A: Copy + Default + Add<Output = A> + Sub<Output = A>> Sums<A> {
    pub(super) fn new(width: usize) -> Self {
        Self {
            smooth: vec![A::default(); width + 2],
            difference: vec![A::default(); width + 2],
        }
    }

    #[inline(always)]
    pub(super) fn along_x(&self, row: &mut [A]) {
        let width = row.len();
        let (left, right) = (&self.smooth[..width], &self.smooth[2..2 + width]);
        for ((value, &left), &right) in row.iter_mut().zip(left).zip(right) {
            *value = right - left;
        }
    }

    #[inline(always)]
    pub(super) fn along_y(&self, row: &mut [A]) {
        let width = row.len();
        let left = &self.difference[..width];
        let (here, right) = (
            &self.difference[1..1 + width],
            &self.difference[2..2 + width],
        );
        for (((value, &left), &here), &right) in row.iter_mut().zip(left).zip(here).zip(right) {
            *value = left + here + here + right;
        }
    }
}

/// A plane to be summed along columns.
pub(super) struct Columns<'a, T> {
    pixels: &'a [T],
    width: usize,
    border: Border,
    beyond: Vec<T>,
}

impl<'a, T: Sample> Columns<'a, T> {
    pub(super) fn new(pixels: &'a [T], width: usize, border: Border) -> Self {
        let beyond = match border {
            Border::Constant(value) => vec![T::from_f32(value); width],
            _ => Vec::new(),
        };
        Self {
            pixels,
            width,
            border,
            beyond,
        }
    }

    fn row(&self, y: isize, height: usize) -> &[T] {
        match self.border.index(y, height) {
            Some(y) => &self.pixels[y * self.width..(y + 1) * self.width],
            None => &self.beyond,
        }
    }

    /// Sums the rows around row `y`.
    #[inline(always)]
    pub(super) fn sum<A>(
        &self,
        y: usize,
        height: usize,
        sums: &mut Sums<A>,
        convert: impl Fn(T) -> A,
    ) where
        A: Copy + Default + Add<Output = A> + Sub<Output = A>,
    {
        let y = y as isize;
        let width = self.width;
        let above = &self.row(y - 1, height)[..width];
        let here = &self.row(y, height)[..width];
        let below = &self.row(y + 1, height)[..width];
        let smooth = &mut sums.smooth[1..=width];
        for (((sum, &above), &here), &below) in smooth.iter_mut().zip(above).zip(here).zip(below) {
            let here = convert(here);
            *sum = convert(above) + here + here + convert(below);
        }
        let difference = &mut sums.difference[1..=width];
        for ((difference, &above), &below) in difference.iter_mut().zip(above).zip(below) {
            *difference = convert(below) - convert(above);
        }
        for (position, target) in [(-1, 0), (width as isize, width + 1)] {
            match (self.border.index(position, width), self.border) {
                (Some(source), _) => {
                    sums.smooth[target] = sums.smooth[source + 1];
                    sums.difference[target] = sums.difference[source + 1];
                }
                (None, Border::Constant(value)) => {
                    let value = convert(T::from_f32(value));
                    sums.smooth[target] = value + value + value + value;
                    sums.difference[target] = A::default();
                }
                (None, _) => unreachable!("only a constant border has no source"),
            }
        }
    }
}
