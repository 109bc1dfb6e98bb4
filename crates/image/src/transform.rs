//! Flips, quarter turns and affine maps of images, and of the boxes and points on them.
//!
//! Boxes and points are in pixel corner coordinates (see the crate's documentation), images in
//! arrays; what is drawn at a point stays at that point under every transform here.

mod affine;
mod turn;

use cleanslide_data::{Point, Rectangle};

pub use affine::{Affine, Interpolation, warp_affine, warp_affine_colour, warp_affine_labels};
pub use turn::Turn;

/// The smallest rectangle around what a map makes of the corners of one.
fn map_corners(rectangle: Rectangle, map: impl Fn(Point) -> Point) -> Rectangle {
    let corners = rectangle.corners().map(map);
    let least = |of: fn(&Point) -> f64| corners.iter().map(of).fold(f64::INFINITY, f64::min);
    let most = |of: fn(&Point) -> f64| corners.iter().map(of).fold(f64::NEG_INFINITY, f64::max);
    Rectangle {
        left: least(|point| point.x),
        top: least(|point| point.y),
        right: most(|point| point.x),
        bottom: most(|point| point.y),
    }
}
