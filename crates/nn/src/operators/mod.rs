//! Operators on images with **channels last**, `[images, height, width, channels]`, and on rows and tokens.
//!
//! On the CPU device they run on our own kernels, forward and backward; on every other device they are
//! composed of Burn's operators. Results agree within rounding.

mod addition;
mod attention;
mod average_pooling;
mod convolution;
mod custom;
mod enlarging;
mod gelu;
mod group_norm;
mod joining;
mod layer_norm;
mod linear;
mod memory;
mod normalization;
mod pooling;
mod resize;
mod roi_align;
#[cfg(test)]
mod tests;

pub use addition::add;
pub use attention::attention;
pub use average_pooling::adaptive_average_pooling;
pub use cleanslide_kernels::{Activation, Region};
pub use convolution::{
    ConvolutionOptions, activated_convolution, convolution, same_padding, transposed_convolution,
};
pub use custom::instructions_name;
pub use enlarging::{double, enlarge};
pub use gelu::gelu;
pub use group_norm::{GroupNormalization, group_normalize};
pub use joining::{join, join_all};
pub use layer_norm::layer_norm;
pub use linear::{linear, linear_gelu};
pub use normalization::{Normalization, moments, normalize};
pub use pooling::{PoolingOptions, max_pooling};
pub use resize::{bicubic, resize};
pub use roi_align::{RoiAlignOptions, multi_scale_roi_align, roi_align};
