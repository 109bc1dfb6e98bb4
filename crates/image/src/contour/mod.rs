//! Outlines of objects as polygons, and back.
//!
//! Points are (x, y) in pixel corners: pixel (column, row) covers `column..column + 1` times
//! `row..row + 1`. A ring is closed; its first point is not repeated.

pub mod fill;
pub mod outline;
pub mod simplify;

pub use fill::{paint_polygon, polygon_mask};
pub use outline::{Outline, outlines};
pub use simplify::simplify;

/// A point, (x, y).
pub type Point = (f64, f64);

/// A polygon with holes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Polygon {
    /// Its outer ring.
    pub exterior: Vec<Point>,
    /// The rings around what it leaves out.
    pub holes: Vec<Vec<Point>>,
}

impl Polygon {
    /// All rings, the outer one first.
    pub fn rings(&self) -> impl Iterator<Item = &[Point]> {
        std::iter::once(&self.exterior)
            .chain(&self.holes)
            .map(Vec::as_slice)
    }

    /// The area of the outer ring less that of the holes.
    pub fn area(&self) -> f64 {
        let holes: f64 = self.holes.iter().map(|hole| signed_area(hole).abs()).sum();
        signed_area(&self.exterior).abs() - holes
    }

    /// The length of all rings.
    pub fn perimeter(&self) -> f64 {
        self.rings().flat_map(sides).map(length).sum()
    }
}

/// The area that a ring encloses, positive if it runs clockwise as seen on the screen (y downwards).
pub fn signed_area(ring: &[Point]) -> f64 {
    let twice: f64 = sides(ring)
        .map(|(from, to)| from.0 * to.1 - to.0 * from.1)
        .sum();
    twice / 2.0
}

/// Each point with the next, the last with the first.
fn sides(ring: &[Point]) -> impl Iterator<Item = (Point, Point)> {
    let next = ring.iter().cycle().skip(1);
    ring.iter().copied().zip(next.copied())
}

fn length((from, to): (Point, Point)) -> f64 {
    (to.0 - from.0).hypot(to.1 - from.1)
}
