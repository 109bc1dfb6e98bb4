//! Batches of crops, made ready beside the training.

use std::collections::BTreeMap;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};

use cleanslide_data::TryMap;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::task::Task;
use crate::error::{Error, Result};

/// Batches that wait for the training.
const WAITING: usize = 2;

/// One thread in so many makes crops.
const SHARE: usize = 4;

/// Streams of random numbers from here on shuffle other data; those below belong to epochs.
const PASSES: u64 = 1 << 63;

/// Bytes of decoded items that are kept.
const KEPT: usize = 512 << 20;

/// What batches are made of.
#[derive(Clone, Copy)]
pub(crate) struct Items<'a> {
    /// The items that are learned from; an epoch is a pass over them.
    pub(crate) own: &'a [usize],
    /// Items of other data that are learned from beside them, as many passes as that takes; there may be none.
    pub(crate) also: &'a [usize],
}

/// Crops, and the items that they are of.
pub(crate) struct Batch<C> {
    pub(crate) crops: Vec<C>,
    pub(crate) items: Vec<usize>,
}

/// Where crops come from.
pub(crate) struct Loader<'a, T: Task> {
    task: &'a T,
    items: Items<'a>,
    /// Crops of a batch that are not of other data: the first ones.
    own: usize,
    seed: u64,
    kept: Mutex<Kept<T::Example>>,
}

struct Kept<E> {
    examples: BTreeMap<usize, Arc<E>>,
    bytes: usize,
}

impl<E> Default for Kept<E> {
    fn default() -> Self {
        Self {
            examples: BTreeMap::new(),
            bytes: 0,
        }
    }
}

/// Threads of their own: those of a step never wait for a crop to be made.
fn threads() -> Result<ThreadPool> {
    let threads = (rayon::current_num_threads() / SHARE).max(1);
    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|error| Error::Device(error.to_string()))
}

impl<'a, T: Task> Loader<'a, T> {
    pub(crate) fn new(task: &'a T, items: Items<'a>, seed: u64) -> Self {
        Self {
            task,
            items,
            own: task.settings().own_crops(!items.also.is_empty()),
            seed,
            kept: Mutex::default(),
        }
    }

    /// Batches in an epoch. The last one is filled up with items of the beginning.
    pub(crate) fn batches(&self) -> usize {
        self.items.own.len().div_ceil(self.own)
    }

    /// Hands the batches of an epoch to `take`, in their order; the next ones are made meanwhile.
    pub(crate) fn epoch(
        &self,
        epoch: usize,
        mut take: impl FnMut(Batch<T::Crop>) -> Result<(), T::Failure>,
    ) -> Result<(), T::Failure> {
        let order = self.order(epoch);
        let threads = threads()?;
        std::thread::scope(|scope| {
            let (send, receive) = sync_channel(WAITING);
            let order = &order;
            let make = move || {
                for batch in 0..self.batches() {
                    // Nobody receives any more when the training has failed.
                    if send.send(self.batch(order, epoch, batch)).is_err() {
                        break;
                    }
                }
            };
            scope.spawn(move || threads.install(make));
            receive.iter().try_for_each(|batch| take(batch?))
        })
    }

    /// Items are read again from now on.
    pub(crate) fn forget(&self) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Kept::default();
    }

    fn order(&self, epoch: usize) -> Vec<usize> {
        let mut order = self.items.own.to_vec();
        order.shuffle(&mut self.rng(epoch, 0));
        order
    }

    /// The item of other data at a place in the endless sequence of passes over them.
    fn also(&self, place: usize) -> usize {
        let also = self.items.also;
        let (pass, place) = (place / also.len(), place % also.len());
        let mut order = also.to_vec();
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(PASSES | pass as u64);
        order.shuffle(&mut rng);
        order[place]
    }

    /// A generator of its own for every crop, so that none depends on those before it.
    fn rng(&self, epoch: usize, part: usize) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream((epoch as u64) << 32 | part as u64);
        rng
    }

    /// Makes the crops of a batch, side by side: each has a generator of its own, so the threads change nothing.
    fn batch(
        &self,
        order: &[usize],
        epoch: usize,
        batch: usize,
    ) -> Result<Batch<T::Crop>, T::Failure> {
        let size = self.task.settings().batch_size;
        let (own, also, batches) = (self.own, size - self.own, self.batches());
        let make = |crop: usize| -> Result<(T::Crop, usize), T::Failure> {
            let item = |distance: usize| {
                if crop < own {
                    order[(batch * own + crop + distance) % order.len()]
                } else {
                    let place = (epoch * batches + batch) * also + crop - own;
                    self.also(place + distance)
                }
            };
            let near = |distance: usize| {
                let item = item(distance);
                Ok((item, self.read(item)?))
            };
            let part = if crop < own {
                batch * own + crop
            } else {
                batches * own + batch * also + crop - own
            };
            let mut rng = self.rng(epoch, part + 1);
            Ok((self.task.crop(&near, &mut rng)?, item(0)))
        };
        let made = (0..size).into_par_iter().try_map(make)?;
        let (crops, items) = made.into_iter().unzip();
        Ok(Batch { crops, items })
    }

    fn read(&self, item: usize) -> Result<Arc<T::Example>, T::Failure> {
        let kept = |kept: &Mutex<Kept<T::Example>>| {
            let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.examples.get(&item).cloned()
        };
        if let Some(read) = kept(&self.kept) {
            return Ok(read);
        }
        let (example, bytes) = self.task.read(item)?;
        let read = Arc::new(example);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have read it meanwhile.
        if let Some(read) = kept.examples.get(&item) {
            return Ok(Arc::clone(read));
        }
        if kept.bytes + bytes <= KEPT {
            kept.bytes += bytes;
            kept.examples.insert(item, Arc::clone(&read));
        }
        Ok(read)
    }
}
