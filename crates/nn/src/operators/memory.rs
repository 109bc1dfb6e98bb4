//! Memory of results that is used again.
//!
//! A step of training makes and drops the same large tensors each time. Memory that goes back to the system in
//! between comes back empty, page by page, which costs as much as the arithmetic: so what operators have done
//! with is kept here, and results are written over it.
//!
//! Operators are given tensors that others made, too. Of those no more are kept than had to be made here, or a network
//! that only predicts would keep one more for each image.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::backend::flex::FlexTensor;

/// Shorter results are left to the system: 256 KiB.
const LEAST_LENGTH: usize = 64 * 1024;

/// A buffer that has not been asked for while so many others were is dropped: some steps of a large network.
const MOST_TAKEN: u64 = 4096;

static FREE: Mutex<Free> = Mutex::new(Free {
    buffers: Vec::new(),
    taken: 0,
    lengths: BTreeMap::new(),
});

struct Free {
    /// Each with the count of buffers that had been taken when it was given back.
    buffers: Vec<(Vec<f32>, u64)>,
    taken: u64,
    /// Of each length, in values, that had to be made.
    lengths: BTreeMap<usize, Count>,
}

#[derive(Clone, Copy, Default)]
struct Count {
    made: usize,
    /// How many are among the buffers.
    kept: usize,
}

/// Values to write over: they may hold anything.
pub(super) fn take(length: usize) -> Vec<f32> {
    if length < LEAST_LENGTH {
        return vec![0.0; length];
    }
    let mut free = lock();
    free.taken += 1;
    // No more than a quarter is wasted; the latest of the best, which is likely to be in a cache.
    let fitting = free
        .buffers
        .iter()
        .enumerate()
        .filter(|(_, (buffer, _))| (length..=length + length / 4).contains(&buffer.capacity()))
        .min_by_key(|(place, (buffer, _))| (buffer.capacity(), usize::MAX - place))
        .map(|(place, _)| place);
    let Some(place) = fitting else {
        free.lengths.entry(length).or_default().made += 1;
        drop(free);
        return vec![0.0; length];
    };
    let (mut buffer, _) = free.buffers.remove(place);
    if let Some(count) = free.lengths.get_mut(&buffer.capacity()) {
        count.kept -= 1;
    }
    drop(free);
    buffer.resize(length, 0.0);
    buffer
}

/// Keeps the memory of a tensor, if nobody else has it.
pub(super) fn give(tensor: FlexTensor) {
    let worth = tensor.is_unique()
        && tensor.is_contiguous()
        && tensor.bytes().len() >= LEAST_LENGTH * size_of::<f32>();
    if !worth {
        return;
    }
    let (bytes, ..) = tensor.into_data().into_parts();
    // What was not made as a vector of f32 goes back to the system.
    if let Ok(buffer) = bytes.try_into_vec::<f32>() {
        lock().keep(buffer);
    }
}

impl Free {
    fn keep(&mut self, buffer: Vec<f32>) {
        let (taken, lengths) = (self.taken, &mut self.lengths);
        self.buffers.retain(|(buffer, given)| {
            let stays = taken - given < MOST_TAKEN;
            if !stays && let Some(count) = lengths.get_mut(&buffer.capacity()) {
                count.made -= 1;
                count.kept -= 1;
            }
            stays
        });
        if let Some(count) = self.lengths.get_mut(&buffer.capacity())
            && count.kept < count.made
        {
            count.kept += 1;
            self.buffers.push((buffer, taken));
        }
    }
}

fn lock() -> MutexGuard<'static, Free> {
    // Nothing in here can be left half done.
    FREE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;

    fn tensor(buffer: Vec<f32>) -> FlexTensor {
        let length = buffer.len();
        FlexTensor::from_data(TensorData::new(buffer, [length]))
    }

    // Each test has lengths that no other has: the memory is one for all.
    const LENGTH: usize = LEAST_LENGTH + 4711;
    const OTHER_LENGTH: usize = 2 * LEAST_LENGTH + 4711;

    #[test]
    fn what_is_given_is_taken_again_unless_it_is_shared() {
        let mut buffer = take(LENGTH);
        buffer.fill(7.0);
        let address = buffer.as_ptr();
        let first = tensor(buffer);
        let second = first.clone();
        give(first);
        let other = take(LENGTH);
        assert_ne!(other.as_ptr(), address, "somebody else has it");
        assert_eq!(second.as_slice::<f32>().map(|values| values[9]), Some(7.0));
        give(second);
        let again = take(LENGTH - 100);
        assert_eq!(again.as_ptr(), address);
        assert_eq!(again.len(), LENGTH - 100);
    }

    #[test]
    fn what_others_made_takes_the_place_of_what_was_lost_and_no_more() {
        let kept = || {
            let free = lock();
            let of_length = |(buffer, _): &&(Vec<f32>, u64)| buffer.capacity() == OTHER_LENGTH;
            free.buffers.iter().filter(of_length).count()
        };
        give(tensor(vec![7.0; OTHER_LENGTH]));
        assert_eq!(kept(), 0, "nobody ever asked for one");
        drop((take(OTHER_LENGTH), take(OTHER_LENGTH)));
        for _ in 0..5 {
            give(tensor(vec![7.0; OTHER_LENGTH]));
        }
        assert_eq!(kept(), 2);
    }
}
