//! What pixels that nobody drew are not: classes that a diagnosis excludes from a whole image.

use std::collections::BTreeSet;

use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};
use cleanslide_nn::losses::{Complementary, Loss, NegativeLearning, PartialLabel};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::training::Moment;

/// How images are learned from of which only a diagnosis is known: all classes that their pixels are not of. Pixels that
/// were drawn are compared by the other losses; of a drawn image, those that were left unlabelled are compared by this one
/// too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ComplementarySettings {
    /// What becomes of an excluded class. Default partial labels: they take less other tissue for what is diagnosed than the
    /// published loss, and are as good otherwise (`results/complementary.md`).
    pub form: ComplementaryForm,
    /// The share of this loss beside the others, which is averaged over the pixels that nobody drew. Default 1. With 0 the
    /// images are in the batches, and so in the normalisation of features, but nothing is learned of them.
    pub share: f64,
    /// The part of the training, from 0 to 1, in which the share rises evenly from 0. Default 0.2.
    pub ramp: f64,
}

impl Default for ComplementarySettings {
    fn default() -> Self {
        Self {
            form: ComplementaryForm::default(),
            share: 1.0,
            ramp: 0.2,
        }
    }
}

/// A loss of what pixels are not.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum ComplementaryForm {
    /// Minus the logarithm of one less the probability of each excluded class ([`NegativeLearning`]).
    Negative,
    /// Minus the logarithm of the probability of all other classes together ([`PartialLabel`]). Of one excluded class it is
    /// the same.
    #[default]
    Partial,
    /// The published loss ([`Complementary`], Hägele et al., doi:10.1038/s41598-024-75256-w): which classes are named as
    /// excluded where a class is true is counted from the images that are learned from ([`named_instead`]).
    Forward(ForwardSettings),
    /// Every pixel is of the only class that is diagnosed by excluding the others. This is wrong of all other tissue, and
    /// there to be compared with.
    Presumed,
}

/// Settings of the published loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ForwardSettings {
    /// The power of the focal factor. Default 2, as published; 0 is none.
    pub gamma: f64,
}

impl Default for ForwardSettings {
    fn default() -> Self {
        Self {
            gamma: Complementary::GAMMA,
        }
    }
}

impl ComplementarySettings {
    /// Refuses settings out of their range.
    ///
    /// # Errors
    /// The first such setting.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |name, value: f64, reason: &str| {
            Err(Error::Setting {
                name,
                value: value.to_string(),
                reason: reason.to_owned(),
            })
        };
        if !(self.share >= 0.0 && self.share.is_finite()) {
            return wrong("share", self.share, "expected at least 0");
        }
        if !(0.0..=1.0).contains(&self.ramp) {
            return wrong("ramp", self.ramp, "expected a number from 0 to 1");
        }
        match self.form {
            ComplementaryForm::Forward(ForwardSettings { gamma })
                if !(gamma >= 0.0 && gamma.is_finite()) =>
            {
                wrong("gamma", gamma, "expected a number of at least 0")
            }
            _ => Ok(()),
        }
    }

    /// The loss for images of which these classes are excluded.
    pub(crate) fn build(&self, excluded: &[BTreeSet<usize>], classes: usize) -> Result<Exclusions> {
        self.check()?;
        let loss: Box<dyn Loss> = match self.form {
            ComplementaryForm::Negative => Box::new(NegativeLearning),
            ComplementaryForm::Partial | ComplementaryForm::Presumed => Box::new(PartialLabel),
            ComplementaryForm::Forward(ForwardSettings { gamma }) => {
                let named = named_instead(excluded, classes);
                let loss = Complementary::new(named.view(), gamma);
                Box::new(loss.map_err(|error| Error::Device(error.to_string()))?)
            }
        };
        Ok(Exclusions {
            loss,
            form: self.form,
            share: self.share,
            ramp: self.ramp,
            diagnosed: excluded.iter().flatten().copied().collect(),
            classes,
        })
    }
}

/// How often each class is named as excluded where a class is true, `[classes, classes]`: the counts of those images that do
/// not exclude the true class, in shares. Where all images exclude it, or none of the others excludes anything, all other
/// classes are named alike.
///
/// An image that excludes several classes counts for each of them.
pub fn named_instead(excluded: &[BTreeSet<usize>], classes: usize) -> Array2<f64> {
    let mut named = Array2::zeros((classes, classes));
    for (truth, mut row) in named.rows_mut().into_iter().enumerate() {
        for of_image in excluded.iter().filter(|of| !of.contains(&truth)) {
            of_image.iter().for_each(|&class| row[class] += 1.0);
        }
        if row.sum() == 0.0 {
            row.fill(1.0);
            row[truth] = 0.0;
        }
        let sum: f64 = row.sum();
        row.mapv_inplace(|count| count / sum);
    }
    named
}

/// The loss of pixels that nobody drew.
pub(crate) struct Exclusions {
    loss: Box<dyn Loss>,
    form: ComplementaryForm,
    share: f64,
    ramp: f64,
    /// All classes that some image excludes.
    diagnosed: BTreeSet<usize>,
    classes: usize,
}

impl Exclusions {
    /// The classes that an image excludes, as each of its pixels is compared with them, `[classes]`; nothing if that says
    /// nothing.
    pub(crate) fn target(&self, excluded: &BTreeSet<usize>) -> Option<Vec<f32>> {
        if excluded.is_empty() {
            return None;
        }
        let marked = |class: usize| match self.form {
            ComplementaryForm::Negative | ComplementaryForm::Forward(_) => {
                excluded.contains(&class)
            }
            ComplementaryForm::Partial => !excluded.contains(&class),
            ComplementaryForm::Presumed => {
                self.diagnosed.contains(&class) && !excluded.contains(&class)
            }
        };
        let target: Vec<f32> = (0..self.classes)
            .map(|class| f32::from(u8::from(marked(class))))
            .collect();
        target.contains(&1.0).then_some(target)
    }

    /// The loss, `[1]`, of scores `[pixels, classes]` with targets for each pixel and weights `[pixels]`.
    pub(crate) fn of(
        &self,
        scores: Tensor<2>,
        targets: Tensor<2>,
        weights: Tensor<1>,
        at: Moment,
    ) -> Tensor<1> {
        let rise = if self.ramp > 0.0 {
            ((at.step + 1) as f64 / (self.ramp * at.steps as f64)).min(1.0)
        } else {
            1.0
        };
        let loss = self.loss.mean(scores, targets, weights);
        loss.mul_scalar(self.share * rise)
    }
}

/// The sum of the probabilities of the classes that are excluded, over pixels with weights, and the sum of these, `[1, 2]`:
/// what a network still believes against the diagnosis.
pub(crate) fn against_diagnosis(
    scores: Tensor<2>,
    excluded: Vec<f32>,
    weights: Tensor<1>,
    device: &Device,
) -> Tensor<2> {
    let [pixels, classes] = scores.dims();
    let excluded = Tensor::<2>::from_data(TensorData::new(excluded, [pixels, classes]), device);
    let against: Tensor<1> = (softmax(scores, 1) * excluded).sum_dim(1).squeeze_dim(1);
    let sum = (against * weights.clone()).sum();
    Tensor::cat(vec![sum, weights.sum()], 0)
        .unsqueeze_dim::<2>(0)
        .inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(of: &[&[usize]]) -> Vec<BTreeSet<usize>> {
        of.iter()
            .map(|classes| classes.iter().copied().collect())
            .collect()
    }

    #[test]
    fn what_is_named_is_counted_from_images_that_do_not_exclude_the_truth() {
        // Two tumours, 1 and 2: three images of the first, one of the second.
        let images = sets(&[&[2], &[2], &[2], &[1], &[]]);
        let named = named_instead(&images, 3);
        assert_eq!(named.row(0).to_vec(), [0.0, 0.25, 0.75]);
        assert_eq!(named.row(1).to_vec(), [0.0, 0.0, 1.0]);
        assert_eq!(named.row(2).to_vec(), [0.0, 1.0, 0.0]);
        // Nobody has the second tumour, so nothing is known of what would be named.
        let named = named_instead(&images[..3], 3);
        assert_eq!(named.row(2).to_vec(), [0.5, 0.5, 0.0]);
        assert!(Complementary::new(named.view(), 2.0).is_ok());
    }

    #[test]
    fn targets_are_those_of_the_form() {
        let images = sets(&[&[2], &[1], &[1, 2]]);
        let of = |form| {
            let settings = ComplementarySettings {
                form,
                ..ComplementarySettings::default()
            };
            let loss = settings.build(&images, 3).unwrap();
            let targets: Vec<Option<Vec<f32>>> = images.iter().map(|of| loss.target(of)).collect();
            assert!(loss.target(&BTreeSet::new()).is_none());
            targets
        };
        let some = |row: [f32; 3]| Some(row.to_vec());
        let excluded = [some([0., 0., 1.]), some([0., 1., 0.]), some([0., 1., 1.])];
        assert_eq!(of(ComplementaryForm::Negative), excluded);
        let forward = ComplementaryForm::Forward(ForwardSettings::default());
        assert_eq!(of(forward), excluded);
        let possible = [some([1., 1., 0.]), some([1., 0., 1.]), some([1., 0., 0.])];
        assert_eq!(of(ComplementaryForm::Partial), possible);
        let presumed = [some([0., 1., 0.]), some([0., 0., 1.]), None];
        assert_eq!(of(ComplementaryForm::Presumed), presumed);
    }

    #[test]
    fn the_share_rises() {
        let settings = ComplementarySettings {
            share: 2.0,
            ramp: 0.5,
            ..ComplementarySettings::default()
        };
        let loss = settings.build(&sets(&[&[1]]), 2).unwrap();
        let device = Device::flex();
        let at = |step| {
            let scores = Tensor::from_floats([[0.0, 0.0]], &device);
            // A set of one of two classes.
            let targets = Tensor::from_floats([[0.0, 1.0]], &device);
            let weights = Tensor::from_floats([1.0], &device);
            let moment = Moment { step, steps: 8 };
            loss.of(scores, targets, weights, moment)
                .into_scalar::<f32>()
        };
        let full = 2.0 * 2f32.ln();
        for (step, share) in [(0, 0.25), (1, 0.5), (3, 1.0), (7, 1.0)] {
            assert!((at(step) - share * full).abs() < 1e-6, "step {step}");
        }
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        for (recipe, name) in [
            ("share = -1.0", "share"),
            ("ramp = 1.5", "ramp"),
            ("form = { name = \"forward\", gamma = -1.0 }", "gamma"),
        ] {
            let settings: ComplementarySettings = toml::from_str(recipe).unwrap();
            let message = settings.check().unwrap_err().to_string();
            assert!(message.contains(name), "{message}");
        }
    }
}
