//! How well objects were found, when each finding has a score.
//!
//! [`Coco`] matches the findings of each image to its true objects once, at every IoU threshold and
//! in every range of sizes. What it keeps of an image ([`ImageMatches`]) is small, and everything
//! else is computed from [`CocoMatches`] with weights of images: average precision and recall,
//! precision and recall at one score ([`CocoMatches::counts`]), [`Froc`] curves, and the intervals of
//! [`Bootstrap`](crate::Bootstrap), which draw images or their cases. To compare two detectors
//! ([`Bootstrap::compare`](crate::Bootstrap::compare)), collect the images of the first and then those
//! of the second.
//!
//! ```
//! use cleanslide_data::{Detection, Rectangle};
//! use cleanslide_eval::detection::{Coco, CocoSubset, TrueBox};
//! use cleanslide_eval::{Bootstrap, Groups};
//!
//! let cell = |x: f64| Rectangle { left: x, top: 0.0, right: x + 10.0, bottom: 10.0 };
//! let truth = [TrueBox::new(cell(0.0), 0), TrueBox::new(cell(50.0), 0)];
//! let found = [Detection { rectangle: cell(1.0), class: 0, score: 0.9 }];
//! let images = [(&truth[..], &found[..]), (&truth[1..], &found[..])];
//!
//! let matches = Coco::new(1).match_images(&images)?;
//! let at_half = CocoSubset { iou: Some(0.5), ..CocoSubset::default() };
//! let recalls: Vec<f64> = matches
//!     .counts(&at_half, 0.5)?
//!     .iter()
//!     .map(|image| image.recall())
//!     .collect::<Result<_, _>>()?;
//! assert_eq!(recalls, [0.5, 0.0]);
//! let interval = Bootstrap::default().estimate(&Groups::single_items(2)?, |weights| {
//!     matches.average_precision(&at_half, weights)
//! })?;
//! assert_eq!((interval.low, interval.groups), (0.0, 2));
//! # Ok::<(), cleanslide_eval::Error>(())
//! ```

mod coco;
mod coco_curve;
mod coco_match;
mod froc;

pub use coco::{AreaRange, Coco, CocoMatches, CocoSubset, CocoSummary};
pub use coco_match::{FoundObject, ImageMatches, Standing, TrueBox, TrueObject};
pub use froc::{FROC_RATES, Froc};
