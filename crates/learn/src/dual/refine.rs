//! Labels mixed with what networks say of them, and guesses where there is none.

use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use cleanslide_nn::losses::weighted_mean;
use serde::{Deserialize, Serialize};

use crate::correction::{check_count, wrong};
use crate::error::Result;

/// Labels are refined by what the networks say, and guessed where they are left out, as DivideMix does with items (Li et al.,
/// arXiv 2002.07394, which mixes items beside: `mixup` in the settings of augmentation). For pixels, `y` what is given and
/// `p` what a network says, by a network `n` of two:
///
/// ```text
/// kept:      target = sharp( b y + (1 - b) p_n )            the loss that is chosen
/// left out:  target = sharp( (p_1 + p_2) / 2 )              share * mean (p_n - target)^2
/// sharp(q) = q^(1 / T) / sum q^(1 / T)
/// ```
///
/// `b` is the probability that the object of the pixel is real, and 1 on background. No gradient runs into targets. The
/// paper's term that all classes be as frequent is left out: those of pixels are not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RefineSettings {
    /// The temperature T; the smaller, the surer targets are. Default 0.5.
    pub temperature: f64,
    /// The share of the loss of what is guessed, in the end. Default 1; the paper's 25, for images of which half are labelled
    /// wrongly, lets networks for pixels believe themselves to the point of seeing nothing.
    pub guessed: f64,
    /// Epochs in which it rises to that. Default 16.
    pub gradual: usize,
}

impl Default for RefineSettings {
    fn default() -> Self {
        Self {
            temperature: 0.5,
            guessed: 1.0,
            gradual: 16,
        }
    }
}

impl RefineSettings {
    pub(super) fn check(&self) -> Result<()> {
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            return wrong("temperature", self.temperature, "expected more than 0");
        }
        if !(self.guessed >= 0.0 && self.guessed.is_finite()) {
            return wrong("guessed", self.guessed, "expected at least 0");
        }
        check_count("gradual", self.gradual)
    }

    /// The share of what is guessed after so many epochs, which need not be whole.
    pub(super) fn share(&self, epochs: f64) -> f64 {
        self.guessed * (epochs / self.gradual as f64).min(1.0)
    }

    /// Targets of pixels that are kept, `[pixels, classes]`: as they are given, mixed with what the network says by how far
    /// they are believed `[pixels]`.
    pub(super) fn refined(
        &self,
        scores: Tensor<2>,
        targets: Tensor<2>,
        beliefs: Tensor<1>,
    ) -> Tensor<2> {
        let beliefs = beliefs.unsqueeze_dim::<2>(1);
        let said = softmax(scores.detach(), 1);
        self.sharp(said.clone() + beliefs * (targets - said))
    }

    /// The loss, `[1]`, of what a network says of pixels that are left out, by what all say together.
    pub(super) fn loss_of_guessed(
        &self,
        scores: Tensor<2>,
        of_all: &[Tensor<2>],
        left_out: Tensor<1>,
    ) -> Tensor<1> {
        let sum = |sum: Tensor<2>, scores: &Tensor<2>| sum + softmax(scores.clone().detach(), 1);
        let all = of_all.iter().fold(scores.zeros_like().detach(), sum);
        let guess = self.sharp(all.div_scalar(of_all.len() as f64));
        let distances = (softmax(scores, 1) - guess).powi_scalar(2);
        weighted_mean(distances.mean_dim(1).squeeze_dim::<1>(1), left_out)
    }

    fn sharp(&self, probabilities: Tensor<2>) -> Tensor<2> {
        let powers = probabilities.powf_scalar(1.0 / self.temperature);
        powers.clone() / powers.sum_dim(1).clamp_min(f32::MIN_POSITIVE)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    /// Scores of two pixels whose probabilities are 0.8 and 0.2, and 0.5 and 0.5.
    fn scores(device: &Device) -> Tensor<2> {
        Tensor::from_data([[4.0f32.ln(), 0.0], [0.0, 0.0]], device)
    }

    fn close(values: Tensor<2>, expected: [[f32; 2]; 2]) {
        let distance = (values - Tensor::from_data(expected, &Device::flex()))
            .abs()
            .max();
        let distance: f32 = distance.into_scalar();
        assert!(distance < 1e-6, "{distance}");
    }

    #[test]
    fn labels_are_mixed_with_what_is_said_as_far_as_they_are_not_believed() {
        let device = Device::flex();
        let settings = RefineSettings::default();
        let given = Tensor::<2>::from_data([[0.0f32, 1.0], [0.0, 1.0]], &device);
        let refined = |beliefs: [f32; 2]| {
            let beliefs = Tensor::from_data(TensorData::from(beliefs), &device);
            settings.refined(scores(&device), given.clone(), beliefs)
        };
        close(refined([1.0; 2]), [[0.0, 1.0]; 2]);
        // 0.64 of 0.64 + 0.04.
        close(refined([0.0; 2]), [[16.0 / 17.0, 1.0 / 17.0], [0.5; 2]]);
        // Half and half: 0.4 and 0.6, 0.25 and 0.75.
        close(refined([0.5; 2]), [[4.0 / 13.0, 9.0 / 13.0], [0.1, 0.9]]);
    }

    #[test]
    fn guesses_are_those_of_all_networks_and_only_of_what_is_left_out() {
        let device = Device::flex();
        let settings = RefineSettings::default();
        let scores = scores(&device);
        // The other network's are 0.2 and 0.8 in both: on average 0.5 and 0.35; sharp 0.5 and 49 of 218.
        let other = Tensor::<2>::from_data([[0.0, 4.0f32.ln()]; 2], &device);
        let loss = |left_out: [f32; 2]| -> f32 {
            let left_out = Tensor::from_data(TensorData::from(left_out), &device);
            let all = [scores.clone(), other.clone()];
            let loss = settings.loss_of_guessed(scores.clone(), &all, left_out);
            loss.into_scalar()
        };
        assert!((loss([1.0, 0.0]) - 0.09).abs() < 1e-6);
        let second = (0.5 - 49.0 / 218.0f32).powi(2);
        assert!((loss([0.0, 1.0]) - second).abs() < 1e-6);
        assert!((loss([1.0, 1.0]) - (0.09 + second) / 2.0).abs() < 1e-6);
        assert_eq!(loss([0.0, 0.0]), 0.0);
    }
}
