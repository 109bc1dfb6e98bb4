//! Which evidence is probably wrong, how much noise there is, and which source errs how.
//!
//! Arrays in, plain structs out: labels and out-of-sample probabilities for
//! [`confident_learning`], embeddings for everything that looks at neighbours
//! ([`neighbours`], [`neighbour_reliability`], [`hoc`], [`duplicates`], [`outliers`]), votes for
//! [`sources`]; masks and boxes with what a model predicts for [`pixels`], [`boxes`] and
//! [`instances`]. [`issues`] joins the findings about items into one ranked table,
//! [`spatial_issues`] those about places. Nothing here trains a model or reads a dataset.
//!
//! Two directions of scores occur, and the names keep them apart. *Quality* and *typicality* are
//! those of the literature: low is bad. *Suspicion*, in [`issues`], [`spatial_issues`],
//! [`instances`] and [`neighbour_reliability`], is the product's own: between 0 and 1, high is bad.

pub mod boxes;
pub mod confident_learning;
pub mod duplicates;
mod error;
pub mod hoc;
pub mod instances;
pub mod issues;
pub mod neighbour_reliability;
pub mod neighbours;
pub mod outliers;
pub mod pixels;
pub mod probabilities;
mod softmin;
pub mod sources;
pub mod spatial_issues;
pub mod tsne;

pub use boxes::{BoxAudit, BoxImage, BoxOptions, audit_boxes};
pub use confident_learning::{ConfidentLearning, Filter, FilterOptions, Ranking};
pub use error::AuditError;
pub use instances::{InstanceAudit, InstanceImage, audit_instances};
pub use neighbours::{Metric, Neighbours, nearest_neighbours, nearest_neighbours_of};
pub use pixels::{PixelArrays, PixelAudit, PixelBlock, PixelBlocks, PixelIssues};
pub use probabilities::{ArrayBlocks, ProbabilityBlocks, ProbabilityFile};
