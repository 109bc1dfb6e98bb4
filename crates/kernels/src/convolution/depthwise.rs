//! Convolution of each channel with its own filter: sums over the taps, a vector of channels at a time.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::Convolution;
use super::gather::{Gather, Phase};
use crate::tiles::Lanes;
use crate::{Instructions, scratch};

/// A block's window and results: half of the second-level cache of a small core.
const BLOCK_VALUES: usize = 48 * 1024;

/// Neighbouring results that are summed side by side, so that additions need not wait for each other.
const TOGETHER: usize = 4;

pub(super) fn forward(
    sizes: &Convolution,
    instructions: Instructions,
    images: &[f32],
    filters: &[f32],
    bias: Option<&[f32]>,
    result: &mut [f32],
) {
    gathered(
        &Gather::forward(sizes),
        sizes,
        instructions,
        images,
        filters,
        bias,
        result,
    );
}

pub(super) fn backward_images(
    sizes: &Convolution,
    instructions: Instructions,
    result_gradient: &[f32],
    filters: &[f32],
    bias: Option<&[f32]>,
    images_gradient: &mut [f32],
) {
    let gather = Gather::backward(sizes);
    gathered(
        &gather,
        sizes,
        instructions,
        result_gradient,
        filters,
        bias,
        images_gradient,
    );
}

fn gathered(
    gather: &Gather,
    sizes: &Convolution,
    instructions: Instructions,
    source: &[f32],
    filters: &[f32],
    bias: Option<&[f32]>,
    result: &mut [f32],
) {
    if result.is_empty() {
        return;
    }
    let lanes = instructions.dispatch(Lanes);
    let channels = sizes.inputs;
    let pixel = channels.next_multiple_of(lanes);
    let area = sizes.kernel[0] * sizes.kernel[1];
    let row = gather.result_size[1] * channels;
    let block_rows = gather.block_rows(BLOCK_VALUES);
    let image_length = gather.source_size[0] * gather.source_size[1] * channels;
    // Filters by tap, then the bias, each padded to whole vectors.
    scratch::with((area + 1) * pixel, |by_tap| {
        for (tap, places) in by_tap.chunks_exact_mut(pixel).enumerate() {
            places[channels..].fill(0.0);
            for (channel, place) in places[..channels].iter_mut().enumerate() {
                *place = match bias {
                    _ if tap < area => filters[channel * area + tap],
                    Some(bias) => bias[channel],
                    None => 0.0,
                };
            }
        }
        let (by_tap, bias) = by_tap.split_at(area * pixel);
        result
            .par_chunks_mut(gather.result_size[0] * row)
            .enumerate()
            .for_each(|(image, result)| {
                let source = &source[image * image_length..][..image_length];
                result
                    .par_chunks_mut(block_rows * row)
                    .enumerate()
                    .for_each(|(block, result)| {
                        let rows = result.len() / row;
                        let [height, width] = gather.window(rows);
                        scratch::with(height * width * pixel, |window| {
                            gather.copy_window(source, block * block_rows, rows, pixel, window);
                            instructions.dispatch(Block {
                                gather,
                                kernel_columns: sizes.kernel[1],
                                window,
                                rows,
                                by_tap,
                                bias,
                                result,
                            });
                        });
                    });
            });
    });
}

/// Some rows of the result; pixels of `window`, filters and bias are padded to whole vectors.
struct Block<'a> {
    gather: &'a Gather,
    kernel_columns: usize,
    window: &'a [f32],
    rows: usize,
    by_tap: &'a [f32],
    bias: &'a [f32],
    result: &'a mut [f32],
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        for phase in &self.gather.phases {
            self.phase(simd, phase);
        }
    }
}

impl Block<'_> {
    #[inline(always)]
    fn phase<S: Simd>(&mut self, simd: S, phase: &Phase) {
        let gather = self.gather;
        let channels = gather.result_channels;
        let window = S::as_simd_f32s(self.window).0;
        let by_tap = S::as_simd_f32s(self.by_tap).0;
        let bias = S::as_simd_f32s(self.bias).0;
        let pixel = bias.len();
        let window_columns = gather.window(self.rows)[1];
        let [rows, columns] = gather.results(phase, self.rows);
        let step = gather.source_step[1] * pixel;
        for row in 0..rows {
            let window = &window[row * gather.source_step[0] * window_columns * pixel..];
            let y = row * gather.result_step[0] + phase.first[0];
            for first in (0..columns).step_by(TOGETHER) {
                // Beyond the last column the sums repeat it and are not kept.
                let starts: [usize; TOGETHER] =
                    std::array::from_fn(|place| (first + place).min(columns - 1) * step);
                let count = TOGETHER.min(columns - first);
                for vector in 0..pixel {
                    let mut sums = [bias[vector]; TOGETHER];
                    for tap in &phase.taps {
                        let filter = tap.filter[0] * self.kernel_columns + tap.filter[1];
                        let filter = by_tap[filter * pixel + vector];
                        let offset =
                            (tap.offset[0] * window_columns + tap.offset[1]) * pixel + vector;
                        for (sum, start) in sums.iter_mut().zip(starts) {
                            *sum = simd.mul_add_e_f32s(window[start + offset], filter, *sum);
                        }
                    }
                    let channel = vector * S::F32_LANES;
                    for (place, &sum) in sums.iter().enumerate().take(count) {
                        let x = (first + place) * gather.result_step[1] + phase.first[1];
                        let pixel = (y * gather.result_size[1] + x) * channels;
                        let end = channels.min(channel + S::F32_LANES);
                        let places = &mut self.result[pixel + channel..pixel + end];
                        simd.partial_store_f32s(places, sum);
                    }
                }
            }
        }
    }
}

pub(super) fn backward_filters(
    sizes: &Convolution,
    instructions: Instructions,
    images: &[f32],
    result_gradient: &[f32],
    filters_gradient: &mut [f32],
) {
    let gather = Gather::forward(sizes);
    let channels = sizes.inputs;
    let area = sizes.kernel[0] * sizes.kernel[1];
    let pixel = channels.next_multiple_of(instructions.dispatch(Lanes));
    let length = area * pixel;
    let [height, width] = gather.result_size;
    let block_rows = gather.block_rows(BLOCK_VALUES);
    let blocks_per_image = height.div_ceil(block_rows);
    let blocks = sizes.images * blocks_per_image;
    let parts = rayon::current_num_threads().min(blocks).max(1);
    let image_length = sizes.size[0] * sizes.size[1] * channels;
    scratch::with(length * parts, |sums| {
        sums.par_chunks_mut(length)
            .enumerate()
            .for_each(|(part, sums)| {
                sums.fill(0.0);
                for block in blocks * part / parts..blocks * (part + 1) / parts {
                    let (image, first_row) = (
                        block / blocks_per_image,
                        block % blocks_per_image * block_rows,
                    );
                    let rows = block_rows.min(height - first_row);
                    let source = &images[image * image_length..][..image_length];
                    let gradient = &result_gradient
                        [(image * height + first_row) * width * channels..]
                        [..rows * width * channels];
                    let [window_rows, window_columns] = gather.window(rows);
                    scratch::with(window_rows * window_columns * pixel, |window| {
                        gather.copy_window(source, first_row, rows, pixel, window);
                        instructions.dispatch(FilterBlock {
                            gather: &gather,
                            window,
                            rows,
                            gradient,
                            sums,
                        });
                    });
                }
            });
        let (total, others) = sums.split_at_mut(length);
        for other in others.chunks_exact(length) {
            for (total, &other) in total.iter_mut().zip(other) {
                *total += other;
            }
        }
        for (channel, filter) in filters_gradient.chunks_exact_mut(area).enumerate() {
            for (tap, place) in filter.iter_mut().enumerate() {
                *place = total[tap * pixel + channel];
            }
        }
    });
}

/// What a block of results adds to the gradient of the filters, by tap, padded to whole vectors.
struct FilterBlock<'a> {
    gather: &'a Gather,
    window: &'a [f32],
    rows: usize,
    gradient: &'a [f32],
    sums: &'a mut [f32],
}

impl WithSimd for FilterBlock<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let gather = self.gather;
        let channels = gather.source_channels;
        let window = S::as_simd_f32s(self.window).0;
        let (all_sums, _) = S::as_mut_simd_f32s(self.sums);
        let pixel = channels.div_ceil(S::F32_LANES);
        let columns = gather.result_size[1];
        let window_columns = gather.window(self.rows)[1];
        let step = gather.source_step[1] * pixel;
        for (tap, sums) in gather.phases[0]
            .taps
            .iter()
            .zip(all_sums.chunks_exact_mut(pixel))
        {
            let offset = (tap.offset[0] * window_columns + tap.offset[1]) * pixel;
            for (vector, sum) in sums.iter_mut().enumerate() {
                let channel = vector * S::F32_LANES;
                let end = channels.min(channel + S::F32_LANES);
                let mut parts = [simd.splat_f32s(0.0); TOGETHER];
                for row in 0..self.rows {
                    let start = row * gather.source_step[0] * window_columns * pixel + offset;
                    let window = &window[start + vector..];
                    let gradient = &self.gradient[row * columns * channels..][..columns * channels];
                    let mut part = 0;
                    for (column, gradient) in gradient.chunks_exact(channels).enumerate() {
                        let gradient = simd.partial_load_f32s(&gradient[channel..end]);
                        let value = window[column * step];
                        parts[part] = simd.mul_add_e_f32s(value, gradient, parts[part]);
                        part = (part + 1) % TOGETHER;
                    }
                }
                for part in parts {
                    *sum = simd.add_f32s(*sum, part);
                }
            }
        }
    }
}
