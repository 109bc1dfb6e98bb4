//! Otsu's threshold.
//!
//! Otsu, *A threshold selection method from gray-level histograms*, IEEE Transactions on Systems, Man,
//! and Cybernetics 9 (1979) 62–66, doi 10.1109/TSMC.1979.4310076: the level t for which the variance
//! between the classes "at most t" and "above t" is greatest,
//!
//! ```text
//! n₁ n₂ (mean₁ − mean₂)²
//! ```
//!
//! Tie rule: the lowest such level. It is one that occurs in the image, because levels that do not occur
//! change neither class; OpenCV means the same, but its running means round differently at such levels
//! and may settle on a later one. Pixels above the threshold are foreground, in OpenCV and scikit-image
//! alike.

use ndarray::ArrayView2;

use crate::error::{Error, Result, check};
use crate::rows::samples;

/// The threshold of a `u8` plane, from its 256 levels: that of OpenCV's `THRESH_OTSU` and scikit-image's
/// `threshold_otsu`.
///
/// # Errors
/// If the plane has no pixels, or all have the same value (OpenCV returns 0, scikit-image the value).
pub fn otsu(image: ArrayView2<'_, u8>) -> Result<u8> {
    let counts = histogram(image, 256, usize::from)?;
    Ok(threshold(&counts)? as u8)
}

/// The threshold of a `u16` plane, from its 65,536 levels.
///
/// # Errors
/// If the plane has no pixels, or all have the same value.
pub fn otsu_u16(image: ArrayView2<'_, u16>) -> Result<u16> {
    let counts = histogram(image, 65_536, usize::from)?;
    Ok(threshold(&counts)? as u16)
}

/// The threshold of a plane of real numbers, from a histogram of `bins` equal intervals between its
/// least and greatest value; it is the middle of an interval. scikit-image's `threshold_otsu` with
/// `nbins` = `bins`, 256 by default there.
///
/// # Errors
/// If the plane has no pixels, a value is not finite, all have the same value, or `bins` is not between
/// 2 and 65,536.
pub fn otsu_f32(image: ArrayView2<'_, f32>, bins: usize) -> Result<f32> {
    check("bins", bins, (2..=65_536).contains(&bins), "2 to 65,536")?;
    if let Some(((y, x), value)) = image.indexed_iter().find(|(_, value)| !value.is_finite()) {
        let message = format!("the pixel at row {y}, column {x} is {value}, which has no level");
        return Err(Error::Undefined(message));
    }
    let range = image
        .iter()
        .fold((f32::MAX, f32::MIN), |(least, greatest), &value| {
            (least.min(value), greatest.max(value))
        });
    let (least, greatest) = (f64::from(range.0), f64::from(range.1));
    let width = (greatest - least) / bins as f64;
    let edge = |bin: usize| {
        if bin == bins {
            greatest
        } else {
            least + width * bin as f64
        }
    };
    let bin_of = |value: f32| {
        let value = f64::from(value);
        // The division may miss an edge by its rounding.
        let bin = (((value - least) / width) as usize).min(bins - 1);
        let too_far = usize::from(value < edge(bin));
        let too_near = usize::from(bin + 1 < bins && value >= edge(bin + 1));
        bin - too_far + too_near
    };
    let counts = histogram(image, bins, bin_of)?;
    let bin = threshold(&counts)?;
    Ok(((edge(bin) + edge(bin + 1)) / 2.0) as f32)
}

fn histogram<T: Copy>(
    image: ArrayView2<'_, T>,
    levels: usize,
    level: impl Fn(T) -> usize,
) -> Result<Vec<u64>> {
    let (height, width) = image.dim();
    if image.is_empty() {
        let what = "image to be thresholded";
        return Err(Error::Empty {
            what,
            height,
            width,
        });
    }
    let mut counts = vec![0; levels];
    for &value in samples(image).iter() {
        counts[level(value)] += 1;
    }
    Ok(counts)
}

fn threshold(counts: &[u64]) -> Result<usize> {
    otsu_of_histogram(counts).ok_or_else(|| {
        Error::Undefined("all pixels have the same level, so no threshold parts them".to_owned())
    })
}

/// The level of the threshold, given how often each level occurs; `None` if fewer than two do.
///
/// Whole numbers until the last division, so that equal variances are equal.
pub fn otsu_of_histogram(counts: &[u64]) -> Option<usize> {
    let pixels: i128 = counts.iter().map(|&count| i128::from(count)).sum();
    let levels = counts.iter().enumerate();
    let total: i128 = levels
        .map(|(level, &count)| level as i128 * i128::from(count))
        .sum();
    let (mut below, mut sum_below) = (0, 0);
    let mut best = None;
    for (level, &count) in counts.iter().enumerate() {
        below += i128::from(count);
        sum_below += level as i128 * i128::from(count);
        let above = pixels - below;
        if below == 0 || above == 0 {
            continue;
        }
        // n₁ n₂ (mean₁ − mean₂)² = difference² / (n₁ n₂) with difference = total · n₁ − n · sum₁.
        let difference = (total * below - pixels * sum_below) as f64;
        let variance = difference / below as f64 * (difference / above as f64);
        if best.is_none_or(|(_, greatest)| variance > greatest) {
            best = Some((level, variance));
        }
    }
    best.map(|(level, _)| level)
}
