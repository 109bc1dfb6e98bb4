//! What every training of a network needs: settings, learning rates, averages, clipping, checkpoints, logs.

mod average;
mod checkpoint;
mod clip;
mod loader;
mod memory;
mod network_file;
mod read_on_cpu;
mod run;
mod settings;
mod task;
mod tensorboard;
mod trainer;

pub use average::Average;
pub use checkpoint::{Checkpoint, Checkpoints};
pub use clip::clip;
pub(crate) use loader::Items;
#[cfg(test)]
pub(crate) use loader::Loader;
pub use memory::mebibytes;
pub(crate) use network_file::NetworkFile;
pub(crate) use run::Run;
pub use run::{Epoch, Speed, Watch};
pub use settings::{AdamWSettings, Optimiser, Schedule, SgdSettings, TrainSettings};
pub(crate) use task::{Compared, Interlude, Moment, Near, Progress, Task};
pub use tensorboard::EventFile;
pub use trainer::Trainer;
