//! The values that networks see.

/// The mean of each channel, as a share of white, that networks expect: that of ImageNet, so that pretrained
/// parameters fit.
pub(crate) const MEAN: [f32; 3] = [0.485, 0.456, 0.406];

/// The standard deviation of each channel.
pub(crate) const STANDARD_DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

/// A pixel, as shares of white, for a network.
pub(crate) fn standardized(pixel: [f32; 3]) -> [f32; 3] {
    std::array::from_fn(|channel| (pixel[channel] - MEAN[channel]) / STANDARD_DEVIATION[channel])
}

/// The shares of white of a pixel for a network.
pub(crate) fn shares_of_white(pixel: [f32; 3]) -> [f32; 3] {
    std::array::from_fn(|channel| pixel[channel] * STANDARD_DEVIATION[channel] + MEAN[channel])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let pixel = [0.0, 0.3, 1.0];
        let back = shares_of_white(standardized(pixel));
        assert!((0..3).all(|channel| (back[channel] - pixel[channel]).abs() < 1e-6));
    }
}
