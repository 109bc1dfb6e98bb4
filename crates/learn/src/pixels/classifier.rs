//! A small head on measurements of pixels, trained on a sample of the labelled ones.

use std::collections::BTreeSet;

use cleanslide_data::{TryMap, UNLABELLED_CLASS};
use cleanslide_nn::heads::HeadKind;
use image::RgbImage;
use ndarray::{Array2, Array3};
use rand::seq::index;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::features::{PIXEL_FEATURES, PixelFeatures};
use crate::classify::{Classifier, Examples, Fitted, TrainSettings};
use crate::error::Error;
use crate::methods::Context;

/// Pixels that are predicted at once.
const BLOCK: usize = 1 << 14;

/// Images with class masks, read one at a time.
pub trait PixelImages: Sync {
    /// What reading can fail with.
    type Failure: From<Error> + Send;

    /// Number of images.
    fn count(&self) -> usize;

    /// An image and the class of each pixel, `[height, width]`, 255 where it is unlabelled.
    ///
    /// # Errors
    /// Whatever keeps them from being read.
    fn read(&self, image: usize) -> Result<(RgbImage, Array2<u8>), Self::Failure>;

    /// The numbers of the objects that an image was given as, `[height, width]` (0 background,
    /// [`UNLABELLED_OBJECT`](cleanslide_data::mask::UNLABELLED_OBJECT) unlabelled), and the class of each: object `i` has
    /// the number `i + 1`. Default: it has none.
    ///
    /// # Errors
    /// Whatever keeps them from being read, or that there are none.
    fn objects(&self, image: usize) -> Result<(Array2<u32>, Vec<usize>), Self::Failure> {
        Err(Self::Failure::from(Error::PixelLabels {
            image: self.name(image),
            problem: "its pixels have classes, and there are no objects".to_owned(),
        }))
    }

    /// What an image is called in messages.
    fn name(&self, image: usize) -> String {
        image.to_string()
    }

    /// How far the mask of an image is believed, from 0 to 1.
    fn trust(&self, _image: usize) -> f32 {
        1.0
    }

    /// Classes that no pixel of an image is of, whatever else is said. Default none is known.
    fn excluded(&self, _image: usize) -> BTreeSet<usize> {
        BTreeSet::new()
    }

    /// How far that is believed, from 0 to 1. Default: as far as the mask.
    fn trust_of_excluded(&self, image: usize) -> f32 {
        self.trust(image)
    }
}

/// A head, its method and the size of the sample.
#[derive(Debug, Clone)]
pub struct PixelClassifier {
    /// The head and how it learns; its method must not need a context. Default one hidden layer,
    /// cross-entropy, 15 epochs of 512 pixels at a time, classes not balanced, so that
    /// probabilities are those of the given labels.
    pub classifier: Classifier,
    /// Pixels that are learned from, about the same number of each image. Default 40,000.
    pub pixels: usize,
}

impl Default for PixelClassifier {
    fn default() -> Self {
        Self {
            classifier: Classifier {
                train: TrainSettings {
                    head: HeadKind::OneHidden,
                    learning_rate: Some(0.01),
                    epochs: 15,
                    batch_size: 512,
                    l2: 1e-5,
                    class_balance: false,
                    ..TrainSettings::default()
                },
                ..Classifier::default()
            },
            pixels: 40_000,
        }
    }
}

/// The drawn pixels of one image.
struct Sample {
    features: Vec<f32>,
    classes: Vec<u8>,
}

impl PixelClassifier {
    /// Predicts the pixels of every image by a model that was trained on the images of the other
    /// folds, and hands the probabilities `[classes, height, width]` of each to `write`, in no
    /// certain order. `progress` is called once for every image that was drawn from and every image
    /// that was predicted.
    ///
    /// The result does not depend on the number of threads.
    ///
    /// # Errors
    /// An image that cannot be read, a mask of another size or with a class that does not exist,
    /// folds of another number of images, a fold without which fewer than two classes have
    /// pixels, or what `write` refuses.
    pub fn out_of_sample<Images: PixelImages>(
        &self,
        images: &Images,
        classes: &[String],
        folds: &[usize],
        write: &(dyn Fn(usize, Array3<f32>) -> Result<(), Images::Failure> + Sync),
        progress: &(dyn Fn() + Sync),
    ) -> Result<(), Images::Failure> {
        if folds.len() != images.count() {
            let message = format!(
                "they are of {} images, and there are {}",
                folds.len(),
                images.count()
            );
            return Err(Error::Folds(message).into());
        }
        let each = self.pixels.div_ceil(images.count().max(1)).max(1);
        let seed = ChaCha8Rng::seed_from_u64(self.classifier.train.seed).random();
        let samples = (0..images.count()).into_par_iter().try_map(|image| {
            let sample = draw(images, image, each, classes.len(), seed);
            progress();
            sample
        })?;
        let models = (0..folds.iter().max().map_or(0, |last| last + 1))
            .into_par_iter()
            .try_map(|fold| match folds.contains(&fold) {
                true => {
                    let others = samples.iter().zip(folds).filter(|(_, of)| **of != fold);
                    self.fit(others.map(|(sample, _)| sample), classes)
                        .map(Some)
                }
                false => Ok(None),
            })?;
        let predicted = (0..images.count()).into_par_iter().try_map(|image| {
            if let Some(model) = &models[folds[image]] {
                let (pixels, _) = images.read(image)?;
                write(image, predict(model, &pixels, classes.len())?)?;
                progress();
            }
            Ok(())
        });
        predicted.map(drop)
    }

    fn fit<'a>(
        &self,
        samples: impl Iterator<Item = &'a Sample>,
        classes: &[String],
    ) -> Result<Fitted, Error> {
        let (mut features, mut given) = (Vec::new(), Vec::new());
        for sample in samples {
            features.extend_from_slice(&sample.features);
            given.extend_from_slice(&sample.classes);
        }
        let shape = |error: ndarray::ShapeError| Error::Folds(error.to_string());
        let features =
            Array2::from_shape_vec((given.len(), PIXEL_FEATURES), features).map_err(shape)?;
        let mut targets = Array2::zeros((given.len(), classes.len()));
        for (item, &class) in given.iter().enumerate() {
            targets[[item, usize::from(class)]] = 1.0;
        }
        let examples = Examples::new(features.view(), targets, vec![1.0; given.len()])?;
        self.classifier
            .fit(&examples, classes, &Context::default(), None, &|_| {})
    }
}

/// Draws labelled pixels of an image, all equally likely.
fn draw<Images: PixelImages>(
    images: &Images,
    image: usize,
    wanted: usize,
    classes: usize,
    seed: u64,
) -> Result<Sample, Images::Failure> {
    let (pixels, given) = images.read(image)?;
    check(&images.name(image), &pixels, &given, classes)?;
    let labelled: Vec<(usize, usize)> = given
        .indexed_iter()
        .filter(|(_, class)| **class != UNLABELLED_CLASS)
        .map(|(at, _)| at)
        .collect();
    let mut sample = Sample {
        features: Vec::new(),
        classes: Vec::new(),
    };
    if labelled.is_empty() {
        return Ok(sample);
    }
    let features = PixelFeatures::of(&pixels).map_err(Error::from)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(image as u64);
    for index in index::sample(&mut rng, labelled.len(), wanted.min(labelled.len())) {
        let (row, column) = labelled[index];
        sample.features.extend(features.pixel(row, column));
        sample.classes.push(given[(row, column)]);
    }
    Ok(sample)
}

/// Refuses a mask that does not fit its image or the classes.
pub(crate) fn check(
    name: &str,
    image: &RgbImage,
    mask: &Array2<u8>,
    classes: usize,
) -> Result<(), Error> {
    let wrong = |problem: String| Error::PixelLabels {
        image: name.to_owned(),
        problem,
    };
    let size = (image.height() as usize, image.width() as usize);
    if mask.dim() != size {
        return Err(wrong(format!(
            "its mask is {} × {} pixels, and its image {} × {}",
            mask.ncols(),
            mask.nrows(),
            size.1,
            size.0
        )));
    }
    if mask.is_empty() {
        return Err(wrong("it has no pixels".into()));
    }
    let unknown = mask
        .iter()
        .find(|&&class| class != UNLABELLED_CLASS && usize::from(class) >= classes);
    match unknown {
        None => Ok(()),
        Some(class) => Err(wrong(format!(
            "its mask has a pixel of class {class}, and there are {classes} classes"
        ))),
    }
}

/// The probabilities of all pixels, `[classes, height, width]`.
fn predict(model: &Fitted, pixels: &RgbImage, classes: usize) -> Result<Array3<f32>, Error> {
    let features = PixelFeatures::of(pixels)?;
    let (height, width) = features.size();
    let mut result = Array3::zeros((classes, height, width));
    let rows = (BLOCK / width.max(1)).max(1);
    for first in (0..height).step_by(rows) {
        let last = (first + rows).min(height);
        let block = model.predict(features.rows(first..last).view())?;
        for (pixel, probabilities) in block.rows().into_iter().enumerate() {
            let (row, column) = (first + pixel / width, pixel % width);
            for (class, &probability) in probabilities.iter().enumerate() {
                result[[class, row, column]] = probability;
            }
        }
    }
    Ok(result)
}
