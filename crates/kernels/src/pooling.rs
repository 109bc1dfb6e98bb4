//! Maxima of windows of pixels.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::Instructions;

/// The sizes of a pooling; images are `[images, height, width, channels]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pooling {
    /// The number of images.
    pub images: usize,
    /// Height and width of an image, in pixels.
    pub size: [usize; 2],
    /// Channels of an image.
    pub channels: usize,
    /// Height and width of a window, in pixels.
    pub kernel: [usize; 2],
    /// Pixels from one window to the next, down and to the right.
    pub stride: [usize; 2],
    /// How far windows may reach over each edge, at most half a window; what lies there is never a maximum.
    pub padding: [usize; 2],
}

impl Pooling {
    /// Height and width of the result, in pixels.
    pub fn result_size(&self) -> [usize; 2] {
        std::array::from_fn(|axis| {
            let padded = self.size[axis] + 2 * self.padding[axis] + self.stride[axis];
            padded.saturating_sub(self.kernel[axis]) / self.stride[axis]
        })
    }

    fn image_length(&self) -> usize {
        self.size[0] * self.size[1] * self.channels
    }

    fn result_row(&self) -> usize {
        self.result_size()[1] * self.channels
    }

    /// How many values the images have.
    pub fn images_length(&self) -> usize {
        self.images * self.image_length()
    }

    /// How many values the result has.
    pub fn result_length(&self) -> usize {
        self.images * self.result_size()[0] * self.result_row()
    }

    fn check(&self, images: usize, result: usize) {
        assert!(
            (0..2).all(|axis| {
                self.stride[axis] > 0
                    && self.kernel[axis] > 0
                    && self.padding[axis] <= self.kernel[axis] / 2
            }),
            "stride and kernel are at least 1, the padding at most half the kernel: {self:?}"
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

    /// The maximum of each window.
    ///
    /// # Panics
    /// When a slice has another length than the sizes ask for.
    pub fn max(&self, instructions: Instructions, images: &[f32], result: &mut [f32]) {
        self.check(images.len(), result.len());
        if result.is_empty() {
            return;
        }
        let rows = self.result_size()[0];
        result
            .par_chunks_mut(self.result_row())
            .enumerate()
            .for_each(|(row, result)| {
                let image = &images[row / rows * self.image_length()..][..self.image_length()];
                instructions.dispatch(MaxRow {
                    sizes: self,
                    image,
                    row: row % rows,
                    result,
                });
            });
    }

    /// The gradient of the images: that of each maximum goes to its pixel, the first in reading order where
    /// several are equal.
    ///
    /// # Panics
    /// When a slice has another length than the sizes ask for.
    pub fn max_backward(
        &self,
        instructions: Instructions,
        images: &[f32],
        result_gradient: &[f32],
        images_gradient: &mut [f32],
    ) {
        self.check(images.len(), result_gradient.len());
        assert_eq!(
            images_gradient.len(),
            images.len(),
            "as many gradients as pixels"
        );
        if images.is_empty() {
            return;
        }
        let [height, width] = self.size;
        let rows = self.result_size()[0];
        // Windows that do not overlap share no row of the image, so that each can be done by itself.
        let apart = self.stride[0] >= self.kernel[0] && self.padding[0] == 0;
        let block_rows = if apart { self.stride[0] } else { height };
        images_gradient
            .par_chunks_mut(self.image_length())
            .enumerate()
            .for_each(|(image, images_gradient)| {
                let pixels = &images[image * self.image_length()..][..self.image_length()];
                let gradient_length = rows * self.result_row();
                let gradient = &result_gradient[image * gradient_length..][..gradient_length];
                images_gradient
                    .par_chunks_mut(block_rows * width * self.channels)
                    .enumerate()
                    .for_each(|(block, images_gradient)| {
                        images_gradient.fill(0.0);
                        let rows = if apart {
                            block..(block + 1).min(rows)
                        } else {
                            0..rows
                        };
                        instructions.dispatch(MaxRowsBackward {
                            sizes: self,
                            pixels,
                            rows,
                            gradient,
                            first: block * block_rows * width * self.channels,
                            images_gradient,
                        });
                    });
            });
    }

    /// The pixels of a window along an axis.
    #[inline(always)]
    fn window(&self, axis: usize, place: usize) -> std::ops::Range<usize> {
        let start = place * self.stride[axis];
        let end = (start + self.kernel[axis]).saturating_sub(self.padding[axis]);
        start.saturating_sub(self.padding[axis])..end.min(self.size[axis])
    }
}

/// Where `value` is the new maximum: greater, or not a number, which must not be lost on the way.
#[inline(always)]
fn replaces<S: Simd>(simd: S, value: S::f32s, most: S::f32s) -> S::m32s {
    let number = simd.equal_f32s(value, value);
    simd.or_m32s(simd.greater_than_f32s(value, most), simd.not_m32s(number))
}

struct MaxRow<'a> {
    sizes: &'a Pooling,
    image: &'a [f32],
    row: usize,
    result: &'a mut [f32],
}

impl WithSimd for MaxRow<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let sizes = self.sizes;
        let channels = sizes.channels;
        for (column, result) in self.result.chunks_exact_mut(channels).enumerate() {
            result.fill(f32::NEG_INFINITY);
            for y in sizes.window(0, self.row) {
                for x in sizes.window(1, column) {
                    let pixel = &self.image[(y * sizes.size[1] + x) * channels..][..channels];
                    each_vector!(simd, S, most in &mut *result, value in pixel => {
                        simd.select_f32s(replaces(simd, value, most), value, most)
                    });
                }
            }
        }
    }
}

struct MaxRowsBackward<'a> {
    sizes: &'a Pooling,
    pixels: &'a [f32],
    rows: std::ops::Range<usize>,
    gradient: &'a [f32],
    /// Where `images_gradient` starts in the image.
    first: usize,
    images_gradient: &'a mut [f32],
}

impl WithSimd for MaxRowsBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let sizes = self.sizes;
        let channels = sizes.channels;
        let columns = sizes.result_size()[1];
        for row in self.rows {
            for column in 0..columns {
                let gradient = &self.gradient[(row * columns + column) * channels..][..channels];
                for start in (0..channels).step_by(S::F32_LANES) {
                    let end = channels.min(start + S::F32_LANES);
                    let at = |y: usize, x: usize| (y * sizes.size[1] + x) * channels + start;
                    let count = end - start;
                    let gradient = simd.partial_load_f32s(&gradient[start..end]);
                    let mut most = simd.splat_f32s(f32::NEG_INFINITY);
                    // The number of the tap that has the maximum.
                    let mut place = simd.splat_f32s(0.0);
                    let mut tap = 0.0;
                    for y in sizes.window(0, row) {
                        for x in sizes.window(1, column) {
                            let value = simd.partial_load_f32s(&self.pixels[at(y, x)..][..count]);
                            let replaces = replaces(simd, value, most);
                            most = simd.select_f32s(replaces, value, most);
                            place = simd.select_f32s(replaces, simd.splat_f32s(tap), place);
                            tap += 1.0;
                        }
                    }
                    let mut tap = 0.0;
                    for y in sizes.window(0, row) {
                        for x in sizes.window(1, column) {
                            let here = simd.equal_f32s(place, simd.splat_f32s(tap));
                            let share = simd.select_f32s(here, gradient, simd.splat_f32s(0.0));
                            let places =
                                &mut self.images_gradient[at(y, x) - self.first..][..count];
                            let sum = simd.add_f32s(simd.partial_load_f32s(places), share);
                            simd.partial_store_f32s(places, sum);
                            tap += 1.0;
                        }
                    }
                }
            }
        }
    }
}
