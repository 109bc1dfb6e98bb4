//! Convolution as sums over the taps of the filter: the window of a block of results is copied with
//! its border of zeros, and every tap is a product of its pixels with its part of the filters.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::finish::activate_all;
use super::gather::{Gather, ImageRows, sum_over_blocks};
use super::{Convolution, Finish, filters};
use crate::tiles::{
    MOST_ROWS, PackRows, PackedLength, Run, add_columns_by_panel, load_bias, panel_widths,
    rows_by_panel, store_tile, with_tile,
};
use crate::{Instructions, scratch};

/// A block's window and results: half of a second-level cache of 1 MB.
const BLOCK_VALUES: usize = 128 * 1024;

pub(super) fn forward(
    sizes: &Convolution,
    instructions: Instructions,
    images: &[f32],
    filters: &[f32],
    finish: Finish<'_>,
    result: &mut [f32],
) {
    let [rows, columns] = sizes.kernel;
    let area = rows * columns;
    let filter = |[row, column]: [usize; 2], input: usize, output: usize| {
        filters[(output * sizes.inputs + input) * area + row * columns + column]
    };
    gathered(
        &Gather::forward(sizes),
        instructions,
        images,
        filter,
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
    let [rows, columns] = sizes.kernel;
    let area = rows * columns;
    let filter = |[row, column]: [usize; 2], output: usize, input: usize| {
        filters[(output * sizes.inputs + input) * area + row * columns + column]
    };
    gathered(
        &Gather::backward(sizes),
        instructions,
        result_gradient,
        filter,
        Finish::bias(bias),
        images_gradient,
    );
}

/// Every result of a gather; `filter(place, source channel, result channel)` are its weights.
fn gathered(
    gather: &Gather,
    instructions: Instructions,
    source: &[f32],
    filter: impl Fn([usize; 2], usize, usize) -> f32 + Sync,
    finish: Finish<'_>,
    result: &mut [f32],
) {
    if result.is_empty() {
        return;
    }
    let lengths: Vec<usize> = gather
        .phases
        .iter()
        .map(|phase| {
            instructions.dispatch(PackedLength(
                phase.taps.len() * gather.source_channels,
                gather.result_channels,
            ))
        })
        .collect();
    scratch::with(lengths.iter().sum(), |packed| {
        let mut rest = &mut *packed;
        for (phase, &length) in gather.phases.iter().zip(&lengths) {
            let (panels, next) = rest.split_at_mut(length);
            rest = next;
            let channels = [gather.source_channels, gather.result_channels];
            filters::pack(instructions, &phase.taps, channels, panels, &filter);
        }
        blocks(
            gather,
            instructions,
            source,
            packed,
            &lengths,
            finish,
            result,
        );
    });
}

fn blocks(
    gather: &Gather,
    instructions: Instructions,
    source: &[f32],
    packed: &[f32],
    lengths: &[usize],
    finish: Finish<'_>,
    result: &mut [f32],
) {
    let row = gather.result_size[1] * gather.result_channels;
    let block_rows = gather.block_rows(BLOCK_VALUES);
    let image_length = gather.source_size[0] * gather.source_size[1] * gather.source_channels;
    result
        .par_chunks_mut(gather.result_size[0] * row)
        .enumerate()
        .for_each(|(image, result)| {
            let source = &source[image * image_length..][..image_length];
            result
                .par_chunks_mut(block_rows * row)
                .enumerate()
                .for_each(|(block, result)| {
                    let first_row = block * block_rows;
                    let rows = result.len() / row;
                    let mut run = |window: &[f32]| {
                        instructions.dispatch(Block {
                            gather,
                            window,
                            rows,
                            packed,
                            lengths,
                            finish,
                            result: &mut *result,
                        });
                    };
                    if gather.reads_whole_rows() {
                        let row = gather.source_size[1] * gather.source_channels;
                        let first = first_row / gather.result_step[0];
                        run(&source[first * row..]);
                    } else {
                        let [height, width] = gather.window(rows);
                        let length = height * width * gather.source_channels;
                        scratch::with(length, |window| {
                            let pixel = gather.source_channels;
                            gather.copy_window(source, first_row, rows, pixel, window);
                            run(window);
                        });
                    }
                });
        });
}

/// Some rows of the result, all phases and channels.
struct Block<'a> {
    gather: &'a Gather,
    window: &'a [f32],
    rows: usize,
    packed: &'a [f32],
    lengths: &'a [usize],
    finish: Finish<'a>,
    result: &'a mut [f32],
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let gather = self.gather;
        let columns = gather.window(self.rows)[1];
        let mut packed = self.packed;
        for (phase, &length) in gather.phases.iter().zip(self.lengths) {
            let (mut panels, next) = packed.split_at(length);
            packed = next;
            let runs = gather.runs(phase, columns);
            let depth = phase.taps.len() * gather.source_channels;
            let mut panel = Panel {
                results: gather.results(phase, self.rows),
                first: phase.first,
                runs: &runs,
                values: &[],
                channel: 0,
            };
            for width in panel_widths::<S>(gather.result_channels) {
                (panel.values, panels) = panels.split_at(depth * width * S::F32_LANES);
                with_tile!(S, width, self.panel(simd, &panel));
                panel.channel += width * S::F32_LANES;
            }
        }
    }
}

/// A phase's results for a few vectors of channels.
struct Panel<'a> {
    results: [usize; 2],
    first: [usize; 2],
    runs: &'a [Run],
    values: &'a [f32],
    /// The first channel.
    channel: usize,
}

impl Block<'_> {
    #[inline(always)]
    fn panel<S: Simd, const ROWS: usize, const WIDTH: usize>(&mut self, simd: S, panel: &Panel) {
        let gather = self.gather;
        let channels = gather.result_channels;
        let [rows, columns] = panel.results;
        let last = (panel.channel + WIDTH * S::F32_LANES).min(channels);
        let window_columns = gather.window(self.rows)[1];
        let step_down = gather.source_step[0] * window_columns * gather.source_channels;
        let step_right = gather.source_step[1] * gather.source_channels;
        let bias = self.finish.bias.map(|bias| &bias[panel.channel..last]);
        let bias = load_bias::<S, WIDTH>(simd, bias);
        let (mut row, mut column) = (0, 0);
        let mut starts = [0; MOST_ROWS];
        let mut places = [0; MOST_ROWS];
        for first in (0..rows * columns).step_by(ROWS) {
            let count = ROWS.min(rows * columns - first);
            for tile in 0..ROWS {
                starts[tile] = row * step_down + column * step_right;
                let y = row * gather.result_step[0] + panel.first[0];
                let x = column * gather.result_step[1] + panel.first[1];
                places[tile] = (y * gather.result_size[1] + x) * channels + panel.channel;
                // The last result is repeated to fill the tile.
                if tile + 1 < count || tile + 1 == ROWS {
                    column += 1;
                    if column == columns {
                        (row, column) = (row + 1, 0);
                    }
                }
            }
            let mut sums = rows_by_panel::<S, ROWS, WIDTH>(
                simd,
                self.window,
                &starts,
                panel.runs,
                panel.values,
                bias,
            );
            activate_all(simd, self.finish.activation, &mut sums);
            let size = [count, last - panel.channel];
            store_tile(simd, sums, size, self.result, |row| places[row]);
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
    let area = sizes.kernel[0] * sizes.kernel[1];
    let columns = gather.result_size[1];
    let depth = area * sizes.inputs;
    let add = |block: &ImageRows, sums: &mut [f32]| {
        let [rows, window_columns] = gather.window(block.rows);
        // Tiles read whole rows of channels, beyond the last pixel too.
        let length = rows * window_columns * sizes.inputs;
        scratch::with(length + MOST_ROWS, |window| {
            gather.copy_window(
                block.source,
                block.first_row,
                block.rows,
                sizes.inputs,
                window,
            );
            window[length..].fill(0.0);
            let pixels = block.rows * columns;
            let gradient_length = instructions.dispatch(PackedLength(pixels, sizes.outputs));
            scratch::with(gradient_length, |packed| {
                instructions.dispatch(PackRows {
                    columns: sizes.outputs,
                    values: block.gradient,
                    packed,
                });
                instructions.dispatch(FilterBlock {
                    gather: &gather,
                    rows: block.rows,
                    runs: &gather.runs(&gather.phases[0], window_columns),
                    window,
                    gradient: packed,
                    sums,
                });
            });
        });
    };
    let block_rows = gather.block_rows(BLOCK_VALUES);
    let length = instructions.dispatch(PackedLength(depth, sizes.outputs));
    sum_over_blocks(
        &gather,
        images,
        result_gradient,
        block_rows,
        length,
        add,
        |sums| filters::unpack(sizes, instructions, sums, filters_gradient),
    );
}

/// What a block of results adds to the gradient of the filters: `sums` is packed, its rows are taps
/// times source channels.
struct FilterBlock<'a> {
    gather: &'a Gather,
    rows: usize,
    runs: &'a [Run],
    window: &'a [f32],
    gradient: &'a [f32],
    sums: &'a mut [f32],
}

impl WithSimd for FilterBlock<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let positions = self.rows * self.gather.result_size[1];
        let depth = self.gather.phases[0].taps.len() * self.gather.source_channels;
        let (mut gradient, mut first) = (self.gradient, 0);
        for width in panel_widths::<S>(self.gather.result_channels) {
            let lanes = width * S::F32_LANES;
            let (panel, next) = gradient.split_at(positions * lanes);
            gradient = next;
            let sums = first..first + depth * lanes;
            first = sums.end;
            with_tile!(S, width, self.panel(simd, panel, sums));
        }
    }
}

impl FilterBlock<'_> {
    #[inline(always)]
    fn panel<S: Simd, const ROWS: usize, const WIDTH: usize>(
        &mut self,
        simd: S,
        gradient: &[f32],
        sums: std::ops::Range<usize>,
    ) {
        let gather = self.gather;
        let channels = gather.source_channels;
        let columns = gather.result_size[1];
        let window_columns = gather.window(self.rows)[1];
        let gradient = S::as_simd_f32s(gradient).0.as_chunks::<WIDTH>().0;
        let (all_sums, _) = S::as_mut_simd_f32s(&mut self.sums[sums]);
        let (all_sums, _) = all_sums.as_chunks_mut::<WIDTH>();
        let mut rest = all_sums;
        for run in self.runs {
            let (sums, next) = rest.split_at_mut(run.length);
            rest = next;
            for (tile, places) in sums.chunks_mut(ROWS).enumerate() {
                let mut sums = [[simd.splat_f32s(0.0); WIDTH]; ROWS];
                for (sum, place) in sums.iter_mut().zip(&*places) {
                    *sum = *place;
                }
                for (row, gradient) in gradient.chunks_exact(columns).enumerate() {
                    let start = row * gather.source_step[0] * window_columns * channels;
                    let start = start + run.offset + tile * ROWS;
                    add_columns_by_panel(
                        simd,
                        &self.window[start..],
                        gather.source_step[1] * channels,
                        gradient,
                        &mut sums,
                    );
                }
                for (place, sum) in places.iter_mut().zip(&sums) {
                    *place = *sum;
                }
            }
        }
    }
}
