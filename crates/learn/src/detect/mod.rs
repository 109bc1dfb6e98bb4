//! Networks that find objects and draw boxes around them: how they are trained, and how they predict.

mod model;
mod predict;
mod settings;
mod targets;
#[cfg(test)]
mod tests;
mod trainer;

pub use model::Detector;
pub use predict::DetectorPredictSettings;
pub use settings::{DetectorLossSettings, DetectorSettings};
pub use targets::{CropTargets, Unlabelled};
pub use trainer::{BoxImages, Trainer};
