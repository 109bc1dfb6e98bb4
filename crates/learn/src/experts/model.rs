//! The network that is trained, and what it leaves behind.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use cleanslide_nn::layers::Start;
use cleanslide_nn::networks::{
    AnnotatorConfusion, SegmentationNetwork, WeightingNetwork, log_confusion,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{ExpertMethod, ExpertSettings};
use crate::segment::Segmenter;

/// A network for pixels, and what is learned of the experts beside it.
#[derive(Module, Debug)]
pub(super) struct ExpertNetwork {
    pub(super) segmentation: SegmentationNetwork,
    /// What is said of experts at each pixel: a weight each, or confusion matrices.
    pub(super) weighting: Option<WeightingNetwork>,
    /// Confusion matrices of all pixels.
    pub(super) confusion: Option<AnnotatorConfusion>,
}

impl ExpertNetwork {
    /// A network with random parameters.
    pub(super) fn new(
        settings: &ExpertSettings,
        [experts, classes]: [usize; 2],
        seed: u64,
        device: &Device,
    ) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut start = Start::new(&mut rng, device);
        let segmentation = settings.segment.network.init(classes, &mut start);
        let outputs = match settings.method {
            ExpertMethod::Confusion(_) => experts * classes * classes,
            _ => experts,
        };
        let weighting = settings.method.weighting();
        let weighting = weighting.map(|config| config.init(outputs, &mut start));
        let confusion = match &settings.method {
            ExpertMethod::Confusion(of) if !of.per_pixel => {
                Some(AnnotatorConfusion::new(experts, classes, &mut start))
            }
            _ => None,
        };
        Self {
            segmentation,
            weighting,
            confusion,
        }
    }

    /// The logarithms of the confusion matrices of images `[n, height, width, 3]`, `[pixels or 1, experts, classes,
    /// classes]`; `None` if there are none.
    pub(super) fn log_confusion(
        &self,
        images: Tensor<4>,
        [experts, classes]: [usize; 2],
        right: f64,
    ) -> Option<Tensor<4>> {
        if let Some(confusion) = &self.confusion {
            return Some(confusion.log_matrices(right));
        }
        let [count, height, width, _] = images.dims();
        let scores = self.weighting.as_ref()?.forward(images);
        let scores = scores.reshape([count * height * width, experts, classes, classes]);
        Some(log_confusion(scores, right))
    }
}

/// What a training from several experts gives.
#[derive(Debug, Clone)]
pub struct ExpertModel {
    /// The network that predicts.
    pub segmenter: Segmenter,
    pub(super) settings: ExpertSettings,
    pub(super) experts: Vec<String>,
    pub(super) network: ExpertNetwork,
    pub(super) device: Device,
}

impl ExpertModel {
    /// The experts it learned from.
    pub fn experts(&self) -> &[String] {
        &self.experts
    }
}
