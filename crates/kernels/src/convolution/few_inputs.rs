//! Convolution of images with few channels, as a network's first layer has them: too few to fill vectors or
//! long loops.
//!
//! Forward, a block's window is copied channel by channel, so that neighbouring results read neighbouring
//! values: a tall tile of registers needs a single address. The gradient of the filters takes a run of the
//! window's values as the rows of a tile. The gradient of the images is scattered: each pixel's gradient
//! times the filters is added to the pixels that the result was made of, whose channels are then side by
//! side with those of their neighbours in a vector.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::finish::activate_all;
use super::gather::{Gather, ImageRows, copy_window, sum_over_blocks};
use super::{Convolution, Finish};
use crate::tiles::{
    Lanes, PackedLength, Run, TALLEST_ROWS, load_bias, neighbours_by_panel, pack, panel_widths,
    rows_by_panel, store_tile, with_tall_tile, with_tile,
};
use crate::vectors::STREAMS;
use crate::{Instructions, scratch};

/// A block's window and results: half of the second-level cache of a small core.
const BLOCK_VALUES: usize = 48 * 1024;

/// Rows of the images' gradient that are summed together: many, because blocks share the results at their
/// borders.
const GRADIENT_ROWS: usize = 128;

pub(super) fn forward(
    sizes: &Convolution,
    instructions: Instructions,
    images: &[f32],
    filters: &[f32],
    finish: Finish<'_>,
    result: &mut [f32],
) {
    if result.is_empty() {
        return;
    }
    let gather = Gather::forward(sizes);
    let planes = Planes::new(&gather);
    let depth = planes.offsets.len();
    let row = gather.result_size[1] * gather.result_channels;
    let block_rows = gather.block_rows(BLOCK_VALUES).next_multiple_of(STREAMS);
    let image_length = sizes.images_length() / sizes.images;
    let packed_length = instructions.dispatch(PackedLength(depth, sizes.outputs));
    scratch::with(packed_length, |packed| {
        pack(instructions, depth, sizes.outputs, packed, |row, output| {
            filters[filter_place(sizes, row, output)]
        });
        let packed = &*packed;
        result
            .par_chunks_mut(gather.result_size[0] * row)
            .zip(images.par_chunks(image_length))
            .for_each(|(result, source)| {
                result
                    .par_chunks_mut(block_rows * row)
                    .enumerate()
                    .for_each(|(block, result)| {
                        let rows = gather.window(result.len() / row)[0];
                        scratch::with(rows * planes.row, |window| {
                            planes.copy(&gather, source, block * block_rows, window);
                            instructions.dispatch(Block {
                                gather: &gather,
                                planes: &planes,
                                window,
                                packed,
                                finish,
                                result,
                            });
                        });
                    });
            });
    });
}

/// Where the filters have the value that `output` multiplies with the `row`-th of the values that it is made of,
/// `[kernel row, kernel column, input]`.
fn filter_place(sizes: &Convolution, row: usize, output: usize) -> usize {
    let area = sizes.kernel[0] * sizes.kernel[1];
    (output * sizes.inputs + row % sizes.inputs) * area + row / sizes.inputs
}

/// A window as planes: `[row, phase, channel, column]`, where a phase has every `stride`-th column.
struct Planes {
    /// Values of a row of a phase and channel: those that the results need, and those that a tile reads beyond.
    columns: usize,
    /// Values of a row of all phases and channels.
    row: usize,
    /// Where the values that a result is made of lie, seen from the result's own column.
    offsets: Vec<usize>,
}

impl Planes {
    fn new(gather: &Gather) -> Self {
        let [_, stride] = gather.source_step;
        let channels = gather.source_channels;
        let columns = gather.result_size[1] + gather.span[1] / stride + TALLEST_ROWS;
        let row = stride * channels * columns;
        let offsets = gather.phases[0]
            .taps
            .iter()
            .flat_map(|tap| (0..channels).map(move |channel| (tap.offset, channel)))
            .map(|([down, right], channel)| {
                let plane = right % stride * channels + channel;
                down * row + plane * columns + right / stride
            })
            .collect();
        Self {
            columns,
            row,
            offsets,
        }
    }

    /// Copies the window of the results that start at `first_result_row`, zeros where there is no pixel.
    fn copy(&self, gather: &Gather, source: &[f32], first_result_row: usize, window: &mut [f32]) {
        let [height, width] = gather.source_size;
        let [_, stride] = gather.source_step;
        let channels = gather.source_channels;
        let first = (first_result_row * gather.source_step[0]) as isize + gather.origin[0];
        for (row, planes) in (first..).zip(window.chunks_exact_mut(self.row)) {
            if row < 0 || row >= height as isize {
                planes.fill(0.0);
                continue;
            }
            let source = &source[row as usize * width * channels..][..width * channels];
            for (plane, places) in planes.chunks_exact_mut(self.columns).enumerate() {
                // The first column that is in the image.
                let start = (plane / channels) as isize + gather.origin[1];
                let before = (-start).max(0) as usize;
                let before = before.div_ceil(stride).min(self.columns);
                let column = (start + (before * stride) as isize) as usize;
                let (zeros, places) = places.split_at_mut(before);
                zeros.fill(0.0);
                let values = source.get(column * channels + plane % channels..);
                let values = values.unwrap_or_default().iter().step_by(stride * channels);
                let count = values.len().min(places.len());
                let (places, zeros) = places.split_at_mut(count);
                zeros.fill(0.0);
                for (place, &value) in places.iter_mut().zip(values) {
                    *place = value;
                }
            }
        }
    }
}

/// Some rows of the result.
struct Block<'a> {
    gather: &'a Gather,
    planes: &'a Planes,
    window: &'a [f32],
    packed: &'a [f32],
    finish: Finish<'a>,
    result: &'a mut [f32],
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (mut panels, mut channel) = (self.packed, 0);
        for width in panel_widths::<S>(self.gather.result_channels) {
            let lanes = width * S::F32_LANES;
            let (panel, next) = panels.split_at(self.planes.offsets.len() * lanes);
            panels = next;
            with_tall_tile!(S, width, self.panel(simd, panel, channel));
            channel += lanes;
        }
    }
}

impl Block<'_> {
    #[inline(always)]
    fn panel<S: Simd, const ROWS: usize, const WIDTH: usize>(
        &mut self,
        simd: S,
        panel: &[f32],
        channel: usize,
    ) {
        let channels = self.gather.result_channels;
        let last = channels.min(channel + WIDTH * S::F32_LANES);
        let bias = load_bias::<S, WIDTH>(simd, self.finish.bias.map(|bias| &bias[channel..last]));
        let panel = S::as_simd_f32s(panel).0.as_chunks::<WIDTH>().0;
        let row_length = self.gather.result_size[1] * channels;
        let step = self.gather.source_step[0] * self.planes.row;
        let groups = self.result.chunks_mut(STREAMS * row_length);
        for (group, result) in groups.enumerate() {
            for first in (0..row_length).step_by(ROWS * channels) {
                for (row, result) in result.chunks_exact_mut(row_length).enumerate() {
                    let row = group * STREAMS + row;
                    let mut sums = neighbours_by_panel::<S, ROWS, WIDTH>(
                        simd,
                        &self.window[row * step + first / channels..],
                        &self.planes.offsets,
                        panel,
                        [bias; ROWS],
                    );
                    activate_all(simd, self.finish.activation, &mut sums);
                    let result = &mut result[first..];
                    let size = [ROWS.min(result.len() / channels), last - channel];
                    store_tile(simd, sums, size, result, |row| row * channels + channel);
                }
            }
        }
    }
}

/// Vectors of outputs in a tile of the filters' gradient.
const WIDTH: usize = 2;

pub(super) fn backward_filters(
    sizes: &Convolution,
    instructions: Instructions,
    images: &[f32],
    result_gradient: &[f32],
    filters_gradient: &mut [f32],
) {
    let gather = Gather::forward(sizes);
    let depth = gather.phases[0].taps.len() * sizes.inputs;
    let lanes = WIDTH * instructions.dispatch(Lanes);
    let pixel = sizes.outputs.next_multiple_of(lanes);
    let columns = gather.result_size[1];
    let add = |block: &ImageRows, sums: &mut [f32]| {
        let mut with_gradient = |gradient: &[f32]| {
            let [rows, window_columns] = gather.window(block.rows);
            // Tiles read beyond the last pixel.
            let length = rows * window_columns * sizes.inputs;
            scratch::with(length + TALLEST_ROWS, |window| {
                gather.copy_window(
                    block.source,
                    block.first_row,
                    block.rows,
                    sizes.inputs,
                    window,
                );
                window[length..].fill(0.0);
                instructions.dispatch(FilterBlock {
                    runs: &gather.runs(&gather.phases[0], window_columns),
                    columns,
                    window,
                    step_down: gather.source_step[0] * window_columns * sizes.inputs,
                    step_right: gather.source_step[1] * sizes.inputs,
                    gradient,
                    pixel,
                    sums,
                });
            });
        };
        if pixel == sizes.outputs {
            return with_gradient(block.gradient);
        }
        scratch::with(block.rows * columns * pixel, |padded| {
            let size = [block.rows, columns];
            copy_window(
                block.gradient,
                size,
                sizes.outputs,
                [0, 0],
                size,
                pixel,
                padded,
            );
            with_gradient(padded);
        });
    };
    let block_rows = gather.block_rows(BLOCK_VALUES);
    sum_over_blocks(
        &gather,
        images,
        result_gradient,
        block_rows,
        depth * pixel,
        add,
        |sums| {
            for (panel, sums) in sums.chunks_exact(depth * lanes).enumerate() {
                for (row, values) in sums.chunks_exact(lanes).enumerate() {
                    for (output, &value) in (panel * lanes..sizes.outputs).zip(values) {
                        filters_gradient[filter_place(sizes, row, output)] = value;
                    }
                }
            }
        },
    );
}

/// Calls a method that is generic over the instructions and the rows of a tile with these rows.
macro_rules! with_rows {
    ($S:ty, $rows:expr, $self:ident.$method:ident($($argument:expr),*)) => {
        match $rows {
            1 => $self.$method::<$S, 1>($($argument),*),
            2 => $self.$method::<$S, 2>($($argument),*),
            3 => $self.$method::<$S, 3>($($argument),*),
            4 => $self.$method::<$S, 4>($($argument),*),
            5 => $self.$method::<$S, 5>($($argument),*),
            6 => $self.$method::<$S, 6>($($argument),*),
            7 => $self.$method::<$S, 7>($($argument),*),
            8 => $self.$method::<$S, 8>($($argument),*),
            9 => $self.$method::<$S, 9>($($argument),*),
            10 => $self.$method::<$S, 10>($($argument),*),
            11 => $self.$method::<$S, 11>($($argument),*),
            12 => $self.$method::<$S, 12>($($argument),*),
            13 => $self.$method::<$S, 13>($($argument),*),
            _ => $self.$method::<$S, TALLEST_ROWS>($($argument),*),
        }
    };
}
/// What a block of results adds to the gradient of the filters.
struct FilterBlock<'a> {
    runs: &'a [Run],
    /// Columns of the result.
    columns: usize,
    window: &'a [f32],
    /// Values of the window from the pixel of one result to that of the next.
    step_down: usize,
    step_right: usize,
    /// `[row, column, output]`, a pixel padded to `pixel` values: whole tiles.
    gradient: &'a [f32],
    pixel: usize,
    /// A panel for each tile of outputs: `[value of the window, output]`.
    sums: &'a mut [f32],
}

impl WithSimd for FilterBlock<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let tallest = if S::REGISTER_COUNT >= 32 {
            TALLEST_ROWS
        } else {
            6
        };
        let lanes = WIDTH * S::F32_LANES;
        let mut place = 0;
        for first in (0..self.pixel).step_by(lanes) {
            for run in self.runs {
                // As even as it can be: 21 values are twice 11 rather than 14 and 7.
                let rows = run.length.div_ceil(run.length.div_ceil(tallest));
                for start in (0..run.length).step_by(rows) {
                    let count = rows.min(run.length - start);
                    let places = place..place + count * lanes;
                    place = places.end;
                    with_rows!(S, rows, self.tile(simd, run.offset + start, first, places));
                }
            }
        }
    }
}

impl FilterBlock<'_> {
    /// Adds to the sums at `places` the window's values from `offset` on times the outputs from `first` on.
    #[inline(always)]
    fn tile<S: Simd, const ROWS: usize>(
        &mut self,
        simd: S,
        offset: usize,
        first: usize,
        places: std::ops::Range<usize>,
    ) {
        let places = S::as_mut_simd_f32s(&mut self.sums[places]).0;
        let places = places.as_chunks_mut::<WIDTH>().0;
        let mut sums = [[simd.splat_f32s(0.0); WIDTH]; ROWS];
        for (sum, place) in sums.iter_mut().zip(&*places) {
            *sum = *place;
        }
        let rows = self.gradient.chunks_exact(self.columns * self.pixel);
        for (row, gradient) in rows.enumerate() {
            let window = &self.window[row * self.step_down + offset..];
            let window = (window, self.step_right);
            let gradient = (&gradient[first..], self.pixel);
            sums = add_row::<S, ROWS>(simd, self.columns, window, gradient, sums);
        }
        for (place, sum) in places.iter_mut().zip(&sums) {
            *place = *sum;
        }
    }
}

/// Adds to sums of values times outputs what a row of `columns` pixels gives: their values in the window and their
/// gradients lie so many values apart.
#[inline(always)]
fn add_row<S: Simd, const ROWS: usize>(
    simd: S,
    columns: usize,
    (window, apart): (&[f32], usize),
    (gradient, pixel): (&[f32], usize),
    mut sums: [[S::f32s; WIDTH]; ROWS],
) -> [[S::f32s; WIDTH]; ROWS] {
    let part = columns.div_ceil(STREAMS);
    for first in 0..part {
        for column in (first..columns).step_by(part) {
            let values: &[f32] = &window[column * apart..][..ROWS];
            let gradient = &gradient[column * pixel..][..WIDTH * S::F32_LANES];
            let gradient = S::as_simd_f32s(gradient).0;
            for (sums, &value) in sums.iter_mut().zip(values) {
                let value = simd.splat_f32s(value);
                for (sum, &gradient) in sums.iter_mut().zip(gradient) {
                    *sum = simd.mul_add_e_f32s(value, gradient, *sum);
                }
            }
        }
    }
    sums
}

pub(super) fn backward_images(
    sizes: &Convolution,
    instructions: Instructions,
    result_gradient: &[f32],
    filters: &[f32],
    bias: Option<&[f32]>,
    images_gradient: &mut [f32],
) {
    if images_gradient.is_empty() {
        return;
    }
    let gather = Gather::forward(sizes);
    let channels = sizes.inputs;
    let lanes = instructions.dispatch(Lanes);
    let vectors = Scattered::new(&gather, lanes);
    let columns = vectors.len() * lanes;
    let row = sizes.size[1] * channels;
    let gradient_length = result_gradient.len() / sizes.images;
    let packed_length = instructions.dispatch(PackedLength(sizes.outputs, columns));
    scratch::with(packed_length, |packed| {
        pack(
            instructions,
            sizes.outputs,
            columns,
            packed,
            |output, column| {
                let (vector, lane) = (&vectors[column / lanes], column % lanes);
                if lane < vector.length {
                    filters[filter_place(sizes, vector.first + lane, output)]
                } else {
                    0.0
                }
            },
        );
        let packed = &*packed;
        images_gradient
            .par_chunks_mut(sizes.size[0] * row)
            .enumerate()
            .for_each(|(image, pixels)| {
                let gradient = &result_gradient[image * gradient_length..][..gradient_length];
                pixels
                    .par_chunks_mut(GRADIENT_ROWS * row)
                    .enumerate()
                    .for_each(|(block, pixels)| {
                        let first_row = block * GRADIENT_ROWS;
                        let rows = pixels.len() / row;
                        let results = results_of_rows(&gather, first_row, rows);
                        let size = gather.window(results.len());
                        let length = size[0] * size[1] * channels;
                        // Vectors reach beyond the last pixel.
                        scratch::with(length + lanes, |window| {
                            window.fill(0.0);
                            let first = [
                                (first_row as isize - gather.origin[0])
                                    - (results.start * gather.source_step[0]) as isize,
                                -gather.origin[1],
                            ];
                            instructions.dispatch(Scatter {
                                gather: &gather,
                                vectors: &vectors,
                                gradient,
                                results,
                                packed,
                                window,
                            });
                            let wanted = [rows, sizes.size[1]];
                            copy_window(window, size, channels, first, wanted, channels, pixels);
                        });
                        if let Some(bias) = bias {
                            for pixel in pixels.chunks_exact_mut(channels) {
                                for (value, bias) in pixel.iter_mut().zip(bias) {
                                    *value += bias;
                                }
                            }
                        }
                    });
            });
    });
}

/// The rows of the result that are made of any of the `rows` rows of the image from `first` on.
fn results_of_rows(gather: &Gather, first: usize, rows: usize) -> std::ops::Range<usize> {
    let step = gather.source_step[0];
    // Seen from the first row that the first result reads.
    let start = (first as isize - gather.origin[0]) as usize;
    let end = (start + rows - 1) / step + 1;
    let start = (start + 1).saturating_sub(gather.span[0]).div_ceil(step);
    let end = end.min(gather.result_size[0]);
    start.min(end)..end
}

/// Neighbouring values of the window that a vector of products is added to.
struct Scattered {
    /// Where they lie, seen from the first pixel that the result is made of.
    offset: usize,
    /// The first of them among the values that a result is made of.
    first: usize,
    /// How many they are; the rest of the vector is zeros.
    length: usize,
}

impl Scattered {
    /// The vectors of all values that a result is made of.
    fn new(gather: &Gather, lanes: usize) -> Vec<Self> {
        let mut vectors = Vec::new();
        let mut first = 0;
        for run in gather.runs(&gather.phases[0], gather.window(1)[1]) {
            for start in (0..run.length).step_by(lanes) {
                let length = lanes.min(run.length - start);
                vectors.push(Self {
                    offset: run.offset + start,
                    first,
                    length,
                });
                first += length;
            }
        }
        vectors
    }
}

/// Adds what some rows of the result's gradient give to the window that they were made of.
struct Scatter<'a> {
    gather: &'a Gather,
    vectors: &'a [Scattered],
    /// The gradient of the result for the image.
    gradient: &'a [f32],
    results: std::ops::Range<usize>,
    packed: &'a [f32],
    window: &'a mut [f32],
}

impl WithSimd for Scatter<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let row_length = self.gather.result_size[1] * self.gather.result_channels;
        let [_, window_columns] = self.gather.window(1);
        let step = self.gather.source_step[0] * window_columns * self.gather.source_channels;
        for (row, result) in self.results.clone().enumerate() {
            let gradient = &self.gradient[result * row_length..][..row_length];
            let (mut panels, mut vectors) = (self.packed, self.vectors);
            for width in panel_widths::<S>(self.vectors.len() * S::F32_LANES) {
                let length = self.gather.result_channels * width * S::F32_LANES;
                let (panel, vectors_here);
                (panel, panels) = panels.split_at(length);
                (vectors_here, vectors) = vectors.split_at(width);
                with_tile!(
                    S,
                    width,
                    self.panel(simd, gradient, row * step, panel, vectors_here)
                );
            }
        }
    }
}

impl Scatter<'_> {
    /// Adds the products of a row of gradients with a panel to the window from `start` on.
    #[inline(always)]
    fn panel<S: Simd, const ROWS: usize, const WIDTH: usize>(
        &mut self,
        simd: S,
        gradient: &[f32],
        start: usize,
        panel: &[f32],
        vectors: &[Scattered],
    ) {
        let outputs = self.gather.result_channels;
        let columns = self.gather.result_size[1];
        let step = self.gather.source_step[1] * self.gather.source_channels;
        let run = [Run {
            offset: 0,
            length: outputs,
        }];
        // The pixels of a tile lie far apart: neighbours add to the same values, and one would wait until the
        // other has written.
        let apart = columns.div_ceil(ROWS);
        let none = [simd.splat_f32s(0.0); WIDTH];
        for first in 0..apart {
            let column = |row: usize| first + row * apart;
            let mut starts = [0; ROWS];
            for (row, start) in starts.iter_mut().enumerate() {
                *start = column(row).min(columns - 1) * outputs;
            }
            let sums = rows_by_panel::<S, ROWS, WIDTH>(simd, gradient, &starts, &run, panel, none);
            for (row, sums) in sums.iter().enumerate() {
                if column(row) >= columns {
                    break;
                }
                for (vector, &sum) in vectors.iter().zip(sums) {
                    let place = start + column(row) * step + vector.offset;
                    let places = &mut self.window[place..][..S::F32_LANES];
                    for place in S::as_mut_simd_f32s(places).0 {
                        *place = simd.add_f32s(*place, sum);
                    }
                }
            }
        }
    }
}
