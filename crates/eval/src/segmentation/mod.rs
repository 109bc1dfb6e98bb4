//! How well pixels and instances were segmented.
//!
//! Each metric first reduces an image to a few numbers and then works on those, so that images can be
//! read one after another, pooled, averaged, and resampled by [`Bootstrap`](crate::Bootstrap):
//!
//! | of an image | from | metrics |
//! |---|---|---|
//! | [`ConfusionMatrix`](crate::ConfusionMatrix) | [`pixel_confusion`] | all of hard labels, mean IoU |
//! | [`ClassOverlap`] | [`class_overlaps`] | Dice, IoU of a class |
//! | [`MatchCounts`](crate::matching::MatchCounts) | [`instance_counts`], [`panoptic_counts`] | average precision, F1, panoptic quality |
//! | [`AggregatedJaccard`] | [`AggregatedJaccard::new`] | AJI and AJI+ |
//! | [`SurfaceDistances`] | [`SurfaceDistances::new`] | Hausdorff distance and its quantiles, average surface distance |
//! | [`BoundaryCounts`] | [`SurfaceDistances::boundary`] | boundary F1 |
//!
//! *Pooled* metrics add up the numbers of all images (`pool`) before they divide: large objects and
//! images count more, and no image is without a value. *Means over images* ([`mean_over_images`])
//! count every image alike, and leave out those on which the metric is undefined; [`EmptyCase`] says
//! when that is.
//!
//! **Unlabelled is never background**: pixels that are unlabelled in either mask are in no count. To
//! see how much of an image was compared, look at the total of its confusion matrix.
//!
//! ```
//! use cleanslide_eval::segmentation::{ClassOverlap, EmptyCase, class_overlaps, pixel_confusion};
//! use cleanslide_eval::{Bootstrap, Groups};
//! use ndarray::array;
//!
//! let images = [
//!     (array![[0, 1, 1], [0, 1, 255]], array![[0, 1, 0], [0, 1, 0]]),
//!     (array![[0, 0, 1], [0, 1, 1]], array![[0, 0, 1], [1, 1, 1]]),
//! ];
//! let mut tumour = Vec::new();
//! for (truth, predicted) in &images {
//!     let confusion = pixel_confusion(truth.view(), predicted.view(), 2)?;
//!     tumour.push(class_overlaps(&confusion)[1]);
//! }
//! assert_eq!(tumour[0].dice(EmptyCase::Undefined)?, 0.8);
//! let interval = Bootstrap::default().estimate(&Groups::single_items(2)?, |weights| {
//!     ClassOverlap::pool(&tumour, weights)?.dice(EmptyCase::Undefined)
//! })?;
//! assert_eq!(interval.value, 10.0 / 12.0);
//! # Ok::<(), cleanslide_eval::Error>(())
//! ```

mod aggregated_jaccard;
mod average_precision;
mod average_surface_distance;
mod boundary_f1;
mod dice;
mod hausdorff;
mod iou;
mod mean;
mod overlap;
mod panoptic_quality;
mod surface;

pub use aggregated_jaccard::{AggregatedJaccard, Reuse};
pub use average_precision::instance_counts;
pub use boundary_f1::BoundaryCounts;
pub use mean::{EmptyCase, mean_over_images};
pub use overlap::{ClassOverlap, class_overlaps, pixel_confusion};
pub use panoptic_quality::panoptic_counts;
pub use surface::{Directions, SurfaceDistances};
