//! Boxes that are probably missing, badly located or of the wrong class, as ObjectLab finds them.
//!
//! Tkachenko, Thyagarajan, Mueller: "ObjectLab: Automated Diagnosis of Mislabeled Images in Object
//! Detection Data" (2023), [arXiv:2309.00832](https://arxiv.org/abs/2309.00832). With labelled boxes
//! `l`, out-of-sample predictions `d` of class `c` and probability `p`, centres `z` in pixels:
//!
//! ```text
//! s(l, d)        = 0.9 · IoU(l, d) + 0.1 · exp(−‖z_l − z_d‖ / 10)               (similarity)
//! s_min          = the smallest s above 0 of all images; 1 if there is none
//! overlooked(d)  = max s(l, d) over the labels l of d's class, without any s_min · (1 − p);
//!                  only for d with p ≥ 0.95 that overlap no label of any class
//! badly located(l) = max s(l, d) over the d of l's class with p > 0.5 that overlap l; else 1
//! swapped(l)     = max(s_min, 1 − max s(l, d)) over the d of other classes with p > 0.95; else 1;
//!                  s_min if a label of another class has IoU ≥ 0.95 with l
//! issue          = score ≤ 0.8 · 0.25 · AP of the box's class
//! ```
//!
//! Scores are qualities: 1 is good, 0 bad. Those of an image are softmins (temperature 0.1) of those
//! of its boxes, 1 without any; its quality is the geometric mean of the three. AP is the mean over
//! the IoU thresholds 0.5, 0.55, …, 0.95 of the area under the monotone curve of precision over recall,
//! predictions against given labels, in which a prediction counts only with the label that it overlaps
//! most.
//!
//! Equal to cleanlab 2.9 to rounding, including what may surprise:
//!
//! * The distance is in pixels, so that similarities of boxes apart depend on the image's scale.
//! * A class that predictions find badly, or that no label has, has an AP near 0, and its boxes are
//!   scored but hardly ever flagged.
//! * `overlooked` asks for p ≥ 0.95, `swapped` for p > 0.95.
//! * s_min, and so some scores, depend on all images that are audited together.
//!
//! What differs: boxes without area are refused, where cleanlab goes on with an IoU of 0; of
//! predictions of equal probability the first counts, where cleanlab takes what NumPy's unstable sort
//! leaves; AP is not rounded to 32 bits on the way; where labels are not
//! [complete](cleanslide_data::Objects::complete), nothing is overlooked, because what is
//! not marked is unlabelled.

mod average_precision;
mod similarity;

use cleanslide_data::{Detection, Objects, Rectangle};
use rayon::prelude::*;

use crate::AuditError;
use crate::softmin::Softmin;

use similarity::Similarities;

/// Temperature of the scores of images.
const TEMPERATURE: f64 = 0.1;
/// Labels of different classes with at least this IoU are about the same object.
const SAME_OBJECT: f64 = 0.95;
/// What part of a class's AP is the limit below which boxes are issues.
const LIMIT: f64 = 0.25 * 0.8;
/// Keeps the logarithm of a score of 0 finite.
const TINY: f64 = 1e-100;

/// What is known of one image.
#[derive(Debug, Clone, Copy)]
pub struct BoxImage<'a> {
    /// Given boxes.
    pub labels: &'a Objects<Rectangle>,
    /// What a model that did not see these labels predicts; scores are probabilities.
    pub predictions: &'a [Detection],
}

/// From which probability on predictions count, and whether labels are compared with each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoxOptions {
    /// Above this, a prediction can say that a label is badly located.
    pub low_probability: f64,
    /// From this on, a prediction can say that an object was overlooked; above it, that a label has
    /// the wrong class.
    pub high_probability: f64,
    /// Whether two labels of different classes on one object count as swapped.
    pub overlapping_labels: bool,
}

/// 0.5, 0.95, compared.
impl Default for BoxOptions {
    fn default() -> Self {
        Self {
            low_probability: 0.5,
            high_probability: 0.95,
            overlapping_labels: true,
        }
    }
}

/// What is said of one box in one respect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoxScore {
    /// Quality from 0 (bad) to 1.
    pub score: f64,
    /// Whether it is an issue.
    pub is_issue: bool,
    /// Which prediction decided; `None` if none did.
    pub prediction: Option<usize>,
}

/// What is said of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageBoxes {
    /// Per prediction; `None` for those that are not sure enough or overlap a label.
    pub overlooked: Vec<Option<BoxScore>>,
    /// Per label.
    pub badly_located: Vec<BoxScore>,
    /// Per label.
    pub swapped: Vec<BoxScore>,
    /// Quality of the image as to overlooked objects.
    pub overlooked_score: f64,
    /// Quality of the image as to locations.
    pub badly_located_score: f64,
    /// Quality of the image as to classes.
    pub swapped_score: f64,
}

impl ImageBoxes {
    /// Quality of the image, the geometric mean of the three.
    pub fn quality(&self) -> f64 {
        let scores = [
            self.overlooked_score,
            self.badly_located_score,
            self.swapped_score,
        ];
        let sum: f64 = scores.iter().map(|score| (TINY + score).ln()).sum();
        (sum / 3.0).exp()
    }

    /// Whether any of its boxes is an issue.
    pub fn is_issue(&self) -> bool {
        let labelled = self.badly_located.iter().chain(&self.swapped);
        self.overlooked
            .iter()
            .flatten()
            .chain(labelled)
            .any(|score| score.is_issue)
    }
}

/// What is said of all boxes.
#[derive(Debug, Clone, PartialEq)]
pub struct BoxAudit {
    /// Per image.
    pub images: Vec<ImageBoxes>,
    /// Per class, the AP of the predictions against the given labels; 0 for a class that no label
    /// has.
    pub average_precision: Vec<f64>,
}

/// Compares given boxes with out-of-sample predictions.
///
/// # Errors
/// No images or classes, a class out of range, a box without area, or a score that is no probability;
/// they name the image and the box.
pub fn audit_boxes(
    images: &[BoxImage<'_>],
    classes: usize,
    options: &BoxOptions,
) -> Result<BoxAudit, AuditError> {
    check(images, classes, options)?;
    let smallest = images
        .par_iter()
        .map(|image| Similarities::of(image).smallest())
        .collect::<Vec<f64>>()
        .into_iter()
        .fold(1.0, f64::min);
    let average_precision = average_precision::per_class(images, classes);
    let limits: Vec<f64> = average_precision.iter().map(|ap| LIMIT * ap).collect();
    let judge = Judge {
        options,
        smallest,
        limits: &limits,
    };
    Ok(BoxAudit {
        images: images.par_iter().map(|image| judge.image(image)).collect(),
        average_precision,
    })
}

struct Judge<'a> {
    options: &'a BoxOptions,
    smallest: f64,
    limits: &'a [f64],
}

impl Judge<'_> {
    fn image(&self, image: &BoxImage<'_>) -> ImageBoxes {
        let similarities = Similarities::of(image);
        let labels = 0..image.labels.objects.len();
        let overlooked: Vec<_> = (0..image.predictions.len())
            .map(|prediction| self.overlooked(image, &similarities, prediction))
            .collect();
        let badly_located: Vec<_> = labels
            .clone()
            .map(|label| self.badly_located(image, &similarities, label))
            .collect();
        let swapped: Vec<_> = labels
            .map(|label| self.swapped(image, &similarities, label))
            .collect();
        ImageBoxes {
            overlooked_score: pool(overlooked.iter().flatten()),
            badly_located_score: pool(&badly_located),
            swapped_score: pool(&swapped),
            overlooked,
            badly_located,
            swapped,
        }
    }

    fn score(&self, score: f64, class: usize, prediction: Option<usize>) -> BoxScore {
        BoxScore {
            score,
            is_issue: score <= self.limits[class],
            prediction,
        }
    }

    fn overlooked(
        &self,
        image: &BoxImage<'_>,
        similarities: &Similarities,
        prediction: usize,
    ) -> Option<BoxScore> {
        let Detection { class, score, .. } = image.predictions[prediction];
        let labels = &image.labels.objects;
        if !image.labels.complete
            || score < self.options.high_probability
            || (0..labels.len()).any(|label| similarities.iou[(label, prediction)] > 0.0)
        {
            return None;
        }
        let closest = (0..labels.len())
            .filter(|&label| labels[label].class == class)
            .map(|label| similarities.similarity[(label, prediction)])
            .reduce(f64::max);
        let quality = closest.unwrap_or(self.smallest * (1.0 - score));
        Some(self.score(quality, class, Some(prediction)))
    }

    fn badly_located(
        &self,
        image: &BoxImage<'_>,
        similarities: &Similarities,
        label: usize,
    ) -> BoxScore {
        let class = image.labels.objects[label].class;
        let closest = similarities.most_similar(label, |prediction| {
            let detection = image.predictions[prediction];
            detection.class == class
                && detection.score > self.options.low_probability
                && similarities.iou[(label, prediction)] > 0.0
        });
        let quality = closest.map_or(1.0, |(_, similarity)| similarity);
        self.score(quality, class, closest.map(|(prediction, _)| prediction))
    }

    fn swapped(&self, image: &BoxImage<'_>, similarities: &Similarities, label: usize) -> BoxScore {
        let own = &image.labels.objects[label];
        let same_object = self.options.overlapping_labels
            && image.labels.objects.iter().any(|other| {
                other.class != own.class && other.shape.iou(&own.shape) >= SAME_OBJECT
            });
        if same_object {
            return self.score(self.smallest, own.class, None);
        }
        let closest = similarities.most_similar(label, |prediction| {
            let detection = image.predictions[prediction];
            detection.class != own.class && detection.score > self.options.high_probability
        });
        let quality = closest.map_or(1.0, |(_, similarity)| self.smallest.max(1.0 - similarity));
        self.score(
            quality,
            own.class,
            closest.map(|(prediction, _)| prediction),
        )
    }
}

fn pool<'a>(scores: impl IntoIterator<Item = &'a BoxScore> + Clone) -> f64 {
    let values = || scores.clone().into_iter().map(|score| score.score);
    let mut softmin = Softmin::empty(values().fold(f64::INFINITY, f64::min));
    values().for_each(|score| softmin.add(score, TEMPERATURE));
    softmin.score().unwrap_or(1.0)
}

fn check(images: &[BoxImage<'_>], classes: usize, options: &BoxOptions) -> Result<(), AuditError> {
    if images.is_empty() {
        return Err(AuditError::Empty { what: "images" });
    }
    if classes == 0 {
        return Err(AuditError::Empty { what: "classes" });
    }
    for (option, value) in [
        ("the low probability", options.low_probability),
        ("the high probability", options.high_probability),
    ] {
        if !(0.0..=1.0).contains(&value) {
            return Err(AuditError::Option {
                option,
                value: value.to_string(),
                expected: "between 0 and 1",
            });
        }
    }
    for (index, image) in images.iter().enumerate() {
        for (number, label) in image.labels.objects.iter().enumerate() {
            let problem = problem(&label.shape, label.class, classes);
            if let Some(problem) = problem {
                return Err(AuditError::image(
                    index,
                    format!("label {number} {problem}"),
                ));
            }
        }
        for (number, detection) in image.predictions.iter().enumerate() {
            let mut problem = problem(&detection.rectangle, detection.class, classes);
            if !(0.0..=1.0).contains(&detection.score) {
                problem = Some(format!(
                    "has the score {}, not a probability between 0 and 1: apply a sigmoid or softmax \
                     to the model's output first",
                    detection.score
                ));
            }
            if let Some(problem) = problem {
                return Err(AuditError::image(
                    index,
                    format!("prediction {number} {problem}"),
                ));
            }
        }
    }
    Ok(())
}

fn problem(rectangle: &Rectangle, class: usize, classes: usize) -> Option<String> {
    let Rectangle {
        left,
        top,
        right,
        bottom,
    } = *rectangle;
    if Rectangle::new(left, top, right, bottom).is_err() {
        return Some(format!(
            "has the box {rectangle} (left top right bottom), which has no area: correct or remove it"
        ));
    }
    (class >= classes).then(|| {
        format!(
            "has class {class}, but there are only {classes} classes (0 to {}): count from 0, or add \
             the class",
            classes - 1
        )
    })
}
