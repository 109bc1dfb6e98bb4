//! Morphology: minima and maxima over a neighbourhood, and what is built from them.

pub mod element;
pub mod erode_dilate;
pub mod reconstruction;

pub use element::Element;
pub use erode_dilate::{
    Ordered, black_top_hat, close, dilate, erode, gradient, open, white_top_hat,
};
pub use reconstruction::{Reach, reconstruct_by_dilation, reconstruct_by_erosion};
