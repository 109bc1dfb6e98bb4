//! Filters: a plane in, a plane of the same size out.

pub mod bilateral;
pub mod clahe;
pub mod gamma;
pub mod gaussian;
pub mod median;
mod padded;

pub use bilateral::{bilateral, bilateral_colour};
pub use clahe::clahe;
pub use gamma::{Rounding, apply_table, gamma, gamma_table};
pub use gaussian::{GaussianKernel, gaussian_blur, gaussian_blur_colour};
pub use median::median;
