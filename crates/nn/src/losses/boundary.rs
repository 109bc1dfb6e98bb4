//! The boundary loss: how far off the border of its region each pixel is that is predicted wrongly.

use burn::tensor::Tensor;

/// The boundary loss of each item, `[items]` (Kervadec et al., arXiv 1812.07032):
///
/// ```text
/// l = 1/classes * sum_k p_k * phi_k
/// ```
///
/// for probabilities `p` and signed distances `phi`, both `[items, classes]`: how far, in pixels, a pixel is from the
/// region that is labelled `k`, negative inside. A class without a border has distances 0. The mean over pixels is
/// [`weighted_mean`](super::weighted_mean).
///
/// It is linear in the probabilities, so a distance map costs nothing but to be made, and mixing two maps mixes their
/// losses. It is negative for good predictions, and is at its least where each pixel has the class of least distance.
/// It is meant to be added to a loss of regions, with a share near 0.01 at first, since distances are in pixels.
/// Adding a constant to the distances of all classes alike changes no gradient.
pub fn boundary_loss(probabilities: Tensor<2>, distances: Tensor<2>) -> Tensor<1> {
    (probabilities * distances).mean_dim(1).squeeze_dim(1)
}
