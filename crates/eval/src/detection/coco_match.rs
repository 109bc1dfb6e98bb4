//! COCO's matching of the findings of one image to its true objects.

use cleanslide_data::{Detection, Rectangle};
use serde::{Deserialize, Serialize};

use super::coco::Coco;
use crate::error::Error;

/// What is expected of a true object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It should be found.
    #[default]
    Required,
    /// It may be found once: neither a hit nor a miss (Pascal VOC's "difficult").
    Optional,
    /// A region of many objects, or one that nobody annotated (COCO's `iscrowd`): it may be found
    /// any number of times. How much of a finding lies in it takes the place of the IoU.
    Crowd,
}

/// A true object of an image; where it lies is known by its IoU with each finding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrueObject {
    /// What it is.
    pub class: usize,
    /// Its size in square pixels, which decides on its range of sizes.
    pub area: f64,
    /// What is expected of it.
    pub standing: Standing,
}

/// A finding in an image; where it lies is known by its IoU with each true object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FoundObject {
    /// What it is taken for.
    pub class: usize,
    /// Its size in square pixels, which decides on its range of sizes.
    pub area: f64,
    /// How sure: higher is surer.
    pub score: f64,
}

/// A true box.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrueBox {
    /// Where. Its IoU is that of COCO's `bbox`, which is `[left, top, width, height]`.
    pub rectangle: Rectangle,
    /// What it is.
    pub class: usize,
    /// Size of the object in square pixels if it is not that of the box; COCO's `area` is that of
    /// the outline.
    pub area: Option<f64>,
    /// What is expected of it.
    pub standing: Standing,
}

impl TrueBox {
    /// A box that should be found.
    pub fn new(rectangle: Rectangle, class: usize) -> Self {
        TrueBox {
            rectangle,
            class,
            area: None,
            standing: Standing::Required,
        }
    }
}

/// What became of a finding at one IoU threshold in one range of sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Hit,
    FalseAlarm,
    Ignored,
}

/// The matches of one class in one image.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ClassMatches {
    pub(crate) class: usize,
    /// The true objects that should be found, in each range of sizes.
    pub(crate) required: Vec<u32>,
    /// Scores of the findings, from the highest down.
    pub(crate) scores: Vec<f64>,
    /// `[range of sizes, IoU threshold, finding]`.
    pub(crate) outcomes: Vec<Outcome>,
}

/// What the metrics need of one image.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ImageMatches {
    /// The classes that occur, ascending.
    pub(crate) classes: Vec<ClassMatches>,
}

impl Coco {
    /// Matches the detections of one image to its true boxes.
    ///
    /// # Errors
    /// Invalid settings, a class out of range, a rectangle without area or a score that is not
    /// finite.
    pub fn match_boxes(
        &self,
        truth: &[TrueBox],
        detections: &[Detection],
    ) -> Result<ImageMatches, Error> {
        let rectangles = truth.iter().map(|object| ("true box", object.rectangle));
        check_rectangles(rectangles)?;
        check_rectangles(detections.iter().map(|one| ("detection", one.rectangle)))?;
        let objects: Vec<TrueObject> = truth
            .iter()
            .map(|object| TrueObject {
                class: object.class,
                area: object.area.unwrap_or_else(|| object.rectangle.area()),
                standing: object.standing,
            })
            .collect();
        let found: Vec<FoundObject> = detections
            .iter()
            .map(|one| FoundObject {
                class: one.class,
                area: one.rectangle.area(),
                score: one.score,
            })
            .collect();
        self.match_objects(&objects, &found, |object, one| {
            let (object, one) = (&truth[object], &detections[one].rectangle);
            if object.standing == Standing::Crowd {
                one.overlap(&object.rectangle) / one.area()
            } else {
                one.iou(&object.rectangle)
            }
        })
    }

    /// Matches the findings of one image to its true objects, where `iou(true object, finding)` says
    /// how much they overlap, for example an entry of [`iou_matrix`](crate::matching::iou_matrix)
    /// for instance masks. For a [`Standing::Crowd`] it must be the share of the finding that lies in
    /// it.
    ///
    /// # Errors
    /// Invalid settings, a class out of range, an area that is negative or not finite, or a score
    /// that is not finite.
    pub fn match_objects(
        &self,
        truth: &[TrueObject],
        found: &[FoundObject],
        iou: impl Fn(usize, usize) -> f64,
    ) -> Result<ImageMatches, Error> {
        self.check()?;
        self.check_objects(truth, found)?;
        let class_of = |class: usize| if self.class_agnostic { 0 } else { class };
        let mut classes: Vec<usize> = truth.iter().map(|object| class_of(object.class)).collect();
        classes.extend(found.iter().map(|one| class_of(one.class)));
        classes.sort_unstable();
        classes.dedup();
        let of_class = |class: usize, all: &[usize]| -> Vec<usize> {
            let mut places: Vec<usize> = (0..all.len())
                .filter(|&place| class_of(all[place]) == class)
                .collect();
            // Without classes COCO goes through one class after another; equal scores show it.
            places.sort_by_key(|&place| all[place]);
            places
        };
        let true_classes: Vec<usize> = truth.iter().map(|object| object.class).collect();
        let found_classes: Vec<usize> = found.iter().map(|one| one.class).collect();
        let classes = classes
            .into_iter()
            .map(|class| {
                let objects: Vec<usize> = of_class(class, &true_classes);
                let mut ranked = of_class(class, &found_classes);
                ranked.sort_by(|&a, &b| descending(found[a].score, found[b].score));
                ranked.truncate(self.most_detections());
                self.match_class(class, truth, found, &objects, &ranked, &iou)
            })
            .collect();
        Ok(ImageMatches { classes })
    }

    fn match_class(
        &self,
        class: usize,
        truth: &[TrueObject],
        found: &[FoundObject],
        objects: &[usize],
        ranked: &[usize],
        iou: &impl Fn(usize, usize) -> f64,
    ) -> ClassMatches {
        let lowest = self.iou_thresholds.iter().copied().fold(1.0, f64::min);
        let lowest = bound(lowest);
        // Of each finding the true objects that any threshold lets it match.
        let candidates: Vec<Vec<(usize, f64)>> = ranked
            .iter()
            .map(|&one| {
                let overlaps = objects.iter().enumerate();
                overlaps
                    .map(|(place, &object)| (place, iou(object, one)))
                    .filter(|&(_, iou)| iou >= lowest)
                    .collect()
            })
            .collect();
        let mut required = Vec::with_capacity(self.areas.len());
        let mut outcomes =
            Vec::with_capacity(self.areas.len() * self.iou_thresholds.len() * ranked.len());
        for range in &self.areas {
            let standing: Vec<Standing> = objects
                .iter()
                .map(|&object| match truth[object].standing {
                    Standing::Required if !range.holds(truth[object].area) => Standing::Optional,
                    standing => standing,
                })
                .collect();
            let needed = standing.iter().filter(|&&s| s == Standing::Required);
            required.push(u32::try_from(needed.count()).unwrap_or(u32::MAX));
            let mut taken = vec![false; objects.len()];
            for &threshold in &self.iou_thresholds {
                taken.fill(false);
                outcomes.extend(ranked.iter().zip(&candidates).map(
                    |(&one, candidates)| match best(candidates, threshold, &standing, &taken) {
                        Some(object) => {
                            taken[object] = true;
                            match standing[object] {
                                Standing::Required => Outcome::Hit,
                                _ => Outcome::Ignored,
                            }
                        }
                        None if range.holds(found[one].area) => Outcome::FalseAlarm,
                        None => Outcome::Ignored,
                    },
                ));
            }
        }
        ClassMatches {
            class,
            required,
            scores: ranked.iter().map(|&one| found[one].score).collect(),
            outcomes,
        }
    }

    fn check_objects(&self, truth: &[TrueObject], found: &[FoundObject]) -> Result<(), Error> {
        let true_objects = truth.iter().map(|object| (object.class, object.area));
        let findings = found.iter().map(|one| (one.class, one.area));
        check_sizes_and_classes(["truth", "true object"], true_objects, self.classes)?;
        check_sizes_and_classes(["detection"; 2], findings, self.classes)?;
        match found.iter().position(|one| !one.score.is_finite()) {
            Some(item) => Err(Error::InvalidScore {
                item,
                score: found[item].score,
            }),
            None => Ok(()),
        }
    }
}

/// The candidate with the highest IoU, of equal ones the last; one that should be found before any
/// that need not.
fn best(
    candidates: &[(usize, f64)],
    threshold: f64,
    standing: &[Standing],
    taken: &[bool],
) -> Option<usize> {
    let among = |wanted: bool| {
        let mut highest = bound(threshold);
        let mut best = None;
        for &(object, iou) in candidates {
            let free = !taken[object] || standing[object] == Standing::Crowd;
            if free && iou >= highest && (standing[object] == Standing::Required) == wanted {
                highest = iou;
                best = Some(object);
            }
        }
        best
    };
    among(true).or_else(|| among(false))
}

/// COCO lets an IoU that rounding leaves just below 1 reach the threshold 1.
fn bound(threshold: f64) -> f64 {
    threshold.min(1.0 - 1e-10)
}

/// Orders finite scores from the highest down; -0 and 0 are equal.
pub(crate) fn descending(a: f64, b: f64) -> std::cmp::Ordering {
    b.partial_cmp(&a).unwrap_or(std::cmp::Ordering::Equal)
}

fn check_sizes_and_classes(
    [class_of, area_of]: [&'static str; 2],
    objects: impl Iterator<Item = (usize, f64)>,
    classes: usize,
) -> Result<(), Error> {
    for (item, (class, area)) in objects.enumerate() {
        if class >= classes {
            return Err(Error::ClassOutOfRange {
                what: class_of,
                item,
                class,
                classes,
            });
        }
        if !(area.is_finite() && area >= 0.0) {
            return Err(Error::InvalidArea {
                what: area_of,
                item,
                area,
            });
        }
    }
    Ok(())
}

fn check_rectangles(
    rectangles: impl Iterator<Item = (&'static str, Rectangle)>,
) -> Result<(), Error> {
    for (item, (what, rectangle)) in rectangles.enumerate() {
        let Rectangle {
            left,
            top,
            right,
            bottom,
        } = rectangle;
        if Rectangle::new(left, top, right, bottom).is_err() {
            return Err(Error::InvalidRectangle {
                what,
                item,
                rectangle,
            });
        }
    }
    Ok(())
}
