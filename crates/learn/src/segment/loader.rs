//! Batches of crops, made ready beside the training.

use std::collections::BTreeMap;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};

use cleanslide_data::UNLABELLED_CLASS;
use image::RgbImage;
use ndarray::Array2;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::model::{MEAN, STANDARD_DEVIATION};
use crate::augment::{AugmentSettings, Colours, Mixture, Placement, mix};
use crate::error::Error;
use crate::pixels::{PixelImages, check};

/// Batches that wait for the training.
const WAITING: usize = 2;

/// Bytes of decoded images that are kept.
const KEPT: usize = 512 << 20;

/// Crops and what is said of them.
pub(super) struct Batch {
    /// `[crops, size, size, 3]`.
    pub(super) images: Vec<f32>,
    /// `[crops · size · size, classes]`.
    pub(super) targets: Vec<f32>,
    /// `[crops · size · size]`; 0 where nothing is said.
    pub(super) weights: Vec<f32>,
    /// The images that the crops are of.
    pub(super) items: Vec<usize>,
}

/// Where crops come from.
pub(super) struct Loader<'a, I> {
    images: &'a I,
    items: &'a [usize],
    classes: usize,
    batch_size: usize,
    crop: usize,
    augment: &'a AugmentSettings,
    seed: u64,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    images: BTreeMap<usize, Arc<(RgbImage, Array2<u8>)>>,
    bytes: usize,
}

struct Crop {
    image: Vec<f32>,
    targets: Vec<f32>,
    weights: Vec<f32>,
}

impl<'a, I: PixelImages> Loader<'a, I> {
    pub(super) fn new(
        images: &'a I,
        items: &'a [usize],
        classes: usize,
        (batch_size, crop): (usize, usize),
        augment: &'a AugmentSettings,
        seed: u64,
    ) -> Self {
        Self {
            images,
            items,
            classes,
            batch_size,
            crop,
            augment,
            seed,
            kept: Mutex::default(),
        }
    }

    /// Batches in an epoch. The last one is filled up with images of the beginning.
    pub(super) fn batches(&self) -> usize {
        self.items.len().div_ceil(self.batch_size)
    }

    /// Hands the batches of an epoch to `take`, in their order; the next ones are made meanwhile.
    pub(super) fn epoch(
        &self,
        epoch: usize,
        mut take: impl FnMut(Batch) -> Result<(), I::Failure>,
    ) -> Result<(), I::Failure> {
        let order = self.order(epoch);
        std::thread::scope(|scope| {
            let (send, receive) = sync_channel(WAITING);
            let order = &order;
            scope.spawn(move || {
                for batch in 0..self.batches() {
                    // Nobody receives any more when the training has failed.
                    if send.send(self.batch(order, epoch, batch)).is_err() {
                        break;
                    }
                }
            });
            receive.iter().try_for_each(|batch| take(batch?))
        })
    }

    fn order(&self, epoch: usize) -> Vec<usize> {
        let mut order = self.items.to_vec();
        order.shuffle(&mut self.rng(epoch, 0));
        order
    }

    /// A generator of its own for every crop, so that none depends on those before it.
    fn rng(&self, epoch: usize, part: usize) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream((epoch as u64) << 32 | part as u64);
        rng
    }

    fn batch(&self, order: &[usize], epoch: usize, batch: usize) -> Result<Batch, I::Failure> {
        let mut made = Batch {
            images: Vec::new(),
            targets: Vec::new(),
            weights: Vec::new(),
            items: Vec::new(),
        };
        for position in batch * self.batch_size..(batch + 1) * self.batch_size {
            let item = order[position % order.len()];
            let mut rng = self.rng(epoch, position + 1);
            let mut crop = self.crop(item, &mut rng)?;
            let mixture = Mixture::draw(self.augment, self.crop, &mut rng)?;
            if mixture != Mixture::Alone {
                let other = self.crop(order[(position + 1) % order.len()], &mut rng)?;
                mix(&mut crop.image, &other.image, self.crop, &mixture);
                mix(&mut crop.targets, &other.targets, self.crop, &mixture);
                mix(&mut crop.weights, &other.weights, self.crop, &mixture);
            }
            made.images.extend(crop.image);
            made.targets.extend(crop.targets);
            made.weights.extend(crop.weights);
            made.items.push(item);
        }
        Ok(made)
    }

    fn crop(&self, item: usize, rng: &mut ChaCha8Rng) -> Result<Crop, I::Failure> {
        let read = self.read(item)?;
        let (image, mask) = &*read;
        let (height, width) = mask.dim();
        let placement = Placement::draw(self.augment, [height, width], self.crop, rng);
        let colours = Colours::draw(self.augment, rng);
        let mut pixels = colours
            .apply(placement.image(image), self.crop, rng)
            .map_err(Error::from)?;
        for pixel in pixels.as_chunks_mut::<3>().0 {
            for channel in 0..3 {
                pixel[channel] = (pixel[channel] - MEAN[channel]) / STANDARD_DEVIATION[channel];
            }
        }
        let trust = self.images.trust(item);
        let given = placement.mask(mask.view());
        let mut targets = vec![0.0; given.len() * self.classes];
        let mut weights = vec![0.0; given.len()];
        for (pixel, &class) in given.iter().enumerate() {
            if class != UNLABELLED_CLASS {
                targets[pixel * self.classes + usize::from(class)] = 1.0;
                weights[pixel] = trust;
            }
        }
        Ok(Crop {
            image: pixels,
            targets,
            weights,
        })
    }

    fn read(&self, item: usize) -> Result<Arc<(RgbImage, Array2<u8>)>, I::Failure> {
        let kept = |kept: &Mutex<Kept>| {
            let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.images.get(&item).cloned()
        };
        if let Some(read) = kept(&self.kept) {
            return Ok(read);
        }
        let (image, mask) = self.images.read(item)?;
        check(&self.images.name(item), &image, &mask, self.classes)?;
        let bytes = image.as_raw().len() + mask.len();
        let read = Arc::new((image, mask));
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.bytes + bytes <= KEPT {
            kept.bytes += bytes;
            kept.images.insert(item, Arc::clone(&read));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn batches_are_the_same_each_time_and_full() {
        let settings = AugmentSettings::default();
        let items = [0, 1, 2, 3, 4];
        let run = |epoch| {
            let loader = Loader::new(&Squares, &items, 2, (2, 16), &settings, 3);
            let mut batches = Vec::new();
            loader
                .epoch(epoch, |batch| {
                    batches.push(batch);
                    Ok(())
                })
                .unwrap();
            batches
        };
        let (first, again, other) = (run(0), run(0), run(1));
        assert_eq!(first.len(), 3);
        for (one, two) in first.iter().zip(&again) {
            assert_eq!((&one.images, &one.items), (&two.images, &two.items));
            assert_eq!(one.images.len(), 2 * 16 * 16 * 3);
            assert_eq!(one.targets.len(), 2 * 16 * 16 * 2);
        }
        assert!(
            first
                .iter()
                .zip(&other)
                .any(|(one, two)| one.images != two.images)
        );
        let mut seen: Vec<usize> = first.iter().flat_map(|batch| batch.items.clone()).collect();
        assert_eq!(seen[5], seen[0], "filled up from the beginning");
        seen.pop();
        seen.sort_unstable();
        assert_eq!(seen, items);
    }

    #[test]
    fn what_is_not_labelled_has_no_weight() {
        let settings = AugmentSettings::none();
        let loader = Loader::new(&Squares, &[1], 2, (1, 64), &settings, 0);
        let batch = loader.batch(&[1], 0, 0).unwrap();
        let unlabelled = batch
            .weights
            .iter()
            .filter(|&&weight| weight == 0.0)
            .count();
        assert!(unlabelled > 0);
        for (weight, targets) in batch.weights.iter().zip(batch.targets.chunks_exact(2)) {
            assert_eq!(
                targets,
                if *weight > 0.0 {
                    [0.0, 1.0]
                } else {
                    [0.0, 0.0]
                }
            );
        }
    }

    #[test]
    fn a_failure_ends_the_epoch() {
        let settings = AugmentSettings::none();
        let loader = Loader::new(&Squares, &[0, 1, 2, 3], 1, (1, 8), &settings, 0);
        let failed = loader.epoch(0, |_| Ok(())).unwrap_err().to_string();
        assert!(
            failed.contains("class 1, and there are 1 classes"),
            "{failed}"
        );
    }
}
