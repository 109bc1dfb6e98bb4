//! Features of boxes: each box becomes an image of one size, whatever its own.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::Instructions;

/// A box on an image. Coordinates are in pixels, from the corner of the first one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// Which image.
    pub image: usize,
    /// Left edge.
    pub left: f32,
    /// Top edge.
    pub top: f32,
    /// Right edge.
    pub right: f32,
    /// Bottom edge.
    pub bottom: f32,
}

/// The sizes of a RoIAlign (He et al., arXiv 1703.06870): a region is divided into bins, and each bin is the mean
/// of samples that are spread evenly in it and interpolated between four features. As torchvision's with
/// `aligned=False`: a feature lies at the corner of its cell, not in the middle, and a region is at least one
/// feature wide and high. Features are `[images, height, width, channels]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RoiAlign {
    /// The number of images.
    pub images: usize,
    /// Height and width of the features of an image.
    pub size: [usize; 2],
    /// Channels of the features.
    pub channels: usize,
    /// How many features a pixel of the image is wide: 1 / 4 where they have a quarter of its size.
    pub scale: f32,
    /// Bins of a region down and to the right.
    pub bins: [usize; 2],
    /// Samples of a bin along each axis.
    pub samples: usize,
}

/// Between which two features a sample lies, and its shares of them; none of a sample that lies more than one
/// feature outside.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// The features before and behind.
    pub places: [usize; 2],
    /// Their shares in the mean of the samples of the bin.
    pub shares: [f32; 2],
}

impl RoiAlign {
    /// The samples of a region along an axis (0 down, 1 to the right), those of the first bin first.
    pub fn samples(&self, axis: usize, region: &Region) -> Vec<Sample> {
        let [from, to] = match axis {
            0 => [region.top, region.bottom],
            _ => [region.left, region.right],
        }
        .map(|edge| edge * self.scale);
        let bin = (to - from).max(1.0) / self.bins[axis] as f32;
        let step = bin / self.samples as f32;
        (0..self.bins[axis] * self.samples)
            .map(|index| {
                let (place, sample) = (index / self.samples, index % self.samples);
                self.sample(
                    axis,
                    from + place as f32 * bin + (sample as f32 + 0.5) * step,
                )
            })
            .collect()
    }

    fn sample(&self, axis: usize, at: f32) -> Sample {
        let size = self.size[axis];
        if !(-1.0..=size as f32).contains(&at) {
            return Sample {
                places: [0; 2],
                shares: [0.0; 2],
            };
        }
        let at = at.clamp(0.0, (size - 1) as f32);
        let first = at as usize;
        let behind = at - first as f32;
        let share = 1.0 / self.samples as f32;
        Sample {
            places: [first, (first + 1).min(size - 1)],
            shares: [(1.0 - behind) * share, behind * share],
        }
    }

    fn row_length(&self) -> usize {
        self.size[1] * self.channels
    }

    fn image_length(&self) -> usize {
        self.size[0] * self.row_length()
    }

    fn region_length(&self) -> usize {
        self.bins[0] * self.bins[1] * self.channels
    }

    fn check(&self, features: usize, regions: &[Region], result: usize) {
        assert!(
            self.image_length() > 0 && self.region_length() > 0 && self.samples > 0,
            "features, bins and samples: {self:?}"
        );
        assert_eq!(
            features,
            self.images * self.image_length(),
            "length of the features of {self:?}"
        );
        assert_eq!(
            result,
            regions.len() * self.region_length(),
            "length of the result of {} regions of {self:?}",
            regions.len()
        );
        assert!(
            regions.is_sorted_by_key(|region| region.image)
                && regions
                    .last()
                    .is_none_or(|region| region.image < self.images),
            "regions of {} images, in the order of the images",
            self.images
        );
    }

    /// The bins of each region, `[regions, bins down, bins to the right, channels]`.
    ///
    /// # Panics
    /// When a slice has another length than the sizes ask for, or regions are not in the order of their images.
    pub fn forward(
        &self,
        instructions: Instructions,
        features: &[f32],
        regions: &[Region],
        result: &mut [f32],
    ) {
        self.check(features.len(), regions, result.len());
        result
            .par_chunks_mut(self.region_length())
            .zip(regions)
            .for_each(|(result, region)| {
                let length = self.image_length();
                instructions.dispatch(Bins {
                    sizes: self,
                    features: &features[region.image * length..][..length],
                    rows: &self.samples(0, region),
                    columns: &self.samples(1, region),
                    result,
                });
            });
    }

    /// The gradient of the features from that of the result. Regions have none.
    ///
    /// # Panics
    /// When a slice has another length than the sizes ask for, or regions are not in the order of their images.
    pub fn backward(
        &self,
        instructions: Instructions,
        regions: &[Region],
        result_gradient: &[f32],
        features_gradient: &mut [f32],
    ) {
        self.check(features_gradient.len(), regions, result_gradient.len());
        let samples: Vec<[Vec<Sample>; 2]> = regions
            .par_iter()
            .map(|region| [0, 1].map(|axis| self.samples(axis, region)))
            .collect();
        let height = self.size[0];
        // Each row has one thread, which takes the regions in their order, so that sums do not depend on threads.
        features_gradient
            .par_chunks_mut(self.row_length())
            .enumerate()
            .for_each(|(row, features_gradient)| {
                features_gradient.fill(0.0);
                let of_image = regions_of(regions, row / height);
                instructions.dispatch(RowBackward {
                    sizes: self,
                    row: row % height,
                    samples: &samples[of_image.clone()],
                    gradient: &result_gradient[of_image.start * self.region_length()..],
                    features_gradient,
                });
            });
    }
}

/// Which regions are of an image.
fn regions_of(regions: &[Region], image: usize) -> Range<usize> {
    let start = regions.partition_point(|region| region.image < image);
    let count = regions[start..].partition_point(|region| region.image == image);
    start..start + count
}

struct Bins<'a> {
    sizes: &'a RoiAlign,
    features: &'a [f32],
    rows: &'a [Sample],
    columns: &'a [Sample],
    result: &'a mut [f32],
}

impl WithSimd for Bins<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let RoiAlign {
            size: [_, width],
            channels,
            bins: [_, columns],
            samples,
            ..
        } = *self.sizes;
        for (bin, result) in self.result.chunks_exact_mut(channels).enumerate() {
            result.fill(0.0);
            let (row, column) = (bin / columns, bin % columns);
            for down in &self.rows[row * samples..][..samples] {
                for across in &self.columns[column * samples..][..samples] {
                    for (y, of_row) in down.places.into_iter().zip(down.shares) {
                        for (x, of_column) in across.places.into_iter().zip(across.shares) {
                            let share = simd.splat_f32s(of_row * of_column);
                            let feature = &self.features[(y * width + x) * channels..][..channels];
                            each_vector!(simd, S, sum in &mut *result, value in feature => {
                                simd.mul_add_e_f32s(value, share, sum)
                            });
                        }
                    }
                }
            }
        }
    }
}

/// The gradient of one row of the features of an image.
struct RowBackward<'a> {
    sizes: &'a RoiAlign,
    row: usize,
    /// Those of the regions of the image.
    samples: &'a [[Vec<Sample>; 2]],
    /// From the first of these regions on.
    gradient: &'a [f32],
    features_gradient: &'a mut [f32],
}

impl WithSimd for RowBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let sizes = self.sizes;
        let channels = sizes.channels;
        let regions = self.gradient.chunks_exact(sizes.region_length());
        for ([rows, columns], gradient) in self.samples.iter().zip(regions) {
            let bin_rows = gradient.chunks_exact(sizes.bins[1] * channels);
            for (down, gradient) in rows.chunks_exact(sizes.samples).zip(bin_rows) {
                let of_row: f32 = down
                    .iter()
                    .flat_map(|sample| sample.places.into_iter().zip(sample.shares))
                    .filter(|&(place, _)| place == self.row)
                    .map(|(_, share)| share)
                    .sum();
                if of_row == 0.0 {
                    continue;
                }
                for (across, gradient) in columns
                    .chunks_exact(sizes.samples)
                    .zip(gradient.chunks_exact(channels))
                {
                    for sample in across {
                        for (x, of_column) in sample.places.into_iter().zip(sample.shares) {
                            let share = simd.splat_f32s(of_row * of_column);
                            let places = &mut self.features_gradient[x * channels..][..channels];
                            each_vector!(simd, S, sum in places, value in gradient => {
                                simd.mul_add_e_f32s(value, share, sum)
                            });
                        }
                    }
                }
            }
        }
    }
}
