//! How scores of pixels are compared with what is said of them.

use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use cleanslide_data::UNLABELLED_CLASS;
use cleanslide_nn::losses::{
    Bootstrapping, Loss, Prediction, Tversky, boundary_loss, weighted_mean,
};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::{GaussianAttention, signed_distances};
use crate::error::{Error, Result};
use crate::methods::{
    CrossEntropySettings, FocalSettings, GeneralizedCrossEntropySettings,
    MeanAbsoluteErrorSettings, NceRceSettings, SymmetricCrossEntropySettings, bootstrapping,
};

/// The sum of a loss of pixels and losses of regions, each times its share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossSettings {
    /// The loss of single pixels, averaged by their weights. Default cross-entropy.
    pub pixels: PixelLoss,
    /// The share of the loss of pixels. Default 1.
    pub pixel_share: f64,
    /// The share of the Dice loss of the classes' regions. Default 1.
    pub dice: f64,
    /// The share of the Jaccard loss. Default 0.
    pub jaccard: f64,
    /// The share of the Tversky loss. Default 0.
    pub tversky: f64,
    /// The Tversky loss's factor of false positives; that of false negatives is one less it. Default 0.3.
    pub tversky_false_positives: f64,
    /// The share of the boundary loss: pixels count by their distance, in pixels, to the regions of the classes.
    /// Default 0, and then no distance is measured. The paper begins with 0.01 beside a loss of regions.
    pub boundary: f64,
    /// Where pixels count more: those that differ from their surroundings. Default nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention: Option<GaussianAttention>,
}

impl Default for LossSettings {
    fn default() -> Self {
        Self {
            pixels: PixelLoss::default(),
            pixel_share: 1.0,
            dice: 1.0,
            jaccard: 0.0,
            tversky: 0.0,
            tversky_false_positives: 0.3,
            boundary: 0.0,
            attention: None,
        }
    }
}

/// A loss of single pixels; `name` chooses it in a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name")]
pub enum PixelLoss {
    /// Cross-entropy, with label smoothing if that is set.
    #[serde(rename = "cross-entropy")]
    CrossEntropy(CrossEntropySettings),
    /// Focal loss.
    #[serde(rename = "focal")]
    Focal(FocalSettings),
    /// Mean absolute error.
    #[serde(rename = "mae")]
    MeanAbsoluteError(MeanAbsoluteErrorSettings),
    /// Generalised cross-entropy.
    #[serde(rename = "gce")]
    GeneralizedCrossEntropy(GeneralizedCrossEntropySettings),
    /// Symmetric cross-entropy.
    #[serde(rename = "sce")]
    SymmetricCrossEntropy(SymmetricCrossEntropySettings),
    /// Normalised and reverse cross-entropy.
    #[serde(rename = "nce-rce")]
    NceRce(NceRceSettings),
    /// Bootstrapping, soft or hard.
    #[serde(rename = "bootstrap")]
    Bootstrap(PixelBootstrapSettings),
}

/// Settings of the bootstrapping of pixels ([`Bootstrapping`]); labels are mixed from the first step on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PixelBootstrapSettings {
    /// How far labels are believed, in (0, 1]. Default 0.8.
    pub beta: f64,
    /// What of the network's prediction they are mixed with. Default soft.
    pub prediction: Prediction,
}

impl Default for PixelBootstrapSettings {
    fn default() -> Self {
        let Bootstrapping { beta, prediction } = Bootstrapping::default();
        Self { beta, prediction }
    }
}

impl Default for PixelLoss {
    fn default() -> Self {
        Self::CrossEntropy(CrossEntropySettings::default())
    }
}

impl PixelLoss {
    fn build(&self) -> Result<Box<dyn Loss>> {
        Ok(match self {
            Self::CrossEntropy(settings) => Box::new(settings.loss()?),
            Self::Focal(settings) => Box::new(settings.loss()?),
            Self::MeanAbsoluteError(settings) => Box::new(settings.loss()?),
            Self::GeneralizedCrossEntropy(settings) => Box::new(settings.loss()?),
            Self::SymmetricCrossEntropy(settings) => Box::new(settings.loss()?),
            Self::NceRce(settings) => Box::new(settings.loss()?),
            Self::Bootstrap(settings) => {
                Box::new(bootstrapping(settings.beta, settings.prediction)?)
            }
        })
    }
}

impl LossSettings {
    /// The loss, if its settings are in range.
    pub(crate) fn build(&self) -> Result<SegmentationLoss> {
        let shares = [
            ("pixel_share", self.pixel_share),
            ("dice", self.dice),
            ("jaccard", self.jaccard),
            ("tversky", self.tversky),
            ("boundary", self.boundary),
        ];
        let wrong = |name, value: f64, reason: &str| Error::Setting {
            name,
            value: value.to_string(),
            reason: reason.to_owned(),
        };
        for (name, share) in shares {
            if !(share >= 0.0 && share.is_finite()) {
                return Err(wrong(name, share, "expected at least 0"));
            }
        }
        if shares.iter().all(|(_, share)| *share == 0.0) {
            return Err(wrong("pixel_share", 0.0, "one share must be above 0"));
        }
        if let Some(attention) = &self.attention {
            attention.check()?;
        }
        let false_positives = self.tversky_false_positives;
        if !(0.0..=1.0).contains(&false_positives) {
            let reason = "expected a number from 0 to 1";
            return Err(wrong("tversky_false_positives", false_positives, reason));
        }
        let tversky = Tversky {
            false_positives,
            false_negatives: 1.0 - false_positives,
        };
        let regions = [
            (Tversky::DICE, self.dice),
            (Tversky::JACCARD, self.jaccard),
            (tversky, self.tversky),
        ];
        Ok(SegmentationLoss {
            pixels: self.pixels.build()?,
            pixel_share: self.pixel_share,
            regions: regions
                .into_iter()
                .filter(|(_, share)| *share > 0.0)
                .collect(),
            boundary: self.boundary,
            attention: self.attention.clone(),
        })
    }
}

/// A row for each pixel, `[pixels, classes]`: 1 at its class; zeros where it is unlabelled.
pub(crate) fn one_hot(given: &[u8], classes: usize) -> Vec<f32> {
    let mut targets = vec![0.0; given.len() * classes];
    for (row, &class) in targets.chunks_exact_mut(classes).zip(given) {
        if class != UNLABELLED_CLASS {
            row[usize::from(class)] = 1.0;
        }
    }
    targets
}

pub(crate) struct SegmentationLoss {
    pixels: Box<dyn Loss>,
    pixel_share: f64,
    regions: Vec<(Tversky, f64)>,
    boundary: f64,
    attention: Option<GaussianAttention>,
}

impl SegmentationLoss {
    /// How much more the pixels of a crop count, `[size · size]`, whatever is said of them.
    pub(crate) fn attention(&self, pixels: &[f32], size: usize) -> Result<Vec<f32>> {
        match &self.attention {
            Some(attention) => attention.of_crop(pixels, size),
            None => Ok(vec![1.0; size * size]),
        }
    }

    /// The loss of each pixel by the loss of pixels alone, `[pixels]`.
    pub(crate) fn of_pixels(&self, scores: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        let loss = self.pixels.per_item(scores, targets);
        loss.mul_scalar(self.pixel_share)
    }

    /// The signed distances of the pixels of a crop to the regions of its classes, `[size · size, classes]`; nothing if it
    /// does not measure them.
    pub(crate) fn distances(&self, given: &[u8], size: usize, classes: usize) -> Vec<f32> {
        if !self.measures_distances() {
            return Vec::new();
        }
        let given = Array2::from_shape_fn((size, size), |(row, column)| given[row * size + column]);
        signed_distances(given.view(), classes)
            .into_iter()
            .collect()
    }

    /// Whether it compares with signed distances.
    pub(crate) fn measures_distances(&self) -> bool {
        self.boundary > 0.0
    }

    /// The loss, `[1]`, of scores and targets `[pixels, classes]` with weights `[pixels]`; and with distances
    /// `[pixels, classes]` to the regions of the classes, if it measures them.
    pub(crate) fn of(
        &self,
        scores: Tensor<2>,
        targets: Tensor<2>,
        weights: Tensor<1>,
        distances: Option<Tensor<2>>,
    ) -> Tensor<1> {
        let mut sum = Tensor::zeros([1], &scores.device());
        if self.pixel_share > 0.0 {
            let loss = self
                .pixels
                .mean(scores.clone(), targets.clone(), weights.clone());
            sum = sum + loss.mul_scalar(self.pixel_share);
        }
        if self.regions.is_empty() && distances.is_none() {
            return sum;
        }
        let probabilities = softmax(scores, 1);
        for (loss, share) in &self.regions {
            let loss = loss.loss(probabilities.clone(), targets.clone(), weights.clone());
            sum = sum + loss.mul_scalar(*share);
        }
        if let Some(distances) = distances {
            let loss = weighted_mean(boundary_loss(probabilities, distances), weights);
            sum = sum + loss.mul_scalar(self.boundary);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn read(recipe: &str) -> LossSettings {
        toml::from_str(recipe).unwrap()
    }

    /// Value and gradient of scores of three pixels, the last of which is unlabelled.
    fn both(recipe: &str, unlabelled: [f32; 2]) -> (f32, Vec<f32>) {
        let device = Device::flex().autodiff();
        let loss = read(recipe).build().unwrap();
        let scores = Tensor::<2>::from_floats([[2.0, -1.0], [0.5, 0.7], unlabelled], &device);
        let scores = scores.require_grad();
        let targets = Tensor::from_floats([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], &device);
        let weights = Tensor::from_floats([1.0, 0.5, 0.0], &device);
        let distances = loss
            .measures_distances()
            .then(|| Tensor::from_floats([[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]], &device));
        let value = loss.of(scores.clone(), targets, weights, distances);
        let gradient = scores.grad(&value.backward()).unwrap();
        (
            value.into_scalar(),
            gradient.into_data().try_to_vec().unwrap(),
        )
    }

    const RECIPES: [&str; 4] = [
        "pixels = { name = \"cross-entropy\", label_smoothing = 0.1 }",
        "pixels = { name = \"bootstrap\", beta = 0.9, prediction = \"hard\" }",
        "pixels = { name = \"bootstrap\" }",
        "boundary = 0.25",
    ];

    #[test]
    fn unlabelled_pixels_count_nothing() {
        for recipe in RECIPES {
            let (value, gradient) = both(recipe, [0.0, 0.0]);
            let (other, _) = both(recipe, [-30.0, 40.0]);
            assert_eq!(value, other, "{recipe}");
            assert_eq!(gradient[4..], [0.0, 0.0], "{recipe}");
            assert!(gradient[..4].iter().all(|&g| g != 0.0), "{recipe}");
        }
    }

    #[test]
    fn each_share_adds_its_loss() {
        let of = |recipe| f64::from(both(recipe, [0.0, 0.0]).0);
        let pixels_alone = |recipe: &str| {
            let recipe = format!("dice = 0.0\n{recipe}");
            f64::from(both(&recipe, [0.0, 0.0]).0)
        };
        let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp());
        let right = [sigmoid(3.0), sigmoid(0.2)];
        let mean = |losses: [f64; 2]| (losses[0] + 0.5 * losses[1]) / 1.5;
        let cross_entropy = |share: [f64; 2]| {
            let each =
                |i: usize| -share[i] * right[i].ln() - (1.0 - share[i]) * (1.0 - right[i]).ln();
            mean([each(0), each(1)])
        };
        let close = |ours: f64, expected: f64| assert!((ours - expected).abs() < 1e-6);
        close(pixels_alone(RECIPES[0]), cross_entropy([0.95; 2]));
        // Both predictions are right.
        close(pixels_alone(RECIPES[1]), cross_entropy([1.0; 2]));
        let soft = right.map(|p| 0.8 + 0.2 * p);
        close(pixels_alone(RECIPES[2]), cross_entropy(soft));
        // Half of the probability of the wrong class, which is one pixel away.
        let boundary = mean(right.map(|p| (1.0 - p) / 2.0));
        close(of(RECIPES[3]) - of(""), 0.25 * boundary);
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        for (recipe, name) in [
            ("boundary = -0.1", "boundary"),
            ("pixels = { name = \"bootstrap\", beta = 0.0 }", "beta"),
        ] {
            let message = read(recipe).build().err().unwrap().to_string();
            assert!(message.contains(name), "{message}");
        }
        let warm_up = "pixels = { name = \"bootstrap\", warm_up = 3 }";
        assert!(toml::from_str::<LossSettings>(warm_up).is_err());
    }
}
