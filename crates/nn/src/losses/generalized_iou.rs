//! How badly boxes fit.

use burn::tensor::Tensor;

/// Keeps divisions defined: torchvision's constant.
const EPSILON: f32 = 1e-7;

/// One minus the generalised intersection over union (Rezatofighi et al., arXiv 1902.09630) of pairs of boxes that
/// share a point, `[boxes, 1]`:
///
/// ```text
/// l = 1 − |A ∩ B| / |A ∪ B| + |C − A ∪ B| / |C|        C: the smallest box that holds A and B
/// ```
///
/// Boxes are distances from the point to their left, top, right and bottom side, at least 0, `[boxes, 4]`; their
/// unit cancels.
pub fn generalized_iou_loss(ours: Tensor<2>, truth: Tensor<2>) -> Tensor<2> {
    let area = |sides: &Tensor<2>| {
        let side = |index: usize| sides.clone().slice([0..sides.dims()[0], index..index + 1]);
        (side(0) + side(2)) * (side(1) + side(3))
    };
    let both = area(&ours.clone().min_pair(truth.clone()));
    let union = area(&ours) + area(&truth) - both.clone();
    let around = area(&ours.max_pair(truth));
    let overlap = both / union.clone().add_scalar(EPSILON);
    let waste = (around.clone() - union) / around.add_scalar(EPSILON);
    waste - overlap.sub_scalar(1.0)
}
