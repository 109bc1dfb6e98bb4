//! Training of two networks that filter each other's labels.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{Device, Slice, Tensor, TensorData};
use cleanslide_data::mask::{UNLABELLED_OBJECT, read_class_mask, read_instance_mask};
use cleanslide_data::{MaskFile, UNLABELLED_CLASS};
use cleanslide_nn::losses::{
    Detached, GeneralizedCrossEntropy, KullbackLeibler, Loss, weighted_mean,
};
use cleanslide_nn::networks::{SegmentationConfig, SegmentationNetwork};
use cleanslide_nn::weights::Weights;
use cleanslide_weak::generate::Plane;
use image::RgbImage;
use ndarray::{Array2, Zip};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::cycle::FILES;
use super::histology::{Looks, edges, looks};
use super::network::DualNetwork;
use super::opinion::{Given, Opinion};
use super::prototypes::{self, AllPrototypes, Stored};
use super::selection::{Believed, Heard, Judge, Judgement, SelectedImage, Selection};
use super::{DualTraining, Exchange, SelectionCycle, SelectionCycleImage, State};
use crate::augment::{CropPlan, Mixture, mix, mix_labels};
use crate::correction::CORRECTIONS;
use crate::current::{Current, memory, remembered};
use crate::error::{Error, Result};
use crate::pixels::check;
use crate::segment::correction::{CorrectedMask, CorrectedObject, MaskCycle, mask_path};
use crate::segment::{
    SegmentationLoss, Segmenter, classes_of_objects, mean_dice, one_hot, pixel_classes,
};
use crate::several::several;
use crate::training::{
    self, Compared, Interlude, Moment, Near, Progress, Task, TrainSettings, Watch,
};

/// Images with masks of objects.
pub trait ObjectImages: Sync {
    /// What reading can fail with.
    type Failure: From<Error> + Send;

    /// An image.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    fn pixels(&self, image: usize) -> Result<RgbImage, Self::Failure>;

    /// The numbers of its objects `[height, width]` (0 background, [`UNLABELLED_OBJECT`] unlabelled), and the class of each:
    /// object `i` has the number `i + 1`.
    ///
    /// # Errors
    /// Whatever keeps them from being read.
    fn objects(&self, image: usize) -> Result<(Array2<u32>, Vec<usize>), Self::Failure>;

    /// What an image is called in messages.
    fn name(&self, image: usize) -> String {
        image.to_string()
    }

    /// The side of its pixels in microns, if it is known. Ranges of areas in microns say nothing of other images.
    fn microns_per_pixel(&self, _image: usize) -> Option<f64> {
        None
    }

    /// How far the mask of an image is believed, from 0 to 1.
    fn trust(&self, _image: usize) -> f32 {
        1.0
    }
}

/// A training of two networks that filter each other's labels of objects; its classes are those of objects.
pub type DualTrainer<'a, I> = training::Trainer<'a, I, DualTraining>;

impl<I: ObjectImages> DualTrainer<'_, I> {
    /// Trains, or goes on after the last checkpoint in the folder: with the same result as without the interruption.
    /// Afterwards the folder has `metrics.jsonl`, events for TensorBoard, the last checkpoint
    /// ([`Checkpoints`](crate::training::Checkpoints)), each [`SelectionCycle`] and the masks that were learned from
    /// after it ([`MaskCycle`]).
    ///
    /// # Errors
    /// Settings out of range, nothing to learn from, an image or mask that cannot be used, a checkpoint of another
    /// training, a loss that is not finite (`diverged.json` then names the images of the step), or a file system that
    /// refuses.
    pub fn run(&self, watch: &Watch) -> Result<Segmenter, I::Failure> {
        self.settings.check()?;
        let task = Dual {
            images: self.images,
            objects: self.classes,
            classes: &pixel_classes(self.classes),
            settings: self.settings,
            loss: self.settings.segment.loss.build()?,
            device: self.device,
            items: self.items,
            folder: self.folder,
            selection: Current::default(),
            prototypes: AllPrototypes::default(),
            looks: Mutex::default(),
        };
        let network = self.train(&task, watch)?;
        let mut segmenters = task.segmenters(&network);
        Ok(segmenters.swap_remove(0))
    }
}

struct Dual<'a, I> {
    images: &'a I,
    /// Names of the classes of objects.
    objects: &'a [String],
    /// Names of the classes of pixels.
    classes: &'a [String],
    settings: &'a DualTraining,
    loss: SegmentationLoss,
    device: &'a Device,
    /// Those whose labels are judged.
    items: &'a [usize],
    folder: &'a Path,
    /// Changes between epochs only.
    selection: Current<Selection>,
    prototypes: AllPrototypes,
    /// What the given objects look like, by item, once it is asked for.
    looks: Mutex<BTreeMap<usize, Vec<(u32, Looks)>>>,
}

/// What is learned from a pixel, as bits: whether the first network learns from it, whether the second does, and whether it
/// is of an object that was dropped.
type Fate = u8;
const BY_BOTH: Fate = 0b011;
const DROPPED: Fate = 0b100;

/// An image, the class of each pixel, and what is learned from it.
struct Labelled {
    image: RgbImage,
    classes: Array2<u8>,
    fates: Array2<Fate>,
    /// How far what is given is believed, in 255ths; asked for if labels are refined.
    beliefs: Array2<u8>,
}

struct Crop {
    /// `[size, size, 3]`.
    image: Vec<f32>,
    /// `[size · size, classes]`.
    targets: Vec<f32>,
    /// `[size · size]`: how much a pixel counts for each network, and as one of an object that was dropped.
    weights: [Vec<f32>; 3],
    /// `[size · size]`: how far what is given is believed; nothing if labels are not refined.
    beliefs: Vec<f32>,
    /// `[size · size, classes]`, signed; nothing if the loss does not measure distances.
    distances: Vec<f32>,
}

/// All that has changed since a training began.
#[derive(Serialize, Deserialize)]
struct Memory {
    selection: Selection,
    prototypes: Vec<[Stored; 2]>,
}

impl<I: ObjectImages> Dual<'_, I> {
    fn segmenters(&self, network: &DualNetwork) -> Vec<Segmenter> {
        let configs = [&self.settings.segment.network, &self.settings.dual.partner];
        let of = |(config, network): (&SegmentationConfig, &SegmentationNetwork)| {
            let (classes, device) = (self.classes.to_vec(), self.device.clone());
            Segmenter::new(config.clone(), classes, network.clone(), device)
        };
        configs.into_iter().zip(network.all()).map(of).collect()
    }

    /// A file that is there while labels are judged.
    fn scratch(&self, epoch: usize, item: usize, what: &str) -> PathBuf {
        let folder = CORRECTIONS.folder(self.folder, epoch);
        folder.join(format!("{item:06}.{what}.png"))
    }

    /// An image with the classes of its pixels by the labels as they are now.
    fn labelled(&self, item: usize) -> Result<Labelled, I::Failure> {
        let (given, mut classes) = self.images.objects(item)?;
        let selection = self.selection.now();
        let (mut mask, mut fates) = (given, vec![BY_BOTH; classes.len()]);
        let mut beliefs = vec![1.0; classes.len()];
        if let (Some(epoch), Some(selected)) = (selection.epoch, selection.images.get(&item)) {
            let written = read_instance_mask(&mask_path(self.folder, epoch, item));
            let written = written.map_err(Error::from)?;
            let learned = with_fates(selected, written, mask);
            (mask, fates) = (learned.mask, learned.fates);
            classes = learned.objects.iter().map(|of| of.class).collect();
            beliefs = learned.objects.iter().map(|of| of.probability).collect();
        }
        let image = self.images.pixels(item)?;
        let border = (self.classes.len() - 1) as u8;
        let settings = &self.settings.segment.objects;
        let of_pixels = classes_of_objects(mask.view(), &classes, border, settings);
        check(&self.name(item), &image, &of_pixels, self.classes.len())?;
        let fates = Zip::from(&mask)
            .and(&of_pixels)
            .map_collect(|&object, &class| match object {
                _ if class == UNLABELLED_CLASS => 0,
                0 => BY_BOTH,
                object => fates[object as usize - 1],
            });
        let beliefs = mask.mapv(
            |object| match beliefs.get((object as usize).wrapping_sub(1)) {
                Some(belief) => (belief * 255.0).round() as u8,
                None => u8::MAX,
            },
        );
        Ok(Labelled {
            image,
            classes: of_pixels,
            fates,
            beliefs,
        })
    }

    fn one(&self, (item, example): (usize, Arc<Labelled>), rng: &mut ChaCha8Rng) -> Result<Crop> {
        let settings = &self.settings.segment;
        let size = settings.train.crop;
        let classes = self.classes.len();
        let plan = CropPlan::draw(&settings.augment, &example.image, size, rng);
        let image = plan.pixels(&example.image, rng)?;
        let given = plan.placement.mask(example.classes.view());
        let fates = plan.placement.mask(example.fates.view());
        let attention = self.loss.attention(&image, size)?;
        let trust = self.images.trust(item);
        let weights = [0b001, 0b010, DROPPED].map(|bit| {
            let pixels = given.iter().zip(&fates).zip(&attention);
            let weight = |((&class, fate), attention): ((&u8, &Fate), &f32)| {
                if class != UNLABELLED_CLASS && fate & bit != 0 {
                    attention * trust
                } else {
                    0.0
                }
            };
            pixels.map(weight).collect()
        });
        let beliefs = match self.settings.dual.refine {
            Some(_) => plan.placement.mask(example.beliefs.view()),
            None => Vec::new(),
        };
        Ok(Crop {
            image,
            targets: one_hot(&given, classes),
            weights,
            beliefs: beliefs
                .into_iter()
                .map(|of| f32::from(of) / 255.0)
                .collect(),
            distances: self.loss.distances(&given, size, classes),
        })
    }

    /// What networks say of the labels of all images; what they say of pixels waits in files.
    fn heard(&self, network: &DualNetwork, epoch: usize) -> Result<Vec<Heard>, I::Failure> {
        let segmenters = self.segmenters(network);
        let settings = &self.settings.segment;
        let selection = self.settings.dual.selects(epoch);
        several(self.items, |item| {
            let image = self.images.pixels(item)?;
            let (mask, classes) = self.images.objects(item)?;
            let said = segmenters
                .iter()
                .map(|segmenter| segmenter.predict(&image, &settings.predict));
            let said = said.collect::<Result<Vec<_>>>()?;
            let given = Given {
                mask: mask.view(),
                classes: &classes,
            };
            let relabel = selection.map(|selection| &selection.relabel);
            let opinion = Opinion::of(&said, given, &settings.objects, relabel)?;
            let edges = match selection {
                Some(selection) => edges(&image, opinion.proposed.view(), selection.plane)?,
                None => Vec::new(),
            };
            let mut belongs = vec![0; 256];
            for (&probability, &object) in opinion.belongs.iter().zip(&mask) {
                if object == 0 {
                    belongs[usize::from(probability)] += 1;
                }
            }
            let proposed = self.scratch(epoch, item, "proposed");
            MaskFile::write_instances(&proposed, opinion.proposed.view()).map_err(Error::from)?;
            let path = self.scratch(epoch, item, "belongs");
            MaskFile::write_classes(&path, opinion.belongs.view()).map_err(Error::from)?;
            Ok::<_, I::Failure>(Heard {
                item,
                objects: opinion.objects,
                proposals: opinion.proposals,
                edges,
                belongs,
            })
        })
    }

    /// Measures all given objects, once.
    fn measure_looks(&self, plane: Plane) -> Result<(), I::Failure> {
        let mut looks_of = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        if !looks_of.is_empty() {
            return Ok(());
        }
        let measured = several(self.items, |item| {
            let (image, (mask, _)) = (self.images.pixels(item)?, self.images.objects(item)?);
            let side = self.images.microns_per_pixel(item);
            Ok::<_, I::Failure>((item, looks(&image, mask.view(), plane, side)?))
        })?;
        looks_of.extend(measured);
        Ok(())
    }

    /// Judges all labels, and writes what is learned from now.
    fn judge(&self, network: &DualNetwork, epoch: usize) -> Result<Interlude, I::Failure> {
        let heard = self.heard(network, epoch)?;
        let dual = &self.settings.dual;
        if let Some(selection) = dual.selects(epoch) {
            self.measure_looks(selection.plane)?;
        }
        let before = self.selection.now();
        let Judgement {
            mut selection,
            open_from,
            false_share,
        } = Judge {
            settings: dual,
            classes: self.objects,
            epoch,
            before: &before,
            looks: &self.looks.lock().unwrap_or_else(PoisonError::into_inner),
        }
        .judge(&heard);
        let proposals: BTreeMap<usize, &Heard> =
            heard.iter().map(|heard| (heard.item, heard)).collect();
        let mask = |item: usize| -> Result<CorrectedMask, I::Failure> {
            let (given, _) = self.images.objects(item)?;
            let proposed = self.scratch(epoch, item, "proposed");
            let belongs = self.scratch(epoch, item, "belongs");
            let composed = compose(
                &selection.images[&item],
                proposals[&item],
                [given, read_instance_mask(&proposed).map_err(Error::from)?],
                (read_class_mask(&belongs).map_err(Error::from)?, open_from),
            );
            for path in [proposed, belongs] {
                std::fs::remove_file(&path)
                    .map_err(|error| cleanslide_data::Error::io("remove", &path, error))
                    .map_err(Error::from)?;
            }
            Ok(composed)
        };
        let cycle = MaskCycle::write(self.folder, epoch, self.items, |item| self.name(item), mask)?;
        for image in cycle.images {
            let believed = |object: &CorrectedObject| Believed {
                class: object.class,
                probability: object.score,
            };
            if let Some(selected) = selection.images.get_mut(&image.item) {
                selected.written = image.objects.iter().map(believed).collect();
            }
        }
        let interlude = self.noted(&selection, false_share)?;
        self.selection.change(selection);
        Ok(interlude)
    }

    /// Writes what was decided, and notes how often.
    fn noted(&self, selection: &Selection, false_share: f64) -> Result<Interlude> {
        let mut interlude = Interlude {
            read_again: true,
            ..Interlude::default()
        };
        let images = selection.images.values();
        for state in State::ALL {
            let objects = images.clone().flat_map(|image| &image.objects);
            let count = objects.filter(|object| object.state == state).count();
            interlude.note(state.name(), count as f64);
        }
        let found = |image: &SelectedImage| image.candidates.iter().filter(|of| of.found).count();
        interlude.note("found", images.map(found).sum::<usize>() as f64);
        interlude.note("estimated false share", false_share);
        let images = selection
            .images
            .iter()
            .map(|(&item, image)| SelectionCycleImage {
                image: self.name(item),
                objects: image.objects.clone(),
                found: found(image),
            });
        let epoch = selection.epoch.unwrap_or(0);
        let cycle = SelectionCycle {
            epoch,
            false_share,
            images: images.collect(),
        };
        FILES.write(self.folder, epoch, &cycle)?;
        Ok(interlude)
    }
}

/// The greatest of the weights of each pixel.
fn most(weights: &[Vec<f32>; 3]) -> Vec<f32> {
    let [first, second, third] = weights;
    let of_pixels = first.iter().zip(second).zip(third);
    of_pixels
        .map(|((first, second), third)| first.max(*second).max(*third))
        .collect()
}

/// A mask that is learned from; what of each of its objects.
struct Learned {
    mask: Array2<u32>,
    objects: Vec<Believed>,
    fates: Vec<Fate>,
}

/// The mask that was written, with the objects that something is learned from in spite of doubt in their places.
fn with_fates(selected: &SelectedImage, written: Array2<u32>, given: Array2<u32>) -> Learned {
    let mut objects = selected.written.clone();
    let mut fates = vec![BY_BOTH; objects.len()];
    let mut numbers = BTreeMap::new();
    for object in &selected.objects {
        let mut fate = u8::from(object.clean[0]) | u8::from(object.clean[1]) << 1;
        if object.state == State::Dropped {
            fate |= DROPPED;
        }
        let open = matches!(object.state, State::Doubted | State::Dropped) && !object.removed;
        if open && fate != 0 {
            objects.push(Believed {
                class: object.class,
                probability: object.probability,
            });
            fates.push(fate);
            numbers.insert(object.number, objects.len() as u32);
        }
    }
    let mask = Zip::from(&written)
        .and(&given)
        .map_collect(|&written, given| match numbers.get(given) {
            Some(&number) if written == UNLABELLED_OBJECT => number,
            _ => written,
        });
    Learned {
        mask,
        objects,
        fates,
    }
}

/// The mask that is learned from without doubt: kept, redrawn and found objects by numbers from 1, the rest of what is
/// doubted left open.
fn compose(
    selected: &SelectedImage,
    heard: &Heard,
    [given, proposed]: [Array2<u32>; 2],
    (belongs, open_from): (Array2<u8>, usize),
) -> CorrectedMask {
    let mut objects = Vec::new();
    let mut number = |class, score| {
        objects.push(CorrectedObject {
            class,
            score,
            area: 0,
        });
        objects.len() as u32
    };
    let (mut of_given, mut of_proposed) = (BTreeMap::new(), BTreeMap::new());
    for (object, said) in selected.objects.iter().zip(&heard.objects) {
        match object.state {
            State::Kept => {
                let number = number(object.class, object.probability);
                of_given.insert(object.number, number);
            }
            State::Redrawn => {
                let number = number(object.class, object.probability);
                if let Some((place, _)) = said.proposal {
                    of_proposed.insert(place as u32 + 1, number);
                }
                of_given.insert(object.number, 0);
            }
            State::Dropped if object.removed => {
                of_given.insert(object.number, 0);
            }
            State::Doubted | State::Dropped => {
                of_given.insert(object.number, UNLABELLED_OBJECT);
            }
        }
    }
    for candidate in selected.candidates.iter().filter(|of| of.found) {
        let proposal = &heard.proposals[candidate.place];
        let number = number(proposal.class, proposal.probability);
        of_proposed.insert(candidate.place as u32 + 1, number);
    }
    let mut mask =
        Zip::from(&given)
            .and(&proposed)
            .and(&belongs)
            .map_collect(|given, proposed, &belongs| {
                let now = match given {
                    0 => 0,
                    // Nothing is known of an object without a class.
                    given => of_given.get(given).copied().unwrap_or(UNLABELLED_OBJECT),
                };
                match of_proposed.get(proposed) {
                    Some(&number) if now == 0 => number,
                    None if *given == 0 && usize::from(belongs) >= open_from => UNLABELLED_OBJECT,
                    _ => now,
                }
            });
    let mut areas = vec![0; objects.len()];
    for &object in &mask {
        if let Some(area) = areas.get_mut((object as usize).wrapping_sub(1)) {
            *area += 1;
        }
    }
    // What other objects cover altogether is none.
    let mut numbers = vec![0; objects.len() + 1];
    let mut seen = Vec::new();
    for (index, (object, area)) in objects.into_iter().zip(areas).enumerate() {
        if area > 0 {
            seen.push(CorrectedObject { area, ..object });
            numbers[index + 1] = seen.len() as u32;
        }
    }
    mask.mapv_inplace(|object| match object {
        UNLABELLED_OBJECT => object,
        object => numbers[object as usize],
    });
    CorrectedMask {
        mask,
        objects: seen,
    }
}

impl<I: ObjectImages> Task for Dual<'_, I> {
    type Network = DualNetwork;
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
            &segment.network,
            &segment.loss,
            &segment.augment,
            &segment.predict,
            &segment.objects,
            &self.settings.dual,
            self.objects,
        );
        serde_json::to_value(all).map_err(|error| Error::Device(error.to_string()))
    }

    fn network_name(&self) -> &'static str {
        self.settings.segment.network.name()
    }

    fn init(&self, seed: u64, device: &Device) -> DualNetwork {
        DualNetwork::new(self.settings, self.classes.len(), seed, device)
    }

    fn pretrained(&self) -> Option<&Path> {
        self.settings.segment.network.pretrained()
    }

    fn load_encoder(&self, mut network: DualNetwork, weights: &Weights) -> Result<DualNetwork> {
        network.first = network.first.load_encoder(weights)?;
        Ok(network)
    }

    fn name(&self, item: usize) -> String {
        self.images.name(item)
    }

    fn read(&self, item: usize) -> Result<(Labelled, usize), I::Failure> {
        let labelled = self.labelled(item)?;
        let bytes = labelled.image.as_raw().len() + 3 * labelled.classes.len();
        Ok((labelled, bytes))
    }

    fn crop(&self, near: &Near<Self>, rng: &mut ChaCha8Rng) -> Result<Crop, I::Failure> {
        let size = self.settings.segment.train.crop;
        let mut crop = self.one(near(0)?, rng)?;
        let mixture = Mixture::draw(&self.settings.segment.augment, size, rng)?;
        if mixture != Mixture::Alone {
            let other = self.one(near(1)?, rng)?;
            mix(&mut crop.image, &other.image, size, &mixture);
            // Both networks share what is said, so it counts as far as it does for any of them: what none learns from is
            // no part of it.
            let [one, two] = [&crop.weights, &other.weights].map(most);
            for (said, other) in [
                (&mut crop.targets, &other.targets),
                (&mut crop.beliefs, &other.beliefs),
                (&mut crop.distances, &other.distances),
            ] {
                mix_labels(said, other, [&one, &two], size, &mixture);
            }
            for (weights, other) in crop.weights.iter_mut().zip(&other.weights) {
                mix(weights, other, size, &mixture);
            }
        }
        Ok(crop)
    }

    fn compare(
        &self,
        network: &DualNetwork,
        crops: Vec<Crop>,
        at: Moment,
        device: &Device,
    ) -> Result<Compared> {
        let size = self.settings.segment.train.crop;
        let count = crops.len();
        let (pixels, classes) = (count * size * size, self.classes.len());
        let (mut images, mut targets, mut distances) = (Vec::new(), Vec::new(), Vec::new());
        let (mut weights, mut beliefs) = <([Vec<f32>; 3], Vec<f32>)>::default();
        for crop in crops {
            images.extend(crop.image);
            targets.extend(crop.targets);
            for (all, of_crop) in weights.iter_mut().zip(crop.weights) {
                all.extend(of_crop);
            }
            beliefs.extend(crop.beliefs);
            distances.extend(crop.distances);
        }
        let images = TensorData::new(images, [count, size, size, 3]);
        let images = Tensor::<4>::from_data(images, device);
        let of_classes =
            |values| Tensor::<2>::from_data(TensorData::new(values, [pixels, classes]), device);
        let of_pixels = |values| Tensor::<1>::from_data(TensorData::new(values, [pixels]), device);
        let targets = of_classes(targets);
        let distances = (self.loss.measures_distances()).then(|| of_classes(distances));
        let [first, second, dropped] = weights.map(of_pixels);
        let said = network.forward(images);
        let dual = &self.settings.dual;
        let refine = dual.refine.as_ref();
        let refine = refine.map(|refine| (refine, of_pixels(beliefs)));
        let of_all: Vec<Tensor<2>> = said.iter().map(|said| said.scores.clone()).collect();
        let steps = (at.steps as f64 / self.settings.segment.train.epochs as f64).max(1.0);
        let epochs = at.step as f64 / steps;
        let mut loss = Tensor::zeros([1], device);
        for (number, said) in said.iter().enumerate() {
            let clean = [&first, &second][number].clone();
            let (scores, distances) = (said.scores.clone(), distances.clone());
            let mut learned = targets.clone();
            if let Some((refine, beliefs)) = &refine {
                learned = refine.refined(scores.clone(), learned, beliefs.clone());
                let left_out = clean.clone().equal_scalar(0.0).float();
                let of_guessed = refine.loss_of_guessed(scores.clone(), &of_all, left_out);
                loss = loss + of_guessed.mul_scalar(refine.share(epochs));
            }
            loss = loss
                + self
                    .loss
                    .of(scores.clone(), learned, clean.clone(), distances);
            if let Some(selection) = &dual.selection
                && selection.dropped > 0.0
            {
                // A pixel that was dropped counts no more than one that is kept: the mean is over both.
                let robust = GeneralizedCrossEntropy::default();
                let robust = robust.per_item(scores, targets.clone()) * dropped.clone();
                let all = (clean.clone() + dropped.clone()).sum();
                let of_dropped = robust.sum() / all.clamp_min(f32::MIN_POSITIVE);
                loss = loss + of_dropped.mul_scalar(selection.dropped);
            }
            if let (Some(contrast), Some(features)) = (&dual.contrast, &said.features) {
                let some = Slice::from_range_stepped(
                    at.step % contrast.sparse..,
                    contrast.sparse as isize,
                );
                let compared = prototypes::Compared {
                    features: features.clone().slice([some]),
                    targets: targets.clone().slice([some]),
                    weights: [clean, dropped.clone()].map(|weights| weights.slice([some])),
                };
                let apart = self.prototypes.loss(number, compared, contrast);
                loss = loss + apart.mul_scalar(contrast.share(epochs));
            }
        }
        if let [one, other] = said.as_slice()
            && dual.exchange == Exchange::Joint
            && dual.agreement > 0.0
        {
            let divergence = KullbackLeibler {
                detached: Detached::Neither,
                ..KullbackLeibler::default()
            };
            let there = divergence.per_item(one.scores.clone(), other.scores.clone());
            let back = divergence.per_item(other.scores.clone(), one.scores.clone());
            let counts = (first + second).div_scalar(2.0);
            loss = loss + weighted_mean(there + back, counts).mul_scalar(dual.agreement);
        }
        Ok(loss.into())
    }

    fn measure(&self, network: &DualNetwork, items: &[usize]) -> Result<f64, I::Failure> {
        let segmenters = self.segmenters(network);
        let predict = &self.settings.segment.predict;
        mean_dice(&segmenters[0], predict, items, |item| {
            let Labelled { image, classes, .. } = self.labelled(item)?;
            Ok((self.name(item), image, classes))
        })
    }

    /// A validation is of labels that may be wrong: the last judgement counts, and the network that learned from it.
    fn keeps_best(&self) -> bool {
        false
    }

    fn between_epochs(
        &self,
        network: &DualNetwork,
        progress: Progress,
    ) -> Result<Interlude, I::Failure> {
        if !progress.epoch.is_multiple_of(self.settings.dual.every) {
            return Ok(Interlude::default());
        }
        self.judge(network, progress.epoch)
    }

    fn memory(&self) -> Result<Option<Vec<u8>>> {
        let all = Memory {
            selection: (*self.selection.now()).clone(),
            prototypes: self.prototypes.stored()?,
        };
        memory(&all).map(Some)
    }

    fn remember(&self, memory: &[u8]) -> Result<()> {
        let memory: Memory = remembered(memory, self.folder)?;
        self.selection.change(memory.selection);
        self.prototypes.restore(memory.prototypes);
        Ok(())
    }
}
