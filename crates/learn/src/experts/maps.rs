//! Where each expert is believed.

use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use cleanslide_data::UNLABELLED_CLASS;
use cleanslide_nn::networks::WeightingNetworkConfig;
use image::RgbImage;
use ndarray::{Array3, ArrayView2, Zip};
use serde::{Deserialize, Serialize};

use super::model::ExpertModel;
use super::trainer::belief;
use super::{ConfusionSettings, ExpertMethod};
use crate::error::Result;
use crate::segment::Views;

/// How far an expert is believed in the pixels of which the expert said something: sums, so that those of several
/// images add up.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Belief {
    /// Pixels in which the expert says what most say, and the sum of the beliefs there.
    pub with_majority: (u64, f64),
    /// The same of the pixels in which the expert says something else.
    pub against_majority: (u64, f64),
}

impl Belief {
    /// Of one image: what is believed of an expert, the expert's mask, and the majority's; pixels without a majority
    /// do not count.
    ///
    /// # Panics
    /// When they differ in size.
    pub fn of(
        believed: ArrayView2<'_, f32>,
        expert: ArrayView2<'_, u8>,
        majority: ArrayView2<'_, u8>,
    ) -> Self {
        let mut sums = Self::default();
        Zip::from(&believed).and(&expert).and(&majority).for_each(
            |&believed, &expert, &majority| {
                if expert == UNLABELLED_CLASS || majority == UNLABELLED_CLASS {
                    return;
                }
                let (pixels, sum) = if expert == majority {
                    &mut sums.with_majority
                } else {
                    &mut sums.against_majority
                };
                *pixels += 1;
                *sum += f64::from(believed);
            },
        );
        sums
    }

    /// The sums of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let add = |one: (u64, f64), two: (u64, f64)| (one.0 + two.0, one.1 + two.1);
        Self {
            with_majority: add(self.with_majority, other.with_majority),
            against_majority: add(self.against_majority, other.against_majority),
        }
    }

    /// All pixels.
    pub fn pixels(&self) -> u64 {
        self.with_majority.0 + self.against_majority.0
    }

    /// The mean over all pixels; `None` of none.
    pub fn mean(&self) -> Option<f64> {
        mean((
            self.pixels(),
            self.with_majority.1 + self.against_majority.1,
        ))
    }

    /// The mean where the expert says what most say.
    pub fn mean_with_majority(&self) -> Option<f64> {
        mean(self.with_majority)
    }

    /// The mean where the expert says something else.
    pub fn mean_against_majority(&self) -> Option<f64> {
        mean(self.against_majority)
    }

    /// The share of the pixels in which the expert says something else.
    pub fn share_against_majority(&self) -> Option<f64> {
        mean((self.pixels(), self.against_majority.0 as f64))
    }
}

fn mean((pixels, sum): (u64, f64)) -> Option<f64> {
    (pixels > 0).then(|| sum / pixels as f64)
}

impl ExpertModel {
    /// How far each expert is believed at each pixel of an image, `[experts, height, width]`, whether they labelled it
    /// or not: by [`ExpertMethod::Reweight`] the weights, which sum to 1 over the experts; by
    /// [`ExpertMethod::Confusion`] the probability that what the expert says is right. `None` where a method finds out
    /// nothing about experts.
    ///
    /// # Errors
    /// When the image has no pixels, or the device fails.
    pub fn believed(&self, image: &RgbImage) -> Result<Option<Array3<f32>>> {
        let settings = &self.settings.segment;
        let views = Views {
            settings: &settings.predict,
            // Both are powers of two.
            multiple: settings
                .network
                .multiple()
                .max(WeightingNetworkConfig::MULTIPLE),
            outputs: self.experts.len(),
            device: &self.device,
        };
        match (&self.settings.method, &self.network.weighting) {
            (ExpertMethod::Reweight(_), Some(weighting)) => {
                let say = |images| softmax(weighting.forward(images), 3);
                views.join(image, &say).map(Some)
            }
            (ExpertMethod::Confusion(of), _) => {
                let say = |images| self.right(images, of);
                views.join(image, &say).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The probability that experts are right, `[n, height, width, experts]`.
    fn right(&self, images: Tensor<4>, settings: &ConfusionSettings) -> Tensor<4> {
        let [count, height, width, _] = images.dims();
        let (experts, classes) = (self.experts.len(), self.segmenter.classes().len());
        let shape = [count, height, width, experts];
        let confusion =
            self.network
                .log_confusion(images.clone(), [experts, classes], settings.right);
        let scores = self.network.segmentation.forward(images);
        let scores = scores.reshape([count * height * width, classes]);
        match confusion {
            Some(confusion) => belief(softmax(scores, 1), confusion).reshape(shape),
            None => Tensor::zeros(shape, &scores.device()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn beliefs_of_images_add_up() {
        let believed = array![[0.2f32, 0.4, 0.6, 0.8]];
        let expert = array![[0u8, 1, 1, UNLABELLED_CLASS]];
        let majority = array![[0u8, 0, UNLABELLED_CLASS, 1]];
        let one = Belief::of(believed.view(), expert.view(), majority.view());
        assert_eq!((one.with_majority.0, one.against_majority.0), (1, 1));
        let both = one.plus(one);
        assert!((both.mean().unwrap() - 0.3).abs() < 1e-7);
        assert_eq!(
            (both.pixels(), both.share_against_majority()),
            (4, Some(0.5))
        );
        assert!((both.mean_with_majority().unwrap() - 0.2).abs() < 1e-7);
        assert!((both.mean_against_majority().unwrap() - 0.4).abs() < 1e-7);
        assert_eq!(Belief::default().mean(), None);
    }
}
