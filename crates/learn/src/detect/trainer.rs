//! Training of networks that find objects.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use cleanslide_data::{Detection, Object, Objects, Point, Rectangle};
use cleanslide_eval::Weights as ImageWeights;
use cleanslide_eval::detection::{Coco, CocoSubset, TrueBox};
use cleanslide_nn::losses::FcosLoss;
use cleanslide_nn::networks::Fcos;
use cleanslide_nn::weights::Weights;
use image::RgbImage;
use rand_chacha::ChaCha8Rng;

use super::model::init;
use super::{CropTargets, Detector, DetectorPredictSettings, DetectorSettings, Unlabelled};
use crate::augment::{Placement, crop};
use crate::error::{Error, Result};
use crate::training::{Items, Near, Run, Task, TrainSettings, Watch};

/// Images with objects in boxes.
pub trait BoxImages: Sync {
    /// What reading can fail with.
    type Failure: From<Error> + Send;

    /// An image and its objects, how far each is trusted, and whether all that is not marked is background.
    ///
    /// # Errors
    /// Whatever keeps them from being read.
    fn read(&self, image: usize) -> Result<(RgbImage, Objects<Rectangle>), Self::Failure>;

    /// What an image is called in messages.
    fn name(&self, image: usize) -> String {
        image.to_string()
    }
}

/// A training: of these images, into this folder.
pub struct Trainer<'a, I> {
    /// Images and their objects.
    pub images: &'a I,
    /// Those that are learned from.
    pub items: &'a [usize],
    /// Those of other data that are learned from beside them, in the same batches; there may be none.
    pub also: &'a [usize],
    /// Those that measure progress.
    pub validation: &'a [usize],
    /// Names of the classes of objects.
    pub classes: &'a [String],
    /// All settings.
    pub settings: &'a DetectorSettings,
    /// The seed of everything random.
    pub seed: u64,
    /// Where networks run.
    pub device: &'a Device,
    /// Where checkpoints and logs go.
    pub folder: &'a Path,
}

impl<I: BoxImages> Trainer<'_, I> {
    /// Trains, or goes on after the last checkpoint in the folder: with the same result as without the
    /// interruption. Afterwards the folder has `metrics.jsonl`, events for TensorBoard and no checkpoint.
    ///
    /// # Errors
    /// Settings out of range, nothing to learn from, an image that cannot be used, an object of an unknown class, a
    /// checkpoint of another training, a loss that is not finite (`diverged.json` then names the images of the
    /// step), or a file system that refuses.
    pub fn run(&self, watch: &Watch) -> Result<Detector, I::Failure> {
        self.settings.check()?;
        let task = Boxes {
            images: self.images,
            classes: self.classes,
            settings: self.settings,
            strides: self.settings.network.strides(),
            loss: self.settings.loss.build()?,
            device: self.device,
        };
        let network = Run {
            task: &task,
            items: Items {
                own: self.items,
                also: self.also,
            },
            validation: self.validation,
            seed: self.seed,
            device: self.device,
            folder: self.folder,
        }
        .run(watch)?;
        Ok(task.detector(network))
    }
}

struct Boxes<'a, I> {
    images: &'a I,
    classes: &'a [String],
    settings: &'a DetectorSettings,
    strides: Vec<usize>,
    loss: FcosLoss,
    device: &'a Device,
}

struct Crop {
    /// `[size, size, 3]`.
    image: Vec<f32>,
    targets: CropTargets,
}

impl<I: BoxImages> Boxes<'_, I> {
    fn detector(&self, network: Fcos) -> Detector {
        Detector::new(
            self.settings.network.clone(),
            self.classes.to_vec(),
            network,
            self.device.clone(),
        )
    }

    fn targets(
        &self,
        labels: &Objects<Rectangle>,
        image: [usize; 2],
        placement: &Placement,
    ) -> CropTargets {
        let size = self.settings.train.crop;
        let (objects, cut_off) = in_crop(&labels.objects, size, placement);
        let unlabelled = match labels.complete {
            true => Unlabelled::Within(cut_off),
            false => Unlabelled::Everywhere,
        };
        let shows =
            |point: Point| placement.shows([point.y as f32 - 0.5, point.x as f32 - 0.5], image);
        let classes = self.classes.len();
        CropTargets::new(
            &objects,
            &unlabelled,
            [size; 2],
            &self.strides,
            classes,
            shows,
        )
    }
}

/// The objects whose middle is in a crop, and what is to be seen of the others.
fn in_crop(
    objects: &[Object<Rectangle>],
    size: usize,
    placement: &Placement,
) -> (Vec<Object<Rectangle>>, Vec<Rectangle>) {
    let (mut inside, mut cut_off) = (Vec::new(), Vec::new());
    for object in objects {
        let Some(shape) = placement.rectangle(object.shape) else {
            continue;
        };
        let Point { x, y } = placement.point(object.shape.centre());
        let within = 0.0..size as f64;
        if within.contains(&x) && within.contains(&y) {
            inside.push(Object {
                shape,
                ..object.clone()
            });
        } else {
            cut_off.push(shape);
        }
    }
    (inside, cut_off)
}

impl<I: BoxImages> Task for Boxes<'_, I> {
    type Network = Fcos;
    type Example = (RgbImage, Objects<Rectangle>);
    type Crop = Crop;
    type Failure = I::Failure;

    const MEASURE: &'static str = "AP50";

    fn settings(&self) -> &TrainSettings {
        &self.settings.train
    }

    fn identity(&self) -> Result<serde_json::Value> {
        let DetectorSettings {
            network,
            loss,
            augment,
            predict,
            train: _,
        } = self.settings;
        serde_json::to_value((network, loss, augment, predict, self.classes))
            .map_err(|error| Error::Device(error.to_string()))
    }

    fn network_name(&self) -> &'static str {
        self.settings.network.name()
    }

    fn init(&self, seed: u64, device: &Device) -> Fcos {
        init(&self.settings.network, self.classes.len(), seed, device)
    }

    fn pretrained(&self) -> Option<&Path> {
        self.settings.network.pretrained()
    }

    fn load_encoder(&self, network: Fcos, weights: &Weights) -> Result<Fcos> {
        Ok(network.load_encoder(weights)?)
    }

    fn name(&self, item: usize) -> String {
        self.images.name(item)
    }

    fn read(&self, item: usize) -> Result<(Self::Example, usize), I::Failure> {
        let (image, labels) = self.images.read(item)?;
        let wrong = |problem: String| Error::PixelLabels {
            image: self.name(item),
            problem,
        };
        if image.width() == 0 || image.height() == 0 {
            return Err(wrong("it has no pixels".into()).into());
        }
        let classes = self.classes.len();
        if let Some(object) = labels.objects.iter().find(|object| object.class >= classes) {
            let problem = format!(
                "it has an object of class {}, and there are {classes} classes",
                object.class
            );
            return Err(wrong(problem).into());
        }
        let bytes = image.as_raw().len();
        Ok(((image, labels), bytes))
    }

    fn crop(&self, near: &Near<Self>, rng: &mut ChaCha8Rng) -> Result<Crop, I::Failure> {
        let (_, example) = near(0)?;
        let (image, labels) = &*example;
        let size = self.settings.train.crop;
        let (pixels, placement) = crop(&self.settings.augment, image, size, rng)?;
        let sides = [image.height() as usize, image.width() as usize];
        Ok(Crop {
            image: pixels,
            targets: self.targets(labels, sides, &placement),
        })
    }

    fn loss(&self, network: &Fcos, crops: Vec<Crop>, device: &Device) -> Tensor<1> {
        let size = self.settings.train.crop;
        let count = crops.len();
        let mut images = Vec::with_capacity(count * size * size * 3);
        let mut targets = Vec::with_capacity(count);
        for crop in crops {
            images.extend(crop.image);
            targets.push(crop.targets);
        }
        let targets = CropTargets::batch(targets, self.classes.len(), device);
        let images = TensorData::new(images, [count, size, size, 3]);
        let output = network.forward(Tensor::from_data(images, device));
        self.loss.parts(output, targets).sum()
    }

    /// Average precision at an overlap of 0.5, of all classes that there are objects of; 0 without any object.
    fn measure(&self, network: &Fcos, items: &[usize]) -> Result<f64, I::Failure> {
        let detector = self.detector(network.clone());
        let settings = DetectorPredictSettings {
            // Average precision is of all that is found; COCO's detectors leave out what is below this.
            score: self.settings.predict.score.min(0.05),
            ..self.settings.predict.clone()
        };
        let mut images = Vec::new();
        for &item in items {
            let ((image, labels), _) = self.read(item)?;
            let truth: Vec<TrueBox> = labels
                .objects
                .iter()
                .map(|object| TrueBox::new(object.shape, object.class))
                .collect();
            images.push((truth, detector.predict(&image, &settings)?));
        }
        let coco = Coco {
            iou_thresholds: vec![0.5],
            maximum_detections: vec![settings.most],
            ..Coco::new(self.classes.len())
        };
        let views: Vec<(&[TrueBox], &[Detection])> = images
            .iter()
            .map(|(truth, found)| (truth.as_slice(), found.as_slice()))
            .collect();
        let matches = coco.match_images(&views).map_err(Error::from)?;
        match matches.average_precision(&CocoSubset::default(), ImageWeights::Equal) {
            Ok(precision) => Ok(precision),
            Err(cleanslide_eval::Error::Undefined(_)) => Ok(0.0),
            Err(error) => Err(Error::from(error).into()),
        }
    }
}
