//! Whole networks, from images with **channels last** to one score per class.

mod encoder_unet;
mod resnet;
mod segmentation;
mod unet;
mod vision_transformer;

pub use encoder_unet::{EncoderName, EncoderUNet, EncoderUNetConfig};
pub use resnet::{ResNet, ResNetConfig};
pub use segmentation::{SegmentationConfig, SegmentationNetwork};
pub use unet::{UNet, UNetConfig};
pub use vision_transformer::{VisionTransformer, VisionTransformerConfig};
