use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use cleanslide_kernels::Activation;
use cleanslide_kernels::normalization::{self, Affine, GradientAffine};
use rayon::prelude::*;

use super::custom::{Kept, Operator, Values, instructions, is_cpu, ternary};
use super::memory;

/// How groups of channels are normalised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupNormalization {
    /// Into how many groups the channels fall; a divisor of their number.
    pub groups: usize,
    /// Added to the variance.
    pub epsilon: f64,
    /// What follows.
    pub activation: Activation,
}

/// `activation((x − mean) / √(variance + epsilon) · scale + shift)` for images `[n, height, width, channels]`; mean
/// and variance (over n) are those of a group of channels in one image, scale and shift those of a channel (Wu and
/// He, arXiv 1803.08494).
///
/// # Panics
/// When the groups do not divide the channels.
pub fn group_normalize(
    images: Tensor<4>,
    scale: Tensor<1>,
    shift: Tensor<1>,
    by: GroupNormalization,
) -> Tensor<4> {
    let [.., channels] = images.dims();
    assert!(
        by.groups > 0 && channels.is_multiple_of(by.groups),
        "{} groups of {channels} channels",
        by.groups
    );
    if is_cpu(&images.device()) {
        let shape = images.dims();
        return ternary(Groups { shape, by }, images, scale, shift);
    }
    composed(images, scale, shift, by)
}

/// The same, of Burn's operators.
pub(super) fn composed(
    images: Tensor<4>,
    scale: Tensor<1>,
    shift: Tensor<1>,
    by: GroupNormalization,
) -> Tensor<4> {
    let [n, height, width, channels] = images.dims();
    let grouped = images.reshape([n, height * width, by.groups, channels / by.groups]);
    let mean = grouped.clone().mean_dim(1).mean_dim(3);
    let centred = grouped - mean;
    let variance = centred.clone().square().mean_dim(1).mean_dim(3);
    let normal = centred / variance.add_scalar(by.epsilon).sqrt();
    let row = |values: Tensor<1>| values.reshape([1, 1, 1, channels]);
    let values = normal.reshape([n, height, width, channels]) * row(scale) + row(shift);
    match by.activation {
        Activation::Identity => values,
        Activation::Relu => relu(values),
        Activation::Relu6 => values.clamp(0.0, 6.0),
    }
}

#[derive(Debug, Clone, Copy)]
struct Groups {
    shape: [usize; 4],
    by: GroupNormalization,
}

/// What normalises one image: a value per channel, the same within a group but for the factors.
struct OfImage {
    mean: Vec<f32>,
    inverse_deviation: Vec<f32>,
    factor: Vec<f32>,
    summand: Vec<f32>,
}

impl OfImage {
    fn affine(&self, activation: Activation) -> Affine<'_> {
        Affine {
            factor: &self.factor,
            summand: &self.summand,
            activation,
        }
    }
}

impl Groups {
    fn image_length(&self) -> usize {
        self.shape[1..].iter().product()
    }

    fn of_image(&self, image: &[f32], scale: &[f32], shift: &[f32]) -> OfImage {
        let channels = scale.len();
        let (mut means, mut variances) = (vec![0.0; channels], vec![0.0; channels]);
        normalization::moments(instructions(), image, &mut means, &mut variances);
        let in_group = channels / self.by.groups;
        let (mut mean, mut inverse_deviation) = (Vec::new(), Vec::new());
        for (means, variances) in means.chunks(in_group).zip(variances.chunks(in_group)) {
            let average =
                |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / in_group as f64;
            let centre = average(&mut means.iter().map(|&mean| f64::from(mean)));
            let spread = means
                .iter()
                .zip(variances)
                .map(|(&mean, &variance)| f64::from(variance) + (f64::from(mean) - centre).powi(2));
            let variance = average(&mut { spread });
            mean.resize(mean.len() + in_group, centre as f32);
            let inverse = 1.0 / (variance + self.by.epsilon).sqrt();
            inverse_deviation.resize(mean.len(), inverse as f32);
        }
        let factor: Vec<f32> = scale
            .iter()
            .zip(&inverse_deviation)
            .map(|(a, b)| a * b)
            .collect();
        let summand = (0..channels).map(|channel| shift[channel] - factor[channel] * mean[channel]);
        OfImage {
            summand: summand.collect(),
            mean,
            inverse_deviation,
            factor,
        }
    }

    /// Writes the gradient of one image, and gives those of the scale and the shift.
    fn backward_of_image(
        &self,
        image: &[f32],
        gradient: &[f32],
        scale: &[f32],
        shift: &[f32],
        result: &mut [f32],
    ) -> [Vec<f32>; 2] {
        let channels = scale.len();
        let of = self.of_image(image, scale, shift);
        let affine = of.affine(self.by.activation);
        let (mut sums, mut distances) = (vec![0.0; channels], vec![0.0; channels]);
        normalization::gradient_sums(
            instructions(),
            image,
            affine,
            gradient,
            &of.mean,
            &mut sums,
            &mut distances,
        );
        for (distance, inverse) in distances.iter_mut().zip(&of.inverse_deviation) {
            *distance *= inverse;
        }
        let in_group = channels / self.by.groups;
        let values = (image.len() / self.by.groups) as f32;
        let (mut value_factor, mut last) = (vec![0.0; channels], vec![0.0; channels]);
        for first in (0..channels).step_by(in_group) {
            let group = first..first + in_group;
            let mean = |sums: &[f32]| {
                let products = group.clone().map(|channel| scale[channel] * sums[channel]);
                products.sum::<f32>() / values
            };
            let inverse = of.inverse_deviation[first];
            let by_value = -inverse * inverse * mean(&distances);
            value_factor[group.clone()].fill(by_value);
            last[group.clone()].fill(-inverse * mean(&sums) - by_value * of.mean[first]);
        }
        let by = GradientAffine {
            gradient_factor: &of.factor,
            value_factor: &value_factor,
            summand: &last,
        };
        normalization::values_gradient(instructions(), image, affine, gradient, by, result);
        [distances, sums]
    }
}

impl Operator<3> for Groups {
    fn forward(&self, [images, scale, shift]: [&[f32]; 3]) -> Values {
        let mut values = memory::take(images.len());
        values
            .par_chunks_mut(self.image_length())
            .zip(images.par_chunks(self.image_length()))
            .for_each(|(result, image)| {
                let of = self.of_image(image, scale, shift);
                let affine = of.affine(self.by.activation);
                normalization::normalize(instructions(), image, affine, result);
            });
        Values {
            values,
            shape: self.shape.to_vec(),
        }
    }

    /// With z = (x − μ) r for r = 1/√(σ² + ε), dγ = Σ dy z and dβ = Σ dy over all images. For a group of m values
    /// of an image, dx = r (γ dy − Σ γ dy / m − z Σ γ dy z / m): affine in dy and x.
    fn backward(
        &self,
        Kept {
            inputs: [images, scale, shift],
            ..
        }: Kept<'_, 3>,
        gradient: &[f32],
        _: [bool; 3],
    ) -> [Option<Vec<f32>>; 3] {
        let length = self.image_length();
        let mut values = memory::take(images.len());
        let of_images: Vec<[Vec<f32>; 2]> = values
            .par_chunks_mut(length)
            .zip(images.par_chunks(length).zip(gradient.par_chunks(length)))
            .map(|(result, (image, gradient))| {
                self.backward_of_image(image, gradient, scale, shift, result)
            })
            .collect();
        let total = |which: usize| {
            let mut sums = vec![0.0; scale.len()];
            for of_image in &of_images {
                for (sum, value) in sums.iter_mut().zip(&of_image[which]) {
                    *sum += value;
                }
            }
            Some(sums)
        };
        let [of_scale, of_shift] = [0, 1].map(total);
        [Some(values), of_scale, of_shift]
    }
}
