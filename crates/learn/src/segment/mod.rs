//! Networks that give every pixel a class: how they are trained, and how they predict.

mod complementary;
pub mod correction;
mod gaussian_attention;
mod loss;
mod model;
mod objects;
mod predict;
mod settings;
mod signed_distances;
mod trainer;

pub use complementary::{ComplementaryForm, ComplementarySettings, ForwardSettings, named_instead};
pub use gaussian_attention::GaussianAttention;
pub use loss::{LossSettings, PixelBootstrapSettings, PixelLoss};
pub(crate) use loss::{SegmentationLoss, one_hot};
pub use model::Segmenter;
pub use objects::{ObjectSettings, classes_of_objects, objects_of_classes, pixel_classes};
pub(crate) use predict::Views;
pub use predict::{PredictSettings, most_probable};
pub use settings::SegmentSettings;
pub use signed_distances::signed_distances;
pub use trainer::Trainer;
pub(crate) use trainer::mean_dice;
