//! A classifier of pixels without a deep network: what says of every pixel, out of sample, what a
//! model that never saw its case takes it for.
//!
//! [`features`] measures each pixel at several scales, [`classifier`] trains a small head on a sample
//! of the labelled pixels, and [`maps`] keeps probabilities in files.

pub mod classifier;
pub mod features;
pub mod maps;

pub(crate) use classifier::check;
pub use classifier::{PixelClassifier, PixelImages};
pub use features::{PIXEL_FEATURES, PixelFeatures};
