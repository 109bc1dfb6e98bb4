//! Training of networks that find objects.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use cleanslide_data::{Detection, Objects, Rectangle};
use cleanslide_eval::Weights as ImageWeights;
use cleanslide_eval::detection::{Coco, CocoSubset, TrueBox};
use cleanslide_nn::networks::DetectionNetwork;
use cleanslide_nn::weights::Weights;
use image::RgbImage;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::correction::{CorrectedImage, CorrectionSettings, Cycle, CycleImage};
use super::labels::CropLabels;
use super::model::init;
use super::{Detector, DetectorPredictSettings, DetectorSettings, faster_rcnn, fcos};
use crate::augment::CropPlan;
use crate::correction::{Background, GivenLabels, Record, inside, synthetic};
use crate::error::{Error, Result};
use crate::several::several;
use crate::training::{
    self, Compared, Interlude, Moment, Near, Progress, Task, TrainSettings, Watch,
};

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

/// A training of a network that finds objects.
pub type Trainer<'a, I> = training::Trainer<'a, I, DetectorSettings>;

impl<I: BoxImages> Trainer<'_, I> {
    /// Trains, or goes on after the last checkpoint in the folder: with the same result as without the interruption.
    /// Afterwards the folder has `metrics.jsonl`, events for TensorBoard and the last checkpoint, with which another call
    /// is done at once: it goes when the network is saved ([`Checkpoints`](crate::training::Checkpoints)).
    ///
    /// It also has each set of labels that the network gave itself, if it does ([`Cycle`]).
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
            device: self.device,
            items: self.items,
            folder: self.folder,
            corrections: Record::default(),
        };
        let network = self.train(&task, watch)?;
        Ok(task.detector(network))
    }
}

struct Boxes<'a, I> {
    images: &'a I,
    classes: &'a [String],
    settings: &'a DetectorSettings,
    device: &'a Device,
    /// Those whose labels may be corrected.
    items: &'a [usize],
    folder: &'a Path,
    /// Changes between epochs only.
    corrections: Record<BTreeMap<usize, CorrectedImage>>,
}

/// A crop and what is said of it.
pub(super) struct Crop {
    /// `[size, size, 3]`.
    pub(super) image: Vec<f32>,
    pub(super) labels: CropLabels,
    /// Of what is chosen at random when a network is compared with it.
    pub(super) seed: u64,
}

impl<I: BoxImages> Boxes<'_, I> {
    fn detector(&self, network: DetectionNetwork) -> Detector {
        Detector::new(
            self.settings.network.clone(),
            self.classes.to_vec(),
            network,
            self.device.clone(),
        )
    }

    fn plan(&self, image: &RgbImage, rng: &mut ChaCha8Rng) -> CropPlan {
        CropPlan::draw(&self.settings.augment, image, self.settings.train.crop, rng)
    }

    /// A crop of an image with its labels as they are now.
    fn corrected_crop(
        &self,
        image: &RgbImage,
        corrected: &CorrectedImage,
        correction: &CorrectionSettings,
        rng: &mut ChaCha8Rng,
    ) -> Result<Crop> {
        let labels = corrected.labels(correction.trust);
        let open = corrected.doubted.iter().map(|found| found.shape);
        let plan = self.plan(image, rng);
        let crop = match correction.background {
            // Where there is no object all is open or all is background, and the image may stay as it is.
            Background::Blurred { kernel, sigma } if !labels.objects.is_empty() => {
                let boxes = labels.objects.iter().map(|object| object.shape);
                let mask = inside(boxes, plan.sides);
                let image = synthetic(image, mask.view(), (kernel, sigma), plan.shown())?;
                self.crop_of(&image, &labels, plan, rng)?
            }
            _ => self.crop_of(image, &labels, plan, rng)?,
        };
        Ok(Crop {
            labels: crop.labels.leaving_open(open),
            ..crop
        })
    }

    fn crop_of(
        &self,
        image: &RgbImage,
        labels: &Objects<Rectangle>,
        plan: CropPlan,
        rng: &mut ChaCha8Rng,
    ) -> Result<Crop> {
        let size = self.settings.train.crop;
        Ok(Crop {
            image: plan.pixels(image, rng)?,
            labels: CropLabels::new(labels, plan.sides, size, plan.placement),
            seed: rng.random(),
        })
    }

    /// What the network says of all images that it learns from.
    fn correct(
        &self,
        network: &DetectionNetwork,
        correction: &CorrectionSettings,
        epoch: usize,
    ) -> Result<BTreeMap<usize, CorrectedImage>, I::Failure> {
        let detector = self.detector(network.clone());
        let found = several(self.items, |item| {
            let ((image, given), _) = self.read(item)?;
            let predict = &self.settings.predict;
            let found = CorrectedImage::find(&detector, &image, correction, predict)?;
            let labels = match correction.given {
                GivenLabels::Replaced => found.replacing(&given),
                GivenLabels::Completed => found.completing(&given, correction.suppression),
            };
            Ok::<_, I::Failure>((item, labels))
        })?;
        let images: BTreeMap<usize, CorrectedImage> = found.into_iter().collect();
        let of_image = |(&item, labels): (&usize, &CorrectedImage)| CycleImage {
            image: self.name(item),
            labels: labels.clone(),
        };
        let cycle = Cycle {
            epoch,
            images: images.iter().map(of_image).collect(),
        };
        cycle.write(self.folder)?;
        Ok(images)
    }
}

impl<I: BoxImages> Task for Boxes<'_, I> {
    type Network = DetectionNetwork;
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
            correction,
            train: _,
        } = self.settings;
        serde_json::to_value((network, loss, augment, predict, correction, self.classes))
            .map_err(|error| Error::Device(error.to_string()))
    }

    fn network_name(&self) -> &'static str {
        self.settings.network.name()
    }

    fn init(&self, seed: u64, device: &Device) -> DetectionNetwork {
        init(&self.settings.network, self.classes.len(), seed, device)
    }

    fn pretrained(&self) -> Option<&Path> {
        self.settings.network.pretrained()
    }

    fn load_encoder(
        &self,
        network: DetectionNetwork,
        weights: &Weights,
    ) -> Result<DetectionNetwork> {
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
        let (item, example) = near(0)?;
        let (image, labels) = &*example;
        let corrections = self.corrections.now();
        match (&self.settings.correction, corrections.labels.get(&item)) {
            (Some(correction), Some(corrected)) => {
                Ok(self.corrected_crop(image, corrected, correction, rng)?)
            }
            _ => {
                let plan = self.plan(image, rng);
                Ok(self.crop_of(image, labels, plan, rng)?)
            }
        }
    }

    fn compare(
        &self,
        network: &DetectionNetwork,
        mut crops: Vec<Crop>,
        _: Moment,
        device: &Device,
    ) -> Result<Compared> {
        let size = self.settings.train.crop;
        let images: Vec<f32> = crops
            .iter_mut()
            .flat_map(|crop| std::mem::take(&mut crop.image))
            .collect();
        let images = TensorData::new(images, [crops.len(), size, size, 3]);
        let images = Tensor::from_data(images, device);
        let loss = &self.settings.loss;
        let losses = match network {
            DetectionNetwork::Fcos(network) => {
                let classes = self.classes.len();
                fcos::losses(network, &loss.fcos(), classes, images, &crops)
            }
            DetectionNetwork::FasterRcnn(network) => {
                faster_rcnn::losses(network, &loss.faster_rcnn(), images, &crops)?
            }
        };
        Ok(losses.sum().into())
    }

    /// Average precision at an overlap of 0.5, of all classes that there are objects of; 0 without any object.
    fn measure(&self, network: &DetectionNetwork, items: &[usize]) -> Result<f64, I::Failure> {
        let detector = self.detector(network.clone());
        let settings = DetectorPredictSettings {
            // Average precision is of all that is found; COCO's detectors leave out what is below this.
            score: self.settings.predict.score.min(0.05),
            ..self.settings.predict.clone()
        };
        let images = several(items, |item| {
            let ((image, labels), _) = self.read(item)?;
            let truth: Vec<TrueBox> = labels
                .objects
                .iter()
                .map(|object| TrueBox::new(object.shape, object.class))
                .collect();
            Ok::<_, I::Failure>((truth, detector.predict(&image, &settings)?))
        })?;
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

    /// A validation says when labels are corrected, not which network is best: it is of the labels as they were given,
    /// or of other data.
    fn keeps_best(&self) -> bool {
        self.settings.correction.is_none()
    }

    fn returns_to_best(&self, progress: Progress) -> bool {
        let correction = self.settings.correction.as_ref();
        correction.is_some_and(|correction| {
            let course = &self.corrections.now().course;
            course.returns_to_best(correction.start, progress)
        })
    }

    fn between_epochs(
        &self,
        network: &DetectionNetwork,
        progress: Progress,
    ) -> Result<Interlude, I::Failure> {
        let Some(correction) = &self.settings.correction else {
            return Ok(Interlude::default());
        };
        self.corrections.after_epoch(
            (correction.start, correction.every),
            progress,
            || self.measure(network, self.items),
            || {
                let images = self.correct(network, correction, progress.epoch)?;
                let boxes = images.values().map(|image| image.objects.len()).sum();
                Ok((images, boxes))
            },
        )
    }

    fn memory(&self) -> Result<Option<Vec<u8>>> {
        if self.settings.correction.is_none() {
            return Ok(None);
        }
        self.corrections.memory().map(Some)
    }

    fn remember(&self, memory: &[u8]) -> Result<()> {
        self.corrections.remember(memory, self.folder)
    }
}
