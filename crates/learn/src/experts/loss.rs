//! The equations of Xiao et al. (arXiv 2104.02602), numbered as there, and those of the other methods.
//!
//! Sizes: P pixels, N experts, C classes.

use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use cleanslide_nn::losses::weighted_mean;

use super::SelfConsensusSettings;
use crate::training::Moment;

/// What experts said of pixels.
#[derive(Clone)]
pub(super) struct Said {
    /// Of each expert the class of each pixel, `[P, C]`: 1 at the class, nothing where the expert says nothing.
    pub(super) classes: Vec<Tensor<2>>,
    /// How far each expert is trusted at each pixel, `[P, N]`; 0 where the expert says nothing.
    pub(super) trust: Tensor<2>,
    /// How much each pixel counts, `[P]`, whoever labelled it: equation (5).
    pub(super) attention: Tensor<1>,
}

/// Equations (7) and (8): the shares of the loss of the majority and of the weighted loss.
pub(super) fn shares(at: Moment, parts: usize) -> [f64; 2] {
    let part = part(at, parts).tanh();
    [1.0 / (1.0 + part), part / (1.0 + part)]
}

/// The part of the training that a step is in, counted from 0.
pub(super) fn part(at: Moment, parts: usize) -> f64 {
    (at.step * parts / at.steps.max(1)) as f64
}

/// Equation (2): weights `[P, N]` from the scores of the weighting network, `[P, N]`. They sum to 1 over the experts
/// who said something of the pixel; the others have none.
pub(super) fn weights(scores: Tensor<2>, trust: &Tensor<2>) -> Tensor<2> {
    let silent = trust.clone().equal_scalar(0.0);
    // Not minus infinity: pixels of which nobody says anything would have no weights at all.
    let scores = scores.mask_fill(silent.clone(), -1e9);
    softmax(scores, 1).mask_fill(silent, 0.0)
}

impl Said {
    /// The column of one expert, `[P]`.
    fn column(of: &Tensor<2>, expert: usize) -> Tensor<1> {
        let [pixels, _] = of.dims();
        of.clone()
            .slice([0..pixels, expert..expert + 1])
            .squeeze_dim(1)
    }

    /// How many experts said something of each pixel, `[P]`.
    fn voices(&self) -> Tensor<1> {
        let spoke = self.trust.clone().greater_scalar(0.0).float();
        spoke.sum_dim(1).squeeze_dim(1)
    }

    /// How much each pixel counts, `[P]`: nothing where nobody said anything.
    fn counts(&self) -> Tensor<1> {
        let silent = self.voices().equal_scalar(0.0);
        self.attention.clone().mask_fill(silent, 0.0)
    }

    /// Equation (3), `[1]`: the losses of the experts, `[P]` each, by weights `[P, N]`; `divided` by the number of
    /// experts who spoke, or not. The mean over pixels is by attention, as that of the majority is.
    pub(super) fn weighted_loss(
        &self,
        losses: Vec<Tensor<1>>,
        weights: Tensor<2>,
        divided: bool,
    ) -> Tensor<1> {
        let losses: Tensor<2> = Tensor::stack(losses, 1);
        let per_pixel: Tensor<1> = (losses * weights * self.trust.clone())
            .sum_dim(1)
            .squeeze_dim(1);
        let per_pixel = if divided {
            per_pixel / self.voices().clamp_min(1.0)
        } else {
            per_pixel
        };
        weighted_mean(per_pixel, self.counts())
    }

    /// How far weights `[P, N]` are from equal ones, `[1]`: their Kullback–Leibler divergence, over the pixels by
    /// attention.
    pub(super) fn inequality(&self, weights: Tensor<2>) -> Tensor<1> {
        let voices = self.voices().clamp_min(1.0).unsqueeze_dim::<2>(1);
        let relative = (weights.clone() * voices).clamp_min(f32::MIN_POSITIVE);
        let divergence = (weights * relative.log()).sum_dim(1).squeeze_dim(1);
        weighted_mean(divergence, self.counts())
    }

    /// The share of the experts for each class, `[P, C]`, by their trust, and how much each pixel counts, `[P]`.
    pub(super) fn soft(&self) -> (Tensor<2>, Tensor<1>) {
        let total = self.total().clamp_min(f32::MIN_POSITIVE);
        (self.sum() / total, self.counts())
    }

    /// The same with the network as one more expert, who says `probabilities` `[P, C]` with so loud a `voice`; a pixel
    /// counts by the share of the experts who agree with the majority.
    pub(super) fn self_consensus(
        &self,
        probabilities: Tensor<2>,
        voice: f64,
    ) -> (Tensor<2>, Tensor<1>) {
        let (shares, counts) = self.soft();
        let agreement = shares.max_dim(1).squeeze_dim(1);
        let total = self.total().add_scalar(voice);
        let targets =
            (self.sum() + probabilities.mul_scalar(voice)) / total.clamp_min(f32::MIN_POSITIVE);
        (targets, counts * agreement)
    }

    fn sum(&self) -> Tensor<2> {
        let said = self.classes.iter().enumerate();
        let trusted = said.map(|(expert, classes)| {
            classes.clone() * Self::column(&self.trust, expert).unsqueeze_dim::<2>(1)
        });
        trusted
            .reduce(|sum, classes| sum + classes)
            .unwrap_or_else(|| Tensor::zeros([1, 1], &self.attention.device()))
    }

    /// The trust of all who spoke, `[P, 1]`.
    fn total(&self) -> Tensor<2> {
        self.trust.clone().sum_dim(1)
    }

    /// The sum over experts of the means of their losses, `[P]` each, over the pixels of which they said something.
    pub(super) fn each_loss(&self, losses: Vec<Tensor<1>>) -> Tensor<1> {
        let means = losses.into_iter().enumerate().map(|(expert, loss)| {
            let weights = Self::column(&self.trust, expert) * self.attention.clone();
            weighted_mean(loss, weights)
        });
        means
            .reduce(|sum, mean| sum + mean)
            .unwrap_or_else(|| Tensor::zeros([1], &self.attention.device()))
    }

    /// Sums of `values` `[P, N]` over the pixels of which each expert said something, and the numbers of these,
    /// `[N, 2]`, without gradients.
    pub(super) fn sums(&self, values: Tensor<2>) -> Tensor<2> {
        let spoke = self.trust.clone().greater_scalar(0.0).float();
        let sums: Tensor<1> = (values * spoke.clone()).sum_dim(0).squeeze_dim(0);
        let counts: Tensor<1> = spoke.sum_dim(0).squeeze_dim(0);
        Tensor::stack::<2>(vec![sums, counts], 1).inner()
    }
}

impl SelfConsensusSettings {
    /// How loud the network speaks.
    pub(super) fn voice_at(&self, at: Moment) -> f64 {
        self.voice * part(at, self.parts).tanh()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use cleanslide_nn::losses::{CrossEntropy, Focal, Loss};

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().iter::<f32>().collect()
    }

    fn assert_close(ours: &[f32], expected: &[f64]) {
        assert_eq!(ours.len(), expected.len());
        for (ours, expected) in ours.iter().zip(expected) {
            let close = (f64::from(*ours) - expected).abs() < 1e-6 * expected.abs().max(1.0);
            assert!(close, "{ours} {expected}");
        }
    }

    /// Two pixels, two classes, three experts: of the first pixel they say 0, 1 and 1; of the second the first says 1,
    /// the second 0, and the third nothing. The second pixel counts three times as much.
    fn said(device: &Device) -> Said {
        let rows = |rows: [[f32; 2]; 2]| Tensor::from_floats(rows, device);
        Said {
            classes: vec![
                rows([[1.0, 0.0], [0.0, 1.0]]),
                rows([[0.0, 1.0], [1.0, 0.0]]),
                rows([[0.0, 1.0], [0.0, 0.0]]),
            ],
            trust: Tensor::from_floats([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]], device),
            attention: Tensor::from_floats([1.0, 3.0], device),
        }
    }

    fn moment(step: usize) -> Moment {
        Moment {
            step,
            steps: 10_000,
        }
    }

    #[test]
    fn equations_7_and_8_of_the_paper_s_thousands() {
        assert_eq!(shares(moment(999), 10), [1.0, 0.0]);
        let tanh = 1f64.tanh();
        let second = shares(moment(1000), 10);
        assert!((second[0] - 1.0 / (1.0 + tanh)).abs() < 1e-15);
        assert!((second[1] - tanh / (1.0 + tanh)).abs() < 1e-15);
        let last = shares(moment(9999), 10);
        assert!((last[0] - 1.0 / (1.0 + 9f64.tanh())).abs() < 1e-15);
        for step in (0..10_000).step_by(777) {
            assert!((shares(moment(step), 10).iter().sum::<f64>() - 1.0).abs() < 1e-15);
        }
    }

    #[test]
    fn equation_2_weighs_those_who_spoke() {
        let device = Device::flex();
        let scores = Tensor::from_floats([[0.0, 2f32.ln(), 0.0], [0.0, 3f32.ln(), 50.0]], &device);
        let weights = weights(scores, &said(&device).trust);
        assert_close(&values(weights), &[0.25, 0.5, 0.25, 0.25, 0.75, 0.0]);
        let nobody = super::weights(
            Tensor::from_floats([[1.0, 2.0]], &device),
            &Tensor::zeros([1, 2], &device),
        );
        assert_close(&values(nobody), &[0.0, 0.0]);
    }

    #[test]
    fn equation_3_by_hand() {
        let device = Device::flex();
        let said = said(&device);
        let loss = |of: [f32; 2]| Tensor::<1>::from_floats(of, &device);
        // What the third expert's loss of the second pixel is does not matter.
        let losses = vec![loss([4.0, 8.0]), loss([2.0, 1.0]), loss([1.0, 5.0])];
        let weights = Tensor::from_floats([[0.25, 0.5, 0.25], [0.25, 0.75, 0.0]], &device);
        let divided = said.weighted_loss(losses.clone(), weights.clone(), true);
        let (first, second) = ((1.0 + 1.0 + 0.25) / 3.0, (2.0 + 0.75) / 2.0);
        assert_close(&values(divided), &[(first + 3.0 * second) / 4.0]);
        let sum = said.weighted_loss(losses, weights, false);
        assert_close(&values(sum), &[(2.25 + 3.0 * 2.75) / 4.0]);
    }

    /// Equation (6): the focal loss with the logarithm that the printed one lacks, times the attention (5).
    #[test]
    fn equation_6_by_hand() {
        let device = Device::flex();
        let said = said(&device);
        // The probability of class 0 is 3/4 and 1/2.
        let scores = Tensor::<2>::from_floats([[3f32.ln(), 0.0], [0.0, 0.0]], &device);
        let focal = Focal::default();
        let of_first = focal.per_item(scores, said.classes[0].clone());
        let loss = values(of_first * said.attention);
        let expected = [
            -(0.25f64.powi(2)) * 0.75f64.ln(),
            -3.0 * 0.5f64.powi(2) * 0.5f64.ln(),
        ];
        assert_close(&loss, &expected);
    }

    /// The weights are learned through the weighted loss alone, and towards the expert with the smallest loss.
    #[test]
    fn gradients_reach_the_weights_through_the_weighted_loss_alone() {
        let device = Device::flex().autodiff();
        let said = said(&device);
        let gradient = |step: usize| {
            let scores = Tensor::<2>::zeros([2, 3], &device).require_grad();
            let logits = Tensor::<2>::from_floats([[0.0, 2.0], [1.0, 0.0]], &device);
            let logits = logits.require_grad();
            let loss = CrossEntropy::default();
            let each = said.classes.iter();
            let each = each.map(|classes| loss.per_item(logits.clone(), classes.clone()));
            let weights = weights(scores.clone(), &said.trust);
            let weighted = said.weighted_loss(each.collect(), weights, true);
            let majority = loss.mean(
                logits.clone(),
                said.classes[1].clone(),
                Tensor::ones([2], &device),
            );
            let [of_majority, of_weighted] = shares(moment(step), 10);
            let total = majority.mul_scalar(of_majority) + weighted.mul_scalar(of_weighted);
            let gradients = total.backward();
            let of = |tensor: &Tensor<2>| tensor.grad(&gradients).map(values).unwrap_or_default();
            (of(&scores), of(&logits))
        };
        let (scores, logits) = gradient(0);
        assert!(scores.iter().all(|&of| of == 0.0), "{scores:?}");
        assert!(logits.iter().all(|&of| of != 0.0), "{logits:?}");
        let (scores, _) = gradient(5000);
        // Of the first pixel the network says 1, as the second and the third expert do; of the second pixel 0.
        assert!(
            scores[0] > 0.0 && scores[1] < 0.0 && scores[2] < 0.0,
            "{scores:?}"
        );
        assert!(scores[3] > 0.0 && scores[4] < 0.0, "{scores:?}");
        assert_eq!(scores[5], 0.0);
    }

    #[test]
    fn equal_weights_are_not_unequal() {
        let device = Device::flex();
        let said = said(&device);
        let of =
            |weights: [[f32; 3]; 2]| values(said.inequality(Tensor::from_floats(weights, &device)));
        let third = 1.0 / 3.0;
        assert_close(&of([[third; 3], [0.5, 0.5, 0.0]]), &[0.0]);
        let sure = of([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]);
        assert_close(&sure, &[(3f64.ln() + 3.0 * 2f64.ln()) / 4.0]);
    }

    #[test]
    fn soft_labels_and_the_network_s_own_voice() {
        let device = Device::flex();
        let said = said(&device);
        let (shares, counts) = said.soft();
        assert_close(&values(shares), &[1.0 / 3.0, 2.0 / 3.0, 0.5, 0.5]);
        assert_close(&values(counts), &[1.0, 3.0]);
        let own = Tensor::from_floats([[0.1, 0.9], [0.8, 0.2]], &device);
        let (targets, counts) = said.self_consensus(own, 2.0);
        assert_close(
            &values(targets),
            &[1.2 / 5.0, 3.8 / 5.0, 2.6 / 4.0, 1.4 / 4.0],
        );
        assert_close(&values(counts), &[2.0 / 3.0, 1.5]);
    }

    #[test]
    fn pixels_of_which_nobody_speaks_count_nothing() {
        let device = Device::flex();
        let nobody = Said {
            classes: vec![Tensor::zeros([1, 2], &device)],
            trust: Tensor::zeros([1, 1], &device),
            attention: Tensor::ones([1], &device),
        };
        let own = Tensor::from_floats([[0.1, 0.9]], &device);
        for (targets, counts) in [nobody.soft(), nobody.self_consensus(own, 0.0)] {
            assert!(values(targets).iter().all(|value| value.is_finite()));
            assert_close(&values(counts), &[0.0]);
        }
        let loss = Tensor::<1>::from_floats([7.0], &device);
        assert_close(&values(nobody.each_loss(vec![loss])), &[0.0]);
    }

    #[test]
    fn experts_count_where_they_spoke() {
        let device = Device::flex();
        let said = said(&device);
        let loss = |of: [f32; 2]| Tensor::<1>::from_floats(of, &device);
        let losses = vec![loss([4.0, 8.0]), loss([2.0, 1.0]), loss([1.0, 5.0])];
        let expected = (4.0 + 24.0) / 4.0 + (2.0 + 3.0) / 4.0 + 1.0;
        assert_close(&values(said.each_loss(losses)), &[expected]);
        let weights = Tensor::from_floats([[0.2, 0.5, 0.3], [0.4, 0.6, 0.9]], &device);
        assert_close(&values(said.sums(weights)), &[0.6, 2.0, 1.1, 2.0, 0.3, 1.0]);
    }
}
