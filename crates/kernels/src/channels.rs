//! Channels of two images side by side, and apart again.

use rayon::prelude::*;

/// Pixels that a thread copies at a time.
const PIXELS: usize = 1024;

/// Writes pixels of `first` and `second`, of so many `channels` each, one after the other into the pixels of
/// `result`.
///
/// # Panics
/// When a slice has another length than the others ask for.
pub fn join(first: &[f32], second: &[f32], channels: [usize; 2], result: &mut [f32]) {
    check([first.len(), second.len()], channels, result.len());
    let both = channels[0] + channels[1];
    result
        .par_chunks_mut(PIXELS * both)
        .zip(first.par_chunks(PIXELS * channels[0]))
        .zip(second.par_chunks(PIXELS * channels[1]))
        .for_each(|((result, first), second)| {
            for ((result, first), second) in result
                .chunks_exact_mut(both)
                .zip(first.chunks_exact(channels[0]))
                .zip(second.chunks_exact(channels[1]))
            {
                let (left, right) = result.split_at_mut(channels[0]);
                left.copy_from_slice(first);
                right.copy_from_slice(second);
            }
        });
}

/// The reverse of [`join`].
///
/// # Panics
/// When a slice has another length than the others ask for.
pub fn part(joined: &[f32], channels: [usize; 2], first: &mut [f32], second: &mut [f32]) {
    check([first.len(), second.len()], channels, joined.len());
    let both = channels[0] + channels[1];
    joined
        .par_chunks(PIXELS * both)
        .zip(first.par_chunks_mut(PIXELS * channels[0]))
        .zip(second.par_chunks_mut(PIXELS * channels[1]))
        .for_each(|((joined, first), second)| {
            for ((joined, first), second) in joined
                .chunks_exact(both)
                .zip(first.chunks_exact_mut(channels[0]))
                .zip(second.chunks_exact_mut(channels[1]))
            {
                let (left, right) = joined.split_at(channels[0]);
                first.copy_from_slice(left);
                second.copy_from_slice(right);
            }
        });
}

fn check(parts: [usize; 2], channels: [usize; 2], joined: usize) {
    assert!(channels[0] > 0 && channels[1] > 0, "at least one channel");
    let pixels = joined / (channels[0] + channels[1]);
    assert_eq!(
        (parts, joined),
        (
            channels.map(|channels| pixels * channels),
            pixels * (channels[0] + channels[1])
        ),
        "lengths of pixels of {channels:?} channels, and of both together"
    );
}
