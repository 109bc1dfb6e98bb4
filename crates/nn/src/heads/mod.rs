//! Heads: the small networks that classify frozen embeddings.

mod head;
mod trained;

pub use head::{Head, HeadKind, MLP_WIDTHS};
pub use trained::{HeadError, Standardisation, TrainedHeads};
