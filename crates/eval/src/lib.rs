//! Metrics for classification, detection and segmentation with confidence intervals that resample
//! cases, and paired comparisons.
//!
//! Three ideas carry the crate:
//!
//! 1. **A metric reads prepared data and item weights.** [`LabelPairs`] (truth and prediction),
//!    [`Ranking`] (truth and one score), [`OneVsRest`] (truth and one score per class) and
//!    [`Calibration`] (truth and probabilities) check and sort their input once. Every metric on
//!    them then takes [`Weights`], so the same code serves sample weights and the bootstrap,
//!    where the weight of an item is how often its case was drawn.
//! 2. **Undefined is an answer.** An AUROC without negatives is [`Error::Undefined`] with its
//!    cause, never 0.5 and never 0.
//! 3. **Intervals resample groups** (cases, slides, patients), because patches of one case
//!    resemble each other and an interval over patches would be too narrow.
//!
//! [`detection`] and [`segmentation`] follow them: an image is reduced to a few numbers, and the items
//! that are weighted and resampled are images.
//!
//! ```
//! use cleanslide_eval::{Bootstrap, Groups, LabelPairs};
//!
//! let truth = [0, 0, 1, 1, 0, 1, 1, 0];
//! let predicted = [0, 0, 1, 0, 0, 1, 1, 1];
//! let case = [7, 7, 7, 3, 3, 5, 5, 9];
//!
//! let labels = LabelPairs::new(&truth, &predicted, 2)?;
//! let estimate = Bootstrap::default()
//!     .estimate(&Groups::new(&case)?, |weights| labels.confusion(weights)?.balanced_accuracy())?;
//! assert_eq!(estimate.value, 0.75);
//! assert_eq!((estimate.groups, estimate.items), (4, 8));
//! # Ok::<(), cleanslide_eval::Error>(())
//! ```

mod accuracy;
pub mod agreement;
mod auprc;
mod auroc;
mod bootstrap;
mod calibration;
pub mod case_calls;
mod confusion;
pub mod detection;
mod error;
mod f1;
mod fleiss;
mod groups;
pub mod infiltration;
mod kappa;
mod krippendorff;
mod labels;
pub mod matching;
mod noise_robustness;
mod normal;
mod paired;
mod precision_at_k;
mod proportion;
mod ranking;
mod repeats;
pub mod segmentation;
mod weights;

pub use bootstrap::{Bootstrap, Estimate, IntervalMethod, bca_interval, percentile_interval};
pub use calibration::{Bins, Calibration, ReliabilityBin, ReliabilityDiagram};
pub use confusion::{ConfusionMatrix, Normalise};
pub use error::{Error, Undefined};
pub use f1::ZeroDivision;
pub use fleiss::{fleiss_kappa, fleiss_kappa_with_gaps};
pub use groups::Groups;
pub use kappa::{CohenKappa, KappaWeights};
pub use krippendorff::{MeasurementLevel, krippendorff_alpha};
pub use labels::{Known, LabelPairs, most_probable};
pub use noise_robustness::NoiseRates;
pub use paired::PairedComparison;
pub use proportion::{Interval, wilson_interval};
pub use ranking::{OneVsRest, Ranking, midranks};
pub use repeats::mean_over_repeats;
pub use weights::Weights;
