//! The inner loops of networks, on plain slices: no tensors, no graph.
//!
//! Everything is **channels last**: images are `[images, height, width, channels]`, so that a vector
//! register holds neighbouring channels of one pixel, whatever the width of the image, the stride or
//! the dilation, and nothing has to be unfolded or transposed.
//!
//! Every operator takes the [`Instructions`] to use (AVX-512, AVX2 with FMA, NEON or plain code), so
//! that tests run all that the machine has. Work is spread over rayon's current threads. Results
//! are the same bytes for the same instructions and number of threads. Work buffers are kept
//! by each thread between calls; results are written to the caller's memory.
//!
//! Sizes that do not fit are mistakes of the caller, not of the data: operators panic and say which.

#[macro_use]
mod vectors;

pub mod addition;
pub mod attention;
pub mod average_pooling;
pub mod channels;
pub mod convolution;
pub mod enlarging;
mod functions;
pub mod gelu;
pub mod layer_norm;
pub mod linear;
pub mod matrix;
pub mod normalization;
pub mod pooling;
pub mod resize;
pub mod roi_align;
mod scratch;
mod tiles;

pub use attention::Attention;
pub use average_pooling::AveragePooling;
pub use convolution::{Algorithm, Convolution, Finish};
pub use normalization::Activation;
pub use pooling::Pooling;
/// A set of vector instructions; `Instructions::new()` is the best that this machine has.
pub use pulp::Arch as Instructions;
pub use resize::Resize;
pub use roi_align::{Region, RoiAlign};

/// What a set of vector instructions is called.
pub fn instructions_name(instructions: Instructions) -> &'static str {
    match instructions {
        #[cfg(target_arch = "x86_64")]
        Instructions::V4(_) => "AVX-512",
        #[cfg(target_arch = "x86_64")]
        Instructions::V3(_) => "AVX2 with FMA",
        #[cfg(target_arch = "aarch64")]
        Instructions::Neon(_) => "NEON",
        _ => "none in use",
    }
}
