//! F(4×4, 3×3): tiles of 4×4 results from 6×6 pixels with 36 multiplications instead of 144.
//!
//! Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A for pixels d and filter g; the filter's gradient is
//! Gᵀ [(Bᵀ d B) ⊙ (A y Aᵀ)] G for the gradient y of the results, by the transpose of the same.
//! At each of the 36 places the sums over channels (or tiles) are a product of matrices.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::gather::{Gather, copy_window};
use super::{Convolution, Finish};
use crate::normalization::activate;
use crate::tiles::{
    Lanes, MOST_ROWS, PackedLength, PanelPlaces, PanelWidths, Run, add_columns_by_panel,
    panel_widths, panels, rows_by_panel, store, store_tile, with_tile,
};
use crate::{Instructions, scratch};

/// Results along a side of a tile.
const TILE: usize = 4;
/// Pixels along a side of a tile.
const PIXELS: usize = 6;
/// Products per tile and pair of channels.
const PLACES: usize = PIXELS * PIXELS;

/// The longest vectors there are, AVX-512's.
const MOST_LANES: usize = 16;

/// Inputs whose filters are brought together before they are transformed.
const INPUTS: usize = 8;

/// Tiles in a block of results: with 64 channels, pixels and products stay in the second-level cache.
const BLOCK_TILES: usize = 48;

pub(super) fn forward(
    sizes: &Convolution,
    instructions: Instructions,
    images: &[f32],
    filters: &[f32],
    finish: Finish<'_>,
    result: &mut [f32],
) {
    let tap = |input: usize, output: usize, tap: usize| {
        filters[(output * sizes.inputs + input) * 9 + tap]
    };
    convolve(
        &Gather::forward(sizes),
        instructions,
        images,
        tap,
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
    // The gradient of the images is a convolution with the filters turned by 180°.
    let tap = |output: usize, input: usize, tap: usize| {
        filters[(output * sizes.inputs + input) * 9 + 8 - tap]
    };
    convolve(
        &Gather::backward(sizes),
        instructions,
        result_gradient,
        tap,
        Finish::bias(bias),
        images_gradient,
    );
}

/// How an image is cut into tiles, and tiles into blocks: some rows of tiles, or some whole images.
#[derive(Debug, Clone, Copy)]
struct Blocks {
    rows: usize,
    columns: usize,
    rows_per_block: usize,
    images_per_block: usize,
}

impl Blocks {
    fn new([height, width]: [usize; 2], images: usize, tiles: usize) -> Self {
        let (rows, columns) = (height.div_ceil(TILE), width.div_ceil(TILE));
        let rows_per_block = even_share(rows, tiles / columns);
        let images_per_block = if rows_per_block == rows {
            even_share(images, tiles / (rows * columns))
        } else {
            1
        };
        Self {
            rows,
            columns,
            rows_per_block,
            images_per_block,
        }
    }
}

/// At most `most` (but at least one) at a time, in shares as even as that allows.
fn even_share(count: usize, most: usize) -> usize {
    let shares = count.div_ceil(most.max(1)).max(1);
    count.div_ceil(shares).max(1)
}

/// The results of a gather with 3×3 taps; `tap(source channel, result channel, place)`.
fn convolve(
    gather: &Gather,
    instructions: Instructions,
    source: &[f32],
    tap: impl Fn(usize, usize, usize) -> f32 + Sync,
    finish: Finish<'_>,
    result: &mut [f32],
) {
    if result.is_empty() {
        return;
    }
    let depth = gather.source_channels;
    let columns = gather.result_channels;
    let filters_length = PLACES * instructions.dispatch(PackedLength(depth, columns));
    scratch::with(filters_length, |filters| {
        panels(instructions, PLACES * depth, columns, filters)
            .into_par_iter()
            .for_each(|panel| {
                let PanelPlaces {
                    first,
                    width,
                    values,
                } = panel;
                scratch::with(INPUTS * 9 * width, |taps| {
                    instructions.dispatch(TransformFilters {
                        depth,
                        width,
                        taps,
                        panel: values,
                        tap: |input: usize, column: usize, place: usize| {
                            if first + column < columns {
                                tap(input, first + column, place)
                            } else {
                                0.0
                            }
                        },
                    });
                });
            });
        let size = gather.result_size;
        let blocks = Blocks::new(size, gather.images, BLOCK_TILES);
        let image_length = size[0] * size[1] * columns;
        let source_length = gather.source_size[0] * gather.source_size[1] * depth;
        let filters = &*filters;
        result
            .par_chunks_mut(blocks.images_per_block * image_length)
            .enumerate()
            .for_each(|(group, result)| {
                let images = result.len() / image_length;
                let source = &source[group * blocks.images_per_block * source_length..]
                    [..images * source_length];
                // Either one image, in parts, or several, whole.
                let part = if images == 1 {
                    blocks.rows_per_block * TILE * size[1] * columns
                } else {
                    result.len()
                };
                result
                    .par_chunks_mut(part)
                    .enumerate()
                    .for_each(|(block, result)| {
                        let block = Block {
                            gather,
                            source,
                            images,
                            first_row: block * blocks.rows_per_block * TILE,
                            rows: (result.len() / (images * size[1] * columns)),
                        };
                        block.convolve(instructions, &blocks, filters, finish, result);
                    });
            });
    });
}

/// Rows of results of some images.
struct Block<'a> {
    gather: &'a Gather,
    source: &'a [f32],
    images: usize,
    first_row: usize,
    rows: usize,
}

impl Block<'_> {
    fn tiles(&self, blocks: &Blocks) -> usize {
        self.images * self.rows.div_ceil(TILE) * blocks.columns
    }

    /// Calls `use_pixels` with the transformed pixels `[place, tile, channel]`, channels padded to
    /// whole vectors, and as many values behind as a tile of registers may read.
    fn with_pixels<T>(
        &self,
        instructions: Instructions,
        blocks: &Blocks,
        use_pixels: impl FnOnce(&[f32]) -> T,
    ) -> T {
        let gather = self.gather;
        let pixel = gather
            .source_channels
            .next_multiple_of(instructions.dispatch(Lanes));
        let tiles = self.tiles(blocks);
        let tile_rows = self.rows.div_ceil(TILE);
        // The window of whole tiles, which may reach beyond the last results.
        let window = [tile_rows * TILE + 2, blocks.columns * TILE + 2];
        let source_length = self.source.len() / self.images;
        scratch::with(PLACES * tiles * pixel + MOST_ROWS, |pixels| {
            scratch::with(window[0] * window[1] * pixel, |values| {
                for (image, source) in self.source.chunks_exact(source_length).enumerate() {
                    let first = [self.first_row as isize + gather.origin[0], gather.origin[1]];
                    copy_window(
                        source,
                        gather.source_size,
                        gather.source_channels,
                        first,
                        window,
                        pixel,
                        values,
                    );
                    instructions.dispatch(TransformPixels {
                        window: values,
                        window_columns: window[1],
                        pixel,
                        tile_rows,
                        tile_columns: blocks.columns,
                        first_tile: image * tile_rows * blocks.columns,
                        tiles,
                        pixels,
                    });
                }
            });
            pixels[PLACES * tiles * pixel..].fill(0.0);
            use_pixels(pixels)
        })
    }

    fn convolve(
        &self,
        instructions: Instructions,
        blocks: &Blocks,
        filters: &[f32],
        finish: Finish<'_>,
        result: &mut [f32],
    ) {
        let gather = self.gather;
        let tiles = self.tiles(blocks);
        let widths = instructions.dispatch(PanelWidths(gather.result_channels));
        let widest = widths.iter().copied().max().unwrap_or_default();
        self.with_pixels(instructions, blocks, |pixels| {
            scratch::with(PLACES * tiles * widest, |products| {
                let (mut rest, mut channel) = (filters, 0);
                for width in widths {
                    let (panel, next) = rest.split_at(PLACES * gather.source_channels * width);
                    rest = next;
                    let products = &mut products[..PLACES * tiles * width];
                    instructions.dispatch(Multiply {
                        depth: gather.source_channels,
                        tiles,
                        pixels,
                        panel,
                        products,
                    });
                    instructions.dispatch(TransformProducts {
                        products,
                        tiles,
                        size: [self.rows, gather.result_size[1]],
                        channels: gather.result_channels,
                        channel,
                        finish,
                        result,
                    });
                    channel += width;
                }
            });
        });
    }
}

/// Bᵀ d along one axis.
#[inline(always)]
fn transform_pixels<S: Simd>(simd: S, d: [S::f32s; 6]) -> [S::f32s; 6] {
    let times =
        |factor: f32, value, plus| simd.mul_add_e_f32s(simd.splat_f32s(factor), value, plus);
    let even = times(-4.0, d[2], d[4]);
    let odd = times(-4.0, d[1], d[3]);
    let even_two = simd.sub_f32s(d[4], d[2]);
    let odd_two = simd.sub_f32s(d[3], d[1]);
    [
        times(4.0, d[0], times(-5.0, d[2], d[4])),
        simd.add_f32s(even, odd),
        simd.sub_f32s(even, odd),
        times(2.0, odd_two, even_two),
        times(-2.0, odd_two, even_two),
        times(4.0, d[1], times(-5.0, d[3], d[5])),
    ]
}

/// Aᵀ m along one axis.
#[inline(always)]
fn transform_products<S: Simd>(simd: S, m: [S::f32s; 6]) -> [S::f32s; 4] {
    let times =
        |factor: f32, value, plus| simd.mul_add_e_f32s(simd.splat_f32s(factor), value, plus);
    let sum = simd.add_f32s(m[1], m[2]);
    let difference = simd.sub_f32s(m[1], m[2]);
    let sum_two = simd.add_f32s(m[3], m[4]);
    let difference_two = simd.sub_f32s(m[3], m[4]);
    [
        simd.add_f32s(simd.add_f32s(m[0], sum), sum_two),
        times(2.0, difference_two, difference),
        times(4.0, sum_two, sum),
        times(8.0, difference_two, simd.add_f32s(difference, m[5])),
    ]
}

/// G g along one axis.
#[inline(always)]
fn transform_filter<S: Simd>(simd: S, g: [S::f32s; 3]) -> [S::f32s; 6] {
    let scale = |factor: f32, value| simd.mul_f32s(simd.splat_f32s(factor), value);
    let outer = simd.add_f32s(g[0], g[2]);
    let wide = simd.mul_add_e_f32s(simd.splat_f32s(4.0), g[2], g[0]);
    let twice = scale(2.0, g[1]);
    [
        scale(1.0 / 4.0, g[0]),
        scale(-1.0 / 6.0, simd.add_f32s(outer, g[1])),
        scale(-1.0 / 6.0, simd.sub_f32s(outer, g[1])),
        scale(1.0 / 24.0, simd.add_f32s(wide, twice)),
        scale(1.0 / 24.0, simd.sub_f32s(wide, twice)),
        g[2],
    ]
}

/// A y along one axis.
#[inline(always)]
fn transform_gradient<S: Simd>(simd: S, y: [S::f32s; 4]) -> [S::f32s; 6] {
    let times =
        |factor: f32, value, plus| simd.mul_add_e_f32s(simd.splat_f32s(factor), value, plus);
    let even = simd.add_f32s(y[0], y[2]);
    let odd = simd.add_f32s(y[1], y[3]);
    let even_two = times(4.0, y[2], y[0]);
    let odd_two = times(4.0, y[3], y[1]);
    [
        y[0],
        simd.add_f32s(even, odd),
        simd.sub_f32s(even, odd),
        times(2.0, odd_two, even_two),
        times(-2.0, odd_two, even_two),
        y[3],
    ]
}

/// Gᵀ u along one axis.
#[inline(always)]
fn transform_filter_gradient<S: Simd>(simd: S, u: [S::f32s; 6]) -> [S::f32s; 3] {
    let scale = |factor: f32, value| simd.mul_f32s(simd.splat_f32s(factor), value);
    let times =
        |factor: f32, value, plus| simd.mul_add_e_f32s(simd.splat_f32s(factor), value, plus);
    let sum = scale(-1.0 / 6.0, simd.add_f32s(u[1], u[2]));
    let difference = scale(-1.0 / 6.0, simd.sub_f32s(u[1], u[2]));
    let sum_two = simd.add_f32s(u[3], u[4]);
    let difference_two = simd.sub_f32s(u[3], u[4]);
    [
        times(1.0 / 4.0, u[0], times(1.0 / 24.0, sum_two, sum)),
        times(1.0 / 12.0, difference_two, difference),
        simd.add_f32s(u[5], times(1.0 / 6.0, sum_two, sum)),
    ]
}

/// A transform along both axes: down the columns, then along the rows.
macro_rules! along_both {
    ($simd:expr, $transform:ident, $values:expr, $from:literal => $to:literal) => {{
        let values = $values;
        let mut down = [[$simd.splat_f32s(0.0); $from]; $to];
        for column in 0..$from {
            let transformed: [_; $to] = $transform(
                $simd,
                std::array::from_fn::<_, $from, _>(|row| values[row][column]),
            );
            for row in 0..$to {
                down[row][column] = transformed[row];
            }
        }
        let mut both = [[$simd.splat_f32s(0.0); $to]; $to];
        for row in 0..$to {
            both[row] = $transform($simd, down[row]);
        }
        both
    }};
}

/// Filters to a panel `[place, input, column]`.
struct TransformFilters<'a, T> {
    depth: usize,
    width: usize,
    /// The filters of some inputs, `[input, tap, column]`.
    taps: &'a mut [f32],
    panel: &'a mut [f32],
    tap: T,
}

impl<T: Fn(usize, usize, usize) -> f32> WithSimd for TransformFilters<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = self.width;
        let plane = self.depth * width;
        for start in (0..self.depth).step_by(INPUTS) {
            let inputs = start..self.depth.min(start + INPUTS);
            for column in 0..width {
                for (input, taps) in inputs.clone().zip(self.taps.chunks_exact_mut(9 * width)) {
                    for tap in 0..9 {
                        taps[tap * width + column] = (self.tap)(input, column, tap);
                    }
                }
            }
            for (input, taps) in inputs.zip(self.taps.chunks_exact(9 * width)) {
                for first in (0..width).step_by(S::F32_LANES) {
                    let load = |tap: usize| {
                        S::as_simd_f32s(&taps[tap * width + first..][..S::F32_LANES]).0[0]
                    };
                    let filter: [[S::f32s; 3]; 3] = std::array::from_fn(|row| {
                        std::array::from_fn(|column| load(row * 3 + column))
                    });
                    let places = along_both!(simd, transform_filter, filter, 3 => 6);
                    for (place, &value) in places.as_flattened().iter().enumerate() {
                        let start = place * plane + input * width + first;
                        let places = &mut self.panel[start..][..S::F32_LANES];
                        S::as_mut_simd_f32s(places).0[0] = value;
                    }
                }
            }
        }
    }
}

/// A window to pixels `[place, tile, channel]`.
struct TransformPixels<'a> {
    window: &'a [f32],
    window_columns: usize,
    /// Values from one pixel to the next.
    pixel: usize,
    tile_rows: usize,
    tile_columns: usize,
    first_tile: usize,
    /// Tiles of the whole block.
    tiles: usize,
    pixels: &'a mut [f32],
}

impl WithSimd for TransformPixels<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let window = S::as_simd_f32s(self.window).0;
        let pixels = S::as_mut_simd_f32s(self.pixels).0;
        let pixel = self.pixel / S::F32_LANES;
        let row = self.window_columns * pixel;
        let plane = self.tiles * pixel;
        for tile_row in 0..self.tile_rows {
            for tile_column in 0..self.tile_columns {
                let start = tile_row * TILE * row + tile_column * TILE * pixel;
                let tile = self.first_tile + tile_row * self.tile_columns + tile_column;
                for vector in 0..pixel {
                    let window = &window[start + vector..][..5 * row + 5 * pixel + 1];
                    let values: [[S::f32s; 6]; 6] = std::array::from_fn(|y| {
                        std::array::from_fn(|x| window[y * row + x * pixel])
                    });
                    let places = along_both!(simd, transform_pixels, values, 6 => 6);
                    let pixels = &mut pixels[tile * pixel + vector..][..35 * plane + 1];
                    for (place, &value) in places.as_flattened().iter().enumerate() {
                        pixels[place * plane] = value;
                    }
                }
            }
        }
    }
}

/// At each place, pixels `[tile, channel]` times a panel `[channel, column]`.
struct Multiply<'a> {
    depth: usize,
    tiles: usize,
    pixels: &'a [f32],
    panel: &'a [f32],
    products: &'a mut [f32],
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = self.panel.len() / (PLACES * self.depth * S::F32_LANES);
        with_tile!(S, width, self.panel(simd));
    }
}

impl Multiply<'_> {
    #[inline(always)]
    fn panel<S: Simd, const ROWS: usize, const WIDTH: usize>(self, simd: S) {
        let pixel = self.depth.next_multiple_of(S::F32_LANES);
        let width = WIDTH * S::F32_LANES;
        let run = [Run {
            offset: 0,
            length: self.depth,
        }];
        for place in 0..PLACES {
            let pixels = &self.pixels[place * self.tiles * pixel..][..self.tiles * pixel];
            let panel = &self.panel[place * self.depth * width..][..self.depth * width];
            let products = &mut self.products[place * self.tiles * width..][..self.tiles * width];
            for (group, products) in products.chunks_mut(ROWS * width).enumerate() {
                // The last tile is repeated to fill the registers.
                let mut starts = [0; ROWS];
                for (row, start) in (group * ROWS..).zip(&mut starts) {
                    *start = row.min(self.tiles - 1) * pixel;
                }
                let start = [simd.splat_f32s(0.0); WIDTH];
                let sums =
                    rows_by_panel::<S, ROWS, WIDTH>(simd, pixels, &starts, &run, panel, start);
                let size = [products.len() / width, width];
                store_tile(simd, sums, size, products, |row| row * width);
            }
        }
    }
}

/// Products `[place, tile, column]` to results, which are written where there are any.
struct TransformProducts<'a> {
    products: &'a [f32],
    tiles: usize,
    /// Rows and columns of results per image.
    size: [usize; 2],
    channels: usize,
    /// The first channel of the products.
    channel: usize,
    finish: Finish<'a>,
    result: &'a mut [f32],
}

impl WithSimd for TransformProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let products = S::as_simd_f32s(self.products).0;
        let width = products.len() / (PLACES * self.tiles);
        let plane = self.tiles * width;
        let [rows, columns] = self.size;
        let (tile_rows, tile_columns) = (rows.div_ceil(TILE), columns.div_ceil(TILE));
        for tile in 0..self.tiles {
            let image = tile / (tile_rows * tile_columns);
            let top = tile / tile_columns % tile_rows * TILE;
            let left = tile % tile_columns * TILE;
            let (height, across) = (TILE.min(rows - top), TILE.min(columns - left));
            for vector in 0..width {
                let channel = self.channel + vector * S::F32_LANES;
                let end = self.channels.min(channel + S::F32_LANES);
                let products = &products[tile * width + vector..][..35 * plane + 1];
                let values: [[S::f32s; 6]; 6] = std::array::from_fn(|y| {
                    std::array::from_fn(|x| products[(y * PIXELS + x) * plane])
                });
                let tile = along_both!(simd, transform_products, values, 6 => 4);
                let bias = match self.finish.bias {
                    Some(bias) => simd.partial_load_f32s(&bias[channel..end]),
                    None => simd.splat_f32s(0.0),
                };
                for (y, values) in tile.iter().enumerate().take(height) {
                    let start = ((image * rows + top + y) * columns + left) * self.channels;
                    for (x, &value) in values.iter().enumerate().take(across) {
                        let pixel = start + x * self.channels;
                        let places = &mut self.result[pixel + channel..pixel + end];
                        let value = simd.add_f32s(value, bias);
                        let value = activate(simd, self.finish.activation, value);
                        store(simd, &[value], places);
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
    let [height, width] = gather.result_size;
    let (inputs, outputs) = (sizes.inputs, sizes.outputs);
    let plane = instructions.dispatch(PackedLength(inputs, outputs));
    // Every block adds to all sums: the more sums, the more tiles.
    let blocks = Blocks::new(
        [height, width],
        sizes.images,
        (inputs * outputs / 512).max(64),
    );
    let blocks_per_image = blocks.rows.div_ceil(blocks.rows_per_block);
    let block_count = sizes.images.div_ceil(blocks.images_per_block) * blocks_per_image;
    let parts = rayon::current_num_threads().min(block_count).max(1);
    let image_length = sizes.images_length() / sizes.images;
    let gradient_length = height * width * outputs;
    scratch::with(parts * PLACES * plane, |sums| {
        sums.par_chunks_mut(PLACES * plane)
            .enumerate()
            .for_each(|(part, sums)| {
                sums.fill(0.0);
                for block in block_count * part / parts..block_count * (part + 1) / parts {
                    let image = block / blocks_per_image * blocks.images_per_block;
                    let images_here = blocks.images_per_block.min(sizes.images - image);
                    let first_row = block % blocks_per_image * blocks.rows_per_block * TILE;
                    let block = Block {
                        gather: &gather,
                        source: &images[image * image_length..][..images_here * image_length],
                        images: images_here,
                        first_row,
                        rows: (height - first_row).min(blocks.rows_per_block * TILE),
                    };
                    let gradient = &result_gradient[image * gradient_length..]
                        [..images_here * gradient_length];
                    block.add_filter_products(instructions, &blocks, gradient, sums);
                }
            });
        let (total, others) = sums.split_at_mut(PLACES * plane);
        let threads = rayon::current_num_threads();
        total
            .par_chunks_mut((PLACES * plane).div_ceil(threads))
            .enumerate()
            .for_each(|(chunk, total)| {
                let start = chunk * (PLACES * plane).div_ceil(threads);
                for other in others.chunks_exact(PLACES * plane) {
                    for (total, &other) in total.iter_mut().zip(&other[start..]) {
                        *total += other;
                    }
                }
            });
        // A panel at a time, so that threads can share the work.
        let mut panels = Vec::new();
        let (mut rest, mut first) = (filters_gradient, 0);
        for width in instructions.dispatch(PanelWidths(outputs)) {
            let here = width.min(outputs - first);
            let (filters, next) = rest.split_at_mut(here * inputs * 9);
            rest = next;
            panels.push((first * inputs, filters));
            first += width;
        }
        let total = &*total;
        panels.into_par_iter().for_each(|(start, filters)| {
            instructions.dispatch(TransformFilterSums {
                sums: total,
                start,
                inputs,
                filters,
            });
        });
    });
}

impl Block<'_> {
    /// Adds Σ pixels ⊗ gradients over the block's tiles to `sums` `[place, packed(input, output)]`.
    fn add_filter_products(
        &self,
        instructions: Instructions,
        blocks: &Blocks,
        result_gradient: &[f32],
        sums: &mut [f32],
    ) {
        let gather = self.gather;
        let tiles = self.tiles(blocks);
        let outputs = gather.result_channels;
        let pixel = outputs.next_multiple_of(instructions.dispatch(Lanes));
        let tile_rows = self.rows.div_ceil(TILE);
        let [height, width] = gather.result_size;
        let size = [tile_rows * TILE, blocks.columns * TILE];
        self.with_pixels(instructions, blocks, |pixels| {
            scratch::with(PLACES * tiles * pixel, |gradients| {
                scratch::with(size[0] * size[1] * pixel, |window| {
                    for (image, gradient) in result_gradient
                        .chunks_exact(height * width * outputs)
                        .enumerate()
                    {
                        let first = [self.first_row as isize, 0];
                        let result_size = gather.result_size;
                        copy_window(gradient, result_size, outputs, first, size, pixel, window);
                        instructions.dispatch(TransformGradients {
                            window,
                            pixel,
                            tile_rows,
                            tile_columns: blocks.columns,
                            first_tile: image * tile_rows * blocks.columns,
                            tiles,
                            gradients,
                        });
                    }
                });
                // Places are independent too, which matters where there are fewer blocks than threads.
                let lanes = instructions.dispatch(Lanes);
                let pixels_plane = tiles * gather.source_channels.next_multiple_of(lanes);
                let gradients_plane = tiles * pixel;
                let gradients = &*gradients;
                let sums_plane = sums.len() / PLACES;
                sums.par_chunks_mut(sums_plane)
                    .enumerate()
                    .for_each(|(place, sums)| {
                        instructions.dispatch(MultiplyColumns {
                            inputs: gather.source_channels,
                            outputs,
                            tiles,
                            pixels: &pixels[place * pixels_plane..],
                            gradients: &gradients[place * gradients_plane..][..gradients_plane],
                            sums,
                        });
                    });
            });
        });
    }
}

/// Gradients of results to `[place, packed(tile, output)]`.
struct TransformGradients<'a> {
    window: &'a [f32],
    pixel: usize,
    tile_rows: usize,
    tile_columns: usize,
    first_tile: usize,
    /// Tiles of the whole block.
    tiles: usize,
    gradients: &'a mut [f32],
}

impl WithSimd for TransformGradients<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let window = S::as_simd_f32s(self.window).0;
        let gradients = S::as_mut_simd_f32s(self.gradients).0;
        let pixel = self.pixel / S::F32_LANES;
        let row = self.tile_columns * TILE * pixel;
        let plane = self.tiles * pixel;
        for tile_row in 0..self.tile_rows {
            for tile_column in 0..self.tile_columns {
                let start = tile_row * TILE * row + tile_column * TILE * pixel;
                let tile = self.first_tile + tile_row * self.tile_columns + tile_column;
                let mut first = 0;
                for width in panel_widths::<S>(self.pixel) {
                    for vector in 0..width {
                        let window = &window[start + first + vector..][..3 * row + 3 * pixel + 1];
                        let values: [[S::f32s; 4]; 4] = std::array::from_fn(|y| {
                            std::array::from_fn(|x| window[y * row + x * pixel])
                        });
                        let places = along_both!(simd, transform_gradient, values, 4 => 6);
                        let start = first * self.tiles + tile * width + vector;
                        let gradients = &mut gradients[start..][..35 * plane + 1];
                        for (place, &value) in places.as_flattened().iter().enumerate() {
                            gradients[place * plane] = value;
                        }
                    }
                    first += width;
                }
            }
        }
    }
}

/// At one place, the transpose of pixels `[tile, input]` times gradients `[tile, output]`. Registers may read
/// behind the pixels of the last tile.
struct MultiplyColumns<'a> {
    inputs: usize,
    outputs: usize,
    tiles: usize,
    pixels: &'a [f32],
    gradients: &'a [f32],
    sums: &'a mut [f32],
}

impl WithSimd for MultiplyColumns<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (mut gradients, mut sums) = (0, 0);
        for width in panel_widths::<S>(self.outputs) {
            with_tile!(S, width, self.panel(simd, gradients, sums));
            gradients += self.tiles * width * S::F32_LANES;
            sums += self.inputs * width * S::F32_LANES;
        }
    }
}

impl MultiplyColumns<'_> {
    #[inline(always)]
    fn panel<S: Simd, const ROWS: usize, const WIDTH: usize>(
        &mut self,
        simd: S,
        gradients: usize,
        sums: usize,
    ) {
        let pixel = self.inputs.next_multiple_of(S::F32_LANES);
        let width = WIDTH * S::F32_LANES;
        let gradients = &self.gradients[gradients..][..self.tiles * width];
        let gradients = S::as_simd_f32s(gradients).0.as_chunks::<WIDTH>().0;
        let sums = &mut self.sums[sums..][..self.inputs * width];
        let sums = S::as_mut_simd_f32s(sums).0.as_chunks_mut::<WIDTH>().0;
        for (tile, places) in sums.chunks_mut(ROWS).enumerate() {
            let mut sums = [[simd.splat_f32s(0.0); WIDTH]; ROWS];
            for (sum, place) in sums.iter_mut().zip(&*places) {
                *sum = *place;
            }
            let pixels = &self.pixels[tile * ROWS..];
            add_columns_by_panel(simd, pixels, pixel, gradients, &mut sums);
            for (place, sum) in places.iter_mut().zip(&sums) {
                *place = *sum;
            }
        }
    }
}

/// A panel of sums `[place, packed(input, output)]` to the gradient of its filters.
struct TransformFilterSums<'a> {
    sums: &'a [f32],
    /// Where the panel starts at each place.
    start: usize,
    inputs: usize,
    filters: &'a mut [f32],
}

impl WithSimd for TransformFilterSums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let plane = self.sums.len() / PLACES;
        let outputs = self.filters.len() / (self.inputs * 9);
        let width = outputs.next_multiple_of(S::F32_LANES);
        for input in 0..self.inputs {
            for first in (0..outputs).step_by(S::F32_LANES) {
                let start = self.start + input * width + first;
                let load = |place: usize| {
                    S::as_simd_f32s(&self.sums[place * plane + start..][..S::F32_LANES]).0[0]
                };
                let values: [[S::f32s; 6]; 6] =
                    std::array::from_fn(|y| std::array::from_fn(|x| load(y * PIXELS + x)));
                let taps = along_both!(simd, transform_filter_gradient, values, 6 => 3);
                for (tap, &value) in taps.as_flattened().iter().enumerate() {
                    let mut lanes = [0.0; MOST_LANES];
                    S::as_mut_simd_f32s(&mut lanes[..S::F32_LANES]).0[0] = value;
                    for (output, &value) in (first..outputs).zip(&lanes[..S::F32_LANES]) {
                        self.filters[(output * self.inputs + input) * 9 + tap] = value;
                    }
                }
            }
        }
    }
}
