//! Whole networks, from images with **channels last** to one score per class.

mod resnet;
mod segmentation;
mod unet;

pub use resnet::{ResNet, ResNetConfig};
pub use segmentation::{SegmentationConfig, SegmentationNetwork};
pub use unet::{UNet, UNetConfig};
