//! What every training of a network needs: settings, learning rates, averages, clipping, checkpoints, logs.

mod average;
mod checkpoint;
mod clip;
mod memory;
mod settings;
mod tensorboard;

pub use average::Average;
pub use checkpoint::{Checkpoint, Checkpoints};
pub use clip::clip;
pub use memory::mebibytes;
pub use settings::{AdamWSettings, Optimiser, Schedule, SgdSettings, TrainSettings};
pub use tensorboard::EventFile;
