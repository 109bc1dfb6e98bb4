//! Images that might have been: other places, turns, shapes and colours of the ones that there are.
//!
//! What moves pixels moves masks, boxes and points with them ([`Placement`]); what changes colours leaves
//! labels as they are ([`Colours`]); [`mix`] lays images over each other together with what is said of them.

mod colours;
mod crop;
mod mix;
mod placement;
mod settings;
mod standard;

pub use colours::Colours;
pub(crate) use crop::CropPlan;
pub use mix::{Mixture, mix, mix_labels};
pub use placement::Placement;
pub(crate) use placement::mirrored;
pub use settings::AugmentSettings;
pub(crate) use standard::{MEAN, STANDARD_DEVIATION, shares_of_white, standardized};
