//! Means of windows that cover an image, however large it is: PyTorch's adaptive average pooling.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::normalization::BlockSums;
use crate::{Instructions, scratch};

/// The sizes of an average pooling; images are `[images, height, width, channels]`.
///
/// Window i of n along an axis of s pixels reaches from pixel ⌊i · s / n⌋ to before pixel ⌈(i + 1) · s / n⌉: where n
/// divides s, windows lie side by side, otherwise they overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AveragePooling {
    /// The number of images.
    pub images: usize,
    /// Height and width of an image, in pixels.
    pub size: [usize; 2],
    /// Channels of an image.
    pub channels: usize,
    /// How many windows there are, down and to the right.
    pub result_size: [usize; 2],
}

impl AveragePooling {
    /// The pixels of a window along an axis (0 down, 1 to the right).
    #[inline(always)]
    fn window(&self, axis: usize, place: usize) -> Range<usize> {
        let (size, windows) = (self.size[axis], self.result_size[axis]);
        place * size / windows..((place + 1) * size).div_ceil(windows)
    }

    fn image_row(&self) -> usize {
        self.size[1] * self.channels
    }

    fn result_row(&self) -> usize {
        self.result_size[1] * self.channels
    }

    /// How many values the images have.
    pub fn images_length(&self) -> usize {
        self.images * self.size[0] * self.image_row()
    }

    /// How many values the result has.
    pub fn result_length(&self) -> usize {
        self.images * self.result_size[0] * self.result_row()
    }

    fn check(&self, images: usize, result: usize) {
        assert!(
            self.size.iter().chain(&self.result_size).all(|&n| n > 0) && self.channels > 0,
            "an image has at least one pixel, one channel and one window: {self:?}"
        );
        assert_eq!(
            images,
            self.images_length(),
            "length of the images of {self:?}"
        );
        assert_eq!(
            result,
            self.result_length(),
            "length of the result of {self:?}"
        );
    }

    /// The mean of each window: rows of a window are summed first, so that sums stay short.
    ///
    /// # Panics
    /// When a slice has another length than the sizes ask for, or there are no pixels, channels or windows.
    pub fn forward(&self, instructions: Instructions, images: &[f32], result: &mut [f32]) {
        self.check(images.len(), result.len());
        let ([height, _], [rows, _]) = (self.size, self.result_size);
        let row_length = self.result_row();
        scratch::with(self.images * height * row_length, |sums| {
            sums.par_chunks_mut(row_length)
                .zip(images.par_chunks(self.image_row()))
                .for_each(|(sums, values)| {
                    for (column, sums) in sums.chunks_exact_mut(self.channels).enumerate() {
                        let window = self.window(1, column);
                        let values =
                            &values[window.start * self.channels..window.end * self.channels];
                        instructions.dispatch(BlockSums { values, sums });
                    }
                });
            let sums = &*sums;
            result
                .par_chunks_mut(row_length)
                .enumerate()
                .for_each(|(row, result)| {
                    let window = self.window(0, row % rows);
                    let first = row / rows * height;
                    let sums = &sums
                        [(first + window.start) * row_length..(first + window.end) * row_length];
                    instructions.dispatch(BlockSums {
                        values: sums,
                        sums: result,
                    });
                    for (column, result) in result.chunks_exact_mut(self.channels).enumerate() {
                        let pixels = (window.len() * self.window(1, column).len()) as f32;
                        result.iter_mut().for_each(|value| *value /= pixels);
                    }
                });
        });
    }

    /// The gradient of the images: each mean's is shared evenly by the pixels of its window.
    ///
    /// # Panics
    /// When a slice has another length than the sizes ask for, or there are no pixels, channels or windows.
    pub fn backward(
        &self,
        instructions: Instructions,
        result_gradient: &[f32],
        images_gradient: &mut [f32],
    ) {
        self.check(images_gradient.len(), result_gradient.len());
        let ([height, _], [rows, _]) = (self.size, self.result_size);
        images_gradient
            .par_chunks_mut(self.image_row())
            .enumerate()
            .for_each(|(row, images_gradient)| {
                images_gradient.fill(0.0);
                for result_row in 0..rows {
                    let window = self.window(0, result_row);
                    if !window.contains(&(row % height)) {
                        continue;
                    }
                    let start = (row / height * rows + result_row) * self.result_row();
                    instructions.dispatch(RowBackward {
                        sizes: self,
                        height: window.len(),
                        gradient: &result_gradient[start..][..self.result_row()],
                        images_gradient,
                    });
                }
            });
    }
}

/// Adds what one row of windows gives to one row of pixels.
struct RowBackward<'a> {
    sizes: &'a AveragePooling,
    /// That of the windows.
    height: usize,
    gradient: &'a [f32],
    images_gradient: &'a mut [f32],
}

impl WithSimd for RowBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let channels = self.sizes.channels;
        for (column, gradient) in self.gradient.chunks_exact(channels).enumerate() {
            let window = self.sizes.window(1, column);
            let share = simd.splat_f32s(1.0 / (self.height * window.len()) as f32);
            let pixels = &mut self.images_gradient[window.start * channels..window.end * channels];
            for pixel in pixels.chunks_exact_mut(channels) {
                each_vector!(simd, S, sum in pixel, value in gradient => {
                    simd.mul_add_e_f32s(value, share, sum)
                });
            }
        }
    }
}
