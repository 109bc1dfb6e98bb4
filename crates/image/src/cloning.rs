//! Seamless cloning: objects of one image set into another without a seam, by Poisson's equation
//! (Pérez, Gangnet and Blake 2003, doi 10.1145/882262.882269).
//!
//! [`seamless_clone`] solves the equation on the pixels of the mask, as the paper does.
//! [`seamless_clone_opencv`] reproduces `cv2.seamlessClone`, which solves another problem: its
//! unknowns are all pixels of the mask's bounding rectangle, so the destination changes outside the
//! mask too.

mod components;
mod multigrid;
mod rectangle;
mod region;

use ndarray::{Array2, Array3, ArrayView2, ArrayView3};

use crate::error::{Error, Result, check, same_size};
use crate::sample::Sample;

/// Whose gradients the cloned pixels follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gradients {
    /// Those of the source: its texture replaces the destination's. OpenCV's `NORMAL_CLONE`.
    #[default]
    Normal,
    /// The stronger of the two, for each channel and each pair of neighbours; the destination's
    /// where both are equally strong. For transparent objects and objects with holes. OpenCV's
    /// `MIXED_CLONE`, which decides otherwise: see [`seamless_clone_opencv`].
    Mixed,
}

impl Gradients {
    /// The difference of two neighbours in the result.
    fn choose(self, source: f64, destination: f64) -> f64 {
        match self {
            Self::Mixed if source.abs() <= destination.abs() => destination,
            _ => source,
        }
    }
}

/// Clones the masked part of `source` into `destination`.
///
/// `source` and `destination` are `[height, width, channels]` of the same size (a plane is a view
/// with a third axis inserted), `mask` is `[height, width]`. The mask may have any shape and any
/// number of parts; parts that do not share a pixel's side are independent of each other. Pixels
/// outside the mask are those of the destination, so an empty mask copies it.
///
/// For every masked pixel p the differences to its up to four neighbours q *inside the image* add
/// up to those of the chosen gradients, where an unmasked q has the destination's value. A mask may
/// therefore touch the border of the image: there the result is free (Neumann's condition). A mask
/// that covers the whole image leaves each channel's mean open; it is the destination's.
///
/// The equations are solved by conjugate gradients until the residual proves every value to be
/// within a tenth of a grey level of the exact solution (a grey level is a 255th of
/// [`Sample::WHITE`]); large rectangles are solved exactly, by sine transforms. Then values are
/// rounded as [`Sample::from_f32`] does.
///
/// # Errors
/// An image without pixels or channels, sizes that differ, values that are not finite.
pub fn seamless_clone<T: Sample>(
    source: ArrayView3<T>,
    destination: ArrayView3<T>,
    mask: ArrayView2<bool>,
    gradients: Gradients,
) -> Result<Array3<T>> {
    check_sizes(source, destination, mask)?;
    region::clone(source, destination, mask, gradients)
}

/// Clones the masked part of a small image into `destination` as [`seamless_clone`] does, the
/// patch's upper left pixel at `row` and `column` of the destination.
///
/// What lies outside the destination is cut off, so row and column may be negative. Where the mask
/// reaches the patch's border, the patch goes on with its outermost pixels.
///
/// # Errors
/// As [`seamless_clone`]; `mask` must be of the patch's size.
pub fn seamless_clone_at<T: Sample>(
    patch: ArrayView3<T>,
    mask: ArrayView2<bool>,
    destination: ArrayView3<T>,
    (row, column): (isize, isize),
    gradients: Gradients,
) -> Result<Array3<T>> {
    check_image("patch", patch)?;
    check_image("destination", destination)?;
    check_channels(patch, destination)?;
    let (patch_height, patch_width, _) = patch.dim();
    same_size("mask", (patch_height, patch_width), mask.dim())?;
    let (height, width, _) = destination.dim();
    let mut source = destination.to_owned();
    let mut placed = Array2::from_elem((height, width), false);
    // One pixel more on each side: differences across the mask's edge need it.
    for y in visible(row, patch_height, height) {
        let patch_y = clamp(y as isize - row, patch_height);
        for x in visible(column, patch_width, width) {
            let patch_x = clamp(x as isize - column, patch_width);
            for (to, from) in source
                .slice_mut(ndarray::s![y, x, ..])
                .iter_mut()
                .zip(patch.slice(ndarray::s![patch_y, patch_x, ..]))
            {
                *to = *from;
            }
            let within =
                patch_y as isize == y as isize - row && patch_x as isize == x as isize - column;
            placed[[y, x]] = within && mask[[patch_y, patch_x]];
        }
    }
    region::clone(source.view(), destination, placed.view(), gradients)
}

/// The positions of a patch and one more at each end that lie in `0..length`.
fn visible(offset: isize, patch: usize, length: usize) -> std::ops::Range<usize> {
    let end = offset.saturating_add(patch as isize).saturating_add(1);
    let limit = |position: isize| position.clamp(0, length as isize) as usize;
    limit(offset.saturating_sub(1))..limit(end)
}

fn clamp(position: isize, length: usize) -> usize {
    position.clamp(0, length as isize - 1) as usize
}

/// Clones as `cv2.seamlessClone` of OpenCV 5 does, the source's objects at their own place (in
/// OpenCV's terms: `p` is the centre of the mask's bounding rectangle). Equal to it but for 1 grey
/// level where its 32-bit arithmetic falls to the other side of a whole number.
///
/// Shapes are those of [`seamless_clone`]. What OpenCV does differently:
/// - The mask loses the outermost pixels of the image.
/// - The unknowns are the pixels inside the bounding rectangle of the whole mask, not those of the
///   mask: the destination is kept on the rectangle's outermost pixels only. Changes leak out of
///   the objects, and objects in one rectangle change each other.
/// - Source gradients hold only for pixels whose 7 × 7 neighbourhood is masked; around them, and
///   between the objects, the destination's gradients do. A gradient belongs to the left or upper
///   pixel of its pair.
/// - Mixed gradients take both differences of a pixel from the source where
///   `|Δx − Δy|` is greater there than in the destination. That is not the gradient's length: an
///   edge along which both differences are equal counts as none.
/// - Values are cut to whole numbers, not rounded: on average half a grey level too dark.
///
/// How much that is: with five discs of one blood smear (640 × 480) cloned into another, two of
/// them at the border, the result differs from [`seamless_clone`]'s inside the mask by 7 grey
/// levels in the median and 66 at most; outside the mask the destination changes by 5 on average
/// and 47 at most.
///
/// # Errors
/// As [`seamless_clone`].
pub fn seamless_clone_opencv(
    source: ArrayView3<u8>,
    destination: ArrayView3<u8>,
    mask: ArrayView2<bool>,
    gradients: Gradients,
) -> Result<Array3<u8>> {
    check_sizes(source, destination, mask)?;
    Ok(rectangle::clone(source, destination, mask, gradients))
}

fn check_sizes<T>(
    source: ArrayView3<T>,
    destination: ArrayView3<T>,
    mask: ArrayView2<bool>,
) -> Result<()> {
    check_image("destination", destination)?;
    check_channels(source, destination)?;
    let (height, width, _) = destination.dim();
    let (source_height, source_width, _) = source.dim();
    same_size("source", (height, width), (source_height, source_width))?;
    same_size("mask", (height, width), mask.dim())
}

fn check_image<T>(what: &'static str, image: ArrayView3<T>) -> Result<()> {
    let (height, width, channels) = image.dim();
    if height == 0 || width == 0 {
        return Err(Error::Empty {
            what,
            height,
            width,
        });
    }
    check("channels", channels, channels > 0, "at least 1")
}

fn check_channels<T>(source: ArrayView3<T>, destination: ArrayView3<T>) -> Result<()> {
    let (found, expected) = (source.dim().2, destination.dim().2);
    check(
        "channels",
        found,
        found == expected,
        "as many as the destination has",
    )
}
