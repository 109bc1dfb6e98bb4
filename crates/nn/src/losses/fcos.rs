//! What a detector without anchors is compared with.

use burn::tensor::Tensor;

use super::{BinaryFocal, binary_cross_entropy, generalized_iou_loss};
use crate::networks::FcosOutput;

/// What is said of each location of a batch, in the order of [`FcosOutput`].
#[derive(Debug, Clone)]
pub struct FcosTargets {
    /// 1 for the class of the object that the location answers for, otherwise 0, `[n, locations, classes]`.
    pub classes: Tensor<3>,
    /// How much the classes of a location count, `[n, locations, 1]`: 1 where nothing is, the trust in the object
    /// where one is, 0 where nobody knows.
    pub known: Tensor<3>,
    /// The distances to the sides of the object, in cells, `[n, locations, 4]`; anything where there is none.
    pub distances: Tensor<3>,
    /// √(shorter / longer) of the horizontal distances times that of the vertical ones, `[n, locations, 1]`.
    pub centredness: Tensor<3>,
    /// The trust in the object of a location, 0 where there is none, `[n, locations, 1]`.
    pub objects: Tensor<3>,
    /// The sum of `objects`, which the losses are divided by; at least 1.
    pub total: f64,
}

/// The sum of three losses (Tian et al., arXiv 1904.01355, as torchvision has it): focal of the classes, generalised
/// IoU of the boxes and cross-entropy of the centredness, each summed over the locations with their trust and
/// divided by the trust in all objects together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FcosLoss {
    /// The loss of the classes.
    pub classes: BinaryFocal,
    /// The share of the loss of the boxes. Default 1.
    pub boxes: f64,
    /// The share of the loss of the centredness. Default 1.
    pub centredness: f64,
}

impl Default for FcosLoss {
    fn default() -> Self {
        Self {
            classes: BinaryFocal::default(),
            boxes: 1.0,
            centredness: 1.0,
        }
    }
}

impl FcosLoss {
    /// The three losses of a batch, `[3]`, already times their shares: classes, boxes, centredness.
    pub fn parts(&self, output: FcosOutput, targets: FcosTargets) -> Tensor<1> {
        let [n, locations, _] = output.distances.dims();
        let boxes = |sides: Tensor<3>| sides.reshape([n * locations, 4]);
        let misfit = generalized_iou_loss(boxes(output.distances), boxes(targets.distances));
        let of_classes = self.classes.per_score(output.classes, targets.classes) * targets.known;
        let of_boxes = misfit.reshape([n, locations, 1]) * targets.objects.clone();
        let of_centres =
            binary_cross_entropy(output.centredness, targets.centredness) * targets.objects;
        let parts = [
            (of_classes, 1.0),
            (of_boxes, self.boxes),
            (of_centres, self.centredness),
        ];
        let parts = parts
            .map(|(losses, share)| losses.sum().mul_scalar(share / targets.total))
            .to_vec();
        Tensor::cat(parts, 0)
    }
}
