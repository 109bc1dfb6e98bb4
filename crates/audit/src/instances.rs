//! Labelled objects that are probably false, split, merged, badly outlined or of the wrong class, and
//! objects that were missed.
//!
//! The labels of an image, a mask of object numbers, are compared with what a model predicts that did
//! not see them: a mask of objects with a score `s` each, or the probability `f` of foreground per
//! pixel. Every suspicion lies between 0 and 1, and high is bad. With `a(g, p)` the pixels that label g
//! and predicted object p share, `|·|` numbers of pixels, `∪` several objects together:
//!
//! ```text
//! false(g)   = 1 − Σ_p s_p · a(g, p) / |g|                         with probabilities: 1 − mean of f in g
//! split(g)   = s_p · IoU(p, ∪ parts) · min(1, 2 · (1 − a(g, p) / Σ a(part, p)))
//!              parts: the labels with at least half of their pixels in p; if there are two or more and
//!              g is one of them; p is the object that holds most of g
//! merged(g)  = (Σ w / Σ a) · IoU(g, ∪ parts) · min(1, 2 · (1 − max w / Σ w)),  w = s_p · a(g, p)
//!              parts: the predicted objects with at least half of their pixels in g, if two or more
//! border(g)  = s_p · min(1, 2 · share of the band that disagrees)  for the p of highest IoU with g
//! class(g)   = (Σ a / |g|) · (q(most probable other class) − q(given class) + 1) / 2
//!              q: the mean of the predicted objects' class probabilities, weighted by a(g, p)
//! missed(p)  = s_p · (1 − Σ_g a(g, p) / |p|)                       only if less than half of p is labelled
//! ```
//!
//! So an object that is labelled as two equal halves gives both halves the score of the predicted
//! whole, and a crumb beside a good label makes the crumb suspicious and hardly the good one; merging
//! is judged in the same way. The *band* of g is what lies within max(1, 0.2 · √(|g| / π)) pixels of
//! its border on both sides; a pixel disagrees if it is in g or in p but not in both. A border that is
//! off by the width of the band all around makes half of the band disagree, hence the factor of 2.
//!
//! With probabilities of foreground, predicted objects are the connected parts (four neighbours) where
//! f ≥ ½, and their score is the mean of f. Touching objects are then one part, so nothing is said about
//! splitting; pixels of other labels are left out of the band; and a pixel of the band disagrees by
//! 1 − f within g and by f outside, less the 2 · f · (1 − f) by which it would if the label were drawn
//! from f: where the model is in doubt, as along any border, the label is not blamed.
//!
//! **Unlabelled pixels**, in either mask, are left out of every area, overlap and band, and a border
//! with them is none. A label or predicted object of which less than half is known is not judged.
//! **At the image's border** there is nothing beyond: areas and bands are those on the image, and the
//! image's edge is no border. Such objects are marked ([`InstanceFinding::at_image_border`]).
//!
//! No published method or library is known that names these errors of instance labels; the suspicions
//! are the product's own.

mod border;
mod overlap;
mod predicted;

use cleanslide_data::mask::UNLABELLED_OBJECT;
use cleanslide_data::{Rectangle, TryMap};
use cleanslide_image::region::{Statistics, statistics};
use ndarray::{ArrayView2, CowArray, Ix2};
use rayon::prelude::*;

use crate::AuditError;

use overlap::{Overlaps, Region};
use predicted::Predicted;

/// Half-width of the band along the border, in radii of a disc of the object's area.
const BAND: f64 = 0.2;

/// What a model says that did not see the labels.
#[derive(Debug, Clone, Copy)]
pub enum Prediction<'a> {
    /// Objects.
    Objects {
        /// Object numbers `[height, width]`, 0 is background; where it is unlabelled
        /// ([`UNLABELLED_OBJECT`]) the model says nothing.
        mask: ArrayView2<'a, u32>,
        /// How sure the model is of object i + 1, from 0 to 1.
        scores: &'a [f64],
        /// Class probabilities of object i + 1 in row i.
        class_probabilities: Option<ArrayView2<'a, f32>>,
    },
    /// Per pixel the probability that it belongs to any object, `[height, width]`.
    Foreground(ArrayView2<'a, f32>),
}

/// What is known of one image.
#[derive(Debug, Clone, Copy)]
pub struct InstanceImage<'a> {
    /// Given object numbers `[height, width]`; 0 is background, [`UNLABELLED_OBJECT`] unlabelled.
    pub labels: ArrayView2<'a, u32>,
    /// The class of object i + 1; empty if objects have no classes.
    pub classes: &'a [usize],
    /// What a model that did not see these labels predicts.
    pub prediction: Prediction<'a>,
}

/// What can be wrong with the label of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InstanceDefect {
    /// There is nothing.
    False,
    /// Several objects are labelled as one.
    Merged,
    /// One object is labelled as several.
    Split,
    /// It is of another class.
    WrongClass,
    /// Its border lies elsewhere.
    BadBorder,
}

/// What is said of one labelled object. Suspicions lie between 0 and 1, high is bad.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceFinding {
    /// Its number.
    pub object: u32,
    /// Its class.
    pub class: Option<usize>,
    /// Its number of pixels.
    pub area: u64,
    /// The smallest rectangle around it.
    pub bounds: Rectangle,
    /// Whether it touches the image's edge, where some of it may be missing.
    pub at_image_border: bool,
    /// That there is nothing.
    pub false_object: f64,
    /// That several objects are labelled as one.
    pub merged: f64,
    /// That it is a part of an object; `None` for probabilities of foreground.
    pub split: Option<f64>,
    /// The other labels that are parts of the same object.
    pub parts: Vec<u32>,
    /// That its class is wrong; `None` without class probabilities, classes or overlap.
    pub wrong_class: Option<f64>,
    /// The most probable other class.
    pub suggested_class: Option<usize>,
    /// That its border is wrong; `None` if nothing was predicted there or it has no border.
    pub bad_border: Option<f64>,
    /// The share of the band along its border that disagrees, beyond the doubt of probabilities.
    pub border_disagreement: Option<f64>,
}

impl InstanceFinding {
    /// The defect of highest suspicion; of equals, the first in the order of [`InstanceDefect`].
    pub fn worst(&self) -> (InstanceDefect, f64) {
        [
            (InstanceDefect::Merged, Some(self.merged)),
            (InstanceDefect::Split, self.split),
            (InstanceDefect::WrongClass, self.wrong_class),
            (InstanceDefect::BadBorder, self.bad_border),
        ]
        .into_iter()
        .filter_map(|(defect, suspicion)| suspicion.map(|suspicion| (defect, suspicion)))
        .fold((InstanceDefect::False, self.false_object), |worst, next| {
            if next.1 > worst.1 { next } else { worst }
        })
    }
}

/// A predicted object that no label covers.
#[derive(Debug, Clone, PartialEq)]
pub struct MissedObject {
    /// Its number in the predicted mask; with probabilities of foreground, that of the part in the
    /// raster order of first pixels, from 1.
    pub object: u32,
    /// Its most probable class; the first of equals.
    pub class: Option<usize>,
    /// Its number of pixels.
    pub area: u64,
    /// The smallest rectangle around it.
    pub bounds: Rectangle,
    /// Whether it touches the image's edge.
    pub at_image_border: bool,
    /// Suspicion that a label is missing, from 0 to 1.
    pub suspicion: f64,
}

/// What is said of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceAudit {
    /// Every labelled object that can be judged, ascending by number.
    pub labelled: Vec<InstanceFinding>,
    /// Predicted objects of which less than half is labelled, ascending by number.
    pub missed: Vec<MissedObject>,
    /// Labelled objects of which the prediction knows less than half.
    pub not_judged: Vec<u32>,
}

impl InstanceAudit {
    /// Lowers the suspicion of missed objects of fewer than `common` pixels to suspicion · area /
    /// `common`. With the area that nearly all labels exceed, spots that a prediction of pixels leaves
    /// here and there do not crowd out objects.
    pub fn doubt_small_objects(&mut self, common: u64) {
        for missed in &mut self.missed {
            missed.suspicion *= (missed.area as f64 / common.max(1) as f64).min(1.0);
        }
    }
}

/// Compares the labelled objects of images with out-of-sample predictions.
///
/// # Errors
/// Sizes that differ, object numbers without class or score, scores or probabilities out of range, or
/// too many pixels; they name the image and the place.
pub fn audit_instances(images: &[InstanceImage<'_>]) -> Result<Vec<InstanceAudit>, AuditError> {
    if images.is_empty() {
        return Err(AuditError::Empty { what: "images" });
    }
    images
        .par_iter()
        .enumerate()
        .try_map(|(index, image)| audit_image(index, image))
}

fn audit_image(index: usize, image: &InstanceImage<'_>) -> Result<InstanceAudit, AuditError> {
    let predicted = Predicted::new(index, image)?;
    let labelled = objects(image.labels);
    if !image.classes.is_empty()
        && let Some(last) = labelled.last()
        && last.label as usize > image.classes.len()
    {
        return Err(AuditError::image(
            index,
            format!(
                "object {} at {} has no class: there are {} classes, one for each object from 1",
                last.label,
                place(last),
                image.classes.len()
            ),
        ));
    }
    let overlaps = Overlaps::new(image.labels, predicted.mask.view());
    let judge = Judge {
        image,
        predicted: &predicted,
        overlaps: &overlaps,
    };
    let is_known = |region: &Region| 2 * region.known >= region.area;
    let findings = labelled.par_iter().zip(&overlaps.labels);
    let labelled_findings = findings
        .filter(|(_, region)| is_known(region))
        .map(|(object, region)| judge.label(object, region))
        .collect::<Vec<_>>();
    let missed = objects(predicted.mask.view())
        .iter()
        .zip(&overlaps.predicted)
        .filter(|(_, region)| is_known(region))
        .filter_map(|(object, region)| judge.missed(object, region))
        .collect();
    let unknown = overlaps.labels.iter().filter(|region| !is_known(region));
    Ok(InstanceAudit {
        labelled: labelled_findings,
        missed,
        not_judged: unknown.map(|region| region.object).collect(),
    })
}

/// The predicted objects' numbers.
pub(crate) fn predicted_mask<'a>(
    index: usize,
    image: &InstanceImage<'a>,
) -> Result<CowArray<'a, u32, Ix2>, AuditError> {
    Predicted::new(index, image).map(|predicted| predicted.mask)
}

/// All objects of a mask, ascending by number.
fn objects(mask: ArrayView2<'_, u32>) -> Vec<Statistics> {
    let mut objects = statistics(mask);
    objects.retain(|object| object.label != UNLABELLED_OBJECT);
    objects
}

fn place(object: &Statistics) -> String {
    format!("row {}, column {}", object.bounds.top, object.bounds.left)
}

fn at_border(object: &Statistics, (height, width): (usize, usize)) -> bool {
    let bounds = object.bounds;
    bounds.left == 0 || bounds.top == 0 || bounds.right == width || bounds.bottom == height
}

struct Judge<'a, 'image> {
    image: &'a InstanceImage<'image>,
    predicted: &'a Predicted<'image>,
    overlaps: &'a Overlaps,
}

impl Judge<'_, '_> {
    fn label(&self, object: &Statistics, region: &Region) -> InstanceFinding {
        let class = self.image.classes.get(object.label as usize - 1).copied();
        let (split, parts) = self.split(region);
        let wrong_class = class.and_then(|class| self.wrong_class(region, class));
        let border_disagreement = self.border_disagreement(object, region);
        let surest = self.best_match(region);
        InstanceFinding {
            object: object.label,
            class,
            area: object.area,
            bounds: object.bounds.into(),
            at_image_border: at_border(object, self.image.labels.dim()),
            false_object: self.false_object(object, region),
            merged: self.merged(region),
            split,
            parts,
            wrong_class: wrong_class.map(|(suspicion, _)| suspicion),
            suggested_class: wrong_class.map(|(_, suggested)| suggested),
            bad_border: border_disagreement
                .zip(surest)
                .map(|(share, matched)| self.predicted.score(matched) * (2.0 * share).min(1.0)),
            border_disagreement,
        }
    }

    fn false_object(&self, object: &Statistics, region: &Region) -> f64 {
        let support = match self.image.prediction {
            Prediction::Foreground(probabilities) => {
                mean_within(self.image.labels, object, probabilities)
            }
            Prediction::Objects { .. } => {
                let covered: f64 = self
                    .overlaps
                    .of_label(region)
                    .map(|(predicted, area)| self.predicted.score(predicted) * area as f64)
                    .sum();
                covered / region.known as f64
            }
        };
        (1.0 - support).clamp(0.0, 1.0)
    }

    fn merged(&self, region: &Region) -> f64 {
        let parts: Vec<(&Region, u64)> = self
            .overlaps
            .of_label(region)
            .filter(|(predicted, area)| 2 * area >= predicted.known)
            .collect();
        if parts.len() < 2 {
            return 0.0;
        }
        let areas: u64 = parts.iter().map(|(_, area)| area).sum();
        let beside: u64 = parts.iter().map(|(part, area)| part.known - area).sum();
        let weights = parts
            .iter()
            .map(|&(part, area)| self.predicted.score(part) * area as f64);
        let sum: f64 = weights.clone().sum();
        if sum == 0.0 {
            return 0.0;
        }
        let largest = weights.fold(0.0, f64::max);
        let iou = areas as f64 / (region.known + beside) as f64;
        sum / areas as f64 * iou * unevenness(largest / sum)
    }

    fn split(&self, region: &Region) -> (Option<f64>, Vec<u32>) {
        if matches!(self.image.prediction, Prediction::Foreground(_)) {
            return (None, Vec::new());
        }
        let whole = self
            .overlaps
            .of_label(region)
            .reduce(|most, next| if next.1 > most.1 { next } else { most })
            .filter(|(_, area)| 2 * area >= region.known);
        let Some((whole, own)) = whole else {
            return (Some(0.0), Vec::new());
        };
        let parts: Vec<(&Region, u64)> = self
            .overlaps
            .of_predicted(whole)
            .filter(|(label, area)| 2 * area >= label.known)
            .collect();
        if parts.len() < 2 {
            return (Some(0.0), Vec::new());
        }
        let areas: u64 = parts.iter().map(|(_, area)| area).sum();
        let beside: u64 = parts.iter().map(|(part, area)| part.known - area).sum();
        let iou = areas as f64 / (whole.known + beside) as f64;
        let suspicion = self.predicted.score(whole) * iou * unevenness(own as f64 / areas as f64);
        let others = parts.iter().map(|(part, _)| part.object);
        let others = others.filter(|&part| part != region.object).collect();
        (Some(suspicion), others)
    }

    fn wrong_class(&self, region: &Region, given: usize) -> Option<(f64, usize)> {
        let probabilities = self.predicted.class_probabilities.as_ref()?;
        let mut mean = vec![0.0; probabilities.ncols()];
        let mut covered = 0.0;
        for (predicted, area) in self.overlaps.of_label(region) {
            covered += area as f64;
            let row = probabilities.row(predicted.object as usize - 1);
            for (mean, &probability) in mean.iter_mut().zip(row) {
                *mean += area as f64 * f64::from(probability);
            }
        }
        if covered == 0.0 {
            return None;
        }
        let own = *mean.get(given)? / covered;
        let others = (0..mean.len()).filter(|&class| class != given);
        let other = others.reduce(|best, class| {
            if mean[class] > mean[best] {
                class
            } else {
                best
            }
        })?;
        let margin = (mean[other] / covered - own + 1.0) / 2.0;
        let suspicion = covered / region.known as f64 * margin;
        Some((suspicion.clamp(0.0, 1.0), other))
    }

    /// The predicted object of highest IoU; the first of equals.
    fn best_match(&self, region: &Region) -> Option<&Region> {
        let iou = |(predicted, area): (&Region, u64)| {
            area as f64 / (region.known + predicted.known - area) as f64
        };
        self.overlaps
            .of_label(region)
            .map(|pair| (pair.0, iou(pair)))
            .reduce(|best, next| if next.1 > best.1 { next } else { best })
            .map(|(predicted, _)| predicted)
    }

    fn border_disagreement(&self, object: &Statistics, region: &Region) -> Option<f64> {
        let matched = self.best_match(region)?;
        let radius = (BAND * (object.area as f64 / std::f64::consts::PI).sqrt()).max(1.0);
        let band = border::band(self.image.labels, object, radius);
        match self.image.prediction {
            Prediction::Objects { mask, .. } => band.disagreement(|place| match mask[place] {
                UNLABELLED_OBJECT => None,
                predicted => Some(f64::from(u8::from(predicted == matched.object))),
            }),
            Prediction::Foreground(probabilities) => band.disagreement(|place| {
                let label = self.image.labels[place];
                let is_free = label == 0 || label == object.label;
                is_free.then(|| f64::from(probabilities[place]))
            }),
        }
    }

    fn missed(&self, object: &Statistics, region: &Region) -> Option<MissedObject> {
        let labels = self.overlaps.of_predicted(region);
        let covered: u64 = labels.map(|(_, area)| area).sum();
        if 2 * covered >= region.known {
            return None;
        }
        let class = self
            .predicted
            .class_probabilities
            .as_ref()
            .and_then(|rows| {
                let row = rows.row(object.label as usize - 1);
                (0..row.len())
                    .reduce(|best, class| if row[class] > row[best] { class } else { best })
            });
        let share = covered as f64 / region.known as f64;
        Some(MissedObject {
            object: object.label,
            class,
            area: object.area,
            bounds: object.bounds.into(),
            at_image_border: at_border(object, self.image.labels.dim()),
            suspicion: self.predicted.score(region) * (1.0 - share),
        })
    }
}

/// From the share of the largest part: 0 if it is everything, 1 if it is half or less.
fn unevenness(largest_share: f64) -> f64 {
    (2.0 * (1.0 - largest_share)).min(1.0)
}

fn mean_within(
    labels: ArrayView2<'_, u32>,
    object: &Statistics,
    values: ArrayView2<'_, f32>,
) -> f64 {
    let bounds = object.bounds;
    let mut sum = 0.0;
    for row in bounds.top..bounds.bottom {
        for column in bounds.left..bounds.right {
            if labels[(row, column)] == object.label {
                sum += f64::from(values[(row, column)]);
            }
        }
    }
    sum / object.area as f64
}
