//! Encoders: from images to fixed-length embeddings.
//!
//! An embedding depends on its image, the encoder's settings and the machine's instruction set;
//! never on the other images of the batch, their order or the number of threads.

mod beside;
mod card;
mod checkpoint;
pub mod classical;
pub mod efficientnet_lite;
pub mod known;
mod network;
mod shape;

use std::path::Path;

use image::RgbImage;
use ndarray::Array2;

pub use card::{Card, Pooling};
pub use checkpoint::Naming;
pub use classical::ClassicalEncoder;
pub use efficientnet_lite::EfficientNetLiteEncoder;
pub use network::NetworkEncoder;
pub use shape::{Shape, TransformerShape};

pub use crate::error::EncoderError;

use crate::weights::Weights;

/// A frozen map from images to embeddings.
pub trait Encoder: Send + Sync {
    /// A short name for reports.
    fn name(&self) -> &str;

    /// 64 hexadecimal digits that change whenever embeddings may change: a BLAKE3 hash of the
    /// weights' content, the preprocessing and the version of the code.
    fn identity(&self) -> String;

    /// The length of an embedding.
    fn dimension(&self) -> usize;

    /// The network as its tensors tell it, such as `ResNet-18`, where they do.
    fn network(&self) -> Option<String> {
        None
    }

    /// The side of the part in the middle of images that it looks at, in pixels; smaller images are refused.
    fn crop(&self) -> Option<u32> {
        None
    }

    /// The side of the images that it was made for, in pixels; others are resized.
    fn native_side(&self) -> Option<u32> {
        None
    }

    /// The scale of the images that it was trained on.
    fn microns_per_pixel(&self) -> Option<f64> {
        None
    }

    /// One name per component, where components have a meaning of their own.
    fn feature_names(&self) -> Option<&[String]> {
        None
    }

    /// Embeds images of any sizes: shape [images, dimension], rows in the order of the images,
    /// every value finite. Images are spread over rayon's threads; memory beyond the result is
    /// bounded per thread, not per batch.
    ///
    /// # Errors
    /// When an image has no pixels or is smaller than the central crop; the message names the
    /// first such image.
    fn embed(&self, images: &[RgbImage]) -> Result<Array2<f32>, EncoderError>;
}

/// Opens an encoder: `classical`; the path of a file of weights; or `NAME=FILE`, which says by a name of
/// [`known::ENCODERS`] how images are to be made for a file that does not say it itself. Files hold
/// EfficientNet-Lite0 or a network that [`NetworkEncoder`] knows. `central_crop` is the side in pixels of the part of
/// each image that is embedded; `None` takes the whole image.
///
/// # Errors
/// When the specification is none of these, the weights cannot be used, it is unknown how images are to be made for
/// them, or the crop is 0.
pub fn open(
    specification: &str,
    central_crop: Option<u32>,
) -> Result<Box<dyn Encoder>, EncoderError> {
    if central_crop == Some(0) {
        return Err(EncoderError::EmptyCrop);
    }
    if specification == classical::NAME {
        return Ok(Box::new(ClassicalEncoder::new(central_crop)));
    }
    let (name, file) = match specification.split_once('=') {
        Some((name, file)) if !Path::new(specification).exists() => (Some(name), file),
        _ => (None, specification),
    };
    if !Path::new(file).exists() {
        return Err(EncoderError::Unknown {
            specification: specification.to_owned(),
            known: format!("{:?}", classical::NAME),
        });
    }
    let weights = Weights::read(Path::new(file))?;
    if EfficientNetLiteEncoder::looks_fit(&weights) {
        if let Some(name) = name {
            return Err(EncoderError::NeedsNoName {
                file: file.to_owned(),
                name: name.to_owned(),
            });
        }
        return Ok(Box::new(EfficientNetLiteEncoder::new(
            &weights,
            central_crop,
        )?));
    }
    Ok(Box::new(NetworkEncoder::new(weights, name, central_crop)?))
}

/// Embeds every image on its own, in parallel, into the rows of one matrix.
pub(crate) fn embed_each<S>(
    images: &[RgbImage],
    dimension: usize,
    scratch: impl Fn() -> S + Send + Sync,
    embed: impl Fn(&mut S, usize, &RgbImage) -> Result<Vec<f32>, EncoderError> + Send + Sync,
) -> Result<Array2<f32>, EncoderError> {
    use rayon::prelude::*;
    // One result per image keeps the first failing image the reported one.
    let rows: Vec<Result<Vec<f32>, EncoderError>> = images
        .par_iter()
        .enumerate()
        .map_init(&scratch, |scratch, (index, image)| {
            embed(scratch, index, image)
        })
        .collect();
    let mut embeddings = Array2::zeros((images.len(), dimension));
    for (mut target, row) in embeddings.rows_mut().into_iter().zip(rows) {
        target.assign(&ndarray::ArrayView1::from(&row?));
    }
    Ok(embeddings)
}
