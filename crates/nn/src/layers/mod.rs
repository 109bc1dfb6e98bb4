//! Layers with parameters, on [`operators`](crate::operators): channels last, PyTorch's names and defaults.

mod batch_norm;
mod convolution;
mod start;

pub use batch_norm::BatchNorm;
pub use convolution::{Convolution, TransposedConvolution};
pub use start::Start;
