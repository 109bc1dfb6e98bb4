//! Stains: their separation, their estimation, and images brought to a reference's stains.
//!
//! Images are `[height, width, 3]`, red, green, blue. Left out: Vahadane's estimation by sparse
//! non-negative factors, whose result depends on the optimiser.

mod macenko;
mod reinhard;
mod separation;

pub use macenko::{Macenko, StainTransfer, TwoStains};
pub use reinhard::{LabStatistics, lab_statistics, reinhard};
pub use separation::{StainMatrix, combine_stains, separate_stains};

/// a × b.
fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ]
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
