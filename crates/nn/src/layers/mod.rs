//! Layers with parameters, on [`operators`](crate::operators): channels last, PyTorch's names and defaults.

mod adaptive_average_pooling;
mod batch_norm;
mod convolution;
mod fully_connected;
mod group_norm;
mod layer_norm;
mod start;

pub use adaptive_average_pooling::AdaptiveAveragePooling;
pub use batch_norm::BatchNorm;
pub use convolution::{Convolution, TransposedConvolution};
pub use fully_connected::FullyConnected;
pub use group_norm::GroupNorm;
pub use layer_norm::LayerNorm;
pub use start::Start;
