//! A trained network with all that it needs to predict.

use std::collections::BTreeMap;

use burn::tensor::Device;
use cleanslide_nn::layers::Start;
use cleanslide_nn::networks::{SegmentationConfig, SegmentationNetwork};
use cleanslide_nn::weights::Weights;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The entry of the file's metadata.
const ENTRY: &str = "cleanslide";

/// A trained network.
#[derive(Debug, Clone)]
pub struct Segmenter {
    pub(super) description: Description,
    pub(super) network: SegmentationNetwork,
    pub(super) device: Device,
}

/// What else is in the file of a trained network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Description {
    /// `pixels of classes`.
    kind: String,
    pub(super) network: SegmentationConfig,
    /// The classes of the pixels.
    pub(super) classes: Vec<String>,
}

const KIND: &str = "pixels of classes";

impl Segmenter {
    pub(super) fn new(
        config: SegmentationConfig,
        classes: Vec<String>,
        network: SegmentationNetwork,
        device: Device,
    ) -> Self {
        Self {
            description: Description {
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
        let text = serde_json::to_string(&self.description)
            .map_err(|error| Error::Segmenter(error.to_string()))?;
        let metadata = BTreeMap::from([(ENTRY.to_owned(), text)]);
        Ok(Weights::to_bytes(&self.network, metadata, str::to_owned)?)
    }

    /// Reads such a file; `file` is its name in messages.
    ///
    /// # Errors
    /// When it is damaged, or holds something else.
    pub fn from_bytes(bytes: &[u8], file: &str, device: &Device) -> Result<Self> {
        let weights = Weights::from_bytes(bytes, file)?;
        let text = weights.metadata(ENTRY).ok_or_else(|| {
            Error::Segmenter(format!("{file} says nothing of classes and network"))
        })?;
        let description: Description = serde_json::from_str(text)
            .map_err(|error| Error::Segmenter(format!("{file}: {error}")))?;
        if description.kind != KIND {
            return Err(Error::Segmenter(format!(
                "{file} is made for {}",
                description.kind
            )));
        }
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
