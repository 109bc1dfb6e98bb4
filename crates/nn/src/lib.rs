//! Encoders, heads, losses and weights.
