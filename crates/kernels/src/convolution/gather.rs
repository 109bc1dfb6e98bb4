//! Which pixels a result is gathered from.
//!
//! A forward convolution and the gradient of its images are the same thing: every result is a sum
//! over taps, pixels of a source at fixed offsets. Backward at a stride of s, the results fall into
//! s × s phases, each with taps of its own, so that no multiplication by a zero is done.

use rayon::prelude::*;

use super::Convolution;
use crate::scratch;
use crate::tiles::Run;

/// Blocks of results that each thread should find at least, so that all finish at about the same time.
const BLOCKS_PER_THREAD: usize = 4;

/// A pixel of the source, and the place in the filter that it is multiplied with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tap {
    /// Down and to the right from the first pixel of the source that any tap of any phase reads.
    pub(super) offset: [usize; 2],
    /// Row and column of the filter.
    pub(super) filter: [usize; 2],
}

/// Results that have the same taps: each `Gather::result_step`-th, from `first` on.
#[derive(Debug)]
pub(super) struct Phase {
    pub(super) first: [usize; 2],
    pub(super) taps: Vec<Tap>,
}

#[derive(Debug)]
pub(super) struct Gather {
    pub(super) images: usize,
    pub(super) source_size: [usize; 2],
    pub(super) source_channels: usize,
    pub(super) result_size: [usize; 2],
    pub(super) result_channels: usize,
    /// Pixels of the source from one result of a phase to its next.
    pub(super) source_step: [usize; 2],
    /// Pixels of the result from one result of a phase to its next.
    pub(super) result_step: [usize; 2],
    /// Where the first read pixel lies, seen from the first pixel of the source.
    pub(super) origin: [isize; 2],
    /// How many pixels the taps of one result span.
    pub(super) span: [usize; 2],
    pub(super) phases: Vec<Phase>,
}

impl Gather {
    pub(super) fn forward(sizes: &Convolution) -> Self {
        let taps = |axis: usize| {
            (0..sizes.kernel[axis])
                .map(|tap| {
                    let offset = tap * sizes.dilation[axis];
                    (offset as isize - sizes.padding[axis][0] as isize, tap)
                })
                .collect()
        };
        Self {
            images: sizes.images,
            source_size: sizes.size,
            source_channels: sizes.inputs,
            result_size: sizes.result_size(),
            result_channels: sizes.outputs,
            source_step: sizes.stride,
            result_step: [1, 1],
            ..Self::of_taps([vec![taps(0)], vec![taps(1)]])
        }
    }

    pub(super) fn backward(sizes: &Convolution) -> Self {
        let phases = |axis: usize| {
            let stride = sizes.stride[axis] as isize;
            let taps = |phase: isize| {
                let mut taps: Vec<(isize, usize)> = (0..sizes.kernel[axis])
                    .map(|tap| {
                        let reach = (tap * sizes.dilation[axis]) as isize;
                        (phase + sizes.padding[axis][0] as isize - reach, tap)
                    })
                    .filter(|(distance, _)| distance.rem_euclid(stride) == 0)
                    .map(|(distance, tap)| (distance.div_euclid(stride), tap))
                    .collect();
                taps.sort_unstable();
                taps
            };
            (0..stride).map(taps).collect()
        };
        Self {
            images: sizes.images,
            source_size: sizes.result_size(),
            source_channels: sizes.outputs,
            result_size: sizes.size,
            result_channels: sizes.inputs,
            source_step: [1, 1],
            result_step: sizes.stride,
            ..Self::of_taps([phases(0), phases(1)])
        }
    }

    /// `taps[axis][phase]` are the offsets of the taps and their places in the filter.
    fn of_taps(taps: [Vec<Vec<(isize, usize)>>; 2]) -> Self {
        let offsets = |axis: usize| taps[axis].iter().flatten().map(|&(offset, _)| offset);
        let origin: [isize; 2] =
            std::array::from_fn(|axis| offsets(axis).min().unwrap_or_default());
        let span = std::array::from_fn(|axis| {
            let last = offsets(axis).max().unwrap_or_default();
            (last - origin[axis]) as usize + 1
        });
        let mut phases = Vec::new();
        for (first_row, rows) in taps[0].iter().enumerate() {
            for (first_column, columns) in taps[1].iter().enumerate() {
                let mut taps = Vec::new();
                for &(row, filter_row) in rows {
                    for &(column, filter_column) in columns {
                        taps.push(Tap {
                            offset: [(row - origin[0]) as usize, (column - origin[1]) as usize],
                            filter: [filter_row, filter_column],
                        });
                    }
                }
                phases.push(Phase {
                    first: [first_row, first_column],
                    taps,
                });
            }
        }
        Self {
            images: 0,
            source_size: [0; 2],
            source_channels: 0,
            result_size: [0; 2],
            result_channels: 0,
            source_step: [1; 2],
            result_step: [1; 2],
            origin,
            span,
            phases,
        }
    }

    /// How many results a phase has along each axis, in a result of so many rows.
    pub(super) fn results(&self, phase: &Phase, result_rows: usize) -> [usize; 2] {
        let count = |size: usize, axis: usize| {
            size.saturating_sub(phase.first[axis])
                .div_ceil(self.result_step[axis])
        };
        [count(result_rows, 0), count(self.result_size[1], 1)]
    }

    /// Height and width of the part of the source that `result_rows` rows of the result need.
    pub(super) fn window(&self, result_rows: usize) -> [usize; 2] {
        let size = [result_rows, self.result_size[1]];
        std::array::from_fn(|axis| {
            let results = size[axis].div_ceil(self.result_step[axis]);
            results.saturating_sub(1) * self.source_step[axis] + self.span[axis]
        })
    }

    /// Whether the window is rows of the source as they are, nothing added and nothing left out.
    pub(super) fn reads_whole_rows(&self) -> bool {
        self.origin == [0, 0]
            && self.span[0] == 1
            && self.source_step[0] == 1
            && self.window(1)[1] == self.source_size[1]
            && self.window(self.result_size[0])[0] <= self.source_size[0]
    }

    /// Copies the window of the results that start at `first_result_row`, pixels `pixel` values apart.
    pub(super) fn copy_window(
        &self,
        source: &[f32],
        first_result_row: usize,
        result_rows: usize,
        pixel: usize,
        window: &mut [f32],
    ) {
        let first_row = first_result_row / self.result_step[0] * self.source_step[0];
        copy_window(
            source,
            self.source_size,
            self.source_channels,
            [first_row as isize + self.origin[0], self.origin[1]],
            self.window(result_rows),
            pixel,
            window,
        );
    }

    /// The taps of a phase as runs of neighbouring values in a window of so many columns.
    pub(super) fn runs(&self, phase: &Phase, columns: usize) -> Vec<Run> {
        let channels = self.source_channels;
        let mut runs: Vec<Run> = Vec::new();
        for tap in &phase.taps {
            let offset = (tap.offset[0] * columns + tap.offset[1]) * channels;
            match runs.last_mut() {
                Some(run) if run.offset + run.length == offset => run.length += channels,
                _ => runs.push(Run {
                    offset,
                    length: channels,
                }),
            }
        }
        runs
    }

    /// How many rows of the result a block has, so that its window and its results hold about
    /// `values` values, and all threads find blocks: whole steps, at least one.
    pub(super) fn block_rows(&self, values: usize) -> usize {
        let step = self.result_step[0];
        let per_step = self.window(step)[1] * self.source_channels * self.source_step[0]
            + step * self.result_size[1] * self.result_channels;
        let all_steps = self.images * self.result_size[0].div_ceil(step);
        let share = all_steps / (BLOCKS_PER_THREAD * rayon::current_num_threads());
        let steps = (values / per_step.max(1)).min(share).max(1);
        (steps * step)
            .min(self.result_size[0].next_multiple_of(step))
            .max(1)
    }
}

/// Some rows of the result of an image.
pub(super) struct ImageRows<'a> {
    /// The image.
    pub(super) source: &'a [f32],
    pub(super) first_row: usize,
    pub(super) rows: usize,
    /// Their gradient.
    pub(super) gradient: &'a [f32],
}

/// Lends `use_sums` the sums that `add` has added for all blocks of so many rows. Each thread adds to `length` sums
/// of its own.
pub(super) fn sum_over_blocks(
    gather: &Gather,
    images: &[f32],
    result_gradient: &[f32],
    block_rows: usize,
    length: usize,
    add: impl Fn(&ImageRows, &mut [f32]) + Sync,
    use_sums: impl FnOnce(&[f32]),
) {
    let [height, width] = gather.result_size;
    let blocks_per_image = height.div_ceil(block_rows);
    let blocks = gather.images * blocks_per_image;
    let parts = rayon::current_num_threads().min(blocks).max(1);
    let image_length = images.len() / gather.images;
    let row = width * gather.result_channels;
    scratch::with(length * parts, |sums| {
        sums.par_chunks_mut(length)
            .enumerate()
            .for_each(|(part, sums)| {
                sums.fill(0.0);
                for block in blocks * part / parts..blocks * (part + 1) / parts {
                    let image = block / blocks_per_image;
                    let first_row = block % blocks_per_image * block_rows;
                    let rows = block_rows.min(height - first_row);
                    let block = ImageRows {
                        source: &images[image * image_length..][..image_length],
                        first_row,
                        rows,
                        gradient: &result_gradient[(image * height + first_row) * row..]
                            [..rows * row],
                    };
                    add(&block, sums);
                }
            });
        let (total, others) = sums.split_at_mut(length);
        for other in others.chunks_exact(length) {
            for (total, &other) in total.iter_mut().zip(other) {
                *total += other;
            }
        }
        use_sums(total);
    });
}

/// Copies rows and columns of an image from the pixel `first` on, zeros where there is no pixel, and
/// pads every pixel with zeros to `pixel` values.
pub(super) fn copy_window(
    source: &[f32],
    [height, width]: [usize; 2],
    channels: usize,
    first: [isize; 2],
    [rows, columns]: [usize; 2],
    pixel: usize,
    window: &mut [f32],
) {
    // The columns of the window that lie in the image.
    let start = (-first[1]).clamp(0, columns as isize) as usize;
    let end = (width as isize - first[1]).clamp(start as isize, columns as isize) as usize;
    let window = &mut window[..rows * columns * pixel];
    for (row, places) in window.chunks_exact_mut(columns * pixel).enumerate() {
        let row = first[0] + row as isize;
        if row < 0 || row >= height as isize || start == end {
            places.fill(0.0);
            continue;
        }
        let column = (start as isize + first[1]) as usize;
        let values = &source[(row as usize * width + column) * channels..];
        let values = &values[..(end - start) * channels];
        places[..start * pixel].fill(0.0);
        places[end * pixel..].fill(0.0);
        let places = &mut places[start * pixel..end * pixel];
        if pixel == channels {
            places.copy_from_slice(values);
            continue;
        }
        for (places, values) in places
            .chunks_exact_mut(pixel)
            .zip(values.chunks_exact(channels))
        {
            places[..channels].copy_from_slice(values);
            places[channels..].fill(0.0);
        }
    }
}
