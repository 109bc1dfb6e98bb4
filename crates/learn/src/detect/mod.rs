//! Networks that find objects and draw boxes around them: how they are trained, and how they predict.

pub mod correction;
mod faster_rcnn;
mod fcos;
mod labels;
mod model;
mod predict;
mod settings;
mod targets;
#[cfg(test)]
mod tests;
mod trainer;

pub use labels::Unlabelled;
pub use model::Detector;
pub use predict::DetectorPredictSettings;
pub use settings::{DetectorLossSettings, DetectorSettings};
pub use targets::CropTargets;
pub use trainer::{BoxImages, Trainer};
