//! Evidence from nothing: labels from image processing, label-noise injectors, fusion of several
//! annotators, simulated tissue.

pub mod fusion;
pub mod generate;
pub mod noise;
pub mod simulate;
