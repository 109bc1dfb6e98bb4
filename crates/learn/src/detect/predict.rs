//! Boxes of the objects in an image of any size, tile by tile.

use burn::tensor::{Tensor, TensorData};
use cleanslide_data::{Detection, Rectangle};
use cleanslide_image::transform::Turn;
use cleanslide_nn::networks::DetectionNetwork;
use cleanslide_weak::fusion::boxes::{FusedDetection, NonMaximumSuppression, WeightedBoxesFusion};
use image::RgbImage;
use ndarray::ArrayView3;
use serde::{Deserialize, Serialize};

use super::{Detector, faster_rcnn, fcos};
use crate::error::{Error, Result};
use crate::views::{TestAugmentation, array, check, scaled, starts, tile};

/// How a detector predicts. Every field has a default, and unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DetectorPredictSettings {
    /// Side of a tile, in pixels; what bounds the memory. Default 1024.
    pub tile: usize,
    /// Pixels in which neighbouring tiles overlap: at least the size of an object, so that each is whole in the tile
    /// that its middle is in. Default 128.
    pub overlap: usize,
    /// In which turns an image is predicted. Default as it is.
    pub turns: TestAugmentation,
    /// In which sizes an image is predicted. Default 1.
    pub scales: Vec<f64>,
    /// The least score of a box. Default 0.2.
    pub score: f64,
    /// Of boxes that overlap by more (intersection over union), the one with the highest score stays. Default 0.5.
    pub suppression: f64,
    /// Whether an object has one class, as cells do: boxes then suppress those of other classes too. Default true.
    pub exclusive: bool,
    /// Boxes of several turns and sizes that overlap by more are of the same object: their weighted mean is
    /// predicted, with a lower score the fewer they are. Default 0.55.
    pub agreement: f64,
    /// The most boxes of a tile, those with the highest scores. Default 1000.
    pub most: usize,
}

impl Default for DetectorPredictSettings {
    fn default() -> Self {
        Self {
            tile: 1024,
            overlap: 128,
            turns: TestAugmentation::None,
            scales: vec![1.0],
            score: 0.2,
            suppression: 0.5,
            exclusive: true,
            agreement: 0.55,
            most: 1000,
        }
    }
}

impl DetectorPredictSettings {
    /// Refuses settings out of their range.
    ///
    /// # Errors
    /// The first such setting.
    pub fn check(&self) -> Result<()> {
        check(self.tile, self.overlap, &self.scales)?;
        for (name, value) in [
            ("score", self.score),
            ("suppression", self.suppression),
            ("agreement", self.agreement),
        ] {
            if !(0.0..1.0).contains(&value) {
                return Err(Error::Setting {
                    name,
                    value: value.to_string(),
                    reason: "expected at least 0 and less than 1".to_owned(),
                });
            }
        }
        Ok(())
    }
}

impl Detector {
    /// The objects of an image, the surest first. Boxes lie on the image; scores are from 0 to 1.
    ///
    /// # Errors
    /// When a setting is out of range, the image has no pixels, or the device fails.
    pub fn predict(
        &self,
        image: &RgbImage,
        settings: &DetectorPredictSettings,
    ) -> Result<Vec<Detection>> {
        let mut views = self.views(image, settings)?;
        if views.len() == 1 {
            return Ok(views.remove(0));
        }
        let fused = fused(&views, settings)?.into_iter();
        let sure: Vec<Detection> = fused
            .map(|fused| fused.detection)
            .filter(|found| found.score >= settings.score)
            .collect();
        suppressed(&sure, settings)
    }

    /// The objects found in each turn and size of an image, sizes one after the other: at the places of the image as
    /// it is.
    ///
    /// # Errors
    /// As [`Detector::predict`].
    pub fn views(
        &self,
        image: &RgbImage,
        settings: &DetectorPredictSettings,
    ) -> Result<Vec<Vec<Detection>>> {
        settings.check()?;
        let (width, height) = image.dimensions();
        if width == 0 || height == 0 {
            return Err(Error::PixelLabels {
                image: "to predict".into(),
                problem: "it has no pixels".into(),
            });
        }
        let mut views = Vec::new();
        for &scale in &settings.scales {
            let scaled = scaled(image, scale);
            let pixels = array(&scaled)?;
            let size = (pixels.dim().0, pixels.dim().1);
            let [down, across] = [
                f64::from(height) / size.0 as f64,
                f64::from(width) / size.1 as f64,
            ];
            for &turn in settings.turns.turns() {
                let found = self.tiles(turn.colour(pixels.view()).view(), settings)?;
                let upright = |found: Detection| Detection {
                    rectangle: upright(found.rectangle, turn, size, [down, across]),
                    ..found
                };
                views.push(found.into_iter().map(upright).collect());
            }
        }
        Ok(views)
    }

    fn tiles(
        &self,
        image: ArrayView3<'_, u8>,
        settings: &DetectorPredictSettings,
    ) -> Result<Vec<Detection>> {
        let multiple = self.config().multiple();
        let (height, width, _) = image.dim();
        let side = |length: usize| length.min(settings.tile).next_multiple_of(multiple);
        let size = [side(height), side(width)];
        let rows = parts(height, size[0], settings.overlap);
        let columns = parts(width, size[1], settings.overlap);
        let mut found = Vec::new();
        for row in &rows {
            for column in &columns {
                let of_tile = self.tile(image, [row.start, column.start], size, settings)?;
                found.extend(of_tile.into_iter().filter(|found| {
                    let middle = found.rectangle.centre();
                    row.answers_for(middle.y) && column.answers_for(middle.x)
                }));
            }
        }
        let on_image = |found: Detection| {
            let rectangle = found.rectangle.on_image((height, width))?;
            Some(Detection { rectangle, ..found })
        };
        let found: Vec<Detection> = found.into_iter().filter_map(on_image).collect();
        suppressed(&found, settings)
    }

    /// The objects of a tile, at their places in the image, those of the highest scores.
    fn tile(
        &self,
        image: ArrayView3<'_, u8>,
        [top, left]: [usize; 2],
        [rows, columns]: [usize; 2],
        settings: &DetectorPredictSettings,
    ) -> Result<Vec<Detection>> {
        let values = tile(image, [top, left], [rows, columns]);
        let data = TensorData::new(values, [1, rows, columns, 3]);
        let mut found = self.find(Tensor::from_data(data, &self.device), settings.score)?;
        // A stable sort: of equal scores what is found first comes first.
        found.sort_by(|one, two| two.score.total_cmp(&one.score));
        found.truncate(settings.most);
        let mut found = suppressed(&found, settings)?;
        for found in &mut found {
            let rectangle = &mut found.rectangle;
            rectangle.left += left as f64;
            rectangle.right += left as f64;
            rectangle.top += top as f64;
            rectangle.bottom += top as f64;
        }
        Ok(found)
    }

    /// What is found in an image `[1, height, width, 3]`, with a score of at least `least`.
    fn find(&self, image: Tensor<4>, least: f64) -> Result<Vec<Detection>> {
        let [_, height, width, _] = image.dims();
        match &self.network {
            DetectionNetwork::Fcos(network) => {
                let output = network.forward(image);
                fcos::decode(output, network.strides(), [height, width], least)
            }
            DetectionNetwork::FasterRcnn(network) => faster_rcnn::find(network, image, least),
        }
    }
}

/// The boxes that views of an image agree on, the surest first.
pub(super) fn fused(
    views: &[Vec<Detection>],
    settings: &DetectorPredictSettings,
) -> Result<Vec<FusedDetection>> {
    let fusion = WeightedBoxesFusion {
        overlap: settings.agreement,
        ..WeightedBoxesFusion::default()
    };
    Ok(fusion.fuse(views)?)
}

/// A box of a view at its place in the image as it is: the view is the image of `size` rows and columns after a turn,
/// and a pixel of that image is so many rows and columns of the image as it is.
pub(super) fn upright(
    rectangle: Rectangle,
    turn: Turn,
    size: (usize, usize),
    [down, across]: [f64; 2],
) -> Rectangle {
    let back = turn.inverse().rectangle(turn.size(size), rectangle);
    Rectangle {
        left: back.left * across,
        top: back.top * down,
        right: back.right * across,
        bottom: back.bottom * down,
    }
}

/// The boxes that stay, the surest first.
pub(super) fn suppressed(
    found: &[Detection],
    settings: &DetectorPredictSettings,
) -> Result<Vec<Detection>> {
    let surviving = surviving(found, settings)?;
    Ok(surviving.into_iter().map(|index| found[index]).collect())
}

/// The places of the boxes that stay, the surest first.
pub(super) fn surviving(
    found: &[Detection],
    settings: &DetectorPredictSettings,
) -> Result<Vec<usize>> {
    let suppression = NonMaximumSuppression {
        overlap: settings.suppression,
    };
    let of_class = |class: usize| if settings.exclusive { 0 } else { class };
    let boxes: Vec<Detection> = found
        .iter()
        .map(|found| Detection {
            class: of_class(found.class),
            ..*found
        })
        .collect();
    let kept = suppression.fuse(&[boxes])?;
    // The first member of a group is the one that stayed.
    Ok(kept.iter().map(|kept| kept.members[0].index).collect())
}

/// Where a tile begins along one side of an image, and between which places it answers for objects.
struct Part {
    start: usize,
    from: f64,
    to: f64,
}

impl Part {
    fn answers_for(&self, middle: f64) -> bool {
        (self.from..self.to).contains(&middle)
    }
}

/// Tiles that share what they overlap in.
fn parts(length: usize, tile: usize, overlap: usize) -> Vec<Part> {
    let starts = starts(length, tile, overlap);
    let border = |left: usize, right: usize| (left + tile + right) as f64 / 2.0;
    (0..starts.len())
        .map(|index| Part {
            start: starts[index],
            from: match index {
                0 => f64::NEG_INFINITY,
                _ => border(starts[index - 1], starts[index]),
            },
            to: match starts.get(index + 1) {
                Some(&next) => border(starts[index], next),
                None => length as f64,
            },
        })
        .collect()
}
