//! Encoders that learn from images without labels: two views of an image shall look alike, and unlike other images.
//!
//! Views are crops at the scale of the image, turned, mirrored and in other colours ([`crate::augment`]): what a
//! pathologist would call the same. [`Objective`] says how views are compared. A batch whose views do not fit into memory
//! at once is compared whole all the same ([`PretrainSettings::chunk`]). What was learned is looked at while it is
//! learned ([`Probe`]), and an encoder that says the same of all images, or whose values are too large or no numbers, is told of ([`trouble`]).

mod objective;
mod settings;
mod trainer;

pub use objective::{BarlowTwinsSettings, DinoSettings, MocoV3Settings, Objective, SimclrSettings};
pub use settings::PretrainSettings;
pub use trainer::{
    Pretrained, Pretrainer, Probe, Trouble, UnlabelledImages, has_collapsed, trouble,
};
