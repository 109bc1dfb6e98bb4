//! Intersection over union of a class (Jaccard index).
//!
//! P. Jaccard, "The distribution of the flora in the alpine zone", New Phytologist 11, 1912,
//! doi:10.1111/j.1469-8137.1912.tb05611.x. IoU = Dice / (2 − Dice).

use super::{ClassOverlap, EmptyCase};
use crate::confusion::{ConfusionMatrix, ratio};
use crate::error::{Error, Undefined};
use crate::f1::ZeroDivision;

impl ClassOverlap {
    /// Intersection over union, from 0 (apart) to 1 (equal).
    ///
    /// # Errors
    /// Undefined if neither mask has the class and `empty` says so.
    pub fn iou(&self, empty: EmptyCase) -> Result<f64, Error> {
        match ratio(self.both, self.truth + self.predicted - self.both) {
            Some(iou) => Ok(iou),
            None => empty.value(),
        }
    }
}

impl ConfusionMatrix {
    /// Intersection over union of each class; `None` for a class in neither the truth nor the
    /// prediction.
    pub fn iou(&self) -> Vec<Option<f64>> {
        super::class_overlaps(self)
            .into_iter()
            .map(|class| class.iou(EmptyCase::Undefined).ok())
            .collect()
    }

    /// Mean IoU over classes ("mIoU").
    ///
    /// # Errors
    /// Undefined if there is no class to average.
    pub fn mean_iou(&self, zero_division: ZeroDivision) -> Result<f64, Error> {
        zero_division
            .mean(self.iou())
            .ok_or_else(|| Undefined::NoClass.into())
    }
}
