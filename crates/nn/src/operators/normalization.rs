use std::sync::Arc;

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use cleanslide_kernels::Activation;
use cleanslide_kernels::normalization::{self, Affine, GradientAffine};

use super::custom::{Keeps, Kept, Operator, Values, instructions, is_cpu, ternary, unary};
use super::memory;

/// How channels are normalised.
#[derive(Debug, Clone)]
pub struct Normalization {
    /// The mean of each channel.
    pub mean: Tensor<1>,
    /// The variance of each channel, over n.
    pub variance: Tensor<1>,
    /// Mean and variance are those of the images that are normalised, from [`moments`], and have a
    /// share in the gradient.
    pub own_moments: bool,
    /// Added to the variance.
    pub epsilon: f64,
    /// What follows.
    pub activation: Activation,
}

/// Mean and variance (over n) of each channel of images `[n, height, width, channels]`.
pub fn moments(images: Tensor<4>) -> [Tensor<1>; 2] {
    let [.., channels] = images.dims();
    if is_cpu(&images.device()) {
        // Their share in the gradient is worked out with that of the normalisation.
        let both: Tensor<2> = unary(Moments { channels }, images.detach());
        return [0, 1].map(|index| both.clone().slice(index..index + 1).reshape([channels]));
    }
    composed_moments(images)
}

/// [`moments`] of Burn's operators.
pub(super) fn composed_moments(images: Tensor<4>) -> [Tensor<1>; 2] {
    let [n, height, width, channels] = images.dims();
    let rows = images.reshape([n * height * width, channels]);
    let mean = rows.clone().mean_dim(0);
    let variance = (rows - mean.clone()).square().mean_dim(0);
    [mean, variance].map(|moment| moment.reshape([channels]))
}

/// `activation((images − mean) / √(variance + epsilon) · scale + shift)` for images `[n, height, width,
/// channels]` and one value per channel of all else.
pub fn normalize(
    images: Tensor<4>,
    scale: Tensor<1>,
    shift: Tensor<1>,
    by: Normalization,
) -> Tensor<4> {
    if is_cpu(&images.device()) {
        let operator = Normalize {
            mean: by.mean.into_data().iter::<f32>().collect(),
            inverse_deviation: by
                .variance
                .into_data()
                .iter::<f32>()
                .map(|variance| (1.0 / (f64::from(variance) + by.epsilon).sqrt()) as f32)
                .collect(),
            shape: images.dims(),
            own_moments: by.own_moments,
            activation: by.activation,
        };
        return ternary(operator, images, scale, shift);
    }
    composed_normalize(images, scale, shift, by)
}

/// [`normalize`] of Burn's operators.
pub(super) fn composed_normalize(
    images: Tensor<4>,
    scale: Tensor<1>,
    shift: Tensor<1>,
    by: Normalization,
) -> Tensor<4> {
    let channels = scale.dims()[0];
    let row = |values: Tensor<1>| values.reshape([1, 1, 1, channels]);
    let deviation = row(by.variance).add_scalar(by.epsilon).sqrt();
    let values = (images - row(by.mean)) / deviation * row(scale) + row(shift);
    match by.activation {
        Activation::Identity => values,
        Activation::Relu => relu(values),
        Activation::Relu6 => values.clamp(0.0, 6.0),
    }
}

#[derive(Debug, Clone)]
struct Moments {
    channels: usize,
}

impl Operator<1> for Moments {
    const KEEPS: Keeps = Keeps::Nothing;

    fn forward(&self, [images]: [&[f32]; 1]) -> Values {
        let mut values = vec![0.0; 2 * self.channels];
        let (mean, variance) = values.split_at_mut(self.channels);
        normalization::moments(instructions(), images, mean, variance);
        Values {
            values,
            shape: vec![2, self.channels],
        }
    }

    fn backward(&self, _: Kept<'_, 1>, _: &[f32], _: [bool; 1]) -> [Option<Vec<f32>>; 1] {
        [None]
    }
}

#[derive(Debug, Clone)]
struct Normalize {
    mean: Arc<[f32]>,
    inverse_deviation: Arc<[f32]>,
    shape: [usize; 4],
    own_moments: bool,
    activation: Activation,
}

impl Normalize {
    /// Factor and summand of each channel.
    fn affine(&self, scale: &[f32], shift: &[f32]) -> [Vec<f32>; 2] {
        let factors: Vec<f32> = scale
            .iter()
            .zip(&*self.inverse_deviation)
            .map(|(scale, inverse)| scale * inverse)
            .collect();
        let summands = factors
            .iter()
            .zip(shift)
            .zip(&*self.mean)
            .map(|((factor, shift), mean)| shift - factor * mean)
            .collect();
        [factors, summands]
    }
}

impl Operator<3> for Normalize {
    fn forward(&self, [images, scale, shift]: [&[f32]; 3]) -> Values {
        let [factor, summand] = self.affine(scale, shift);
        let mut values = memory::take(images.len());
        let affine = Affine {
            factor: &factor,
            summand: &summand,
            activation: self.activation,
        };
        normalization::normalize(instructions(), images, affine, &mut values);
        Values {
            values,
            shape: self.shape.to_vec(),
        }
    }

    /// With z = (x − μ) r for r = 1/√(σ² + ε), dγ = Σ dy z and dβ = Σ dy. With moments of its own,
    /// dx = γ r (dy − dβ/m − z dγ/m) for m values per channel, otherwise dx = γ r dy; all are affine
    /// in dy and x.
    fn backward(
        &self,
        Kept {
            inputs: [images, scale, shift],
            ..
        }: Kept<'_, 3>,
        gradient: &[f32],
        needed: [bool; 3],
    ) -> [Option<Vec<f32>>; 3] {
        let channels = scale.len();
        let [factor, summand] = self.affine(scale, shift);
        let affine = Affine {
            factor: &factor,
            summand: &summand,
            activation: self.activation,
        };
        let (mut shift_gradient, mut scale_gradient) = (vec![0.0; channels], vec![0.0; channels]);
        normalization::gradient_sums(
            instructions(),
            images,
            affine,
            gradient,
            &self.mean,
            &mut shift_gradient,
            &mut scale_gradient,
        );
        for (gradient, inverse) in scale_gradient.iter_mut().zip(&*self.inverse_deviation) {
            *gradient *= inverse;
        }
        let images_gradient = needed[0].then(|| {
            let (mut value_factor, mut last) = (vec![0.0; channels], vec![0.0; channels]);
            if self.own_moments {
                let rows = (images.len() / channels) as f32;
                for channel in 0..channels {
                    let by_value = -factor[channel]
                        * self.inverse_deviation[channel]
                        * scale_gradient[channel]
                        / rows;
                    value_factor[channel] = by_value;
                    last[channel] = -factor[channel] * shift_gradient[channel] / rows
                        - by_value * self.mean[channel];
                }
            }
            let by = GradientAffine {
                gradient_factor: &factor,
                value_factor: &value_factor,
                summand: &last,
            };
            let mut values = memory::take(images.len());
            normalization::values_gradient(
                instructions(),
                images,
                affine,
                gradient,
                by,
                &mut values,
            );
            values
        });
        [images_gradient, Some(scale_gradient), Some(shift_gradient)]
    }
}
