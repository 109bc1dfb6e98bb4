//! Adaptive threshold: each pixel against the mean of its surroundings.

use ndarray::{Array2, ArrayView2, Zip};

use crate::Border;
use crate::error::{Result, check};
use crate::filter::{GaussianKernel, gaussian_blur};
use crate::rows::{by_row, samples};
use crate::vectors::vectorised;

/// How the pixels of a block count towards its mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surroundings {
    /// All alike: OpenCV's `ADAPTIVE_THRESH_MEAN_C`.
    Mean,
    /// By a Gaussian with OpenCV's standard deviation for that size, see [`GaussianKernel::of_size`]:
    /// `ADAPTIVE_THRESH_GAUSSIAN_C`.
    Gaussian,
}

/// Which pixels are foreground.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Those brighter than mean − offset: OpenCV's `THRESH_BINARY`.
    Bright,
    /// The others: `THRESH_BINARY_INV`.
    Dark,
}

/// Compares each pixel with the mean of the `block` × `block` pixels around it, minus `offset`.
///
/// As OpenCV's `adaptiveThreshold`, whose `C` is `offset`: beyond the image its outermost pixels are
/// repeated, and the mean is rounded to a whole grey level (halves to even) before `offset`, rounded
/// up for [`Side::Bright`] and down for [`Side::Dark`], is taken off. A Gaussian mean is a sum of 32-bit
/// numbers; where it lies within rounding of half a level, OpenCV may round the other way.
///
/// # Errors
/// If `block` is not odd, 1, or above 100,001, or `offset` is no number.
pub fn adaptive_threshold(
    image: ArrayView2<'_, u8>,
    surroundings: Surroundings,
    side: Side,
    block: usize,
    offset: f64,
) -> Result<Array2<bool>> {
    check(
        "block",
        block,
        block % 2 == 1 && block > 1,
        "an odd number of at least 3",
    )?;
    check("offset", offset, offset.is_finite(), "a number")?;
    let kernel = GaussianKernel::of_size(block, None)?;
    let means = match surroundings {
        Surroundings::Mean => block_means(image, block),
        Surroundings::Gaussian => gaussian_blur(image, &kernel, &kernel, Border::Replicate),
    };
    let offset = match side {
        Side::Bright => offset.ceil(),
        Side::Dark => offset.floor(),
    };
    // Differences of grey levels are between −255 and 255, so beyond that all offsets are alike.
    let offset = offset.clamp(-256.0, 256.0) as i16;
    let bright = |&value: &u8, &mean: &u8| i16::from(value) - i16::from(mean) > -offset;
    Ok(Zip::from(&image)
        .and(&means)
        .par_map_collect(|value, mean| bright(value, mean) == (side == Side::Bright)))
}

/// Means of square blocks of odd side, rounded; the outermost pixels are repeated.
///
/// A mean is never half-way between two levels, because the number of pixels is odd.
fn block_means(image: ArrayView2<'_, u8>, side: usize) -> Array2<u8> {
    let (height, width) = image.dim();
    let pixels = samples(image);
    let radius = (side / 2) as isize;
    let area = (side * side) as u64;
    let row = |y: isize| {
        let y = y.clamp(0, height as isize - 1) as usize;
        &pixels[y * width..(y + 1) * width]
    };
    let at = |x: isize| x.clamp(0, width as isize - 1) as usize;
    // Column sums move down with the rows that one thread takes one after the other.
    let buffers = || (vec![0u32; width], None);
    by_row(image.raw_dim(), buffers, |(columns, last), y, means| {
        let y = y as isize;
        if y > 0 && *last == Some(y - 1) {
            let (old, new) = (row(y - 1 - radius), row(y + radius));
            vectorised(
                #[inline(always)]
                || {
                    for ((sum, &old), &new) in columns.iter_mut().zip(old).zip(new) {
                        *sum = *sum + u32::from(new) - u32::from(old);
                    }
                },
            );
        } else {
            columns.fill(0);
            for source in y - radius..=y + radius {
                for (sum, &value) in columns.iter_mut().zip(row(source)) {
                    *sum += u32::from(value);
                }
            }
        }
        *last = Some(y);
        let mut sum: u64 = (-radius..=radius).map(|x| u64::from(columns[at(x)])).sum();
        for (x, mean) in means.iter_mut().enumerate() {
            let x = x as isize;
            if x > 0 {
                sum = sum + u64::from(columns[at(x + radius)])
                    - u64::from(columns[at(x - 1 - radius)]);
            }
            *mean = ((2 * sum + area) / (2 * area)) as u8;
        }
    })
}
