//! Whole networks, from images with **channels last** to scores of pixels or of objects.

mod annotator_confusion;
mod deeplab;
mod detection;
pub(crate) mod efficientnet_lite;
mod encoder;
mod encoder_unet;
mod faster_rcnn;
mod fcos;
mod feature_pyramid;
mod high_resolution_net;
mod hrnet;
mod image_classifier;
mod image_encoder;
mod pspnet;
mod resnet;
mod segmentation;
mod unet;
mod view_network;
mod vision_transformer;
mod weighting;

pub use annotator_confusion::{AnnotatorConfusion, log_confusion};
pub use deeplab::{DeepLabV3Plus, DeepLabV3PlusConfig};
pub use detection::{DetectionConfig, DetectionNetwork};
pub use efficientnet_lite::{EfficientNetLite, EfficientNetLiteConfig, Origin, Stage};
pub use encoder::{Encoder, EncoderConfig, EncoderName};
pub use encoder_unet::{EncoderUNet, EncoderUNetConfig};
pub use faster_rcnn::{
    FasterRcnn, FasterRcnnConfig, FasterRcnnOutput, FasterRcnnProposals, ProposalSettings,
    SamplingSettings,
};
pub use fcos::{Fcos, FcosConfig, FcosOutput};
pub use feature_pyramid::{Backbone, ExtraLevels, FeaturePyramid};
pub use high_resolution_net::{HighResolutionNet, HighResolutionNetConfig};
pub use hrnet::{HrNet, HrNetConfig, HrNetSize};
pub use image_classifier::ImageClassifier;
pub use image_encoder::{ImageEncoder, ImageEncoderConfig, ImageEncoderName};
pub use pspnet::{PspNet, PspNetConfig};
pub use resnet::{ResNet, ResNetConfig};
pub use segmentation::{SegmentationConfig, SegmentationNetwork};
pub use unet::{UNet, UNetConfig};
pub use view_network::{SaidOfViews, ViewNetwork, ViewNetworkConfig};
pub use vision_transformer::{Positions, VisionTransformer, VisionTransformerConfig};
pub use weighting::{WeightingNetwork, WeightingNetworkConfig};
