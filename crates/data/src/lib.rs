//! Labels and images in, labels out: datasets, evidence, label versions, splits and formats.

mod votes;

pub use votes::{Vote, Votes, VotesError};
