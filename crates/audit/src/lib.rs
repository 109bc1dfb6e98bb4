//! Which evidence is probably wrong, how much noise there is, and which source errs how.
//!
//! Arrays in, plain structs out: labels and out-of-sample probabilities for
//! [`confident_learning`], embeddings for everything that looks at neighbours
//! ([`neighbours`], [`neighbour_reliability`], [`hoc`], [`duplicates`], [`outliers`]), votes for
//! [`sources`]. [`issues`] joins the findings into one ranked table. Nothing here trains a model
//! or reads a dataset.
//!
//! Two directions of scores occur, and the names keep them apart. *Quality* and *typicality* are
//! those of the literature: low is bad. *Suspicion*, in [`issues`] and
//! [`neighbour_reliability`], is the product's own: between 0 and 1, high is bad.

pub mod confident_learning;
pub mod duplicates;
mod error;
pub mod hoc;
pub mod issues;
pub mod neighbour_reliability;
pub mod neighbours;
pub mod outliers;
pub mod probabilities;
pub mod sources;

pub use confident_learning::{ConfidentLearning, Filter, FilterOptions, Ranking};
pub use error::AuditError;
pub use neighbours::{Metric, Neighbours, nearest_neighbours, nearest_neighbours_of};
pub use probabilities::{ArrayBlocks, ProbabilityBlocks, ProbabilityFile};
