//! Labels that a network gives in the place of those that it was given.

use cleanslide_data::{Detection, Object, Objects, Rectangle, Trust};
use cleanslide_weak::fusion::boxes::FusedDetection;
use image::RgbImage;
use serde::{Deserialize, Serialize};

use super::{BoxTrust, CorrectionSettings};
use crate::correction::Background;
use crate::detect::predict::{fused, surviving};
use crate::detect::{Detector, DetectorPredictSettings};
use crate::error::Result;

/// A box that a network found in several views of an image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CorrectedBox {
    /// Where.
    pub shape: Rectangle,
    /// Its class.
    pub class: usize,
    /// How sure the views together are, in [0, 1].
    pub score: f64,
    /// In how many views it was found; 0 of a given box that stays.
    pub views: usize,
}

/// What a network says of an image in the place of its labels.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CorrectedImage {
    /// The objects, the surest first; given ones that stay before all others.
    pub objects: Vec<CorrectedBox>,
    /// What may be objects: it is not background. There is none unless [`Background::Ignored`] asks for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubted: Vec<CorrectedBox>,
    /// Whether the given labels say that every object is marked: where these complete them, or agree that there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_complete: Option<bool>,
}

impl CorrectedImage {
    /// Finds the objects of an image: the detector sees nothing but its pixels. Boxes of all views are fused
    /// (weighted boxes fusion); of those that are sure enough, the surest of overlapping ones stay.
    pub(in crate::detect) fn find(
        detector: &Detector,
        image: &RgbImage,
        correction: &CorrectionSettings,
        predict: &DetectorPredictSettings,
    ) -> Result<Self> {
        let settings = correction.views(predict);
        let fused = fused(&detector.views(image, &settings)?, &settings)?;
        let (sure, unsure): (Vec<_>, Vec<_>) = fused
            .iter()
            .map(CorrectedBox::from)
            .partition(|found| found.score >= correction.score);
        let detections: Vec<_> = sure.iter().map(CorrectedBox::detection).collect();
        let objects = surviving(&detections, &settings)?;
        let doubted = match correction.background {
            Background::Ignored { doubt } => unsure
                .into_iter()
                .filter(|found| found.score >= doubt)
                .collect(),
            _ => Vec::new(),
        };
        Ok(Self {
            objects: objects.into_iter().map(|index| sure[index]).collect(),
            doubted,
            given_complete: None,
        })
    }

    /// What was found in the place of the given boxes: that there is none is known where both have none.
    pub(in crate::detect) fn replacing(self, given: &Objects<Rectangle>) -> Self {
        let nothing = self.objects.is_empty() && given.objects.is_empty();
        Self {
            given_complete: (nothing && given.complete).then_some(true),
            ..self
        }
    }

    /// The given boxes, as sure as they are trusted, and beside them what was found: a box that overlaps one of them by
    /// more than `suppression` is of the same object.
    pub(in crate::detect) fn completing(
        self,
        given: &Objects<Rectangle>,
        suppression: f64,
    ) -> Self {
        let beside = |found: &CorrectedBox| {
            let same = |object: &Object<Rectangle>| object.shape.iou(&found.shape) > suppression;
            !given.objects.iter().any(same)
        };
        let stays = given.objects.iter().map(|object| CorrectedBox {
            shape: object.shape,
            class: object.class,
            score: f64::from(object.trust.value()),
            views: 0,
        });
        let added = self.objects.into_iter().filter(beside);
        Self {
            objects: stays.chain(added).collect(),
            doubted: self.doubted.into_iter().filter(beside).collect(),
            given_complete: Some(given.complete),
        }
    }

    /// As labels to learn from, but for what is doubted. Of an image in which nothing was found nothing is known, unless the
    /// given labels say too that there is nothing.
    pub fn labels(&self, trust: BoxTrust) -> Objects<Rectangle> {
        let objects = self.objects.iter().map(|found| Object {
            shape: found.shape,
            class: found.class,
            trust: match trust {
                BoxTrust::Full => Trust::FULL,
                BoxTrust::Score => Trust::new(found.score as f32).unwrap_or(Trust::FULL),
            },
        });
        Objects {
            objects: objects.collect(),
            complete: !self.objects.is_empty() || self.given_complete == Some(true),
        }
    }

    /// As a source of labels, which has no place for single boxes that are doubted: where there are some, or the given
    /// labels that these complete leave out objects, not every object is marked.
    pub fn published(&self, trust: BoxTrust) -> Objects<Rectangle> {
        let labels = self.labels(trust);
        let open = !self.doubted.is_empty() || self.given_complete == Some(false);
        Objects {
            complete: labels.complete && !open,
            ..labels
        }
    }
}

impl CorrectedBox {
    fn detection(&self) -> Detection {
        Detection {
            rectangle: self.shape,
            class: self.class,
            score: self.score,
        }
    }
}

impl From<&FusedDetection> for CorrectedBox {
    fn from(fused: &FusedDetection) -> Self {
        Self {
            shape: fused.detection.rectangle,
            class: fused.detection.class,
            score: fused.detection.score,
            views: fused.views(),
        }
    }
}
