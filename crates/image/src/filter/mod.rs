//! Filters: a plane in, a plane of the same size out.

pub mod gaussian;

pub use gaussian::{GaussianKernel, gaussian_blur, gaussian_blur_colour};
