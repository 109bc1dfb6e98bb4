use std::path::Path;

use burn::tensor::Device;

use super::{Items, Run, Task, Watch};

/// A training: of these images, into this folder. What is learned of them, and how, is as the settings say:
/// [`segment::Trainer`](crate::segment::Trainer), [`detect::Trainer`](crate::detect::Trainer) and
/// [`dual::DualTrainer`](crate::dual::DualTrainer).
pub struct Trainer<'a, I, S> {
    /// Images and their labels.
    pub images: &'a I,
    /// Those that are learned from; if labels are corrected or judged, it is theirs.
    pub items: &'a [usize],
    /// Those of other data that are learned from beside them, in the same batches, as they are; there may be none.
    pub also: &'a [usize],
    /// Those that measure progress.
    pub validation: &'a [usize],
    /// Names of the classes: of pixels, or of objects.
    pub classes: &'a [String],
    /// All settings.
    pub settings: &'a S,
    /// The seed of everything random.
    pub seed: u64,
    /// Where networks run.
    pub device: &'a Device,
    /// Where checkpoints and logs go, and what the networks say of the labels.
    pub folder: &'a Path,
}

impl<I, S> Trainer<'_, I, S> {
    /// Trains the networks of a task.
    pub(crate) fn train<T: Task>(&self, task: &T, watch: &Watch) -> Result<T::Network, T::Failure> {
        Run {
            task,
            items: Items {
                own: self.items,
                also: self.also,
            },
            validation: self.validation,
            seed: self.seed,
            device: self.device,
            folder: self.folder,
        }
        .run(watch)
    }
}
