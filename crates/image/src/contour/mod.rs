//! Outlines of objects as polygons, and back.
//!
//! Points refer to pixel corners: pixel (column, row) covers `column..column + 1` times
//! `row..row + 1`.

pub mod fill;
pub mod outline;
pub mod simplify;

pub use fill::{paint_polygon, polygon_mask};
pub use outline::{Outline, outlines};
pub use simplify::simplify;
