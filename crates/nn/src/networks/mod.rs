//! Whole networks, from images with **channels last** to one score per class.

mod resnet;
mod unet;

pub use resnet::{ResNet, ResNetConfig};
pub use unet::{UNet, UNetConfig};
