//! Training of networks that give every pixel a class.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use cleanslide_data::UNLABELLED_CLASS;
use cleanslide_data::mask::read_instance_mask;
use cleanslide_eval::segmentation::{ClassOverlap, EmptyCase, class_overlaps, pixel_confusion};
use cleanslide_image::morphology::{Element, dilate};
use cleanslide_nn::networks::SegmentationNetwork;
use cleanslide_nn::weights::Weights;
use image::RgbImage;
use ndarray::{Array2, ArrayView2};
use rand_chacha::ChaCha8Rng;

use super::complementary::{Exclusions, against_diagnosis};
use super::correction::{
    CorrectedMask, MaskCorrectionSettings, MaskCycle, MaskCycleImage, Masks, mask_path,
};
use super::loss::{SegmentationLoss, one_hot};
use super::model::init;
use super::{PredictSettings, SegmentSettings, Segmenter, classes_of_objects, most_probable};
use crate::augment::{CropPlan, Mixture, mix, mix_labels};
use crate::correction::{Background, GivenLabels, Record, synthetic};
use crate::error::{Error, Result};
use crate::pixels::{PixelImages, check};
use crate::several::several;
use crate::training::{
    self, Compared, Interlude, Moment, Near, Progress, Task, TrainSettings, Watch,
};

/// A training of a network that gives every pixel a class.
pub type Trainer<'a, I> = training::Trainer<'a, I, SegmentSettings>;

impl<I: PixelImages> Trainer<'_, I> {
    /// Trains, or goes on after the last checkpoint in the folder: with the same result as without the interruption.
    /// Afterwards the folder has `metrics.jsonl`, events for TensorBoard and the last checkpoint, with which another call
    /// is done at once: it goes when the network is saved ([`Checkpoints`](crate::training::Checkpoints)).
    ///
    /// It also has each set of masks that the network gave itself, if it does ([`MaskCycle`]). Then the classes are those of objects: the background first, the
    /// border last.
    ///
    /// # Errors
    /// Settings out of range, nothing to learn from, an image or mask that cannot be used, a checkpoint of
    /// another training, a loss that is not finite (`diverged.json` then names the images of the step), or a
    /// file system that refuses.
    pub fn run(&self, watch: &Watch) -> Result<Segmenter, I::Failure> {
        self.settings.check()?;
        let task = Pixels {
            images: self.images,
            classes: self.classes,
            settings: self.settings,
            loss: self.settings.loss.build()?,
            exclusions: self.exclusions()?,
            device: self.device,
            items: self.items,
            folder: self.folder,
            corrections: Record::default(),
        };
        let network = self.train(&task, watch)?;
        Ok(task.segmenter(network))
    }

    /// The loss of pixels that nobody drew, if they are learned from.
    fn exclusions(&self) -> Result<Option<Exclusions>> {
        let Some(settings) = &self.settings.complementary else {
            return Ok(None);
        };
        let images = self.items.iter().chain(self.also);
        let excluded: Vec<BTreeSet<usize>> =
            images.map(|&item| self.images.excluded(item)).collect();
        settings.build(&excluded, self.classes.len()).map(Some)
    }
}

/// The mean probability of classes that are excluded, over the pixels that nobody drew.
const AGAINST_DIAGNOSIS: &str = "probability against the diagnosis";

struct Pixels<'a, I> {
    images: &'a I,
    classes: &'a [String],
    settings: &'a SegmentSettings,
    loss: SegmentationLoss,
    /// Of pixels that nobody drew.
    exclusions: Option<Exclusions>,
    device: &'a Device,
    /// Those whose masks may be corrected.
    items: &'a [usize],
    folder: &'a Path,
    /// Changes between epochs only.
    corrections: Record<Masks>,
}

struct Crop {
    /// `[size, size, 3]`.
    image: Vec<f32>,
    /// `[size · size, classes]`.
    targets: Vec<f32>,
    /// `[size · size]`; 0 where nothing is said.
    weights: Vec<f32>,
    /// `[size · size, classes]`, signed; nothing if the loss does not measure distances.
    distances: Vec<f32>,
    /// What is known of pixels that nobody drew; nothing if that is not learned from.
    undrawn: Option<Undrawn>,
}

/// What a diagnosis says of the pixels of a crop that nobody drew.
struct Undrawn {
    /// Classes as the loss compares them, `[size · size, classes]`.
    targets: Vec<f32>,
    /// 1 at excluded classes, `[size · size, classes]`.
    excluded: Vec<f32>,
    /// `[size · size]`; 0 where something was drawn, or nothing is known.
    weights: Vec<f32>,
}

impl<I: PixelImages> Pixels<'_, I> {
    fn segmenter(&self, network: SegmentationNetwork) -> Segmenter {
        Segmenter::new(
            self.settings.network.clone(),
            self.classes.to_vec(),
            network,
            self.device.clone(),
        )
    }

    /// The classes of pixels by the corrected mask of an item; `None` as long as it has none.
    fn corrected(&self, item: usize) -> Result<Option<Array2<u8>>> {
        let corrections = self.corrections.now();
        let Masks { epoch, classes } = &corrections.labels;
        let (&Some(epoch), Some(classes)) = (epoch, classes.get(&item)) else {
            return Ok(None);
        };
        let objects = read_instance_mask(&mask_path(self.folder, epoch, item))?;
        let border = (self.classes.len() - 1) as u8;
        let settings = &self.settings.objects;
        Ok(Some(classes_of_objects(
            objects.view(),
            classes,
            border,
            settings,
        )))
    }

    /// How the surroundings of an item's objects are blurred. Where nothing was found all is open, and the image may
    /// stay as it is.
    fn blur_of(&self, item: usize) -> Option<(usize, Option<f64>)> {
        match self.settings.correction.as_ref()?.background {
            Background::Blurred { kernel, sigma } => {
                let corrections = self.corrections.now();
                let found = !corrections.labels.classes.get(&item)?.is_empty();
                found.then_some((kernel, sigma))
            }
            Background::Kept | Background::Ignored { .. } => None,
        }
    }

    /// The pixels that are not blurred: objects, and around them as much as their borders are wide, so that their edges
    /// are to be seen.
    fn seen(&self, mask: ArrayView2<'_, u8>) -> Result<Array2<bool>> {
        let objects = mask.mapv(|class| class != 0 && class != UNLABELLED_CLASS);
        let around = Element::disk(self.settings.objects.border)?;
        Ok(dilate(objects.view(), &around))
    }

    /// What the network says of all images that it learns from.
    fn correct(
        &self,
        network: &SegmentationNetwork,
        correction: &MaskCorrectionSettings,
        epoch: usize,
    ) -> Result<MaskCycle, I::Failure> {
        let segmenter = self.segmenter(network.clone());
        let SegmentSettings {
            predict, objects, ..
        } = self.settings;
        let find = |item: usize| {
            let (image, _) = self.images.read(item)?;
            let found = CorrectedMask::find(&segmenter, &image, correction, predict, objects)?;
            let given = || self.images.objects(item);
            Ok(match correction.given {
                GivenLabels::Replaced if found.objects.is_empty() => {
                    found.finding_nothing(given()?.0.view())
                }
                GivenLabels::Replaced => found,
                GivenLabels::Completed => {
                    let (given, classes) = given()?;
                    found.completing(given.view(), &classes, objects)?
                }
            })
        };
        MaskCycle::write(self.folder, epoch, self.items, |item| self.name(item), find)
    }

    fn one(
        &self,
        (item, example): (usize, Arc<(RgbImage, Array2<u8>)>),
        rng: &mut ChaCha8Rng,
    ) -> Result<Crop> {
        let (image, mask) = &*example;
        let classes = self.classes.len();
        let size = self.settings.train.crop;
        let plan = CropPlan::draw(&self.settings.augment, image, size, rng);
        let image = match self.blur_of(item) {
            Some(blur) => {
                let seen = self.seen(mask.view())?;
                let image = synthetic(image, seen.view(), blur, plan.shown())?;
                plan.pixels(&image, rng)?
            }
            None => plan.pixels(image, rng)?,
        };
        let placement = plan.placement;
        let trust = self.images.trust(item);
        let given = placement.mask(mask.view());
        let mut weights = self.loss.attention(&image, size)?;
        for (weight, &class) in weights.iter_mut().zip(&given) {
            *weight = match class {
                UNLABELLED_CLASS => 0.0,
                _ => *weight * trust,
            };
        }
        Ok(Crop {
            image,
            targets: one_hot(&given, classes),
            weights,
            distances: self.loss.distances(&given, size, classes),
            undrawn: self.undrawn(item, &given),
        })
    }

    /// What a diagnosis says of a crop with these given classes.
    fn undrawn(&self, item: usize, given: &[u8]) -> Option<Undrawn> {
        let exclusions = self.exclusions.as_ref()?;
        let (pixels, classes) = (given.len(), self.classes.len());
        let of_image = self.images.excluded(item);
        let Some(target) = exclusions.target(&of_image) else {
            return Some(Undrawn {
                targets: vec![0.0; pixels * classes],
                excluded: vec![0.0; pixels * classes],
                weights: vec![0.0; pixels],
            });
        };
        let is_excluded = |class| f32::from(u8::from(of_image.contains(&class)));
        let excluded: Vec<f32> = (0..classes).map(is_excluded).collect();
        let trust = self.images.trust_of_excluded(item);
        let weight = |&class: &u8| match class {
            UNLABELLED_CLASS => trust,
            _ => 0.0,
        };
        Some(Undrawn {
            targets: target.repeat(pixels),
            excluded: excluded.repeat(pixels),
            weights: given.iter().map(weight).collect(),
        })
    }
}

impl<I: PixelImages> Task for Pixels<'_, I> {
    type Network = SegmentationNetwork;
    type Example = (RgbImage, Array2<u8>);
    type Crop = Crop;
    type Failure = I::Failure;

    const MEASURE: &'static str = "Dice";

    fn settings(&self) -> &TrainSettings {
        &self.settings.train
    }

    fn identity(&self) -> Result<serde_json::Value> {
        let SegmentSettings {
            network,
            loss,
            augment,
            predict,
            objects,
            correction,
            complementary,
            train: _,
        } = self.settings;
        serde_json::to_value((
            network,
            loss,
            augment,
            predict,
            objects,
            correction,
            complementary,
            self.classes,
        ))
        .map_err(|error| Error::Device(error.to_string()))
    }

    fn network_name(&self) -> &'static str {
        self.settings.network.name()
    }

    fn init(&self, seed: u64, device: &Device) -> SegmentationNetwork {
        init(&self.settings.network, self.classes.len(), seed, device)
    }

    fn pretrained(&self) -> Option<&Path> {
        self.settings.network.pretrained()
    }

    fn load_encoder(
        &self,
        network: SegmentationNetwork,
        weights: &Weights,
    ) -> Result<SegmentationNetwork> {
        Ok(network.load_encoder(weights)?)
    }

    fn name(&self, item: usize) -> String {
        self.images.name(item)
    }

    fn read(&self, item: usize) -> Result<(Self::Example, usize), I::Failure> {
        let (image, mask) = self.images.read(item)?;
        check(&self.name(item), &image, &mask, self.classes.len())?;
        let mask = self.corrected(item)?.unwrap_or(mask);
        let bytes = image.as_raw().len() + mask.len();
        Ok(((image, mask), bytes))
    }

    fn crop(&self, near: &Near<Self>, rng: &mut ChaCha8Rng) -> Result<Crop, I::Failure> {
        let size = self.settings.train.crop;
        let mut crop = self.one(near(0)?, rng)?;
        let mixture = Mixture::draw(&self.settings.augment, size, rng)?;
        if mixture != Mixture::Alone {
            let other = self.one(near(1)?, rng)?;
            mix(&mut crop.image, &other.image, size, &mixture);
            // The boundary loss is linear in distances, and the note about diagnoses in excluded classes.
            let weights = [crop.weights.as_slice(), &other.weights];
            for (said, other) in [
                (&mut crop.targets, &other.targets),
                (&mut crop.distances, &other.distances),
            ] {
                mix_labels(said, other, weights, size, &mixture);
            }
            mix(&mut crop.weights, &other.weights, size, &mixture);
            if let (Some(undrawn), Some(other)) = (&mut crop.undrawn, &other.undrawn) {
                let weights = [undrawn.weights.as_slice(), &other.weights];
                for (said, other) in [
                    (&mut undrawn.targets, &other.targets),
                    (&mut undrawn.excluded, &other.excluded),
                ] {
                    mix_labels(said, other, weights, size, &mixture);
                }
                mix(&mut undrawn.weights, &other.weights, size, &mixture);
            }
        }
        Ok(crop)
    }

    fn notes(&self) -> Vec<String> {
        match self.exclusions {
            Some(_) => vec![AGAINST_DIAGNOSIS.to_owned()],
            None => Vec::new(),
        }
    }

    fn compare(
        &self,
        network: &SegmentationNetwork,
        crops: Vec<Crop>,
        at: Moment,
        device: &Device,
    ) -> Result<Compared> {
        let size = self.settings.train.crop;
        let count = crops.len();
        let (pixels, classes) = (count * size * size, self.classes.len());
        let (mut images, mut targets) = (Vec::new(), Vec::new());
        let (mut weights, mut distances) = (Vec::new(), Vec::new());
        let mut undrawn = Undrawn {
            targets: Vec::new(),
            excluded: Vec::new(),
            weights: Vec::new(),
        };
        for crop in crops {
            if let Some(of_crop) = crop.undrawn {
                undrawn.targets.extend(of_crop.targets);
                undrawn.excluded.extend(of_crop.excluded);
                undrawn.weights.extend(of_crop.weights);
            }
            images.extend(crop.image);
            targets.extend(crop.targets);
            weights.extend(crop.weights);
            distances.extend(crop.distances);
        }
        let images = TensorData::new(images, [count, size, size, 3]);
        let scores = network
            .forward(Tensor::<4>::from_data(images, device))
            .reshape([pixels, classes]);
        let of_classes =
            |values| Tensor::from_data(TensorData::new(values, [pixels, classes]), device);
        let of_pixels = |values| Tensor::from_data(TensorData::new(values, [pixels]), device);
        let distances = self
            .loss
            .measures_distances()
            .then(|| of_classes(distances));
        let drawn = self.loss.of(
            scores.clone(),
            of_classes(targets),
            of_pixels(weights),
            distances,
        );
        let Some(exclusions) = &self.exclusions else {
            return Ok(drawn.into());
        };
        let weights: Tensor<1> = of_pixels(undrawn.weights);
        let targets = of_classes(undrawn.targets);
        let loss = exclusions.of(scores.clone(), targets, weights.clone(), at);
        let against = against_diagnosis(scores, undrawn.excluded, weights, device);
        Ok(Compared {
            loss: drawn + loss,
            notes: Some(against),
        })
    }

    fn measure(&self, network: &SegmentationNetwork, items: &[usize]) -> Result<f64, I::Failure> {
        let segmenter = self.segmenter(network.clone());
        mean_dice(&segmenter, &self.settings.predict, items, |item| {
            let ((image, mask), _) = self.read(item)?;
            Ok((self.name(item), image, mask))
        })
    }

    /// A validation says when masks are corrected, not which network is best: it is of the masks as they were given, or
    /// of other data.
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
        network: &SegmentationNetwork,
        progress: Progress,
    ) -> Result<Interlude, I::Failure> {
        let Some(correction) = &self.settings.correction else {
            return Ok(Interlude::default());
        };
        let mut read_again = false;
        let interlude = self.corrections.after_epoch(
            (correction.start, correction.every),
            progress,
            || self.measure(network, self.items),
            || {
                read_again = true;
                let cycle = self.correct(network, correction, progress.epoch)?;
                let objects = cycle.images.iter().map(|image| image.objects.len()).sum();
                let classes = |image: MaskCycleImage| {
                    let classes = image.objects.iter().map(|object| object.class);
                    (image.item, classes.collect())
                };
                let masks = Masks {
                    epoch: Some(cycle.epoch),
                    classes: cycle.images.into_iter().map(classes).collect(),
                };
                Ok((masks, objects))
            },
        )?;
        Ok(Interlude {
            read_again,
            ..interlude
        })
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

/// The Dice coefficient of all images together, averaged over the classes but the first, of what a network predicts;
/// `read` gives the name, the image and the mask of an item.
pub(crate) fn mean_dice<F: From<Error> + Send>(
    segmenter: &Segmenter,
    settings: &PredictSettings,
    items: &[usize],
    read: impl Fn(usize) -> Result<(String, RgbImage, Array2<u8>), F> + Sync,
) -> Result<f64, F> {
    let classes = segmenter.classes().len();
    let of_images = several(items, |item| {
        let (name, image, mask) = read(item)?;
        let probabilities = segmenter.predict(&image, settings)?;
        let predicted = most_probable(probabilities.view());
        let confusion =
            pixel_confusion(mask.view(), predicted.view(), classes).map_err(|error| {
                Error::PixelLabels {
                    image: name,
                    problem: error.to_string(),
                }
            })?;
        Ok::<_, F>(class_overlaps(&confusion))
    })?;
    let mut overlaps = vec![ClassOverlap::default(); classes];
    for of_image in of_images {
        for (sum, overlap) in overlaps.iter_mut().zip(of_image) {
            sum.both += overlap.both;
            sum.truth += overlap.truth;
            sum.predicted += overlap.predicted;
        }
    }
    // Whatever is predicted, this measures nothing.
    if overlaps.iter().skip(1).all(|overlap| overlap.truth == 0.0) {
        return Err(F::from(Error::NoForeground {
            images: items.len(),
            background: segmenter.classes()[0].clone(),
        }));
    }
    let dice: Vec<f64> = overlaps
        .iter()
        .skip(1)
        .filter_map(|overlap| overlap.dice(EmptyCase::Undefined).ok())
        .collect();
    Ok(dice.iter().sum::<f64>() / dice.len().max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::AugmentSettings;
    use crate::segment::{ComplementarySettings, LossSettings};
    use crate::training::{Items, Loader};
    use cleanslide_nn::networks::{SegmentationConfig, UNetConfig};
    use rand::SeedableRng;

    struct Squares;

    impl PixelImages for Squares {
        type Failure = Error;

        fn count(&self) -> usize {
            5
        }

        fn read(&self, image: usize) -> Result<(RgbImage, Array2<u8>), Error> {
            let mut mask = Array2::from_elem((40, 30), (image % 2) as u8);
            mask[[0, 0]] = UNLABELLED_CLASS;
            Ok((
                RgbImage::from_pixel(30, 40, image::Rgb([50, 90, image as u8])),
                mask,
            ))
        }
    }

    /// What a loader makes in an epoch, of two classes unless it says otherwise.
    fn epoch(
        [own, also]: [&[usize]; 2],
        classes: usize,
        (batch_size, crop): (usize, usize),
        augment: AugmentSettings,
        number: usize,
    ) -> Result<Vec<(Vec<Crop>, Vec<usize>)>> {
        let settings = SegmentSettings {
            train: TrainSettings {
                batch_size,
                crop,
                ..TrainSettings::default()
            },
            augment,
            ..SegmentSettings::default()
        };
        let task = Pixels {
            images: &Squares,
            classes: &["a", "b"].map(String::from)[..classes],
            settings: &settings,
            loss: settings.loss.build()?,
            exclusions: None,
            device: &Device::flex(),
            items: &[],
            folder: Path::new(""),
            corrections: Record::default(),
        };
        let mut batches = Vec::new();
        Loader::new(&task, Items { own, also }, 3).epoch(number, |batch| {
            batches.push((batch.crops, batch.items));
            Ok(())
        })?;
        Ok(batches)
    }

    #[test]
    fn batches_are_the_same_each_time_and_full() {
        let items = [0, 1, 2, 3, 4];
        let run = |number| {
            epoch(
                [&items, &[]],
                2,
                (2, 16),
                AugmentSettings::default(),
                number,
            )
            .unwrap()
        };
        let images = |batches: &[(Vec<Crop>, Vec<usize>)]| -> Vec<Vec<f32>> {
            let crops = batches.iter().flat_map(|(crops, _)| crops);
            crops.map(|crop| crop.image.clone()).collect()
        };
        let (first, again, other) = (run(0), run(0), run(1));
        assert_eq!(first.len(), 3);
        assert_eq!(images(&first), images(&again));
        assert_ne!(images(&first), images(&other));
        for (crops, of) in &first {
            assert_eq!((crops.len(), of.len()), (2, 2));
            for crop in crops {
                assert_eq!(crop.image.len(), 16 * 16 * 3);
                assert_eq!(crop.targets.len(), 16 * 16 * 2);
            }
        }
        let mut seen: Vec<usize> = first.iter().flat_map(|(_, of)| of.clone()).collect();
        assert_eq!(seen[5], seen[0], "filled up from the beginning");
        seen.pop();
        seen.sort_unstable();
        assert_eq!(seen, items);
    }

    #[test]
    fn crops_that_are_made_side_by_side_are_the_same() {
        let items = [0, 1, 2, 3, 4];
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.unwrap().install(|| {
                let augment = AugmentSettings {
                    elastic: 2.0,
                    noise: 0.1,
                    ..AugmentSettings::default()
                };
                let batches = epoch([&items, &[3, 4]], 2, (16, 16), augment, 0).unwrap();
                let parts = |(crops, items): (Vec<Crop>, Vec<usize>)| {
                    let crops = crops.into_iter().map(|crop| (crop.image, crop.targets));
                    (crops.collect::<Vec<_>>(), items)
                };
                batches.into_iter().map(parts).collect::<Vec<_>>()
            })
        };
        // One thread in four makes crops.
        assert!(run(4) == run(32));
    }

    #[test]
    fn mixed_batches_have_equal_parts_however_many_there_are() {
        // Three crops of each kind per batch: the two other images are seen nine times in three batches.
        let own: Vec<usize> = [0, 1, 2].repeat(3);
        let run = |also: &[usize], number| -> Vec<Vec<usize>> {
            let batches = epoch([&own, also], 2, (6, 8), AugmentSettings::none(), number);
            batches.unwrap().into_iter().map(|(_, of)| of).collect()
        };
        let batches = [run(&[3, 4], 0), run(&[3, 4], 1)].concat();
        assert_eq!(batches.len(), 6);
        let mut others = Vec::new();
        for of in &batches {
            assert!(of[..3].iter().all(|item| own.contains(item)), "{of:?}");
            others.extend(&of[3..]);
        }
        for pass in others.chunks(2) {
            assert_eq!(
                pass.iter().sum::<usize>(),
                7,
                "each once a pass: {others:?}"
            );
        }
        assert_eq!(run(&[3, 4], 1), batches[3..]);
    }

    #[test]
    fn what_is_not_labelled_has_no_weight() {
        let batches = epoch([&[1], &[]], 2, (1, 64), AugmentSettings::none(), 0).unwrap();
        let crop = &batches[0].0[0];
        assert!(crop.weights.contains(&0.0));
        for (weight, targets) in crop.weights.iter().zip(crop.targets.chunks_exact(2)) {
            let expected = if *weight > 0.0 {
                [0.0, 1.0]
            } else {
                [0.0, 0.0]
            };
            assert_eq!(targets, expected);
        }
    }

    struct Halves;

    impl PixelImages for Halves {
        type Failure = Error;

        fn count(&self) -> usize {
            1
        }

        fn read(&self, _: usize) -> Result<(RgbImage, Array2<u8>), Error> {
            let mask = Array2::from_shape_fn((16, 16), |(row, column)| match row {
                0 => UNLABELLED_CLASS,
                _ => u8::from(column >= 6),
            });
            Ok((RgbImage::new(16, 16), mask))
        }

        fn trust(&self, _: usize) -> f32 {
            0.25
        }

        fn excluded(&self, _: usize) -> BTreeSet<usize> {
            BTreeSet::from([1])
        }

        fn trust_of_excluded(&self, _: usize) -> f32 {
            0.75
        }
    }

    /// What a training learns from [`Halves`].
    fn crop_of_halves(loss: LossSettings, exclusions: Option<Exclusions>) -> Crop {
        let settings = SegmentSettings {
            train: TrainSettings {
                crop: 16,
                ..TrainSettings::default()
            },
            augment: AugmentSettings::none(),
            loss,
            ..SegmentSettings::default()
        };
        let task = Pixels {
            images: &Halves,
            classes: &["a", "b"].map(String::from),
            settings: &settings,
            loss: settings.loss.build().unwrap(),
            exclusions,
            device: &Device::flex(),
            items: &[],
            folder: Path::new(""),
            corrections: Record::default(),
        };
        let example = Arc::new(Halves.read(0).unwrap());
        task.one((0, example), &mut ChaCha8Rng::seed_from_u64(0))
            .unwrap()
    }

    #[test]
    fn a_mask_and_a_diagnosis_are_each_believed_as_far_as_they_say() {
        let excluded = [BTreeSet::from([1])];
        let exclusions = ComplementarySettings::default()
            .build(&excluded, 2)
            .unwrap();
        let crop = crop_of_halves(LossSettings::default(), Some(exclusions));
        let undrawn = crop.undrawn.unwrap();
        for pixel in 0..16 * 16 {
            let both = [crop.weights[pixel], undrawn.weights[pixel]];
            let expected = if pixel < 16 { [0.0, 0.75] } else { [0.25, 0.0] };
            assert_eq!(both, expected);
        }
    }

    #[test]
    fn distances_are_measured_where_a_loss_wants_them() {
        let crop = |boundary| {
            let loss = LossSettings {
                boundary,
                ..LossSettings::default()
            };
            crop_of_halves(loss, None)
        };
        assert!(crop(0.0).distances.is_empty());
        let crop = crop(0.01);
        for (pixel, distances) in crop.distances.chunks_exact(2).enumerate() {
            let column = (pixel % 16) as f32;
            let expected = match pixel / 16 {
                0 => [0.0, 0.0],
                _ => [column - 5.0, 6.0 - column],
            };
            assert_eq!(distances, expected);
            assert_eq!(crop.weights[pixel] == 0.0, pixel < 16);
        }
    }

    #[test]
    fn labels_without_a_class_but_the_first_measure_nothing() {
        let config = SegmentationConfig::Unet(UNetConfig { widths: vec![4] });
        let network = init(&config, 2, 0, &Device::flex());
        let classes = ["a", "b"].map(String::from).to_vec();
        let segmenter = Segmenter::new(config, classes, network, Device::flex());
        let dice = |items: &[usize]| {
            mean_dice(&segmenter, &PredictSettings::default(), items, |item| {
                let (image, mask) = Squares.read(item)?;
                Ok::<_, Error>((item.to_string(), image, mask))
            })
        };
        // Images with even numbers are of the first class.
        assert!(dice(&[0, 1]).is_ok());
        let nothing = dice(&[0, 2]).unwrap_err().to_string();
        assert!(
            nothing.contains("2 images for validation show no class but `a`"),
            "{nothing}"
        );
    }

    #[test]
    fn a_failure_ends_the_epoch() {
        let failed = epoch([&[0, 1, 2, 3], &[]], 1, (1, 8), AugmentSettings::none(), 0);
        let failed = failed.err().unwrap().to_string();
        assert!(
            failed.contains("class 1, and there are 1 classes"),
            "{failed}"
        );
    }
}
