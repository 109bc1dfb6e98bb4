//! Heads: the small networks that classify frozen embeddings.

mod head;
mod trained;

pub use head::{Head, HeadKind, MLP_WIDTHS, ONE_HIDDEN_WIDTH};
pub use trained::{HeadError, Standardisation, TrainedHeads};
