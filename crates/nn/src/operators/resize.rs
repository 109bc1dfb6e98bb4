use burn::tensor::{Tensor, TensorData};
use cleanslide_kernels::Resize;
use ndarray::Array2;

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

/// The same, of Burn's operators, because not every device has a gradient of bilinear resizing.
pub(super) fn composed(images: Tensor<4>, sizes: Resize) -> Tensor<4> {
    weighted(images, [0, 1].map(|axis| bilinear_weights(&sizes, axis)))
}

/// Images `[n, height, width, channels]` in another size, bicubic and without aliasing, as with Pillow and with
/// PyTorch's `antialias=True`: a result is a mean of the pixels that its cubic (Keys, 1981, `a` = -0.5) covers, which is
/// as much wider as the images become smaller.
///
/// # Panics
/// When an image has no pixels.
pub fn bicubic(images: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
    let [_, height, width, _] = images.dims();
    let [rows, columns] = size;
    let weights = [(height, rows), (width, columns)];
    weighted(images, weights.map(|(from, to)| bicubic_weights(from, to)))
}

/// Two products with fixed matrices `[result, source]`, of rows and of columns.
fn weighted(images: Tensor<4>, weights: [Array2<f32>; 2]) -> Tensor<4> {
    let [n, height, width, channels] = images.dims();
    let device = images.device();
    let [(rows, of_rows), (columns, of_columns)] = weights.map(|weights| {
        let (result, source) = weights.dim();
        let data = TensorData::new(weights.into_raw_vec_and_offset().0, [result, source]);
        (
            result,
            Tensor::<2>::from_data(data, &device).unsqueeze::<3>(),
        )
    });
    let images = images.reshape([n, height, width * channels]);
    let images = of_rows.matmul(images).reshape([n * rows, width, channels]);
    of_columns
        .matmul(images)
        .reshape([n, rows, columns, channels])
}

/// The weights `[result, source]` along an axis.
fn bilinear_weights(sizes: &Resize, axis: usize) -> Array2<f32> {
    let mut weights = Array2::zeros((sizes.result_size[axis], sizes.size[axis]));
    for (place, mut row) in weights.rows_mut().into_iter().enumerate() {
        let between = sizes.between(axis, place);
        row[between.first] += 1.0 - between.share;
        row[between.second] += between.share;
    }
    weights
}

/// The weights `[result, source]` along an axis.
fn bicubic_weights(source: usize, result: usize) -> Array2<f32> {
    let scale = source as f64 / result as f64;
    let stretch = scale.max(1.0);
    let mut weights = Array2::from_shape_fn((result, source), |(place, pixel)| {
        let centre = (place as f64 + 0.5) * scale;
        cubic((pixel as f64 + 0.5 - centre) / stretch)
    });
    for mut row in weights.rows_mut() {
        let total = row.sum();
        row /= total;
    }
    weights.mapv(|weight| weight as f32)
}

/// Keys' cubic, `a` = -0.5.
fn cubic(distance: f64) -> f64 {
    let x = distance.abs();
    if x < 1.0 {
        (1.5 * x - 2.5) * x * x + 1.0
    } else if x < 2.0 {
        ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    } else {
        0.0
    }
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
