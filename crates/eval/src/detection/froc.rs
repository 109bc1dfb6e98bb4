//! Free-response ROC: the share of lesions that are found, over false alarms per image.
//!
//! P. Bunch et al., "A free response approach to the measurement and characterization of
//! radiographic observer performance", 1977, doi:10.1117/12.955926; as one number, the mean
//! sensitivity at fixed rates of false alarms, as in LUNA16 (A. Setio et al. 2017,
//! doi:10.1016/j.media.2017.06.015) and CAMELYON16.
//!
//! One point per distinct score; between points, sensitivity is interpolated linearly, and beyond the
//! last one it stays (numpy's `interp`), as in LUNA16 and MONAI. MONAI leaves out the point of the
//! lowest score; it is kept here.

use super::coco::{CocoMatches, CocoSubset};
use super::coco_match::{Outcome, descending};
use crate::error::{Error, Undefined};
use crate::weights::Weights;

/// The rates of false alarms per image of LUNA16.
pub const FROC_RATES: [f64; 7] = [0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0];

/// A FROC curve, from no findings to all.
#[derive(Debug, Clone, PartialEq)]
pub struct Froc {
    /// The lowest score that counts at each point; infinite at the first.
    pub scores: Vec<f64>,
    /// False alarms per image, ascending.
    pub false_alarms: Vec<f64>,
    /// Share of the required objects that are found, ascending.
    pub sensitivity: Vec<f64>,
}

impl CocoMatches {
    /// The FROC curve at one IoU threshold; findings and objects of several classes count together.
    ///
    /// # Errors
    /// Weights that do not fit the images, a subset that was not matched or without an IoU, or
    /// undefined without images or required objects.
    pub fn froc(&self, subset: &CocoSubset, weights: Weights<'_>) -> Result<Froc, Error> {
        weights.check(self.images())?;
        let selected = self.select_one_iou(subset)?;
        let images: f64 = (0..self.images()).map(|image| weights.of(image)).sum();
        let mut required = 0.0;
        let mut findings: Vec<(f64, Outcome, f64)> = Vec::new();
        for ranking in &self.rankings[selected.classes.clone()] {
            for &(image, count) in &ranking.required[selected.area] {
                required += weights.of(image as usize) * f64::from(count);
            }
            ranking.each(&selected, selected.ious.start, |finding, outcome| {
                findings.push((finding.score, outcome, weights.of(finding.image as usize)));
            });
        }
        if images <= 0.0 {
            return Err(Undefined::NoItems.into());
        }
        if required <= 0.0 {
            return Err(Undefined::NoObjects.into());
        }
        findings.sort_by(|a, b| descending(a.0, b.0));
        let mut froc = Froc {
            scores: vec![f64::INFINITY],
            false_alarms: vec![0.0],
            sensitivity: vec![0.0],
        };
        let (mut hits, mut false_alarms) = (0.0, 0.0);
        for block in findings.chunk_by(|a, b| a.0 == b.0) {
            for &(_, outcome, weight) in block {
                match outcome {
                    Outcome::Hit => hits += weight,
                    Outcome::FalseAlarm => false_alarms += weight,
                    Outcome::Ignored => {}
                }
            }
            froc.scores.push(block[0].0);
            froc.false_alarms.push(false_alarms / images);
            froc.sensitivity.push(hits / required);
        }
        Ok(froc)
    }
}

impl Froc {
    /// Sensitivity at a rate of false alarms per image; 0 below 0.
    pub fn sensitivity_at(&self, rate: f64) -> f64 {
        let above = self.false_alarms.partition_point(|&point| point <= rate);
        match (above.checked_sub(1), self.false_alarms.get(above)) {
            (None, _) => 0.0,
            (Some(last), None) => self.sensitivity[last],
            (Some(below), Some(&there)) => {
                let (from, to) = (self.sensitivity[below], self.sensitivity[above]);
                let here = self.false_alarms[below];
                from + (to - from) * (rate - here) / (there - here)
            }
        }
    }

    /// The mean sensitivity at several rates, for example [`FROC_RATES`].
    ///
    /// # Errors
    /// No rates, or one that is negative or NaN.
    pub fn mean_sensitivity(&self, rates: &[f64]) -> Result<f64, Error> {
        if rates.is_empty() {
            return Err(Error::Empty {
                what: "list of rates",
            });
        }
        if let Some(&rate) = rates.iter().find(|rate| rate.is_nan() || **rate < 0.0) {
            return Err(Error::InvalidRate { rate });
        }
        let sum: f64 = rates.iter().map(|&rate| self.sensitivity_at(rate)).sum();
        Ok(sum / rates.len() as f64)
    }
}
