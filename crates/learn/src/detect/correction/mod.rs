//! Labels that are corrected by the network that learns from them (SISSI: Elbatel, Bornberg et al., arXiv 2208.03327).
//!
//! At first a detector learns from the given labels, best beside others that are right ([`Trainer::also`]). When it
//! begins to learn what is wrong with them ([`Start`]), it gives them up: between epochs it predicts its own images in
//! many views, and what these agree on are the labels of the next epochs, as many boxes as it finds. Objects that it
//! misses would be learned as background: they are blurred away, or left open ([`Background`]).
//!
//! The network that predicts is the running average where there is one, a teacher that follows slowly.
//!
//! [`Trainer::also`]: crate::detect::Trainer::also
//! [`Start`]: crate::correction::Start
//! [`Background`]: crate::correction::Background

mod changes;
mod cycle;
mod labels;
mod settings;
#[cfg(test)]
mod tests;

pub use changes::{BoxChange, changes};
pub use cycle::{Cycle, CycleImage};
pub use labels::{CorrectedBox, CorrectedImage};
pub use settings::{BoxTrust, CorrectionSettings};
