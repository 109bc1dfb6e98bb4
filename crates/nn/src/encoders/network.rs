//! Vision transformers and ResNets as frozen encoders, whatever their size.
//!
//! Their structure is read from names and shapes of tensors ([`Shape`]), in the names of timm, DINOv2, torchvision and
//! Hugging Face and within the wrappers of training frameworks; heads of tasks are left out. What tensors do not tell
//! is on a [`Card`]: the file's own, or that of a published encoder ([`known`]).

use burn::tensor::{Device, Tensor, TensorData};
use image::RgbImage;
use ndarray::Array2;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::checkpoint::Checkpoint;
use super::{Card, Encoder, EncoderError, Pooling, Shape, embed_each, known, shape};
use crate::layers::Start;
use crate::networks::{ResNet, VisionTransformer};
use crate::preprocess::{Preprocessing, central_crop, resize};
use crate::weights::Weights;

/// Part of the identity: raise it when embeddings change for the same weights and settings.
const VERSION: u32 = 1;

#[derive(Debug)]
enum Network {
    VisionTransformer {
        network: Box<VisionTransformer>,
        /// Tokens before those of patches.
        prefix: usize,
    },
    ResNet(Box<ResNet>),
}

/// Embeds images with a frozen vision transformer or ResNet.
#[derive(Debug)]
pub struct NetworkEncoder {
    network: Network,
    card: Card,
    shape: Shape,
    dimension: usize,
    preprocessing: Preprocessing,
    identity: String,
}

impl NetworkEncoder {
    /// An encoder with the weights of a file; `name` is that of a published encoder ([`known::ENCODERS`]), for files
    /// without a card.
    ///
    /// # Errors
    /// When the weights are of no such network, or it is unknown how images are to be made for them.
    pub fn new(
        weights: Weights,
        name: Option<&str>,
        central_crop: Option<u32>,
    ) -> Result<Self, EncoderError> {
        let own = Card::of(&weights)?;
        let checkpoint = Checkpoint::of(weights)?;
        let shape = Shape::of(&checkpoint)?;
        let weights = checkpoint.weights;
        let card = match (own, name) {
            (Some(card), None) => card,
            (Some(card), Some(name)) => {
                return Err(EncoderError::Named {
                    file: weights.file().to_owned(),
                    card: card.name,
                    name: name.to_owned(),
                });
            }
            (None, name) => {
                known::card(weights.file(), &shape, native_size(&shape, &weights), name)?
            }
        };
        let preprocessing = Preprocessing {
            central_crop,
            size: card.size,
            mean: card.mean,
            std: card.std,
        };
        let mut settings = format!(
            "network {VERSION} {} {preprocessing:?} {:?} {:?}",
            weights.hash(),
            card.pooling,
            card.heads
        );
        if let Some(side) = card.resized {
            settings.push_str(&format!(" resized {side}"));
        }
        Ok(Self {
            network: Network::load(&weights, &shape, &card)?,
            dimension: shape.dimension(card.pooling),
            shape,
            card,
            preprocessing,
            identity: blake3::hash(settings.as_bytes()).to_hex().to_string(),
        })
    }

    /// What the tensors do not say.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// What the network sees of an image.
    fn input(&self, image: &RgbImage, index: usize) -> Result<Vec<f32>, EncoderError> {
        let Some(side) = self.card.resized else {
            return self.preprocessing.apply(image, index);
        };
        let part = central_crop(image, self.preprocessing.central_crop, index)?;
        let middle = Preprocessing {
            central_crop: Some(self.preprocessing.size),
            ..self.preprocessing.clone()
        };
        middle.apply(&*resize(&part, side, side, index)?, index)
    }

    fn embed_one(&self, image: &RgbImage, index: usize) -> Result<Vec<f32>, EncoderError> {
        let side = self.preprocessing.size as usize;
        let input = TensorData::new(self.input(image, index)?, [1, side, side, 3]);
        let input = Tensor::<4>::from_data(input, &Device::flex());
        self.network
            .forward(input, self.card.pooling)
            .into_data()
            .try_to_vec()
            .map_err(|error| EncoderError::Device(error.to_string()))
    }
}

/// The size of the images that positions are for.
fn native_size(shape: &Shape, weights: &Weights) -> Option<u32> {
    let Shape::VisionTransformer(shape) = shape else {
        return None;
    };
    let positions = weights.tensor("pos_embed")?.shape.get(1)?;
    shape.native_size(*positions)
}

impl Network {
    fn load(weights: &Weights, shape: &Shape, card: &Card) -> Result<Self, EncoderError> {
        let of_convolutions = matches!(shape, Shape::ResNet { .. });
        if of_convolutions != (card.pooling == Pooling::Average) {
            return Err(EncoderError::Pooling {
                file: weights.file().to_owned(),
                network: shape.to_string(),
                pooling: card.pooling,
            });
        }
        let device = Device::flex();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut start = Start::new(&mut rng, &device).blank();
        let name = format!("a {shape}");
        Ok(match shape {
            Shape::VisionTransformer(shape) => {
                let config = shape.config(weights, card.size, card.heads)?;
                let network = config.init(&mut start);
                Self::VisionTransformer {
                    network: Box::new(weights.load_into(network, &name, str::to_owned)?),
                    prefix: config.prefix(),
                }
            }
            Shape::ResNet {
                width,
                blocks,
                bottleneck,
            } => {
                let network = shape::resnet(*width, *blocks, *bottleneck).init(&mut start);
                Self::ResNet(Box::new(weights.load_into(
                    network,
                    &name,
                    str::to_owned,
                )?))
            }
        })
    }

    /// One image `[1, height, width, 3]` to its embedding `[1, dimension]`.
    fn forward(&self, image: Tensor<4>, pooling: Pooling) -> Tensor<2> {
        match self {
            Self::VisionTransformer { network, prefix } => {
                let tokens = network.forward(image);
                let whole = || tokens.clone().slice_dim(1, 0..1).squeeze_dim(1);
                let patches = || mean(tokens.clone().slice_dim(1, *prefix..));
                match pooling {
                    Pooling::ClassToken => whole(),
                    Pooling::Average | Pooling::MeanOfPatches => patches(),
                    Pooling::ClassTokenAndMeanOfPatches => Tensor::cat(vec![whole(), patches()], 1),
                }
            }
            Self::ResNet(network) => {
                let [.., last] = network.features(image);
                let [n, height, width, channels] = last.dims();
                mean(last.reshape([n, height * width, channels]))
            }
        }
    }
}

fn mean(positions: Tensor<3>) -> Tensor<2> {
    positions.mean_dim(1).squeeze_dim(1)
}

impl Encoder for NetworkEncoder {
    fn name(&self) -> &str {
        &self.card.name
    }

    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn network(&self) -> Option<String> {
        Some(self.shape.to_string())
    }

    fn dimension(&self) -> usize {
        self.dimension
    }

    fn crop(&self) -> Option<u32> {
        self.preprocessing.central_crop
    }

    fn native_side(&self) -> Option<u32> {
        Some(self.card.resized.unwrap_or(self.card.size))
    }

    fn microns_per_pixel(&self) -> Option<f64> {
        self.card.microns_per_pixel
    }

    fn embed(&self, images: &[RgbImage]) -> Result<Array2<f32>, EncoderError> {
        embed_each(
            images,
            self.dimension,
            || (),
            |(), index, image| self.embed_one(image, index),
        )
    }
}
