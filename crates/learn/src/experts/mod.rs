//! Networks that give every pixel a class, learned from the masks of several experts who disagree.
//!
//! | method | what is learned from | what it finds out about an expert |
//! |---|---|---|
//! | [`Majority`](ExpertMethod::Majority) | the majority at each pixel | nothing |
//! | [`Staple`](ExpertMethod::Staple) | the consensus of STAPLE in each image | nothing that is kept |
//! | [`Soft`](ExpertMethod::Soft) | the share of the experts for each class | nothing |
//! | [`Reweight`](ExpertMethod::Reweight) | the majority, and each expert by a learned weight | where each is believed |
//! | [`Confusion`](ExpertMethod::Confusion) | each expert through learned confusions | how each errs |
//! | [`SelfConsensus`](ExpertMethod::SelfConsensus) | all experts, and the network as one more | nothing |
//!
//! An expert who did not label an image, or a pixel, says nothing there.

mod consensus;
mod loss;
mod maps;
mod model;
mod settings;
mod trainer;

pub use consensus::majority;
pub use maps::Belief;
pub use model::ExpertModel;
pub use settings::{
    ConfusionSettings, ExpertMethod, ExpertSettings, ReweightSettings, SelfConsensusSettings,
};
pub use trainer::{ExpertImages, ExpertMask, ExpertTrainer};
