//! Convolution of each channel with its own filter: sums over the taps, a vector of channels at a time, read where
//! they lie. Where a tap lies beside the image, its product is left out.
//!
//! There is little to compute for each value that is read and written, so memory is what counts: rows are gone
//! through from one end to the other, and nothing is copied.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::gather::{Gather, ImageRows, Phase, sum_over_blocks};
use super::{Convolution, Finish};
use crate::normalization::{Activation, activate};
use crate::tiles::Lanes;
use crate::{Instructions, scratch};

/// Rows of results that a thread works out one after the other.
const BLOCK_ROWS: usize = 8;

/// Neighbouring results that are summed side by side, so that additions need not wait for each other.
const TOGETHER: usize = 8;

pub(super) fn forward(
    sizes: &Convolution,
    instructions: Instructions,
    images: &[f32],
    filters: &[f32],
    finish: Finish<'_>,
    result: &mut [f32],
) {
    gathered(
        &Gather::forward(sizes),
        sizes,
        instructions,
        images,
        filters,
        finish,
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
        Finish::bias(bias),
        images_gradient,
    );
}

fn gathered(
    gather: &Gather,
    sizes: &Convolution,
    instructions: Instructions,
    source: &[f32],
    filters: &[f32],
    finish: Finish<'_>,
    result: &mut [f32],
) {
    if result.is_empty() {
        return;
    }
    let channels = sizes.inputs;
    let pixel = channels.next_multiple_of(instructions.dispatch(Lanes));
    let area = sizes.kernel[0] * sizes.kernel[1];
    let row = gather.result_size[1] * channels;
    let block_rows = BLOCK_ROWS.next_multiple_of(gather.result_step[0]);
    let image_length = gather.source_size[0] * gather.source_size[1] * channels;
    // Filters by tap, then the bias, each padded to whole vectors.
    scratch::with((area + 1) * pixel, |by_tap| {
        for (tap, places) in by_tap.chunks_exact_mut(pixel).enumerate() {
            places[channels..].fill(0.0);
            for (channel, place) in places[..channels].iter_mut().enumerate() {
                *place = match finish.bias {
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
                        instructions.dispatch(Block {
                            gather,
                            kernel_columns: sizes.kernel[1],
                            source,
                            first_row: block * block_rows,
                            by_tap,
                            bias,
                            activation: finish.activation,
                            result,
                        });
                    });
            });
    });
}

/// A tap that lies in the image.
#[derive(Clone, Copy)]
struct Place {
    /// Where its pixel starts.
    pixel: usize,
    /// Its number among those of the filter.
    tap: usize,
}

/// Replaces `places` by the taps of a result that lie in the image; `row` and `column` are those of its phase.
fn find_places(
    gather: &Gather,
    kernel_columns: usize,
    phase: &Phase,
    result: [usize; 2],
    places: &mut Vec<Place>,
) {
    let along = |axis: usize, offset: usize| {
        let place = (result[axis] * gather.source_step[axis] + offset) as isize;
        usize::try_from(place + gather.origin[axis])
            .ok()
            .filter(|&place| place < gather.source_size[axis])
    };
    places.clear();
    for tap in &phase.taps {
        if let (Some(row), Some(column)) = (along(0, tap.offset[0]), along(1, tap.offset[1])) {
            places.push(Place {
                pixel: (row * gather.source_size[1] + column) * gather.source_channels,
                tap: tap.filter[0] * kernel_columns + tap.filter[1],
            });
        }
    }
}

/// The columns of a phase's results, of `columns`, all of whose taps lie beside neither edge of the image.
fn columns_inside(gather: &Gather, phase: &Phase, columns: usize) -> std::ops::Range<usize> {
    let step = gather.source_step[1];
    let offsets = || {
        let offsets = phase.taps.iter().map(|tap| tap.offset[1] as isize);
        offsets.map(|offset| offset + gather.origin[1])
    };
    let before = (-offsets().min().unwrap_or_default()).max(0) as usize;
    let behind = gather.source_size[1] as isize - offsets().max().unwrap_or_default();
    let end = (behind.max(0) as usize).div_ceil(step).min(columns);
    before.div_ceil(step).min(end)..end
}

/// The vector of so many values at `start`: a whole one, or padded with zeros.
#[inline(always)]
fn load<S: Simd, const WHOLE: bool>(
    simd: S,
    values: &[f32],
    start: usize,
    count: usize,
) -> S::f32s {
    if WHOLE {
        S::as_simd_f32s(&values[start..][..S::F32_LANES]).0[0]
    } else {
        simd.partial_load_f32s(&values[start..][..count])
    }
}

/// Some rows of the result; filters and bias are padded to whole vectors.
struct Block<'a> {
    gather: &'a Gather,
    kernel_columns: usize,
    source: &'a [f32],
    first_row: usize,
    by_tap: &'a [f32],
    bias: &'a [f32],
    activation: Activation,
    result: &'a mut [f32],
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let gather = self.gather;
        let channels = gather.result_channels;
        let row_length = gather.result_size[1] * channels;
        let [result_down, result_right] = gather.result_step;
        let mut places = Vec::new();
        let sums = Sums {
            source: self.source,
            step: gather.source_step[1] * channels,
            channels,
            by_tap: S::as_simd_f32s(self.by_tap).0,
            bias: S::as_simd_f32s(self.bias).0,
            activation: self.activation,
            apart: result_right * channels,
        };
        for (row, result) in (self.first_row..).zip(self.result.chunks_exact_mut(row_length)) {
            for phase in &gather.phases {
                let [_, columns] = gather.results(phase, 1);
                if row % result_down != phase.first[0] || columns == 0 {
                    continue;
                }
                let row = row / result_down;
                let find = |column: usize, places: &mut Vec<Place>| {
                    find_places(gather, self.kernel_columns, phase, [row, column], places);
                };
                let inside = columns_inside(gather, phase, columns);
                let start = |column: usize| (phase.first[1] + column * result_right) * channels;
                let whole = inside.len() / TOGETHER * TOGETHER;
                find(inside.start, &mut places);
                for column in (0..whole).step_by(TOGETHER) {
                    let result = &mut result[start(inside.start + column)..];
                    sums.write::<S, TOGETHER>(simd, &places, column, result);
                }
                let rest = inside.start + whole..columns;
                for column in (0..inside.start).chain(rest) {
                    find(column, &mut places);
                    sums.write::<S, 1>(simd, &places, 0, &mut result[start(column)..]);
                }
            }
        }
    }
}

/// Sums of taps times their filters.
struct Sums<'a, V> {
    source: &'a [f32],
    /// Values of the source from one result to the next.
    step: usize,
    channels: usize,
    by_tap: &'a [V],
    bias: &'a [V],
    activation: Activation,
    /// Values from one result to the next.
    apart: usize,
}

impl<V: Copy> Sums<'_, V> {
    /// Writes the sums of neighbouring results, the first of which is `column` results from that of `places`.
    #[inline(always)]
    fn write<S: Simd<f32s = V>, const COLUMNS: usize>(
        &self,
        simd: S,
        places: &[Place],
        column: usize,
        result: &mut [f32],
    ) {
        for vector in 0..self.channels / S::F32_LANES {
            let sums = self.sum::<S, COLUMNS, true>(simd, places, column, vector);
            for (column, &sum) in sums.iter().enumerate() {
                let start = column * self.apart + vector * S::F32_LANES;
                let places = &mut result[start..][..S::F32_LANES];
                S::as_mut_simd_f32s(places).0[0] = sum;
            }
        }
        let rest = self.channels % S::F32_LANES;
        if rest > 0 {
            let vector = self.channels / S::F32_LANES;
            let sums = self.sum::<S, COLUMNS, false>(simd, places, column, vector);
            for (column, &sum) in sums.iter().enumerate() {
                let start = column * self.apart + vector * S::F32_LANES;
                simd.partial_store_f32s(&mut result[start..][..rest], sum);
            }
        }
    }

    #[inline(always)]
    fn sum<S: Simd<f32s = V>, const COLUMNS: usize, const WHOLE: bool>(
        &self,
        simd: S,
        places: &[Place],
        column: usize,
        vector: usize,
    ) -> [V; COLUMNS] {
        let channel = vector * S::F32_LANES;
        let count = self.channels - channel;
        let mut sums = [self.bias[vector]; COLUMNS];
        for place in places {
            let filter = self.by_tap[place.tap * self.bias.len() + vector];
            let start = place.pixel + column * self.step + channel;
            for (column, sum) in sums.iter_mut().enumerate() {
                let start = start + column * self.step;
                let value = load::<S, WHOLE>(simd, self.source, start, count);
                *sum = simd.mul_add_e_f32s(value, filter, *sum);
            }
        }
        if self.activation != Activation::Identity {
            for sum in &mut sums {
                *sum = activate(simd, self.activation, *sum);
            }
        }
        sums
    }
}

/// Taps whose products are summed together.
const TAPS: usize = 9;

/// Columns that are gone through at a time, so that what they need stays in the first-level cache.
const COLUMNS: usize = 16;

pub(super) fn backward_filters(
    sizes: &Convolution,
    instructions: Instructions,
    images: &[f32],
    result_gradient: &[f32],
    filters_gradient: &mut [f32],
) {
    let gather = Gather::forward(sizes);
    let area = sizes.kernel[0] * sizes.kernel[1];
    let pixel = sizes.inputs.next_multiple_of(instructions.dispatch(Lanes));
    let add = |block: &ImageRows, sums: &mut [f32]| {
        instructions.dispatch(FilterBlock {
            gather: &gather,
            kernel_columns: sizes.kernel[1],
            block,
            sums,
        });
    };
    sum_over_blocks(
        &gather,
        images,
        result_gradient,
        BLOCK_ROWS,
        area * pixel,
        add,
        |sums| {
            for (channel, filter) in filters_gradient.chunks_exact_mut(area).enumerate() {
                for (tap, place) in filter.iter_mut().enumerate() {
                    *place = sums[tap * pixel + channel];
                }
            }
        },
    );
}

/// What a block of results adds to the gradient of the filters, by tap, padded to whole vectors.
struct FilterBlock<'a> {
    gather: &'a Gather,
    kernel_columns: usize,
    block: &'a ImageRows<'a>,
    sums: &'a mut [f32],
}

impl WithSimd for FilterBlock<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let gather = self.gather;
        let channels = gather.source_channels;
        let phase = &gather.phases[0];
        let columns = gather.result_size[1];
        let inside = columns_inside(gather, phase, columns);
        let sums = S::as_mut_simd_f32s(self.sums).0;
        let mut places = Vec::new();
        let rows = self.block.gradient.chunks_exact(columns * channels);
        for (row, gradient) in (self.block.first_row..).zip(rows) {
            let find = |column: usize, places: &mut Vec<Place>| {
                find_places(gather, self.kernel_columns, phase, [row, column], places);
            };
            let products = Products {
                source: self.block.source,
                step: gather.source_step[1] * channels,
                gradient,
                channels,
            };
            find(inside.start, &mut places);
            for start in inside.clone().step_by(COLUMNS) {
                let here = start..inside.end.min(start + COLUMNS);
                let from = start - inside.start;
                products.add(simd, &places, from, here, sums);
            }
            for column in (0..inside.start).chain(inside.end..columns) {
                find(column, &mut places);
                products.add(simd, &places, 0, column..column + 1, sums);
            }
        }
    }
}

/// Products of a row of gradients with the taps of its results.
struct Products<'a> {
    source: &'a [f32],
    /// Values of the source from one result to the next.
    step: usize,
    gradient: &'a [f32],
    channels: usize,
}

impl Products<'_> {
    /// Adds the products of some columns to the sums of their taps, `[tap, vector]`. The first is `from` results
    /// from that of `places`.
    #[inline(always)]
    fn add<S: Simd>(
        &self,
        simd: S,
        places: &[Place],
        from: usize,
        columns: std::ops::Range<usize>,
        sums: &mut [S::f32s],
    ) {
        let vectors = self.channels.div_ceil(S::F32_LANES);
        for vector in 0..vectors {
            for places in places.chunks(TAPS) {
                let products = if (vector + 1) * S::F32_LANES <= self.channels {
                    self.sum::<S, true>(simd, places, from, columns.clone(), vector)
                } else {
                    self.sum::<S, false>(simd, places, from, columns.clone(), vector)
                };
                for (place, product) in places.iter().zip(products) {
                    let sum = &mut sums[place.tap * vectors + vector];
                    *sum = simd.add_f32s(*sum, product);
                }
            }
        }
    }

    #[inline(always)]
    fn sum<S: Simd, const WHOLE: bool>(
        &self,
        simd: S,
        places: &[Place],
        from: usize,
        columns: std::ops::Range<usize>,
        vector: usize,
    ) -> [S::f32s; TAPS] {
        let channel = vector * S::F32_LANES;
        let count = self.channels - channel;
        // The last tap is repeated to fill the registers.
        let mut starts = [0; TAPS];
        for (tap, start) in starts.iter_mut().enumerate() {
            let place = places[tap.min(places.len() - 1)];
            *start = place.pixel + from * self.step + channel;
        }
        let mut sums = [simd.splat_f32s(0.0); TAPS];
        for (step, column) in columns.enumerate() {
            let gradient = column * self.channels + channel;
            let gradient = load::<S, WHOLE>(simd, self.gradient, gradient, count);
            for (sum, start) in sums.iter_mut().zip(starts) {
                let start = start + step * self.step;
                let value = load::<S, WHOLE>(simd, self.source, start, count);
                *sum = simd.mul_add_e_f32s(value, gradient, *sum);
            }
        }
        sums
    }
}
