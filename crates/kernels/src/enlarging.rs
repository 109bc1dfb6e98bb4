//! Images some times as high and wide, each pixel repeated: nearest-neighbour interpolation.

use rayon::prelude::*;

/// Images `[n, height, width, channels]`, of which `row` values are one row of pixels, to `[n, factor · height,
/// factor · width, channels]`.
///
/// # Panics
/// When lengths do not fit.
pub fn forward(images: &[f32], row: usize, channels: usize, factor: usize, result: &mut [f32]) {
    check(images.len(), row, channels, factor, result.len());
    result
        .par_chunks_exact_mut(row * factor * factor)
        .zip(images.par_chunks_exact(row))
        .for_each(|(result, pixels)| {
            let (first, others) = result.split_at_mut(row * factor);
            for (result, pixel) in first
                .chunks_exact_mut(channels * factor)
                .zip(pixels.chunks_exact(channels))
            {
                result
                    .chunks_exact_mut(channels)
                    .for_each(|result| result.copy_from_slice(pixel));
            }
            others
                .chunks_exact_mut(row * factor)
                .for_each(|result| result.copy_from_slice(first));
        });
}

/// The gradient of the images from that of the result: sums over what each pixel was repeated to.
///
/// # Panics
/// When lengths do not fit.
pub fn backward(
    gradient: &[f32],
    row: usize,
    channels: usize,
    factor: usize,
    images_gradient: &mut [f32],
) {
    check(images_gradient.len(), row, channels, factor, gradient.len());
    images_gradient
        .par_chunks_exact_mut(row)
        .zip(gradient.par_chunks_exact(row * factor * factor))
        .for_each(|(sums, gradient)| {
            sums.fill(0.0);
            for gradient in gradient.chunks_exact(row * factor) {
                for (sums, gradient) in sums
                    .chunks_exact_mut(channels)
                    .zip(gradient.chunks_exact(channels * factor))
                {
                    for gradient in gradient.chunks_exact(channels) {
                        for (sum, value) in sums.iter_mut().zip(gradient) {
                            *sum += value;
                        }
                    }
                }
            }
        });
}

fn check(images: usize, row: usize, channels: usize, factor: usize, result: usize) {
    assert!(
        channels > 0 && row > 0 && row.is_multiple_of(channels) && factor > 0,
        "rows of {row} values, {channels} channels, {factor} times as large"
    );
    assert!(images.is_multiple_of(row), "whole rows of {row} values");
    assert_eq!(result, images * factor * factor, "length of the result");
}
