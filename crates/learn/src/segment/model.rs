//! A trained network with all that it needs to predict.

use burn::tensor::Device;
use cleanslide_nn::layers::Start;
use cleanslide_nn::networks::{SegmentationConfig, SegmentationNetwork};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::error::Result;
use crate::training::NetworkFile;

const KIND: &str = "pixels of classes";

/// A trained network.
#[derive(Debug, Clone)]
pub struct Segmenter {
    pub(super) description: NetworkFile<SegmentationConfig>,
    pub(super) network: SegmentationNetwork,
    pub(super) device: Device,
}

impl Segmenter {
    pub(crate) fn new(
        config: SegmentationConfig,
        classes: Vec<String>,
        network: SegmentationNetwork,
        device: Device,
    ) -> Self {
        Self {
            description: NetworkFile {
                kind: KIND.to_owned(),
                network: config,
                classes,
            },
            network,
            device,
        }
    }

    /// Names of the classes of pixels.
    pub fn classes(&self) -> &[String] {
        &self.description.classes
    }

    /// The network and its sizes.
    pub fn config(&self) -> &SegmentationConfig {
        &self.description.network
    }

    /// The content of a safetensors file. Parameters have PyTorch's names and layouts.
    ///
    /// # Errors
    /// When the device cannot give the parameters back.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.description.to_bytes(&self.network)
    }

    /// Reads such a file; `file` is its name in messages.
    ///
    /// # Errors
    /// When it is damaged, or holds something else.
    pub fn from_bytes(bytes: &[u8], file: &str, device: &Device) -> Result<Self> {
        let (description, weights) =
            NetworkFile::<SegmentationConfig>::from_bytes(bytes, file, KIND)?;
        let network = init(&description.network, description.classes.len(), 0, device);
        let network = weights.load_into(network, description.network.name(), str::to_owned)?;
        Ok(Self {
            description,
            network,
            device: device.clone(),
        })
    }
}

/// A network with random parameters.
pub(super) fn init(
    config: &SegmentationConfig,
    classes: usize,
    seed: u64,
    device: &Device,
) -> SegmentationNetwork {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    config.init(classes, &mut Start::new(&mut rng, device))
}
