use std::path::Path;
use std::sync::{Mutex, PoisonError};

use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};
use cleanslide_data::{Dataset, MAX_PIXELS, read_image};
use cleanslide_nn::layers::Start;
use cleanslide_nn::losses::weighted_mean;
use cleanslide_nn::networks::ImageClassifier;
use image::RgbImage;
use ndarray::Array2;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::FromPixelsSettings;
use crate::augment::CropPlan;
use crate::central;
use crate::classify::Examples;
use crate::error::{Error, Result};
use crate::methods::{Batch, Context, Learner, Method, MethodSettings, Needs};
use crate::training::{Compared, Moment, Near, Task, TrainSettings, Trainer, Watch};

/// Images that are predicted at once.
const PREDICTED: usize = 32;

/// Whether networks can be trained on pixels by a method: one network, and nothing is to be known before.
pub fn is_possible(method: &MethodSettings) -> bool {
    let of_one = !matches!(
        method,
        MethodSettings::CoTeaching(_) | MethodSettings::Agreement(_) | MethodSettings::Wann(_)
    );
    of_one && method.needs() == Needs::default()
}

/// A training on the pixels of images of a dataset.
pub struct FromPixels<'a> {
    /// The images.
    pub dataset: &'a Dataset,
    /// How it is trained.
    pub settings: &'a FromPixelsSettings,
    /// The seed of everything random.
    pub seed: u64,
    /// Where networks run.
    pub device: &'a Device,
    /// Where checkpoints and logs are while it is trained: one training at a time.
    pub folder: &'a Path,
}

impl FromPixels<'_> {
    /// Trains on images, by their places in the dataset, with the labels of `examples` in the same order, whose features are
    /// not looked at.
    ///
    /// # Errors
    /// Settings out of range, a method that is not [possible](is_possible), labels that cannot be learned from, an image
    /// that cannot be used, a loss that is not finite, or a file system that refuses.
    pub fn fit(
        &self,
        method: &MethodSettings,
        images: &[usize],
        examples: &Examples<'static>,
    ) -> Result<ImageClassifier> {
        self.settings.check()?;
        let refused = || {
            Error::Setting {
            name: "method",
            value: method.name().to_owned(),
            reason: "it trains several networks or none, or needs to know of the labels before; it is for embeddings"
                .into(),
        }
        };
        if !is_possible(method) {
            return Err(refused());
        }
        let Learner::Heads(verbs) = method.build(examples, &Context::default())? else {
            return Err(refused());
        };
        let weights = examples.training_weights(None, self.settings.class_balance)?;
        let items: Vec<usize> = (0..images.len())
            .filter(|&item| weights[item] > 0.0)
            .collect();
        let task = Labelled {
            training: self,
            images,
            examples,
            weights,
            name: method.name(),
            method: Mutex::new(verbs),
        };
        let trainer = Trainer {
            images: self.dataset,
            items: &items,
            also: &[],
            validation: &[],
            classes: &[],
            settings: self.settings,
            seed: self.seed,
            device: self.device,
            folder: self.folder,
        };
        let quiet = Watch {
            step: &|| {},
            epoch: &|_, _| {},
        };
        trainer.train(&task, &quiet)
    }

    /// Probabilities `[images, classes]` of images by their places in the dataset, of the central crop of each.
    ///
    /// # Errors
    /// An image that cannot be used.
    pub fn predict(&self, network: &ImageClassifier, images: &[usize]) -> Result<Array2<f32>> {
        let size = self.settings.train.crop;
        let mut all: Vec<f32> = Vec::new();
        for batch in images.chunks(PREDICTED) {
            let pixels = batch.iter().map(|&image| self.read(image));
            let pixels = central::batch(&pixels.collect::<Result<Vec<_>>>()?, size, self.device)?;
            let logits = network.forward(pixels);
            all.extend(softmax(logits, 1).try_into_vec_as::<f32>()?);
        }
        let classes = all.len() / images.len().max(1);
        Array2::from_shape_vec((images.len(), classes), all)
            .map_err(|error| Error::Device(error.to_string()))
    }

    fn name(&self, image: usize) -> &str {
        &self.dataset.images()[image].id
    }

    fn unusable(&self, image: usize, problem: String) -> Error {
        Error::PixelLabels {
            image: self.name(image).to_owned(),
            problem,
        }
    }

    fn read(&self, image: usize) -> Result<RgbImage> {
        let path = self.dataset.image_path(&self.dataset.images()[image]);
        let pixels = read_image(&path, MAX_PIXELS)?.pixels;
        let FromPixelsSettings {
            central_crop,
            train,
            ..
        } = self.settings;
        central::part(pixels, *central_crop, train.crop)
            .map_err(|problem| self.unusable(image, problem))
    }
}

struct Labelled<'a> {
    training: &'a FromPixels<'a>,
    /// The place of each item in the dataset.
    images: &'a [usize],
    examples: &'a Examples<'static>,
    /// How far each label counts: trust times class balance.
    weights: Vec<f32>,
    name: &'static str,
    method: Mutex<Box<dyn Method>>,
}

/// A crop `[size, size, 3]` of an item.
struct Crop {
    item: usize,
    pixels: Vec<f32>,
}

impl Labelled<'_> {
    fn settings(&self) -> &FromPixelsSettings {
        self.training.settings
    }
}

impl Task for Labelled<'_> {
    type Network = ImageClassifier;
    type Example = RgbImage;
    type Crop = Crop;
    type Failure = Error;

    const MEASURE: &'static str = "nothing";

    fn settings(&self) -> &TrainSettings {
        &self.settings().train
    }

    fn identity(&self) -> Result<serde_json::Value> {
        let FromPixelsSettings {
            central_crop,
            class_balance,
            encoder,
            augment,
            train: _,
        } = self.settings();
        serde_json::to_value((central_crop, class_balance, encoder, augment, self.name))
            .map_err(|error| Error::Device(error.to_string()))
    }

    fn network_name(&self) -> &'static str {
        "the classifier of images"
    }

    fn init(&self, seed: u64, device: &Device) -> ImageClassifier {
        let FromPixelsSettings { encoder, train, .. } = self.settings();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut start = Start::new(&mut rng, device);
        ImageClassifier::new(encoder, train.crop, self.examples.class_count(), &mut start)
    }

    fn name(&self, item: usize) -> String {
        self.training.name(self.images[item]).to_owned()
    }

    fn read(&self, item: usize) -> Result<(RgbImage, usize)> {
        let image = self.training.read(self.images[item])?;
        let bytes = image.as_raw().len();
        Ok((image, bytes))
    }

    fn crop(&self, near: &Near<Self>, rng: &mut ChaCha8Rng) -> Result<Crop> {
        let (item, image) = near(0)?;
        let FromPixelsSettings { augment, train, .. } = self.settings();
        let pixels = CropPlan::draw(augment, &image, train.crop, rng).pixels(&image, rng)?;
        Ok(Crop { item, pixels })
    }

    fn compare(
        &self,
        network: &ImageClassifier,
        crops: Vec<Crop>,
        at: Moment,
        device: &Device,
    ) -> Result<Compared> {
        let (size, classes) = (self.settings().train.crop, self.examples.class_count());
        let items: Vec<usize> = crops.iter().map(|crop| crop.item).collect();
        let pixels = crops.into_iter().flat_map(|crop| crop.pixels).collect();
        let pixels = TensorData::new(pixels, [items.len(), size, size, 3]);
        let logits = network.forward(Tensor::from_data(pixels, device));

        let constant = device.clone().inner();
        let targets: Vec<f32> = items
            .iter()
            .flat_map(|&item| self.examples.targets.row(item))
            .copied()
            .collect();
        let weights: Vec<f32> = items.iter().map(|&item| self.weights[item]).collect();
        let steps = (at.steps / self.settings().train.epochs).max(1);
        let batch = Batch {
            items: &items,
            targets: Tensor::from_data(TensorData::new(targets, [items.len(), classes]), &constant),
            weights: Tensor::from_data(TensorData::new(weights, [items.len()]), &constant),
            epoch: at.step / steps,
        };
        let mut method = self.method.lock().unwrap_or_else(PoisonError::into_inner);
        let targets = method.correct(&batch, 0, logits.clone().inner())?;
        let said = method.restrict(logits);
        let losses = method.weigh(&batch, 0, said, targets)?;
        let weights = method.select(&batch, 0, &[losses.clone().inner()])?;
        Ok(weighted_mean(losses, weights).into())
    }
}
