use burn::tensor::{Device, Tensor, TensorData};
use cleanslide_kernels::Resize;

use super::custom::{Keeps, Kept, Operator, Values, instructions, is_cpu, unary};
use super::memory;

/// Images `[n, height, width, channels]` in another size, bilinear. `align_corners` keeps the centres of the
/// corner pixels where they are; otherwise the edges of the image stay, as with PyTorch's
/// `align_corners=False`. Images of that size stay as they are.
///
/// # Panics
/// When an image has no pixels.
pub fn resize(images: Tensor<4>, size: [usize; 2], align_corners: bool) -> Tensor<4> {
    let [n, height, width, channels] = images.dims();
    if size == [height, width] {
        return images;
    }
    let sizes = Resize {
        images: n,
        size: [height, width],
        result_size: size,
        channels,
        align_corners,
    };
    if is_cpu(&images.device()) {
        return unary(Bilinear(sizes), images);
    }
    composed(images, sizes)
}

/// The same, of Burn's operators.
pub(super) fn composed(images: Tensor<4>, sizes: Resize) -> Tensor<4> {
    let [n, height, width, channels] = images.dims();
    let size = sizes.result_size;
    // Two products with fixed matrices, because not every device has a gradient of bilinear resizing.
    let device = images.device();
    let rows: Tensor<3> = matrix(&sizes, 0, &device).unsqueeze();
    let columns: Tensor<3> = matrix(&sizes, 1, &device).unsqueeze();
    let images = images.reshape([n, height, width * channels]);
    let images = rows.matmul(images).reshape([n * size[0], width, channels]);
    columns
        .matmul(images)
        .reshape([n, size[0], size[1], channels])
}

/// The weights `[result, source]` along an axis.
fn matrix(sizes: &Resize, axis: usize, device: &Device) -> Tensor<2> {
    let (source, result) = (sizes.size[axis], sizes.result_size[axis]);
    let mut weights = vec![0.0f32; result * source];
    for place in 0..result {
        let between = sizes.between(axis, place);
        weights[place * source + between.first] += 1.0 - between.share;
        weights[place * source + between.second] += between.share;
    }
    Tensor::from_data(TensorData::new(weights, [result, source]), device)
}

#[derive(Debug, Clone, Copy)]
struct Bilinear(Resize);

impl Operator<1> for Bilinear {
    const KEEPS: Keeps = Keeps::Nothing;

    fn forward(&self, [images]: [&[f32]; 1]) -> Values {
        let Self(sizes) = self;
        let [height, width] = sizes.result_size;
        let mut values = memory::take(sizes.images * height * width * sizes.channels);
        sizes.forward(instructions(), images, &mut values);
        Values {
            values,
            shape: vec![sizes.images, height, width, sizes.channels],
        }
    }

    fn backward(&self, _: Kept<'_, 1>, gradient: &[f32], _: [bool; 1]) -> [Option<Vec<f32>>; 1] {
        let Self(sizes) = self;
        let length = sizes.images * sizes.size[0] * sizes.size[1] * sizes.channels;
        let mut values = memory::take(length);
        sizes.backward(instructions(), gradient, &mut values);
        [Some(values)]
    }
}
