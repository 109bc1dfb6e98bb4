//! Evidence from nothing: label-noise injectors, fusion of several annotators, simulated tissue.

pub mod fusion;
pub mod noise;
pub mod simulate;
