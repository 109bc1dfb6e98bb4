//! Encoders, heads, losses and weights.

pub mod heads;
pub mod losses;
