//! Convolution as one product of matrices, for few results of many filters: to bring the filters into another order
//! takes longer there than the sums, so they stay where they lie, a matrix of outputs by inputs and taps. The images are
//! unfolded to one of results by inputs and taps.

use rayon::prelude::*;

use super::{Convolution, Finish};
use crate::matrix::{Before, Matrix, product};
use crate::{Instructions, scratch};

/// Channels that are brought into another order together: a cache line.
const TOGETHER: usize = 16;

pub(super) fn forward(
    sizes: &Convolution,
    instructions: Instructions,
    images: &[f32],
    filters: &[f32],
    finish: Finish<'_>,
    result: &mut [f32],
) {
    let results = sizes.results();
    with_unfolded(sizes, images, |unfolded| {
        scratch::with(result.len(), |by_output| {
            let filters = filter_matrix(sizes, filters);
            let unfolded = unfolded_matrix(sizes, unfolded);
            write(by_output, results, filters, unfolded);
            transpose(by_output, results, result);
        });
    });
    finish.apply(instructions, sizes.outputs, result);
}

pub(super) fn backward_images(
    sizes: &Convolution,
    _: Instructions,
    result_gradient: &[f32],
    filters: &[f32],
    bias: Option<&[f32]>,
    images_gradient: &mut [f32],
) {
    scratch::with(unfolded_length(sizes), |unfolded| {
        let gradient = result_matrix(sizes, result_gradient);
        let filters = filter_matrix(sizes, filters);
        write(unfolded, depth(sizes), gradient, filters);
        fold(sizes, unfolded, bias, images_gradient);
    });
}

pub(super) fn backward_filters(
    sizes: &Convolution,
    _: Instructions,
    images: &[f32],
    result_gradient: &[f32],
    filters_gradient: &mut [f32],
) {
    with_unfolded(sizes, images, |unfolded| {
        let gradient = result_matrix(sizes, result_gradient).transposed();
        let unfolded = unfolded_matrix(sizes, unfolded).transposed();
        write(filters_gradient, depth(sizes), gradient, unfolded);
    });
}

fn write(result: &mut [f32], row: usize, left: Matrix, right: Matrix) {
    product(result, row, Before::Replaced, 1.0, left, right, true);
}

/// Rows of so many columns to columns.
fn transpose(rows: &[f32], columns: usize, result: &mut [f32]) {
    let count = rows.len() / columns;
    result
        .par_chunks_mut(TOGETHER * count)
        .enumerate()
        .for_each(|(block, result)| {
            let first = block * TOGETHER;
            for (index, row) in rows.chunks_exact(columns).enumerate() {
                let places = result[index..].iter_mut().step_by(count);
                for (place, &value) in places.zip(&row[first..]) {
                    *place = value;
                }
            }
        });
}

/// Values of all inputs at all taps.
fn depth(sizes: &Convolution) -> usize {
    sizes.inputs * sizes.kernel[0] * sizes.kernel[1]
}

fn unfolded_length(sizes: &Convolution) -> usize {
    sizes.results() * depth(sizes)
}

fn filter_matrix<'a>(sizes: &Convolution, filters: &'a [f32]) -> Matrix<'a> {
    let depth = depth(sizes);
    Matrix::new(filters, [sizes.outputs, depth], depth)
}

fn result_matrix<'a>(sizes: &Convolution, result: &'a [f32]) -> Matrix<'a> {
    let outputs = sizes.outputs;
    Matrix::new(result, [sizes.results(), outputs], outputs)
}

fn unfolded_matrix<'a>(sizes: &Convolution, unfolded: &'a [f32]) -> Matrix<'a> {
    let results = sizes.results();
    Matrix::new(unfolded, [depth(sizes), results], results)
}

/// Lends the images unfolded: for each input and tap, in the order of the filters, all results.
fn with_unfolded(sizes: &Convolution, images: &[f32], use_unfolded: impl FnOnce(&[f32])) {
    let area = sizes.kernel[0] * sizes.kernel[1];
    let results = sizes.results();
    let pixels = pixels_below(sizes);
    scratch::with(unfolded_length(sizes), |unfolded| {
        unfolded
            .par_chunks_mut(TOGETHER * area * results)
            .enumerate()
            .for_each(|(group, places)| {
                let first = group * TOGETHER;
                for (row, pixel) in pixels.iter().enumerate() {
                    let places = places[row..].iter_mut().step_by(area * results);
                    match pixel {
                        Some(pixel) => {
                            let values = &images[pixel * sizes.inputs + first..];
                            for (place, &value) in places.zip(values) {
                                *place = value;
                            }
                        }
                        None => places.for_each(|place| *place = 0.0),
                    }
                }
            });
        use_unfolded(unfolded);
    });
}

/// Adds up, for each pixel of the images, the unfolded values that stand for it, and the bias.
fn fold(sizes: &Convolution, unfolded: &[f32], bias: Option<&[f32]>, images: &mut [f32]) {
    let [height, width] = sizes.result_size();
    let (area, depth) = (sizes.kernel[0] * sizes.kernel[1], depth(sizes));
    images
        .par_chunks_exact_mut(sizes.inputs)
        .enumerate()
        .for_each(|(index, sums)| {
            let [image, row, column] = split(index, sizes.size);
            match bias {
                Some(bias) => sums.copy_from_slice(bias),
                None => sums.fill(0.0),
            }
            for tap in 0..area {
                let offset = [tap / sizes.kernel[1], tap % sizes.kernel[1]];
                if let Some(result) = result_above(sizes, [row, column], offset) {
                    let start = (image * height * width + result) * depth + tap;
                    let values = unfolded[start..].iter().step_by(area);
                    for (sum, &value) in sums.iter_mut().zip(values) {
                        *sum += value;
                    }
                }
            }
        });
}

/// Image, row and column of a pixel.
fn split(index: usize, [height, width]: [usize; 2]) -> [usize; 3] {
    [
        index / (height * width),
        index / width % height,
        index % width,
    ]
}

/// Which pixel lies below each tap of the filter, for each result; none in the padding.
fn pixels_below(sizes: &Convolution) -> Vec<Option<usize>> {
    let [rows, columns] = sizes.kernel;
    let taps = (0..rows).flat_map(|row| (0..columns).map(move |column| [row, column]));
    let below = |tap: [usize; 2]| {
        (0..sizes.results()).map(move |result| {
            let [image, row, column] = split(result, sizes.result_size());
            let along = |axis: usize, result: usize| {
                let place = result * sizes.stride[axis] + tap[axis] * sizes.dilation[axis];
                let place = place.checked_sub(sizes.padding[axis][0])?;
                (place < sizes.size[axis]).then_some(place)
            };
            let (row, column) = (along(0, row)?, along(1, column)?);
            Some((image * sizes.size[0] + row) * sizes.size[1] + column)
        })
    };
    taps.flat_map(below).collect()
}

/// Which result of an image has a pixel below a tap of its filter.
fn result_above(sizes: &Convolution, pixel: [usize; 2], tap: [usize; 2]) -> Option<usize> {
    let size = sizes.result_size();
    let along = |axis: usize| {
        let reach = tap[axis] * sizes.dilation[axis];
        let place = (pixel[axis] + sizes.padding[axis][0]).checked_sub(reach)?;
        let (result, rest) = (place / sizes.stride[axis], place % sizes.stride[axis]);
        (rest == 0 && result < size[axis]).then_some(result)
    };
    Some(along(0)? * size[1] + along(1)?)
}
