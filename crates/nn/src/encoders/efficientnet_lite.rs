//! EfficientNet-Lite0 as a frozen encoder.
//!
//! ```text
//! body   networks::EfficientNetLite                                 3 → 320
//! head   1×1 convolution, batch norm, ReLU6                       320 → 1280
//! embedding = mean over positions                                  [n, 1280]
//! ```
//!
//! Input is 224 × 224, (value − 127) / 128, unless the weights file's `mean` and `std` entries say otherwise.
//! Parameters carry the names of the PyTorch package `efficientnet_lite_pytorch`, and convolutions pad as those
//! parameters were trained: as TensorFlow's SAME.
//!
//! [`EmbeddingNetwork`] can be trained; [`EfficientNetLiteEncoder`] embeds with [`inference`], which is the same
//! function with folded batch norms.

pub mod inference;
mod kernels;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use image::RgbImage;
use ndarray::Array2;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use self::inference::{Inference, Scratch};
use super::{Encoder, embed_each};
use crate::error::{EncoderError, WeightsError};
use crate::layers::{BatchNorm, Convolution, FullyConnected, Start};
use crate::networks::{EfficientNetLite, EfficientNetLiteConfig, Origin};
use crate::operators::Activation;
use crate::preprocess::Preprocessing;
use crate::weights::Weights;

const NAME: &str = "efficientnet-lite0";
/// Part of the identity: raise it when embeddings change for the same weights and settings.
const VERSION: u32 = 1;
const INPUT_SIZE: u32 = 224;
const DIMENSION: usize = 1280;
const DEFAULT_MEAN: f32 = 127.0 / 255.0;
const DEFAULT_STD: f32 = 128.0 / 255.0;

/// An [`EfficientNetLite`] and what makes embeddings of its images, as TensorFlow has them.
#[derive(Module, Debug)]
pub struct EmbeddingNetwork {
    body: EfficientNetLite,
    conv_head: Convolution,
    bn2: BatchNorm,
    classifier: Option<FullyConnected>,
}

impl EmbeddingNetwork {
    /// With random parameters, for embeddings of so many components and so many classes, if any.
    pub fn new(
        body: &EfficientNetLiteConfig,
        dimension: usize,
        classes: Option<usize>,
        start: &mut Start,
    ) -> Self {
        Self {
            body: body.init(start),
            conv_head: Convolution::new([body.outputs(), dimension], 1, start),
            bn2: body.origin.norm(dimension, start),
            classifier: classes.map(|classes| FullyConnected::new([dimension, classes], start)),
        }
    }

    /// EfficientNet-Lite0 with the parameters of a file. The classifier is optional in the file
    /// and may have any number of classes.
    ///
    /// # Errors
    /// When the file holds another network or any tensor does not fit.
    pub fn lite0(weights: &Weights, device: &Device) -> Result<Self, WeightsError> {
        let classes = weights
            .tensor("_fc.weight")
            .and_then(|tensor| tensor.shape.first().copied());
        let body = EfficientNetLiteConfig::lite0(Origin::TensorFlow);
        // Every parameter is replaced.
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        Self::new(&body, DIMENSION, classes, &mut Start::new(&mut rng, device))
            .load(weights, "EfficientNet-Lite0")
    }

    /// Replaces every parameter by the file's; `network` names the network in messages.
    ///
    /// # Errors
    /// When any tensor does not fit.
    pub fn load(self, weights: &Weights, network: &str) -> Result<Self, WeightsError> {
        let mut names = self.body.package_names();
        names.add("conv_head", "_conv_head");
        names.add("bn2", "_bn1");
        names.add("classifier", "_fc");
        weights.load_into(self, network, |path| {
            names.of(path.strip_prefix("body.").unwrap_or(path))
        })
    }

    /// Images `[n, height, width, 3]` to embeddings `[n, dimension]`.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let hidden = self.conv_head.forward(self.body.forward(images));
        let hidden = self.bn2.forward(hidden, Activation::Relu6);
        let [n, height, width, channels] = hidden.dims();
        hidden
            .reshape([n, height * width, channels])
            .mean_dim(1)
            .squeeze_dim(1)
    }

    /// Embeddings `[n, dimension]` to logits `[n, classes]`; `None` without a classifier.
    pub fn classify(&self, embeddings: Tensor<2>) -> Option<Tensor<2>> {
        let classifier = self.classifier.as_ref()?;
        Some(classifier.forward(embeddings))
    }
}

/// Embeds images with frozen EfficientNet-Lite0: 1280 components, each in 0..=6.
#[derive(Debug)]
pub struct EfficientNetLiteEncoder {
    network: Inference,
    preprocessing: Preprocessing,
    identity: String,
}

impl EfficientNetLiteEncoder {
    /// An encoder with the weights of a file. The file's metadata entries `mean` and `std` (one or
    /// three numbers of the scale 0..=1, separated by commas) replace the default normalisation.
    ///
    /// # Errors
    /// When the weights are of another network, or the metadata cannot be understood.
    pub fn new(weights: &Weights, central_crop: Option<u32>) -> Result<Self, EncoderError> {
        let preprocessing = Preprocessing {
            central_crop,
            size: INPUT_SIZE,
            mean: channel_values(weights, "mean", DEFAULT_MEAN)?,
            std: channel_values(weights, "std", DEFAULT_STD)?,
        };
        let network = EmbeddingNetwork::lite0(weights, &Device::flex())?;
        let settings = format!("{NAME} {VERSION} {} {preprocessing:?}", weights.hash());
        Ok(Self {
            network: Inference::new(&network)?,
            preprocessing,
            identity: blake3::hash(settings.as_bytes()).to_hex().to_string(),
        })
    }

    /// Whether a file has names that this encoder's files have.
    pub(super) fn looks_fit(weights: &Weights) -> bool {
        weights.tensor("_conv_stem.weight").is_some()
    }

    /// What is done to each image before the network.
    pub fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }
}

fn channel_values(weights: &Weights, key: &str, default: f32) -> Result<[f32; 3], WeightsError> {
    let Some(text) = weights.metadata(key) else {
        return Ok([default; 3]);
    };
    let values: Vec<f32> = text
        .split(',')
        .filter_map(|part| part.trim().parse().ok())
        .filter(|value: &f32| value.is_finite() && (key != "std" || *value > 0.0))
        .collect();
    match (values.as_slice(), text.split(',').count()) {
        (&[value], 1) => Ok([value; 3]),
        (&[red, green, blue], 3) => Ok([red, green, blue]),
        _ => Err(WeightsError::Metadata {
            file: weights.file().to_owned(),
            key: key.to_owned(),
            value: text.to_owned(),
            expected: format!(
                "one or three {} numbers separated by commas",
                if key == "std" { "positive" } else { "finite" }
            ),
        }),
    }
}

impl Encoder for EfficientNetLiteEncoder {
    fn name(&self) -> &str {
        NAME
    }

    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn dimension(&self) -> usize {
        self.network.dimension()
    }

    fn crop(&self) -> Option<u32> {
        self.preprocessing.central_crop
    }

    fn native_side(&self) -> Option<u32> {
        Some(self.preprocessing.size)
    }

    fn embed(&self, images: &[RgbImage]) -> Result<Array2<f32>, EncoderError> {
        let side = self.preprocessing.size as usize;
        embed_each(
            images,
            self.dimension(),
            Scratch::default,
            |scratch, index, image| {
                let input = self.preprocessing.apply(image, index)?;
                Ok(self.network.embed(&input, side, side, scratch))
            },
        )
    }
}
