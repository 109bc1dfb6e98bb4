//! Work in parallel that may fail, the same failure on every run.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::iter::{IndexedParallelIterator, ParallelIterator};

/// Rayon's `map` and `collect` for work that may fail.
///
/// Collecting into a `Result` keeps the failure that some thread met first. This keeps the one
/// that comes first in the order of the items, so that a message does not depend on the threads.
pub trait TryMap: IndexedParallelIterator {
    /// What `work` makes of each item, in their order.
    ///
    /// # Errors
    /// The failure of the first item that fails. Items behind it may not be worked on.
    fn try_map<T: Send, E: Send>(
        self,
        work: impl Fn(Self::Item) -> Result<T, E> + Sync + Send,
    ) -> Result<Vec<T>, E> {
        let first_failed = AtomicUsize::new(usize::MAX);
        let results: Vec<Option<Result<T, E>>> = self
            .enumerate()
            .map(|(index, item)| {
                if index > first_failed.load(Ordering::Relaxed) {
                    return None;
                }
                let result = work(item);
                if result.is_err() {
                    first_failed.fetch_min(index, Ordering::Relaxed);
                }
                Some(result)
            })
            .collect();
        // Nothing is left out before the first failure.
        results.into_iter().flatten().collect()
    }
}

impl<I: IndexedParallelIterator> TryMap for I {}

#[cfg(test)]
mod tests {
    use rayon::iter::IntoParallelIterator;

    use super::*;

    #[test]
    fn the_first_in_order_is_told() {
        let work = |item: usize| {
            // The later a failure stands, the sooner it happens.
            std::thread::sleep(std::time::Duration::from_micros((200 - item as u64) * 10));
            if item % 40 == 37 {
                Err(item)
            } else {
                Ok(2 * item)
            }
        };
        for _ in 0..5 {
            assert_eq!((0..200).into_par_iter().try_map(work), Err(37));
        }
        let all: Vec<usize> = (0..37).map(|item| 2 * item).collect();
        assert_eq!((0..37).into_par_iter().try_map(work), Ok(all));
    }

    #[test]
    fn the_rest_is_left_after_a_failure() {
        let worked_on = AtomicUsize::new(0);
        let result = (0..100_000).into_par_iter().try_map(|item| {
            worked_on.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(std::time::Duration::from_micros(1));
            if item == 0 { Err(()) } else { Ok(()) }
        });
        assert_eq!(result, Err(()));
        assert!(worked_on.into_inner() < 100_000);
    }
}
