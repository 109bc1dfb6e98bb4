//! Classes of images from their pixels: a network and not a head on embeddings learns by the methods of
//! [`crate::methods`].
//!
//! This is what embeddings are compared with. Methods are those that train one network and need to know nothing before
//! ([`is_possible`]); of the others, most train several heads side by side.

mod settings;
mod trainer;

pub use settings::FromPixelsSettings;
pub use trainer::{FromPixels, is_possible};
