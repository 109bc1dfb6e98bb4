//! Bilinear enlargement and reduction of images, and its gradient.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::Instructions;

/// The sizes of a resize; images are `[images, height, width, channels]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Resize {
    /// The number of images.
    pub images: usize,
    /// Height and width of an image, in pixels.
    pub size: [usize; 2],
    /// Height and width of the result, in pixels.
    pub result_size: [usize; 2],
    /// Channels of an image.
    pub channels: usize,
    /// Whether the centres of the corner pixels stay where they are; otherwise the edges of the image do, as
    /// with PyTorch's `align_corners=False`.
    pub align_corners: bool,
}

/// Between which two pixels a result lies.
#[derive(Debug, Clone, Copy)]
pub struct Between {
    /// The pixel before.
    pub first: usize,
    /// The pixel behind, or the same at the edge.
    pub second: usize,
    /// The weight of the pixel behind; that of the pixel before is the rest to 1.
    pub share: f32,
}

impl Resize {
    /// Where the result at a place along an axis (0 down, 1 to the right) is taken from.
    pub fn between(&self, axis: usize, place: usize) -> Between {
        let (size, result) = (self.size[axis], self.result_size[axis]);
        let at = if self.align_corners {
            if result == 1 {
                0.0
            } else {
                place as f64 * (size - 1) as f64 / (result - 1) as f64
            }
        } else {
            ((place as f64 + 0.5) * size as f64 / result as f64 - 0.5).max(0.0)
        };
        let first = (at as usize).min(size - 1);
        Between {
            first,
            second: (first + 1).min(size - 1),
            share: (at - first as f64) as f32,
        }
    }

    fn image_length(&self) -> usize {
        self.size[0] * self.size[1] * self.channels
    }

    fn result_row(&self) -> usize {
        self.result_size[1] * self.channels
    }

    fn check(&self, images: usize, result: usize) {
        assert_eq!(
            images,
            self.images * self.image_length(),
            "length of the images of {self:?}"
        );
        assert_eq!(
            result,
            self.images * self.result_size[0] * self.result_row(),
            "length of the result of {self:?}"
        );
        assert!(
            images > 0 || result == 0,
            "an image without pixels has no enlargement: {self:?}"
        );
    }

    /// The image in its new size.
    ///
    /// # Panics
    /// When a slice has another length than the sizes ask for, or an image has no pixels.
    pub fn forward(&self, instructions: Instructions, images: &[f32], result: &mut [f32]) {
        self.check(images.len(), result.len());
        if result.is_empty() {
            return;
        }
        let rows = self.result_size[0];
        let columns: Vec<Between> = (0..self.result_size[1])
            .map(|place| self.between(1, place))
            .collect();
        result
            .par_chunks_mut(self.result_row())
            .enumerate()
            .for_each(|(row, result)| {
                let image = &images[row / rows * self.image_length()..][..self.image_length()];
                instructions.dispatch(Row {
                    sizes: self,
                    image,
                    row: self.between(0, row % rows),
                    columns: &columns,
                    result,
                });
            });
    }

    /// The gradient of the images from that of the result.
    ///
    /// # Panics
    /// When a slice has another length than the sizes ask for, or an image has no pixels.
    pub fn backward(
        &self,
        instructions: Instructions,
        result_gradient: &[f32],
        images_gradient: &mut [f32],
    ) {
        self.check(images_gradient.len(), result_gradient.len());
        if images_gradient.is_empty() {
            return;
        }
        let [rows, columns] = self.result_size;
        let length = rows * self.result_row();
        let rows: Vec<Between> = (0..rows).map(|place| self.between(0, place)).collect();
        let columns: Vec<Between> = (0..columns).map(|place| self.between(1, place)).collect();
        images_gradient
            .par_chunks_mut(self.image_length())
            .enumerate()
            .for_each(|(image, images_gradient)| {
                let gradient = &result_gradient[image * length..][..length];
                images_gradient
                    .par_chunks_mut(self.size[1] * self.channels)
                    .enumerate()
                    .for_each(|(row, images_gradient)| {
                        images_gradient.fill(0.0);
                        instructions.dispatch(RowBackward {
                            sizes: self,
                            gradient,
                            row,
                            rows: &rows,
                            columns: &columns,
                            images_gradient,
                        });
                    });
            });
    }
}

struct Row<'a> {
    sizes: &'a Resize,
    image: &'a [f32],
    row: Between,
    columns: &'a [Between],
    result: &'a mut [f32],
}

impl WithSimd for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let channels = self.sizes.channels;
        let width = self.sizes.size[1];
        let down = simd.splat_f32s(self.row.share);
        for (column, result) in self
            .columns
            .iter()
            .zip(self.result.chunks_exact_mut(channels))
        {
            let across = simd.splat_f32s(column.share);
            let pixel = |y: usize, x: usize| &self.image[(y * width + x) * channels..][..channels];
            each_vector!(simd, S, _result in result, top_left in pixel(self.row.first, column.first), top_right in pixel(self.row.first, column.second), bottom_left in pixel(self.row.second, column.first), bottom_right in pixel(self.row.second, column.second) => {
                    let mix = |from, to, share| {
                        simd.mul_add_e_f32s(simd.sub_f32s(to, from), share, from)
                    };
                    let top = mix(top_left, top_right, across);
                    let bottom = mix(bottom_left, bottom_right, across);
                    mix(top, bottom, down)
                }
            );
        }
    }
}

/// The gradient of one row of an image.
struct RowBackward<'a> {
    sizes: &'a Resize,
    gradient: &'a [f32],
    row: usize,
    rows: &'a [Between],
    columns: &'a [Between],
    images_gradient: &'a mut [f32],
}

impl WithSimd for RowBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let channels = self.sizes.channels;
        // Rows are in order: those that read this row lie together.
        let start = self.rows.partition_point(|row| row.second < self.row);
        for (index, row) in self.rows.iter().enumerate().skip(start) {
            if row.first > self.row {
                break;
            }
            let mut weight = 0.0;
            if row.first == self.row {
                weight += 1.0 - row.share;
            }
            if row.second == self.row {
                weight += row.share;
            }
            let gradient = &self.gradient[index * self.sizes.result_row()..];
            for (column, gradient) in self.columns.iter().zip(gradient.chunks_exact(channels)) {
                for (place, share) in [
                    (column.first, 1.0 - column.share),
                    (column.second, column.share),
                ] {
                    let factor = simd.splat_f32s(weight * share);
                    let places = &mut self.images_gradient[place * channels..][..channels];
                    each_vector!(simd, S, sum in places, value in gradient => {
                        simd.mul_add_e_f32s(value, factor, sum)
                    });
                }
            }
        }
    }
}
