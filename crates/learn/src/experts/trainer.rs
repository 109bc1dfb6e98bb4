//! Training from the masks of several experts.

use std::path::Path;

use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};
use cleanslide_data::UNLABELLED_CLASS;
use cleanslide_nn::losses::{annotator_log_probabilities, mean_trace};
use cleanslide_nn::weights::Weights;
use image::RgbImage;
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;

use super::consensus::{majority, staple};
use super::loss::{Said, shares, weights};
use super::model::{ExpertModel, ExpertNetwork};
use super::{ConfusionSettings, ExpertMethod, ExpertSettings, ReweightSettings};
use crate::augment::CropPlan;
use crate::error::{Error, Result};
use crate::pixels::check;
use crate::segment::{SegmentationLoss, Segmenter, mean_dice};
use crate::training::{Compared, Items, Moment, Near, Run, Task, TrainSettings, Watch};

/// What an expert says of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpertMask {
    /// The class of each pixel; 255 is unlabelled.
    pub classes: Array2<u8>,
    /// How far it is trusted, from 0 to 1.
    pub trust: f32,
}

/// Images with the class masks of several experts.
pub trait ExpertImages: Sync {
    /// What reading can fail with.
    type Failure: From<Error> + Send;

    /// An image, and what each expert says of it; `None` of experts who did not label it.
    ///
    /// # Errors
    /// Whatever keeps them from being read.
    fn read(&self, image: usize) -> Result<(RgbImage, Vec<Option<ExpertMask>>), Self::Failure>;

    /// What an image is called in messages.
    fn name(&self, image: usize) -> String {
        image.to_string()
    }
}

/// A training: of these images, into this folder.
pub struct ExpertTrainer<'a, I> {
    /// Images and what experts say of them.
    pub images: &'a I,
    /// Those that are learned from.
    pub items: &'a [usize],
    /// Those that measure progress, by the consensus of the method.
    pub validation: &'a [usize],
    /// Names of the experts.
    pub experts: &'a [String],
    /// Names of the classes of pixels.
    pub classes: &'a [String],
    /// All settings.
    pub settings: &'a ExpertSettings,
    /// The seed of everything random.
    pub seed: u64,
    /// Where networks run.
    pub device: &'a Device,
    /// Where checkpoints and logs go.
    pub folder: &'a Path,
}

impl<I: ExpertImages> ExpertTrainer<'_, I> {
    /// Trains, or goes on after the last checkpoint in the folder: with the same result as without the
    /// interruption. Afterwards the folder has `metrics.jsonl`, events for TensorBoard and the last checkpoint, with which
    /// another call is done at once: it goes when the network is saved ([`Checkpoints`](crate::training::Checkpoints)).
    ///
    /// # Errors
    /// Settings out of range, nothing to learn from, an image or mask that cannot be used, a checkpoint of
    /// another training, a loss that is not finite (`diverged.json` then names the images of the step), or a
    /// file system that refuses.
    pub fn run(&self, watch: &Watch) -> Result<ExpertModel, I::Failure> {
        self.settings.check()?;
        let task = Experts {
            images: self.images,
            experts: self.experts,
            classes: self.classes,
            settings: self.settings,
            loss: self.settings.segment.loss.build()?,
            device: self.device,
        };
        let network = Run {
            task: &task,
            items: Items {
                own: self.items,
                also: &[],
            },
            validation: self.validation,
            seed: self.seed,
            device: self.device,
            folder: self.folder,
        }
        .run(watch)?;
        Ok(ExpertModel {
            segmenter: task.segmenter(&network),
            settings: self.settings.clone(),
            experts: self.experts.to_vec(),
            network,
            device: self.device.clone(),
        })
    }
}

struct Experts<'a, I> {
    images: &'a I,
    experts: &'a [String],
    classes: &'a [String],
    settings: &'a ExpertSettings,
    loss: SegmentationLoss,
    device: &'a Device,
}

/// An image, what each expert says of it, and what that comes to.
struct Labelled {
    image: RgbImage,
    masks: Vec<Option<ExpertMask>>,
    consensus: Array2<u8>,
}

struct Crop {
    /// `[size, size, 3]`.
    image: Vec<f32>,
    /// The class of each pixel by each expert, `[experts][size · size]`; nothing of experts who did not label it.
    classes: Vec<Vec<u8>>,
    /// Of each expert.
    trust: Vec<f32>,
    /// `[size · size]`.
    consensus: Vec<u8>,
    /// `[size · size]`.
    attention: Vec<f32>,
}

/// A batch on the device.
struct Batch {
    /// `[n, size, size, 3]`.
    images: Tensor<4>,
    said: Said,
    /// `[pixels, classes]`, and how much each pixel counts, `[pixels]`.
    consensus: (Tensor<2>, Tensor<1>),
}

impl<I: ExpertImages> Experts<'_, I> {
    fn segmenter(&self, network: &ExpertNetwork) -> Segmenter {
        Segmenter::new(
            self.settings.segment.network.clone(),
            self.classes.to_vec(),
            network.segmentation.clone(),
            self.device.clone(),
        )
    }

    fn sizes(&self) -> [usize; 2] {
        [self.experts.len(), self.classes.len()]
    }

    fn batch(&self, crops: Vec<Crop>, device: &Device) -> Batch {
        let size = self.settings.segment.train.crop;
        let (count, area) = (crops.len(), size * size);
        let [experts, classes] = self.sizes();
        let pixels = count * area;
        let mut images = Vec::with_capacity(pixels * 3);
        let mut attention = Vec::with_capacity(pixels);
        let mut of_experts = vec![vec![0.0; pixels * classes]; experts];
        let mut trust = vec![0.0; pixels * experts];
        let mut consensus = vec![0.0; pixels * classes];
        let mut counts = vec![0.0; pixels];
        for (number, crop) in crops.into_iter().enumerate() {
            let first = number * area;
            for (expert, given) in crop.classes.iter().enumerate() {
                for (pixel, class) in labelled(given) {
                    of_experts[expert][(first + pixel) * classes + class] = 1.0;
                    trust[(first + pixel) * experts + expert] = crop.trust[expert];
                }
            }
            for (pixel, class) in labelled(&crop.consensus) {
                consensus[(first + pixel) * classes + class] = 1.0;
                counts[first + pixel] = crop.attention[pixel];
            }
            images.extend(crop.image);
            attention.extend(crop.attention);
        }
        let rows = |values: Vec<f32>, width: usize| {
            Tensor::<2>::from_data(TensorData::new(values, [pixels, width]), device)
        };
        let column =
            |values: Vec<f32>| Tensor::<1>::from_data(TensorData::new(values, [pixels]), device);
        Batch {
            images: Tensor::from_data(TensorData::new(images, [count, size, size, 3]), device),
            said: Said {
                classes: of_experts.into_iter().map(|of| rows(of, classes)).collect(),
                trust: rows(trust, experts),
                attention: column(attention),
            },
            consensus: (rows(consensus, classes), column(counts)),
        }
    }

    /// The loss of each expert, `[pixels]` each.
    fn each(&self, scores: &Tensor<2>, said: &Said) -> Vec<Tensor<1>> {
        let each = said.classes.iter();
        each.map(|classes| self.loss.of_pixels(scores.clone(), classes.clone()))
            .collect()
    }

    fn reweighted(
        &self,
        settings: &ReweightSettings,
        network: &ExpertNetwork,
        scores: Tensor<2>,
        batch: Batch,
        at: Moment,
    ) -> Compared {
        let Batch {
            images,
            said,
            consensus: (targets, counts),
        } = batch;
        let majority = self.loss.of(scores.clone(), targets, counts, None);
        let Some(weighting) = &network.weighting else {
            return majority.into();
        };
        let [pixels, _] = scores.dims();
        let weighting = weighting.forward(images);
        let weights = weights(weighting.reshape([pixels, self.experts.len()]), &said.trust);
        let losses = self.each(&scores, &said);
        let weighted = said.weighted_loss(losses, weights.clone(), settings.divided);
        let [of_majority, of_weighted] = shares(at, settings.parts);
        let mut loss = majority.mul_scalar(of_majority) + weighted.mul_scalar(of_weighted);
        if settings.entropy > 0.0 {
            loss = loss
                + said
                    .inequality(weights.clone())
                    .mul_scalar(settings.entropy);
        }
        Compared {
            loss,
            notes: Some(said.sums(weights)),
        }
    }

    fn confused(
        &self,
        settings: &ConfusionSettings,
        network: &ExpertNetwork,
        scores: Tensor<2>,
        batch: Batch,
    ) -> Compared {
        let Batch { images, said, .. } = batch;
        let [experts, classes] = self.sizes();
        let [pixels, _] = scores.dims();
        let log_confusion = network.log_confusion(images, [experts, classes], settings.right);
        let Some(log_confusion) = log_confusion else {
            return Tensor::zeros([1], &scores.device()).into();
        };
        let log_said = annotator_log_probabilities(scores.clone(), log_confusion.clone());
        let losses = said.classes.iter().enumerate().map(|(expert, of_expert)| {
            let log_said = log_said
                .clone()
                .slice([0..pixels, expert..expert + 1, 0..classes]);
            self.loss
                .of_pixels(log_said.reshape([pixels, classes]), of_expert.clone())
        });
        let loss = said.each_loss(losses.collect());
        let trace = mean_trace(log_confusion.clone()).mul_scalar(settings.trace);
        let believed = belief(softmax(scores, 1), log_confusion);
        Compared {
            loss: loss + trace,
            notes: Some(said.sums(believed)),
        }
    }
}

/// How probably each expert is right about each pixel, `[pixels, experts]`, by the probabilities of the classes
/// `[pixels, classes]` and the logarithms of confusion matrices.
pub(super) fn belief(probabilities: Tensor<2>, log_confusion: Tensor<4>) -> Tensor<2> {
    let [_, _, classes, _] = log_confusion.dims();
    let identity = Tensor::<2>::eye(classes, &log_confusion.device()).unsqueeze::<4>();
    let right: Tensor<3> = (log_confusion.exp() * identity).sum_dim(3).squeeze_dim(3);
    let probabilities: Tensor<3> = probabilities.unsqueeze_dim(1);
    (right * probabilities).sum_dim(2).squeeze_dim(2)
}

/// The pixels that have a class, and which.
fn labelled(classes: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let all = classes.iter().enumerate();
    all.filter(|&(_, &class)| class != UNLABELLED_CLASS)
        .map(|(pixel, &class)| (pixel, usize::from(class)))
}

impl<I: ExpertImages> Task for Experts<'_, I> {
    type Network = ExpertNetwork;
    type Example = Labelled;
    type Crop = Crop;
    type Failure = I::Failure;

    const MEASURE: &'static str = "Dice";

    fn settings(&self) -> &TrainSettings {
        &self.settings.segment.train
    }

    fn identity(&self) -> Result<serde_json::Value> {
        let segment = &self.settings.segment;
        let all = (
            &self.settings.method,
            &segment.network,
            &segment.loss,
            &segment.augment,
            &segment.predict,
            self.experts,
            self.classes,
        );
        serde_json::to_value(all).map_err(|error| Error::Device(error.to_string()))
    }

    fn network_name(&self) -> &'static str {
        self.settings.segment.network.name()
    }

    fn init(&self, seed: u64, device: &Device) -> ExpertNetwork {
        ExpertNetwork::new(self.settings, self.sizes(), seed, device)
    }

    fn pretrained(&self) -> Option<&Path> {
        self.settings.segment.network.pretrained()
    }

    fn load_encoder(&self, mut network: ExpertNetwork, weights: &Weights) -> Result<ExpertNetwork> {
        network.segmentation = network.segmentation.load_encoder(weights)?;
        Ok(network)
    }

    fn name(&self, item: usize) -> String {
        self.images.name(item)
    }

    fn read(&self, item: usize) -> Result<(Labelled, usize), I::Failure> {
        let (image, masks) = self.images.read(item)?;
        let mut bytes = image.as_raw().len();
        for mask in masks.iter().flatten() {
            check(&self.name(item), &image, &mask.classes, self.classes.len())?;
            bytes += mask.classes.len();
        }
        let consensus = match self.settings.method {
            ExpertMethod::Staple => staple(&masks, self.classes.len()),
            _ => majority(&masks, self.classes.len()),
        };
        let consensus = consensus.map_err(|error| Error::PixelLabels {
            image: self.name(item),
            problem: error.to_string(),
        })?;
        bytes += consensus.len();
        let labelled = Labelled {
            image,
            masks,
            consensus,
        };
        Ok((labelled, bytes))
    }

    fn crop(&self, near: &Near<Self>, rng: &mut ChaCha8Rng) -> Result<Crop, I::Failure> {
        let (_, labelled) = near(0)?;
        let settings = &self.settings.segment;
        let size = settings.train.crop;
        let plan = CropPlan::draw(&settings.augment, &labelled.image, size, rng);
        let image = plan.pixels(&labelled.image, rng)?;
        let placement = plan.placement;
        let masks = labelled.masks.iter();
        let (classes, trust) = masks
            .map(|mask| match mask {
                Some(mask) => (placement.mask(mask.classes.view()), mask.trust),
                None => (Vec::new(), 0.0),
            })
            .unzip();
        Ok(Crop {
            attention: self.loss.attention(&image, size)?,
            consensus: placement.mask(labelled.consensus.view()),
            image,
            classes,
            trust,
        })
    }

    fn notes(&self) -> Vec<String> {
        let what = match self.settings.method {
            ExpertMethod::Reweight(_) => "weight",
            _ => "belief",
        };
        let names = self.experts.iter();
        names.map(|name| format!("{what} of {name}")).collect()
    }

    fn compare(
        &self,
        network: &ExpertNetwork,
        crops: Vec<Crop>,
        at: Moment,
        device: &Device,
    ) -> Result<Compared> {
        let batch = self.batch(crops, device);
        let scores = network.segmentation.forward(batch.images.clone());
        let [count, height, width, classes] = scores.dims();
        let scores = scores.reshape([count * height * width, classes]);
        Ok(match &self.settings.method {
            ExpertMethod::Majority | ExpertMethod::Staple => {
                let (targets, counts) = batch.consensus;
                self.loss.of(scores, targets, counts, None).into()
            }
            ExpertMethod::Soft => {
                let (targets, counts) = batch.said.soft();
                self.loss.of(scores, targets, counts, None).into()
            }
            ExpertMethod::SelfConsensus(settings) => {
                let own = softmax(scores.clone().detach(), 1);
                let voice = settings.voice_at(at);
                let (targets, counts) = batch.said.self_consensus(own, voice);
                self.loss.of(scores, targets, counts, None).into()
            }
            ExpertMethod::Reweight(settings) => {
                self.reweighted(settings, network, scores, batch, at)
            }
            ExpertMethod::Confusion(settings) => self.confused(settings, network, scores, batch),
        })
    }

    fn measure(&self, network: &ExpertNetwork, items: &[usize]) -> Result<f64, I::Failure> {
        let segmenter = self.segmenter(network);
        mean_dice(&segmenter, &self.settings.segment.predict, items, |item| {
            let (labelled, _) = self.read(item)?;
            Ok((self.name(item), labelled.image, labelled.consensus))
        })
    }
}
