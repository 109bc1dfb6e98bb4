//! What can go wrong with weights and encoders.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

use crate::encoders::Pooling;

/// A weights file that cannot be used.
#[derive(Debug, Error)]
pub enum WeightsError {
    /// The file cannot be opened or read.
    #[error("cannot read weights {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The device cannot give parameters back, or they make no file.
    #[error("cannot read the parameters of a network: {0}")]
    Device(String),
    /// The content is something else.
    #[error("{file} is not a safetensors file: {reason}")]
    NotSafetensors {
        /// The file.
        file: String,
        /// What it looks like, and the remedy.
        reason: String,
    },
    /// A checkpoint of PyTorch that cannot be read.
    #[error(
        "{file} looks like a PyTorch checkpoint, and cannot be read as one: {reason}; write it anew with \
         torch.save(model.state_dict(), path), or as safetensors"
    )]
    Checkpoint {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// The file ends before its last tensor.
    #[error(
        "{file} is truncated: its header describes {expected} bytes, the file has {found}; \
         copy or download it again"
    )]
    Truncated {
        /// The file.
        file: String,
        /// Bytes by the header.
        expected: u64,
        /// Bytes in the file.
        found: u64,
    },
    /// The header contradicts itself or the data.
    #[error("{file} is damaged: {reason}")]
    Damaged {
        /// The file.
        file: String,
        /// What does not fit.
        reason: String,
    },
    /// A tensor is not f32, f16 or bf16.
    #[error("{file}: tensor {tensor} has type {dtype}; convert the weights to f32, f16 or bf16")]
    Type {
        /// The file.
        file: String,
        /// The tensor's name.
        tensor: String,
        /// Its type, as safetensors names it.
        dtype: String,
    },
    /// A tensor holds NaN or infinity.
    #[error("{file}: tensor {tensor} has {count} values that are NaN or infinite")]
    NotFinite {
        /// The file.
        file: String,
        /// The tensor's name.
        tensor: String,
        /// How many.
        count: usize,
    },
    /// A metadata entry of the file cannot be understood.
    #[error("{file}: metadata entry {key} is {value:?}, expected {expected}")]
    Metadata {
        /// The file.
        file: String,
        /// The entry.
        key: String,
        /// What it holds.
        value: String,
        /// What was expected.
        expected: String,
    },
    /// The card of an encoder cannot be understood.
    #[error("{file}: its card (metadata entry cleanslide) is damaged: {problem}")]
    Card {
        /// The file.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// A network that Cleanslide trained to predict.
    #[error("{file} is a network of Cleanslide that predicts {kind}, and no encoder")]
    Kind {
        /// The file.
        file: String,
        /// What it predicts.
        kind: String,
    },
    /// No tensor of the file belongs to the network.
    #[error("{file} does not hold {network}: none of its {tensors} tensors belongs to it; {looks}")]
    WrongNetwork {
        /// The file.
        file: String,
        /// The network that was asked for.
        network: String,
        /// Tensors in the file.
        tensors: usize,
        /// What the file looks like.
        looks: String,
    },
    /// Some tensors are missing, unexpected or of another shape.
    #[error(transparent)]
    Mismatch(#[from] Box<Mismatch>),
}

/// Every difference between the tensors of a file and those of a network.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct Mismatch {
    /// The file.
    pub file: String,
    /// The network that was asked for.
    pub network: String,
    /// What the file looks like.
    pub looks: String,
    /// Names and shapes that the network has and the file lacks.
    pub missing: Vec<(String, Vec<usize>)>,
    /// Names and shapes that the file has and the network lacks.
    pub unexpected: Vec<(String, Vec<usize>)>,
    /// Names, the network's shapes and the file's.
    pub reshaped: Vec<(String, Vec<usize>, Vec<usize>)>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} does not fit {}: {} missing, {} unexpected, {} of another shape; {}",
            self.file,
            self.network,
            self.missing.len(),
            self.unexpected.len(),
            self.reshaped.len(),
            self.looks,
        )?;
        for (name, shape) in &self.missing {
            write!(f, "\n  missing: {name} {shape:?}")?;
        }
        for (name, shape) in &self.unexpected {
            write!(f, "\n  unexpected: {name} {shape:?}")?;
        }
        for (name, expected, found) in &self.reshaped {
            write!(
                f,
                "\n  other shape: {name} is {found:?}, expected {expected:?}"
            )?;
        }
        Ok(())
    }
}

/// An encoder that cannot be opened or an image that it cannot embed.
#[derive(Debug, Error)]
pub enum EncoderError {
    /// The weights cannot be used.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The name is neither built in nor a file.
    #[error(
        "no encoder {specification:?}: give {known}, the path of a file (there is no such file), or NAME=FILE with a \
         name that `cleanslide encoders` lists"
    )]
    Unknown {
        /// What was asked for.
        specification: String,
        /// The names that need no file.
        known: String,
    },
    /// There is no published encoder of the name.
    #[error("no published encoder is called {name:?}; these are known: {known}")]
    Name {
        /// What was asked for.
        name: String,
        /// The names in the table.
        known: String,
    },
    /// A name was given for a file that says itself what it is.
    #[error("{file} has a card of its own, by which it is {card:?}: give its path without {name}=")]
    Named {
        /// The file.
        file: String,
        /// The name on its card.
        card: String,
        /// The name that was given.
        name: String,
    },
    /// A name was given for a file of the one network that needs none.
    #[error("{file} holds EfficientNet-Lite0, not {name}: give its path without {name}=")]
    NeedsNoName {
        /// The file.
        file: String,
        /// The name that was given.
        name: String,
    },
    /// A ResNet has as many blocks as no published one.
    #[error(
        "{file} holds a {found}, and no published ResNet has such blocks (ResNet-18 has 2-2-2-2, ResNet-50 3-4-6-3): the \
         file seems to be incomplete; write or download it again"
    )]
    Depth {
        /// The file.
        file: String,
        /// The network in the file.
        found: String,
    },
    /// The file holds another network than the published encoder of the name.
    #[error("{file} is not {name}, which is {expected}: it holds a {found}")]
    NotPublished {
        /// The file.
        file: String,
        /// The name that was given.
        name: String,
        /// The network by the table, with its article.
        expected: String,
        /// The network in the file.
        found: String,
    },
    /// Nobody says which of the encoders of this network it is, so it is unknown how its images are made.
    #[error(
        "{file} holds a {found}, and nothing in it says how images are to be made for it; {candidates}: say which by \
         NAME={file}"
    )]
    Ambiguous {
        /// The file.
        file: String,
        /// The network in the file.
        found: String,
        /// The names that fit, as a clause.
        candidates: String,
    },
    /// The configuration beside a file of weights cannot be followed.
    #[error(
        "{file}, beside the weights, says how images are to be made for them, but {problem}: mend it, or keep the weights in \
         another folder to take ImageNet's mean and deviation"
    )]
    Configuration {
        /// The configuration.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The file holds nothing that can embed.
    #[error(
        "{file} holds no encoder known here: {looks}; vision transformers, ResNets and EfficientNet-Lite0 are \
         (`cleanslide encoders`)"
    )]
    NoEncoder {
        /// The file.
        file: String,
        /// What it looks like.
        looks: String,
    },
    /// The file holds a Swin transformer.
    #[error(
        "{file} holds a Swin transformer, as CTransPath is one: its blocks are not supported; take a vision \
         transformer or a ResNet (`cleanslide encoders`)"
    )]
    Swin {
        /// The file.
        file: String,
    },
    /// It cannot be told which tensors are the encoder.
    #[error(
        "{file} holds no encoder, or several, under names that are known here; its names begin with {found}: write \
         the tensors of one encoder into a file, without what is before their names"
    )]
    Wrappers {
        /// The file.
        file: String,
        /// What is before the names of encoders.
        found: String,
    },
    /// A tensor is missing, or has another number of dimensions, from which sizes of the network are read.
    #[error(
        "{file}: the network cannot be told without tensor {tensor} of {dimensions} dimensions (found: {found:?})"
    )]
    Telling {
        /// The file.
        file: String,
        /// The tensor, as timm and torchvision call it.
        tensor: String,
        /// The dimensions that it should have.
        dimensions: usize,
        /// The lengths of those that it has.
        found: Option<Vec<usize>>,
    },
    /// A transformer's positions are those of images of another size.
    #[error(
        "{file} has {positions} positions, which are not those of images of {size} pixels in patches of {patch}{}; \
         positions are not interpolated: state the size that it was trained on",
        trained.map(|size| format!(", but of {size} pixels")).unwrap_or_default()
    )]
    Positions {
        /// The file.
        file: String,
        /// Positions in the file.
        positions: usize,
        /// The side of images that was asked for, in pixels.
        size: u32,
        /// The side of a patch, in pixels.
        patch: usize,
        /// The side of images that they fit, in pixels.
        trained: Option<u32>,
    },
    /// The heads of the attention do not divide its values.
    #[error(
        "{file}: {heads} heads of the attention do not divide tokens of {width} values; state the heads"
    )]
    Heads {
        /// The file.
        file: String,
        /// The heads.
        heads: usize,
        /// Values of a token.
        width: usize,
    },
    /// A network has no such features.
    #[error("{file}: embeddings of a {network} cannot be {pooling}")]
    Pooling {
        /// The file.
        file: String,
        /// The network in the file.
        network: String,
        /// How features were to become an embedding.
        pooling: Pooling,
    },
    /// The central crop has no pixels.
    #[error("the central crop must be at least 1 pixel wide")]
    EmptyCrop,
    /// The crop does not fit into an image.
    #[error(
        "image {index} is {width}×{height} pixels, smaller than the central crop of {crop}; \
         choose a smaller crop"
    )]
    CropTooLarge {
        /// The image's position in the batch.
        index: usize,
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
        /// The side of the crop in pixels.
        crop: u32,
    },
    /// An image has no pixels.
    #[error("image {index} has no pixels ({width}×{height})")]
    EmptyImage {
        /// The image's position in the batch.
        index: usize,
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
    },
    /// The resampling library refused an image.
    #[error("cannot resize image {index}: {reason}")]
    Resize {
        /// The image's position in the batch.
        index: usize,
        /// The library's reason.
        reason: String,
    },
    /// Numbers could not be read back from the device.
    #[error("cannot read the network's parameters: {0}")]
    Device(String),
}
