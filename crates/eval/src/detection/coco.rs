//! COCO's average precision and recall.
//!
//! T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", arXiv:1405.0312, and the reference
//! implementation pycocotools, whose numbers these are:
//!
//! ```text
//! Findings of a class, from the highest score down, each take the free true object of highest
//! IoU ≥ t in their image.  TP, FP: hits and false alarms down to a score; P: required objects
//! AP(t) = mean over r in {0, 0.01, …, 1} of the highest precision TP / (TP + FP) where TP / P ≥ r
//! AR(t) = TP / P at the end of the list
//! AP, AR = means over t in {0.5, 0.55, …, 0.95} and over the classes that have required objects
//! ```
//!
//! The rules of pycocotools 2.0.11 that decide the digits, all kept:
//! - Of equal scores, the finding that is first in its image's list comes first, and the earlier
//!   image; pycocotools orders images by their identifiers.
//! - Of equal IoU, the last true object in the list is taken. One that should be found comes before
//!   any that need not, however small its IoU.
//! - The threshold is included.
//! - In a range of sizes (both ends included), true objects outside become optional; findings
//!   outside that match nothing are ignored.
//! - Only the findings of highest score count: so many per image *and class*.
//! - Recall levels and thresholds are numpy's `linspace`, digit for digit.
//!
//! Differences: pycocotools adds 2.2 · 10⁻¹⁶ to the divisor of each precision; it says −1 where a
//! value is undefined, and overlooks hits on a true object with the identifier 0. Its `ignore` field
//! has no effect for boxes and masks; here it is [`Standing::Optional`](super::Standing::Optional).
//!
//! Weights of images are as copies of images, but for one case: findings of equal score in one image
//! are taken together for all its copies. A class without required objects among the drawn images
//! is left out of that resample's mean, as pycocotools would leave it out. Whether a recall such as 7/25
//! reaches the level 0.28 is decided by rounding in pycocotools, and so it is here for equal weights and
//! whole ones; with real weights it does.

use cleanslide_data::{Detection, TryMap};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::coco_curve::ClassRanking;
use super::coco_match::{ImageMatches, Outcome, TrueBox};
use crate::error::{Error, Undefined, check_length};
use crate::matching::{MatchCounts, check_threshold};
use crate::weights::Weights;

/// A range of sizes of objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AreaRange {
    /// What it is called.
    pub name: String,
    /// The smallest area in square pixels, included.
    pub smallest: f64,
    /// The largest area in square pixels, included.
    pub largest: f64,
}

impl AreaRange {
    /// A range from `smallest` to `largest` square pixels.
    pub fn new(name: &str, smallest: f64, largest: f64) -> Self {
        AreaRange {
            name: name.to_owned(),
            smallest,
            largest,
        }
    }

    pub(crate) fn holds(&self, area: f64) -> bool {
        (self.smallest..=self.largest).contains(&area)
    }
}

/// How findings are matched and counted; [`Coco::new`] is COCO's way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coco {
    /// The number of classes.
    pub classes: usize,
    /// Whether any class matches any other (pycocotools: `useCats = 0`). Default no.
    pub class_agnostic: bool,
    /// At which IoU a finding matches. Default 0.5, 0.55, …, 0.95.
    pub iou_thresholds: Vec<f64>,
    /// Ranges of sizes. Default all, small (up to 32² pixels), medium (up to 96²) and large (up to
    /// 10⁵²).
    pub areas: Vec<AreaRange>,
    /// How many findings count per image and class, ascending. Default 1, 10, 100.
    pub maximum_detections: Vec<usize>,
}

impl Coco {
    /// COCO's settings for so many classes.
    pub fn new(classes: usize) -> Self {
        // numpy's linspace(0.5, 0.95, 10): the step is a rounded number, and the end is exact.
        let step = (0.95 - 0.5) / 9.0;
        let mut iou_thresholds: Vec<f64> = (0..10).map(|i| f64::from(i) * step + 0.5).collect();
        iou_thresholds[9] = 0.95;
        let (small, medium, large) = (32.0 * 32.0, 96.0 * 96.0, 1e10);
        Coco {
            classes,
            class_agnostic: false,
            iou_thresholds,
            areas: vec![
                AreaRange::new("all", 0.0, large),
                AreaRange::new("small", 0.0, small),
                AreaRange::new("medium", small, medium),
                AreaRange::new("large", medium, large),
            ],
            maximum_detections: vec![1, 10, 100],
        }
    }

    /// Matches the detections of every image (true boxes, detections), spread over all threads.
    ///
    /// # Errors
    /// As [`Coco::match_boxes`], with the image; or no images.
    pub fn match_images(
        &self,
        images: &[(&[TrueBox], &[Detection])],
    ) -> Result<CocoMatches, Error> {
        let matched = images
            .par_iter()
            .enumerate()
            .try_map(|(image, (truth, detections))| {
                self.match_boxes(truth, detections)
                    .map_err(|error| error.at_image(image))
            })?;
        self.collect(&matched)
    }

    /// Brings the matches of all images together; they were made with these settings.
    ///
    /// # Errors
    /// Invalid settings, no images, or matches that were made with others.
    pub fn collect(&self, images: &[ImageMatches]) -> Result<CocoMatches, Error> {
        self.check()?;
        if images.is_empty() {
            return Err(Error::Empty {
                what: "list of images",
            });
        }
        let classes = if self.class_agnostic { 1 } else { self.classes };
        let settings = self.areas.len() * self.iou_thresholds.len();
        let mut of_class = vec![Vec::new(); classes];
        for (image, matches) in images.iter().enumerate() {
            for matches in &matches.classes {
                let findings = matches.scores.len();
                check_length("image matches", matches.required.len(), self.areas.len())?;
                check_length("image matches", matches.outcomes.len(), settings * findings)?;
                match of_class.get_mut(matches.class) {
                    Some(list) => list.push((image, matches)),
                    None => {
                        return Err(Error::ClassOutOfRange {
                            what: "image matches",
                            item: image,
                            class: matches.class,
                            classes,
                        });
                    }
                }
            }
        }
        let rankings = of_class
            .par_iter()
            .map(|images| ClassRanking::new(images, self.areas.len(), self.iou_thresholds.len()))
            .collect();
        Ok(CocoMatches {
            coco: self.clone(),
            images: images.len(),
            rankings,
        })
    }

    pub(crate) fn most_detections(&self) -> usize {
        self.maximum_detections.last().copied().unwrap_or(0)
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        for (what, count) in [
            ("classes", self.classes),
            ("IoU thresholds", self.iou_thresholds.len()),
            ("ranges of areas", self.areas.len()),
            ("limits of detections", self.maximum_detections.len()),
        ] {
            if count == 0 {
                return Err(Error::Zero { what });
            }
        }
        for &threshold in &self.iou_thresholds {
            check_threshold(threshold)?;
        }
        if self.maximum_detections[0] == 0 {
            return Err(Error::Zero {
                what: "detections that count",
            });
        }
        if !self.maximum_detections.is_sorted() {
            return Err(Error::NotAscending {
                what: "limits of detections",
            });
        }
        Ok(())
    }
}

/// Which part of the matches is asked for. Default: the mean over classes and IoU thresholds, the
/// first range of sizes, the largest number of detections.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CocoSubset {
    /// One class; otherwise the mean over the classes that have required objects.
    pub class: Option<usize>,
    /// One of the IoU thresholds; otherwise the mean over them.
    pub iou: Option<f64>,
    /// Position of the range of sizes.
    pub area: usize,
    /// One of the numbers of detections that count per image and class; otherwise the largest.
    pub maximum_detections: Option<usize>,
}

/// The twelve numbers of COCO; `None` where pycocotools says −1, for lack of required objects.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CocoSummary {
    /// AP, the mean over all IoU thresholds.
    pub average_precision: Option<f64>,
    /// AP at IoU 0.5.
    pub average_precision_50: Option<f64>,
    /// AP at IoU 0.75.
    pub average_precision_75: Option<f64>,
    /// AP of small objects.
    pub average_precision_small: Option<f64>,
    /// AP of medium objects.
    pub average_precision_medium: Option<f64>,
    /// AP of large objects.
    pub average_precision_large: Option<f64>,
    /// AR with 1 detection per image and class.
    pub average_recall_1: Option<f64>,
    /// AR with 10.
    pub average_recall_10: Option<f64>,
    /// AR with 100.
    pub average_recall_100: Option<f64>,
    /// AR of small objects.
    pub average_recall_small: Option<f64>,
    /// AR of medium objects.
    pub average_recall_medium: Option<f64>,
    /// AR of large objects.
    pub average_recall_large: Option<f64>,
}

impl CocoSummary {
    /// The numbers in the order in which pycocotools lists them.
    pub fn values(&self) -> [Option<f64>; 12] {
        [
            self.average_precision,
            self.average_precision_50,
            self.average_precision_75,
            self.average_precision_small,
            self.average_precision_medium,
            self.average_precision_large,
            self.average_recall_1,
            self.average_recall_10,
            self.average_recall_100,
            self.average_recall_small,
            self.average_recall_medium,
            self.average_recall_large,
        ]
    }
}

/// The matches of many images, sorted once; every metric is a pass over them.
#[derive(Debug, Clone, PartialEq)]
pub struct CocoMatches {
    coco: Coco,
    images: usize,
    pub(crate) rankings: Vec<ClassRanking>,
}

/// A subset as positions.
#[derive(Clone)]
pub(crate) struct Selected {
    pub(crate) classes: std::ops::Range<usize>,
    pub(crate) ious: std::ops::Range<usize>,
    pub(crate) area: usize,
    pub(crate) limit: u32,
}

impl CocoMatches {
    /// The number of images.
    pub fn images(&self) -> usize {
        self.images
    }

    /// Average precision of a subset.
    ///
    /// # Errors
    /// Weights that do not fit the images, a subset that was not matched, or undefined without
    /// required objects.
    pub fn average_precision(
        &self,
        subset: &CocoSubset,
        weights: Weights<'_>,
    ) -> Result<f64, Error> {
        Ok(self.precision_and_recall(subset, weights)?.0)
    }

    /// Average recall of a subset.
    ///
    /// # Errors
    /// As [`CocoMatches::average_precision`].
    pub fn average_recall(&self, subset: &CocoSubset, weights: Weights<'_>) -> Result<f64, Error> {
        Ok(self.precision_and_recall(subset, weights)?.1)
    }

    /// Average precision and recall of a subset, from one pass over the matches.
    ///
    /// # Errors
    /// As [`CocoMatches::average_precision`].
    pub fn precision_and_recall(
        &self,
        subset: &CocoSubset,
        weights: Weights<'_>,
    ) -> Result<(f64, f64), Error> {
        weights.check(self.images)?;
        let selected = self.select(subset)?;
        let of_class: Vec<Option<(f64, f64)>> = self.rankings[selected.classes.clone()]
            .par_iter()
            .map(|ranking| ranking.precision_and_recall(&selected, weights))
            .collect();
        mean_of_pairs(of_class.into_iter().flatten())
    }

    /// Average precision and recall of each class; `None` without required objects.
    ///
    /// # Errors
    /// As [`CocoMatches::average_precision`].
    pub fn per_class(
        &self,
        subset: &CocoSubset,
        weights: Weights<'_>,
    ) -> Result<Vec<Option<(f64, f64)>>, Error> {
        weights.check(self.images)?;
        let selected = self.select(subset)?;
        Ok(self.rankings[selected.classes.clone()]
            .par_iter()
            .map(|ranking| ranking.precision_and_recall(&selected, weights))
            .collect())
    }

    /// Average precision and recall of each image by itself; `None` without required objects.
    ///
    /// # Errors
    /// A subset that was not matched.
    pub fn per_image(&self, subset: &CocoSubset) -> Result<Vec<Option<(f64, f64)>>, Error> {
        let selected = self.select(subset)?;
        let of_class: Vec<Vec<Option<(f64, f64)>>> = self.rankings[selected.classes.clone()]
            .par_iter()
            .map(|ranking| ranking.per_image(&selected, self.images))
            .collect();
        let mean = |image: usize| {
            let classes = of_class.iter().filter_map(|images| images[image]);
            mean_of_pairs(classes).ok()
        };
        Ok((0..self.images).map(mean).collect())
    }

    /// Hits, false alarms and misses of each image at one IoU threshold, of the findings with a score
    /// of at least `score`; pool them with [`MatchCounts::pool`]. Their sum of IoU is not kept and 0.
    ///
    /// # Errors
    /// A subset that was not matched or without an IoU (unless there is only one), or a score that is
    /// NaN.
    pub fn counts(&self, subset: &CocoSubset, score: f64) -> Result<Vec<MatchCounts>, Error> {
        if score.is_nan() {
            return Err(Error::InvalidScore { item: 0, score });
        }
        let selected = self.select_one_iou(subset)?;
        let mut images = vec![MatchCounts::default(); self.images];
        for ranking in &self.rankings[selected.classes.clone()] {
            for &(image, required) in &ranking.required[selected.area] {
                images[image as usize].false_negatives += f64::from(required);
            }
            ranking.each(&selected, selected.ious.start, |finding, outcome| {
                let image = &mut images[finding.image as usize];
                match outcome {
                    _ if finding.score < score => {}
                    Outcome::Hit => {
                        image.true_positives += 1.0;
                        image.false_negatives -= 1.0;
                    }
                    Outcome::FalseAlarm => image.false_positives += 1.0,
                    Outcome::Ignored => {}
                }
            });
        }
        Ok(images)
    }

    /// COCO's twelve numbers.
    ///
    /// # Errors
    /// Weights that do not fit, or settings that lack IoU 0.5 or 0.75, COCO's four ranges of sizes in
    /// their order, or the numbers of detections 1, 10 and 100.
    pub fn summary(&self, weights: Weights<'_>) -> Result<CocoSummary, Error> {
        let whole = CocoSubset::default();
        let at_iou = |iou| CocoSubset {
            iou: Some(iou),
            ..whole
        };
        let of_area = |area| CocoSubset { area, ..whole };
        let limited = |limit| CocoSubset {
            maximum_detections: Some(limit),
            ..whole
        };
        let both = |subset: CocoSubset| match self.precision_and_recall(&subset, weights) {
            Ok((precision, recall)) => Ok((Some(precision), Some(recall))),
            Err(Error::Undefined(_)) => Ok((None, None)),
            Err(error) => Err(error),
        };
        let (average_precision, average_recall_100) = both(limited(100))?;
        let (small, medium, large) = (both(of_area(1))?, both(of_area(2))?, both(of_area(3))?);
        Ok(CocoSummary {
            average_precision,
            average_precision_50: both(at_iou(0.5))?.0,
            average_precision_75: both(at_iou(0.75))?.0,
            average_precision_small: small.0,
            average_precision_medium: medium.0,
            average_precision_large: large.0,
            average_recall_1: both(limited(1))?.1,
            average_recall_10: both(limited(10))?.1,
            average_recall_100,
            average_recall_small: small.1,
            average_recall_medium: medium.1,
            average_recall_large: large.1,
        })
    }

    /// A subset of one IoU threshold.
    pub(crate) fn select_one_iou(&self, subset: &CocoSubset) -> Result<Selected, Error> {
        let selected = self.select(subset)?;
        if selected.ious.len() == 1 {
            Ok(selected)
        } else {
            Err(Error::NotMatched {
                what: "a mean over IoU thresholds; name one of them".to_owned(),
            })
        }
    }

    fn select(&self, subset: &CocoSubset) -> Result<Selected, Error> {
        let not_matched = |what: String| Error::NotMatched { what };
        let classes = match subset.class {
            None => 0..self.rankings.len(),
            Some(class) if class < self.rankings.len() => class..class + 1,
            Some(class) => return Err(not_matched(format!("class {class}"))),
        };
        let thresholds = &self.coco.iou_thresholds;
        let ious = match subset.iou {
            None => 0..thresholds.len(),
            Some(iou) => {
                // 0.6 as written and as `linspace` makes it may differ in the last digit.
                let place = thresholds.iter().position(|t| (t - iou).abs() < 1e-9);
                let place = place.ok_or_else(|| not_matched(format!("IoU {iou}")))?;
                place..place + 1
            }
        };
        if subset.area >= self.coco.areas.len() {
            return Err(not_matched(format!("the range of areas {}", subset.area)));
        }
        let limit = match subset.maximum_detections {
            None => self.coco.most_detections(),
            Some(limit) if self.coco.maximum_detections.contains(&limit) => limit,
            Some(limit) => return Err(not_matched(format!("{limit} detections per image"))),
        };
        Ok(Selected {
            classes,
            ious,
            area: subset.area,
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
        })
    }
}

fn mean_of_pairs(pairs: impl Iterator<Item = (f64, f64)>) -> Result<(f64, f64), Error> {
    let (mut sum, mut count) = ((0.0, 0.0), 0.0);
    for (precision, recall) in pairs {
        sum = (sum.0 + precision, sum.1 + recall);
        count += 1.0;
    }
    if count == 0.0 {
        return Err(Undefined::NoObjects.into());
    }
    Ok((sum.0 / count, sum.1 / count))
}
