//! Encoders, heads, losses and weights.

pub mod devices;
pub mod encoders;
pub mod error;
pub mod heads;
pub mod layers;
pub mod losses;
pub mod networks;
pub mod operators;
pub mod preprocess;
pub mod speed;
pub mod weights;
