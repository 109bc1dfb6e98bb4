//! The networks that are trained together.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use cleanslide_nn::layers::{Convolution, Start};
use cleanslide_nn::networks::SegmentationNetwork;
use cleanslide_nn::operators::resize;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::DualTraining;

/// One or two networks, the first of which predicts in the end, and what their features are compared by.
#[derive(Module, Debug)]
pub(super) struct DualNetwork {
    pub(super) first: SegmentationNetwork,
    pub(super) second: Option<SegmentationNetwork>,
    /// A linear map of the features of each network; none where features are not compared.
    projections: Vec<Convolution>,
}

/// What a network says of images.
pub(super) struct Said {
    /// `[pixels, classes]`.
    pub(super) scores: Tensor<2>,
    /// `[pixels, features]`, where features are compared.
    pub(super) features: Option<Tensor<2>>,
}

impl DualNetwork {
    /// Networks with random parameters.
    pub(super) fn new(settings: &DualTraining, classes: usize, seed: u64, device: &Device) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut start = Start::new(&mut rng, device);
        let DualTraining { segment, dual } = settings;
        let first = segment.network.init(classes, &mut start);
        let second = (dual.networks() == 2).then(|| dual.partner.init(classes, &mut start));
        let mut projections = Vec::new();
        if let Some(contrast) = &dual.contrast {
            for network in std::iter::once(&first).chain(&second) {
                let sizes = [network.feature_count(), contrast.features];
                projections.push(Convolution::new(sizes, 1, &mut start));
            }
        }
        Self {
            first,
            second,
            projections,
        }
    }

    /// All networks.
    pub(super) fn all(&self) -> impl Iterator<Item = &SegmentationNetwork> {
        std::iter::once(&self.first).chain(&self.second)
    }

    /// What each network says of images `[n, height, width, 3]`.
    pub(super) fn forward(&self, images: Tensor<4>) -> Vec<Said> {
        let [count, height, width, _] = images.dims();
        let pixels = count * height * width;
        let flat = |values: Tensor<4>| {
            let [.., channels] = values.dims();
            values.reshape([pixels, channels])
        };
        self.all()
            .enumerate()
            .map(|(number, network)| {
                let features = network.features(images.clone());
                let scores = flat(network.scores(features.clone(), [height, width]));
                let projection = self.projections.get(number);
                let features = projection.map(|projection| {
                    flat(resize(projection.forward(features), [height, width], false))
                });
                Said { scores, features }
            })
            .collect()
    }
}
