//! Objects in images: components, distances, basins, peaks, skeletons.

use std::borrow::Cow;

use cleanslide_data::Rectangle;
use ndarray::{Array2, ArrayView2};

use crate::error::{Error, Result};

pub mod components;
pub mod distance;
pub mod holes;
pub mod maxima;
pub mod properties;
pub mod skeleton;
pub mod watershed;

pub use components::{
    Components, Statistics, components, components_of_labels, components_with_statistics,
    statistics,
};
pub use distance::{Steps, distance, spaced_distance, squared_distance, step_distance};
pub use holes::fill_holes;
pub use maxima::{FindMaxima, Peak, Peaks, find_maxima, high_maxima, local_maxima, peaks};
pub use properties::{Intensity, Shape, intensities, shapes};
pub use skeleton::skeleton;
pub use watershed::{Watershed, watershed};

/// Which pixels touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Neighbours {
    /// Those that share an edge (scikit-image: connectivity 1).
    Four,
    /// Those that share an edge or a corner (scikit-image: connectivity 2).
    Eight,
}

/// The smallest rectangle around pixels, in pixel corners: `right` and `bottom` are one past the last
/// column and row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bounds {
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// One past the last column.
    pub right: usize,
    /// One past the last row.
    pub bottom: usize,
}

impl From<Bounds> for Rectangle {
    fn from(bounds: Bounds) -> Self {
        Self {
            left: bounds.left as f64,
            top: bounds.top as f64,
            right: bounds.right as f64,
            bottom: bounds.bottom as f64,
        }
    }
}

/// The pixels in raster order, copied only if the view is not contiguous.
pub(crate) fn raster<T: Clone>(view: ArrayView2<'_, T>) -> Cow<'_, [T]> {
    match view.to_slice() {
        Some(pixels) => Cow::Borrowed(pixels),
        None => Cow::Owned(view.iter().cloned().collect()),
    }
}

/// Pixels in raster order as a picture of this size, which has as many.
pub(crate) fn picture<T>(size: (usize, usize), pixels: Vec<T>) -> Array2<T> {
    Array2::from_shape_vec(size, pixels)
        .unwrap_or_else(|_| unreachable!("one pixel for each position"))
}

/// Refuses images whose pixels cannot be numbered with 32 bits.
pub(crate) fn countable(size: (usize, usize)) -> Result<()> {
    if size.0.saturating_mul(size.1) < u32::MAX as usize {
        return Ok(());
    }
    Err(Error::Undefined(format!(
        "the image has too many pixels ({} × {}): cut it into tiles of fewer than 4,294,967,295",
        size.0, size.1
    )))
}

/// Rows per band so that every thread has a few bands; at least 16.
pub(crate) fn band_rows(height: usize) -> usize {
    height.div_ceil(4 * rayon::current_num_threads()).max(16)
}
