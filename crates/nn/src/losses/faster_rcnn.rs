//! What a detector in two parts is compared with.

use burn::tensor::Tensor;

use super::{CrossEntropy, Loss, binary_cross_entropy, smooth_l1};
use crate::networks::FasterRcnnOutput;

/// Where the smooth L1 losses of offsets go from square to linear: torchvision's constant.
const BETA: f64 = 1.0 / 9.0;

/// What is said of each anchor of a batch, in the order of
/// [`FasterRcnnProposals`](crate::networks::FasterRcnnProposals).
#[derive(Debug, Clone)]
pub struct AnchorTargets {
    /// 1 where an anchor is an object, otherwise 0, `[n, anchors, 1]`.
    pub objects: Tensor<3>,
    /// How much an anchor counts, `[n, anchors, 1]`: 1 where nothing is, the trust in the object where one is, 0 where
    /// nobody knows or the anchor was not chosen.
    pub weights: Tensor<3>,
    /// How to move and scale the anchor to the object, `[n, anchors, 4]`; anything where there is none.
    pub offsets: Tensor<3>,
    /// The sum of `weights`, which the losses are divided by; at least 1.
    pub total: f64,
}

/// What is said of each region, in the order of [`FasterRcnnOutput`].
#[derive(Debug, Clone)]
pub struct RegionTargets {
    /// 1 for what a region is, the background first, otherwise 0, `[regions, 1 + classes]`.
    pub classes: Tensor<2>,
    /// How much a region counts, `[regions]`, as that of anchors.
    pub weights: Tensor<1>,
    /// How to move and scale the region to the object, `[regions, 4]`; anything where there is none.
    pub offsets: Tensor<2>,
    /// The sum of `weights`, which the losses are divided by; at least 1.
    pub total: f64,
}

/// The losses of a detector in two parts (Ren et al., arXiv 1506.01497, as torchvision has them), each summed with the
/// weights of what was chosen and divided by the sum of these.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FasterRcnnLoss {
    /// The share of both losses of offsets. Default 1.
    pub boxes: f64,
}

impl Default for FasterRcnnLoss {
    fn default() -> Self {
        Self { boxes: 1.0 }
    }
}

impl FasterRcnnLoss {
    /// The two losses of the first part, `[2]`: cross-entropy of the objectness, and smooth L1 of the offsets of
    /// objects times its share.
    pub fn of_anchors(
        &self,
        objectness: Tensor<3>,
        offsets: Tensor<3>,
        targets: AnchorTargets,
    ) -> Tensor<1> {
        let of_objects = binary_cross_entropy(objectness, targets.objects.clone());
        let weights = targets.weights.clone() * targets.objects;
        let of_offsets = smooth_l1(offsets, targets.offsets, BETA) * weights;
        self.shared(
            (of_objects * targets.weights).sum(),
            of_offsets.sum(),
            targets.total,
        )
    }

    /// The two losses of the second part, `[2]`: cross-entropy of the classes, and smooth L1 of the offsets of the class
    /// that an object is of, times its share.
    pub fn of_regions(&self, output: FasterRcnnOutput, targets: RegionTargets) -> Tensor<1> {
        let [regions, classes, _] = output.offsets.dims();
        let of_classes = CrossEntropy::default().per_item(output.classes, targets.classes.clone());
        let objects = targets.classes.slice([0..regions, 1..classes]);
        let weights = objects * targets.weights.clone().unsqueeze_dim(1);
        let of_class = output.offsets.slice([0..regions, 1..classes]);
        let truth = targets
            .offsets
            .unsqueeze_dim::<3>(1)
            .expand(of_class.dims());
        let of_offsets = smooth_l1(of_class, truth, BETA) * weights.unsqueeze_dim(2);
        self.shared(
            (of_classes * targets.weights).sum(),
            of_offsets.sum(),
            targets.total,
        )
    }

    fn shared(&self, of_classes: Tensor<1>, of_offsets: Tensor<1>, total: f64) -> Tensor<1> {
        let parts = vec![
            of_classes.div_scalar(total),
            of_offsets.mul_scalar(self.boxes / total),
        ];
        Tensor::cat(parts, 0)
    }
}
