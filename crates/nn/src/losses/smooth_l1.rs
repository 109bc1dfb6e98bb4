//! How far numbers are off.

use burn::tensor::Tensor;

/// The smooth L1 loss (Girshick, arXiv 1504.08083) of each number, as PyTorch's `smooth_l1_loss`: for a distance d,
///
/// ```text
/// l(d) = d² / (2 beta)   if d < beta
///        d − beta / 2    otherwise
/// ```
pub fn smooth_l1<const D: usize>(ours: Tensor<D>, truth: Tensor<D>, beta: f64) -> Tensor<D> {
    let distance = (ours - truth).abs();
    // Both cases at once: with c = min(d, beta), l = c (d − c / 2) / beta.
    let near = distance.clone().clamp_max(beta);
    near.clone() * (distance - near.div_scalar(2.0)).div_scalar(beta)
}
