//! Median of square windows.
//!
//! Windows of 3 × 3 and 5 × 5 are sorted by networks, larger ones of `u8` counted, both many pixels at a
//! time; larger ones of `u16` and `f32` are selected from, pixel by pixel.

mod counted;
mod network;

use std::any::Any;
use std::cmp::Ordering;

use ndarray::{Array2, ArrayView2, Ix2};

use super::padded::Padded;
use crate::error::{Result, check};
use crate::rows::{by_row, samples};
use crate::{Border, Sample};

/// The greatest window whose number of pixels 16 bits can count.
const LARGEST: usize = 255;

/// The median of the `size` × `size` pixels around each pixel.
///
/// For `u8` the time does not depend on `size` from 7 on. OpenCV's `medianBlur` takes
/// [`Border::Replicate`], `scipy.ndimage.median_filter` by default [`Border::Reflect`]. What is not a
/// number counts as greater than every number.
///
/// # Errors
/// If `size` is not odd or exceeds 255.
pub fn median<T: Sample>(
    image: ArrayView2<'_, T>,
    size: usize,
    border: Border,
) -> Result<Array2<T>> {
    let fits = size % 2 == 1 && size <= LARGEST;
    check("size", size, fits, "an odd number of at most 255")?;
    if image.is_empty() || size == 1 {
        return Ok(image.to_owned());
    }
    let padded = Padded::new(&samples(image), image.dim(), 1, size / 2, border);
    if size <= 5 && padded.samples().iter().all(is_number) {
        return Ok(network::medians(&padded, image.raw_dim(), size));
    }
    if let Some(padded) = (&padded as &dyn Any).downcast_ref::<Padded<u8>>() {
        let mut output = Array2::default(image.raw_dim());
        if let Some(output) = (&mut output as &mut dyn Any).downcast_mut() {
            counted::medians(padded, size, output);
        }
        return Ok(output);
    }
    Ok(selected(&padded, image.raw_dim(), size))
}

fn is_number<T: Sample>(value: &T) -> bool {
    value.partial_cmp(value).is_some()
}

/// A total order, without which a selection may panic.
fn order<T: Sample>(one: &T, other: &T) -> Ordering {
    let numbers_first = || is_number(other).cmp(&is_number(one));
    one.partial_cmp(other).unwrap_or_else(numbers_first)
}

fn selected<T: Sample>(padded: &Padded<T>, shape: Ix2, size: usize) -> Array2<T> {
    let buffers = || Vec::with_capacity(size * size);
    by_row(shape, buffers, |window: &mut Vec<T>, y, row| {
        for (x, value) in row.iter_mut().enumerate() {
            window.clear();
            for y in y..y + size {
                window.extend(&padded.row(y)[x..x + size]);
            }
            *value = *window.select_nth_unstable_by(size * size / 2, order).1;
        }
    })
}
