//! Classification: heads trained on frozen embeddings, whatever the labels are worth.

mod examples;
mod fit;
mod fitted;
mod history;
mod measure;
mod random;
mod settings;
mod training;

pub use examples::{Examples, Labels, Validation};
pub use fit::Classifier;
pub use fitted::{Fitted, Model};
pub use history::{Epoch, History};
pub use settings::{AdamWSettings, EarlyStopping, Optimiser, Schedule, SgdSettings, TrainSettings};

/// The index of the greatest value, the lowest of several; 0 if there are none.
pub(crate) fn argmax(values: impl Iterator<Item = f32>) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for (index, value) in values.enumerate() {
        if value > best.1 {
            best = (index, value);
        }
    }
    best.0
}
