//! Work on several images at once.

use cleanslide_data::TryMap;
use rayon::prelude::*;

/// As many are worked on at once: what networks need for a tile is needed as often.
const AT_ONCE: usize = 4;

/// What `work` makes of each item, in their order. Small images keep one thread busy only: several at once keep more.
///
/// # Errors
/// The failure of the first item that fails.
pub(crate) fn several<T: Send, E: Send>(
    items: &[usize],
    work: impl Fn(usize) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let mut made = Vec::with_capacity(items.len());
    for items in items.chunks(AT_ONCE) {
        made.extend(items.par_iter().try_map(|&item| work(item))?);
    }
    Ok(made)
}
