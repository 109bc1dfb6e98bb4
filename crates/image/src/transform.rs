//! Flips, quarter turns and affine maps of images, and of the boxes and points on them.
//!
//! Boxes and points are in pixel corner coordinates (see the crate's documentation), images in
//! arrays; what is drawn at a point stays at that point under every transform here.

mod affine;
mod turn;

pub use affine::{Affine, Interpolation, warp_affine, warp_affine_colour, warp_affine_labels};
pub use turn::Turn;

/// A point: x, y.
pub type Point = [f64; 2];

/// A box with sides along the image's: left, top, right, bottom.
pub type Rectangle = [f64; 4];

/// The smallest rectangle around what a map makes of the corners of one.
fn map_corners([left, top, right, bottom]: Rectangle, map: impl Fn(Point) -> Point) -> Rectangle {
    let corners = [[left, top], [right, top], [left, bottom], [right, bottom]].map(map);
    let least = |axis: usize| {
        corners
            .iter()
            .map(|at| at[axis])
            .fold(f64::INFINITY, f64::min)
    };
    let most = |axis: usize| {
        corners
            .iter()
            .map(|at| at[axis])
            .fold(f64::NEG_INFINITY, f64::max)
    };
    [least(0), least(1), most(0), most(1)]
}
