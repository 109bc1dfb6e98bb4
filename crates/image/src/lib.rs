//! Operators on images as arrays.
//!
//! A plane is an `Array2` `[height, width]`, a colour image an `Array3` `[height, width, 3]` in the
//! order red, green, blue, a mask an `Array2<bool>`, a picture of labels an `Array2<u32>` in which 0 is
//! background. Pixel (0, 0) is the upper left; coordinates (x, y) of boxes and points are those of pixel
//! corners, so the centre of the first pixel is (0.5, 0.5). Operators read views and write arrays of
//! their own; rows are spread over rayon's threads, and no result depends on their number.

pub mod border;
pub mod circle;
pub mod cloning;
pub mod colour;
pub mod contour;
pub mod edge;
pub mod error;
pub mod filter;
pub mod morphology;
pub mod region;
pub mod roughness;
mod rows;
pub mod sample;
pub mod stain;
pub mod threshold;
pub mod transform;
mod vectors;

pub use border::Border;
pub use error::{Error, Result};
pub use sample::Sample;
