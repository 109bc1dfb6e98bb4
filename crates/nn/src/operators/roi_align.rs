use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};
use cleanslide_kernels::{Region, RoiAlign};

use super::custom::{Keeps, Kept, Operator, Values, instructions, is_cpu, unary};
use super::memory;

/// A region of this side, in pixels, is looked up where the image has been halved so many times: at the stage that
/// an encoder for ImageNet, whose images have this side, gives its features out at (Lin et al., arXiv 1612.03144).
const CANONICAL_SIDE: f32 = 224.0;
const CANONICAL_LEVEL: f32 = 4.0;

/// How a region is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoiAlignOptions {
    /// Bins down and to the right. torchvision's detectors have 7 of each.
    pub bins: [usize; 2],
    /// Samples of a bin along each axis. torchvision's detectors have 2.
    pub samples: usize,
}

impl Default for RoiAlignOptions {
    /// Those of torchvision's detectors.
    fn default() -> Self {
        Self {
            bins: [7; 2],
            samples: 2,
        }
    }
}

/// The features of regions, `[regions, bins down, bins to the right, channels]`, from features `[n, height, width,
/// channels]` that have `scale` times the size of the image that regions are on; see [`RoiAlign`].
///
/// # Panics
/// When regions are not in the order of their images, or there are none.
pub fn roi_align(
    features: Tensor<4>,
    regions: &[Region],
    scale: f32,
    options: RoiAlignOptions,
) -> Tensor<4> {
    let [images, height, width, channels] = features.dims();
    let sizes = RoiAlign {
        images,
        size: [height, width],
        channels,
        scale,
        bins: options.bins,
        samples: options.samples,
    };
    if !is_cpu(&features.device()) {
        return composed(features, regions, sizes);
    }
    let regions = Arc::from(regions);
    unary(Align { sizes, regions }, features)
}

/// The same, of features at several sizes: cells of the levels are so many pixels wide, the finest first. Regions
/// of 224 pixels are looked up where cells are 16 pixels wide, those half as large one level further down, and so on
/// (torchvision's `MultiScaleRoIAlign`).
///
/// # Panics
/// As [`roi_align`], and when there are not as many strides as levels.
pub fn multi_scale_roi_align(
    levels: &[Tensor<4>],
    strides: &[usize],
    regions: &[Region],
    options: RoiAlignOptions,
) -> Tensor<4> {
    assert_eq!(levels.len(), strides.len(), "one stride per level");
    let (mut parts, mut order) = (Vec::new(), Vec::new());
    for (number, (level, &stride)) in levels.iter().zip(strides).enumerate() {
        let here = |region: &Region| level_of(region, strides) == number;
        let places = (0..regions.len()).filter(|&place| here(&regions[place]));
        let before = order.len();
        order.extend(places);
        let regions: Vec<Region> = order[before..]
            .iter()
            .map(|&place| regions[place])
            .collect();
        if !regions.is_empty() {
            parts.push(roi_align(
                level.clone(),
                &regions,
                1.0 / stride as f32,
                options,
            ));
        }
    }
    let device = parts[0].device();
    let mut back = vec![0i64; order.len()];
    for (at, &place) in order.iter().enumerate() {
        back[place] = at as i64;
    }
    let back = TensorData::new(back, [order.len()]);
    Tensor::cat(parts, 0).select(0, Tensor::from_data(back, &device))
}

fn level_of(region: &Region, strides: &[usize]) -> usize {
    // As torchvision has it, so that exact powers of two do not fall below themselves.
    const EPSILON: f32 = 1e-6;
    let area = (region.right - region.left) * (region.bottom - region.top);
    let level = (CANONICAL_LEVEL + (area.sqrt() / CANONICAL_SIDE).log2() + EPSILON).floor();
    let finest = (strides[0] as f32).log2();
    (level - finest).clamp(0.0, (strides.len() - 1) as f32) as usize
}

/// [`roi_align`] of Burn's operators: along each axis a matrix says how much of each feature is in each bin.
pub(super) fn composed(features: Tensor<4>, regions: &[Region], sizes: RoiAlign) -> Tensor<4> {
    let RoiAlign {
        size: [height, width],
        channels,
        bins: [down, across],
        ..
    } = sizes;
    let device = features.device();
    let mut parts = Vec::new();
    for regions in regions.chunk_by(|one, other| one.image == other.image) {
        let (count, image) = (regions.len(), regions[0].image);
        let matrix = |axis: usize| {
            let shares = regions
                .iter()
                .flat_map(|region| shares(&sizes, axis, region));
            let shape = [count * sizes.bins[axis], sizes.size[axis]];
            let data = TensorData::new(shares.collect::<Vec<f32>>(), shape);
            Tensor::<2>::from_data(data, &device)
        };
        let image = features.clone().slice(image..image + 1);
        let rows = matrix(0).matmul(image.reshape([height, width * channels]));
        let rows = rows.reshape([count, down, width, channels]);
        let columns = matrix(1).reshape([count, 1, across, width]);
        parts.push(columns.matmul(rows));
    }
    Tensor::cat(parts, 0)
}

/// How much of each feature along an axis is in each bin of a region, `[bins, features]`.
fn shares(sizes: &RoiAlign, axis: usize, region: &Region) -> Vec<f32> {
    let size = sizes.size[axis];
    let mut shares = vec![0.0; sizes.bins[axis] * size];
    let bins = shares.chunks_exact_mut(size);
    let samples = sizes.samples(axis, region);
    for (bin, samples) in bins.zip(samples.chunks_exact(sizes.samples)) {
        for sample in samples {
            for (place, share) in sample.places.into_iter().zip(sample.shares) {
                bin[place] += share;
            }
        }
    }
    shares
}

#[derive(Debug, Clone)]
struct Align {
    sizes: RoiAlign,
    regions: Arc<[Region]>,
}

impl Operator<1> for Align {
    const KEEPS: Keeps = Keeps::Nothing;

    fn forward(&self, [features]: [&[f32]; 1]) -> Values {
        let RoiAlign {
            bins: [down, across],
            channels,
            ..
        } = self.sizes;
        let count = self.regions.len();
        let mut values = memory::take(count * down * across * channels);
        self.sizes
            .forward(instructions(), features, &self.regions, &mut values);
        Values {
            values,
            shape: vec![count, down, across, channels],
        }
    }

    fn backward(&self, _: Kept<'_, 1>, gradient: &[f32], _: [bool; 1]) -> [Option<Vec<f32>>; 1] {
        let RoiAlign {
            images,
            size: [height, width],
            channels,
            ..
        } = self.sizes;
        let mut values = memory::take(images * height * width * channels);
        self.sizes
            .backward(instructions(), &self.regions, gradient, &mut values);
        [Some(values)]
    }
}
