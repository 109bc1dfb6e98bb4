//! How much the labels of an image are like its predictions.

use cleanslide_data::Rectangle;
use ndarray::Array2;

use super::BoxImage;

/// Weight of the IoU; the rest is that of the closeness.
const ALPHA: f64 = 0.9;
/// Closeness falls to 1/e with every so many pixels between centres: cleanlab's factor of 0.1.
const PIXELS: f64 = 10.0;

/// Both `[labels, predictions]`.
pub(super) struct Similarities {
    pub(super) iou: Array2<f64>,
    pub(super) similarity: Array2<f64>,
}

impl Similarities {
    pub(super) fn of(image: &BoxImage<'_>) -> Self {
        let labels = &image.labels.objects;
        let size = (labels.len(), image.predictions.len());
        let pair = |(label, prediction): (usize, usize)| {
            (
                &labels[label].shape,
                &image.predictions[prediction].rectangle,
            )
        };
        let iou = Array2::from_shape_fn(size, |place| {
            let (label, prediction) = pair(place);
            label.iou(prediction)
        });
        let similarity = Array2::from_shape_fn(size, |place| {
            let (label, prediction) = pair(place);
            ALPHA * iou[place] + (1.0 - ALPHA) * closeness(label, prediction)
        });
        Self { iou, similarity }
    }

    /// The smallest similarity above 0; 1 if there is none.
    pub(super) fn smallest(&self) -> f64 {
        self.similarity
            .iter()
            .copied()
            .filter(|&similarity| similarity > 0.0)
            .fold(1.0, f64::min)
    }

    /// The most similar of the predictions that are wanted; the first of equals.
    pub(super) fn most_similar(
        &self,
        label: usize,
        wanted: impl Fn(usize) -> bool,
    ) -> Option<(usize, f64)> {
        self.similarity
            .row(label)
            .iter()
            .copied()
            .enumerate()
            .filter(|&(prediction, _)| wanted(prediction))
            .reduce(|best, next| if next.1 > best.1 { next } else { best })
    }
}

fn closeness(one: &Rectangle, other: &Rectangle) -> f64 {
    let (one, other) = (one.centre(), other.centre());
    let distance = (one.x - other.x).hypot(one.y - other.y);
    // Twice from 1, so that what is too far to matter beside 1 is 0, as in cleanlab: the smallest
    // similarity above 0 decides over some scores.
    1.0 - (1.0 - (-distance / PIXELS).exp())
}
