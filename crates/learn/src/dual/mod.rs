//! Masks of objects of which many are false and many are drawn badly, learned from by two networks that filter each
//! other's labels.
//!
//! This is our reconstruction of "A Dual-Network Approach with Contrastive Noisy Label Learning for Immune Cell
//! Infiltration Detection in Mouse Model" (Wang et al.), of which one page without formulas is published. What that page
//! commits to is kept: two networks of different capacity that filter labels early, a progressive selection that matches
//! what cells look like and how their borders show, and a contrast of the features of right and wrong labels. All that is
//! more precise is ours, and every part can be left out:
//!
//! 1. **Filter.** After each epoch both networks say what they think of all labels that are learned from. Of each class the
//!    objects with the largest losses are left out by the other network (co-teaching, arXiv 1804.06872), the more of
//!    them the later, up to the share that is estimated to be false: that of the lower of two normal distributions of
//!    what the networks say of the objects ([`GaussianMixture`](crate::gaussian_mixture::GaussianMixture)), or none if one
//!    distribution explains it as well. Objects are ranked over all images and not within a batch, of which an epoch of
//!    small images has few. The share is estimated while at most half of it is left out and then stays: networks forget what
//!    they do not learn from, and the more is left out, the more looks false. Of the background what is more probably an
//!    object is left open, to a share.
//! 2. **Selection**, from some epoch on: an object's score is the mean of what the networks say, of how well it fits what the
//!    accepted objects of its class look like ([`Feature`]; medians and median deviations, and ranges that are known before:
//!    [`Prior`]) and of how its border shows. Two normal distributions of the scores give the probability that it is real,
//!    which is on average the estimated share of those that are.
//!    More and more objects are accepted as the needed probability falls.
//! 3. **Robust loss.** From objects that were dropped the networks learn by generalised cross-entropy, to a share.
//! 4. **Relabelling**, only if all networks agree for several judgements in a row: a dropped object becomes background, an
//!    outline is redrawn, an object that nobody marked is added.
//! 5. **Contrast** of features ([`PrototypeContrast`](cleanslide_nn::losses::PrototypeContrast)): of each class a prototype
//!    of pixels that are kept, and one of pixels that were dropped.
//!
//! The first network predicts in the end. Beside these parts stands that of a neighbour, [`RefineSettings`]: labels are mixed
//! with what the networks say, and guessed where they are left out.

mod cycle;
mod histology;
mod network;
mod opinion;
mod prototypes;
mod refine;
mod selection;
mod settings;
mod trainer;

pub use cycle::{SelectionCycle, SelectionCycleImage};
pub use histology::{AreaUnit, Feature, Prior};
pub use refine::RefineSettings;
pub use selection::{JudgedObject, State};
pub use settings::{
    ContrastSettings, DualSettings, DualTraining, Exchange, RelabelSettings, SelectionSettings,
};
pub use trainer::{DualTrainer, ObjectImages};
