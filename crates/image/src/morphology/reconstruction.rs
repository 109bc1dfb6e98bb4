//! Greyscale reconstruction.
//!
//! Vincent, *Morphological grayscale reconstruction in image analysis: applications and efficient
//! algorithms*, IEEE Transactions on Image Processing 2 (1993) 176–201, doi 10.1109/83.217222; the
//! hybrid algorithm: one scan in each direction, then a queue for what is left.

use std::collections::VecDeque;

use ndarray::{Array2, ArrayView2, s};

use super::erode_dilate::{Extremum, Greatest, Least, Ordered};
use crate::error::{Error, Result, same_size};

/// Which pixels are neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// Those that share a side.
    Four,
    /// Those that share a side or a corner: scikit-image's default.
    #[default]
    Eight,
}

/// Lets the marker grow under the mask: the greatest image that no dilation of the marker under the mask
/// exceeds. Each peak of the mask is cut to the height at which the marker reaches it.
///
/// Equal to scikit-image's `reconstruction(marker, mask, method="dilation")`.
///
/// # Errors
/// If the two differ in size, or the marker exceeds the mask anywhere.
pub fn reconstruct_by_dilation<T: Ordered>(
    marker: ArrayView2<'_, T>,
    mask: ArrayView2<'_, T>,
    reach: Reach,
) -> Result<Array2<T>> {
    let message = "exceeds the mask";
    reconstruct::<T, Greatest, Least>(marker, mask, reach, message)
}

/// Lets the marker shrink above the mask: each basin of the mask is filled to the level at which the
/// marker reaches it.
///
/// Equal to scikit-image's `reconstruction(marker, mask, method="erosion")`.
///
/// # Errors
/// If the two differ in size, or the marker is below the mask anywhere.
pub fn reconstruct_by_erosion<T: Ordered>(
    marker: ArrayView2<'_, T>,
    mask: ArrayView2<'_, T>,
    reach: Reach,
) -> Result<Array2<T>> {
    let message = "is below the mask";
    reconstruct::<T, Least, Greatest>(marker, mask, reach, message)
}

/// `Growth` is what the marker strives for, `Limit` how the mask stops it.
fn reconstruct<T: Ordered, Growth: Extremum<T>, Limit: Extremum<T>>(
    marker: ArrayView2<'_, T>,
    mask: ArrayView2<'_, T>,
    reach: Reach,
    violation: &str,
) -> Result<Array2<T>> {
    same_size("marker", mask.dim(), marker.dim())?;
    let mut pairs = marker.indexed_iter().zip(&mask);
    if let Some((((y, x), _), _)) =
        pairs.find(|((_, marker), mask)| Limit::of(**marker, **mask) != **marker)
    {
        return Err(Error::Undefined(format!(
            "the marker {violation} at row {y}, column {x}"
        )));
    }
    let (height, width) = mask.dim();
    let mut grown = framed(marker, Growth::NEUTRAL);
    let limit = framed(mask, Growth::NEUTRAL);
    let stride = width + 2;
    // Offsets to the neighbours that a scan in reading order has already seen; the others mirror them.
    let seen: &[usize] = match reach {
        Reach::Four => &[stride, 1],
        Reach::Eight => &[stride + 1, stride, stride - 1, 1],
    };
    let inside = |y: usize| y * stride + 1..y * stride + 1 + width;
    for pixel in (1..=height).flat_map(inside) {
        let strongest = |value, &offset: &usize| Growth::of(value, grown[pixel - offset]);
        let value = seen.iter().fold(grown[pixel], strongest);
        grown[pixel] = Limit::of(value, limit[pixel]);
    }
    let mut pending = VecDeque::new();
    for pixel in (1..=height).rev().flat_map(|y| inside(y).rev()) {
        let strongest = |value, &offset: &usize| Growth::of(value, grown[pixel + offset]);
        let value = Limit::of(seen.iter().fold(grown[pixel], strongest), limit[pixel]);
        grown[pixel] = value;
        let ahead = seen.iter().map(|offset| pixel + offset);
        if ahead
            .into_iter()
            .any(|ahead| can_grow::<T, Growth>(&grown, &limit, ahead, value))
        {
            pending.push_back(pixel);
        }
    }
    while let Some(pixel) = pending.pop_front() {
        let value = grown[pixel];
        let around = seen
            .iter()
            .flat_map(|&offset| [pixel - offset, pixel + offset]);
        for neighbour in around {
            if can_grow::<T, Growth>(&grown, &limit, neighbour, value) {
                grown[neighbour] = Limit::of(value, limit[neighbour]);
                pending.push_back(neighbour);
            }
        }
    }
    Ok(Array2::from_shape_fn((height, width), |(y, x)| {
        grown[(y + 1) * stride + x + 1]
    }))
}

/// Whether a neighbour of this value makes a pixel grow.
#[inline(always)]
fn can_grow<T: Ordered, Growth: Extremum<T>>(
    grown: &[T],
    limit: &[T],
    pixel: usize,
    value: T,
) -> bool {
    let own = grown[pixel];
    own != value && Growth::of(own, value) == value && own != limit[pixel]
}

/// The plane with one pixel of `value` all around, in row order. As the limit too has it there, the
/// frame never grows.
fn framed<T: Ordered>(plane: ArrayView2<'_, T>, value: T) -> Vec<T> {
    let (height, width) = plane.dim();
    let mut framed = Array2::from_elem((height + 2, width + 2), value);
    framed.slice_mut(s![1..=height, 1..=width]).assign(&plane);
    framed.into_iter().collect()
}
