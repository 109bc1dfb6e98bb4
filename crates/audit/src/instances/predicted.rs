//! The predicted objects of an image, checked.

use cleanslide_data::mask::UNLABELLED_OBJECT;
use cleanslide_image::region::{Neighbours, components};
use ndarray::{ArrayView2, CowArray, Ix2};

use crate::AuditError;

use super::overlap::Region;
use super::{InstanceImage, Prediction, objects, place};

/// From this probability on, a pixel is foreground.
const FOREGROUND: f32 = 0.5;

/// Objects with scores and class probabilities.
pub(super) struct Predicted<'a> {
    pub(super) mask: CowArray<'a, u32, Ix2>,
    scores: Vec<f64>,
    pub(super) class_probabilities: Option<ArrayView2<'a, f32>>,
}

impl<'a> Predicted<'a> {
    /// `index` is the image's, for messages.
    pub(super) fn new(index: usize, image: &InstanceImage<'a>) -> Result<Self, AuditError> {
        let size = match image.prediction {
            Prediction::Objects { mask, .. } => mask.dim(),
            Prediction::Foreground(probabilities) => probabilities.dim(),
        };
        if size != image.labels.dim() {
            return Err(AuditError::image(
                index,
                format!(
                    "the prediction is {size:?} (height, width), but the labels are {:?}: predict at \
                     the size of the label mask",
                    image.labels.dim()
                ),
            ));
        }
        match image.prediction {
            Prediction::Objects {
                mask,
                scores,
                class_probabilities,
            } => Self::of_objects(index, mask, scores, class_probabilities),
            Prediction::Foreground(probabilities) => Self::of_foreground(index, probabilities),
        }
    }

    pub(super) fn score(&self, predicted: &Region) -> f64 {
        self.scores[predicted.object as usize - 1]
    }

    fn of_objects(
        index: usize,
        mask: ArrayView2<'a, u32>,
        scores: &[f64],
        class_probabilities: Option<ArrayView2<'a, f32>>,
    ) -> Result<Self, AuditError> {
        let refuse = |problem: String| Err(AuditError::image(index, problem));
        if let Some(bad) = scores.iter().position(|score| !(0.0..=1.0).contains(score)) {
            return refuse(format!(
                "the score of predicted object {} is {}, not a number between 0 and 1: give 1 if the \
                 model has no scores",
                bad + 1,
                scores[bad]
            ));
        }
        if let Some(last) = objects(mask).last()
            && last.label as usize > scores.len()
        {
            return refuse(format!(
                "predicted object {} at {} has no score: there are {} scores, one for each object \
                 from 1",
                last.label,
                place(last),
                scores.len()
            ));
        }
        if let Some(rows) = class_probabilities {
            if rows.nrows() != scores.len() {
                return refuse(format!(
                    "there are class probabilities of {} predicted objects, but {} scores",
                    rows.nrows(),
                    scores.len()
                ));
            }
            let bad = rows
                .indexed_iter()
                .find(|(_, value)| !(0.0..=1.0).contains(*value));
            if let Some(((object, class), value)) = bad {
                return refuse(format!(
                    "the probability of class {class} of predicted object {} is {value}, not a number \
                     between 0 and 1: apply softmax over the classes first",
                    object + 1
                ));
            }
        }
        Ok(Self {
            mask: mask.into(),
            scores: scores.to_vec(),
            class_probabilities,
        })
    }

    fn of_foreground(index: usize, probabilities: ArrayView2<'_, f32>) -> Result<Self, AuditError> {
        let bad = probabilities
            .indexed_iter()
            .find(|(_, value)| !(0.0..=1.0).contains(*value));
        if let Some(((row, column), value)) = bad {
            return Err(AuditError::image(
                index,
                format!(
                    "the probability of foreground at row {row}, column {column} is {value}, not a \
                     number between 0 and 1: apply a sigmoid to the model's output first"
                ),
            ));
        }
        let foreground = probabilities.mapv(|probability| probability >= FOREGROUND);
        let parts = components(foreground.view(), Neighbours::Four)
            .map_err(|error| AuditError::image(index, error.to_string()))?;
        let mut sums = vec![(0.0, 0u64); parts.count];
        for (&part, &probability) in parts.labels.iter().zip(probabilities) {
            if part != 0 && part != UNLABELLED_OBJECT {
                let (sum, area) = &mut sums[part as usize - 1];
                *sum += f64::from(probability);
                *area += 1;
            }
        }
        Ok(Self {
            mask: parts.labels.into(),
            scores: sums.iter().map(|(sum, area)| sum / *area as f64).collect(),
            class_probabilities: None,
        })
    }
}
