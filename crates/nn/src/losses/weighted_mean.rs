//! The mean over items by weight.

use burn::tensor::Tensor;

/// The mean of `per_item` `[items]` by `weights` `[items]`: `sum_i w_i * l_i / sum_i w_i`.
///
/// Weights are not negative; 0 means that the item is ignored, and then its value may even be
/// infinite. If all weights are 0 the mean is 0 and so is its gradient. The result has shape `[1]`.
pub fn weighted_mean(per_item: Tensor<1>, weights: Tensor<1>) -> Tensor<1> {
    let ignored = weights.clone().equal_scalar(0.0);
    // Zero times infinity is not zero, so ignored items are replaced and not only multiplied.
    let kept = per_item.mask_fill(ignored, 0.0);
    let total = weights.clone().sum().clamp_min(f32::MIN_POSITIVE);
    (kept * weights).sum() / total
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn ignores_items_of_weight_zero_even_if_infinite() {
        let device = Device::flex();
        let values = Tensor::<1>::from_floats([1.0, f32::INFINITY, 4.0], &device);
        let weights = Tensor::from_floats([1.0, 0.0, 0.5], &device);
        let mean: f32 = weighted_mean(values, weights).into_scalar();
        assert_eq!(mean, 2.0);
    }

    #[test]
    fn no_weight_at_all_gives_zero_and_a_zero_gradient() {
        let device = Device::flex().autodiff();
        let values = Tensor::<1>::from_floats([1.0, 2.0], &device).require_grad();
        let mean = weighted_mean(values.clone(), Tensor::zeros([2], &device));
        let gradients = mean.backward();
        assert_eq!(mean.into_scalar::<f32>(), 0.0);
        let gradient = values
            .grad(&gradients)
            .unwrap()
            .into_data()
            .try_to_vec::<f32>()
            .unwrap();
        assert_eq!(gradient, [0.0, 0.0]);
    }
}
