//! Thresholds: which pixels are foreground.

pub mod adaptive;
pub mod otsu;

pub use adaptive::{Side, Surroundings, adaptive_threshold};
pub use otsu::{otsu, otsu_f32, otsu_of_histogram, otsu_u16};
