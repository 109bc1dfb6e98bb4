//! Edges: gradients and the lines along their ridges.

pub mod canny;
pub mod sobel;

pub use canny::{GradientNorm, canny};
pub use sobel::{Gradient, sobel, sobel_u8};
