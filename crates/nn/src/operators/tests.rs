//! Our kernels against the same operators composed of Burn's, on every device of the build: results and all gradients.

use burn::tensor::{Device, Tensor, TensorData};
use cleanslide_kernels::{Activation, Attention, Region, Resize, RoiAlign};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::convolution::{composed_convolution, composed_transposed_convolution};
use super::normalization::{composed_moments, composed_normalize};
use super::{
    ConvolutionOptions, GroupNormalization, Normalization, PoolingOptions, RoiAlignOptions,
    activated_convolution, adaptive_average_pooling, add, attention, convolution, enlarge, gelu,
    group_normalize, join, join_all, layer_norm, linear, linear_gelu, max_pooling, moments,
    normalize, pooling, resize, roi_align, transposed_convolution,
};
use crate::devices::DeviceName;

/// Sums of some hundred products of values below 1 in f32, and Winograd's transforms: see the tests of the
/// kernels. Gradients of normalisations are differences of such sums. A GPU sums in another order, and its
/// exponentials are wrong by a few units in the last place.
const TOLERANCE: f32 = 1e-4;

fn random<const D: usize>(seed: u64, shape: [usize; D], device: &Device) -> Tensor<D> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|_| rng.random_range(-1.0..1.0))
        .collect();
    Tensor::from_data(TensorData::new(values, shape), &device.clone().autodiff())
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

fn assert_close(what: &str, ours: &[f32], theirs: &[f32]) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let scale = theirs
        .iter()
        .fold(1.0, |most: f32, value| most.max(value.abs()));
    for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        let close = (ours - theirs).abs() <= TOLERANCE * scale;
        assert!(close, "{what} {index}: {ours} instead of {theirs}");
    }
}

/// Compares results and gradients of a function of images, of filters or a scale, and of a bias or a shift: `ours` on
/// every device with `theirs` on the CPU.
fn compare<const F: usize>(
    images: [usize; 4],
    second: [usize; F],
    third: usize,
    ours: impl Fn(Tensor<4>, Tensor<F>, Tensor<1>) -> Tensor<4>,
    theirs: impl Fn(Tensor<4>, Tensor<F>, Tensor<1>) -> Tensor<4>,
) {
    type Function<'a, const F: usize> = &'a dyn Fn(Tensor<4>, Tensor<F>, Tensor<1>) -> Tensor<4>;
    let run = |function: Function<F>, device: &Device| {
        let images = random(1, images, device).require_grad();
        let second = random(2, second, device).require_grad();
        let third = random(3, [third], device).require_grad();
        let result = function(images.clone(), second.clone(), third.clone());
        let weights = random(4, result.dims(), device);
        let gradients = (result.clone() * weights).sum().backward();
        let gradient = |found: Option<Vec<f32>>| found.unwrap_or_default();
        [
            values(result),
            gradient(images.grad(&gradients).map(values)),
            gradient(second.grad(&gradients).map(values)),
            gradient(third.grad(&gradients).map(values)),
        ]
    };
    let names = [
        "result",
        "first gradient",
        "second gradient",
        "third gradient",
    ];
    let expected = run(&theirs, &Device::flex());
    for name in DeviceName::of_build() {
        let found = run(&ours, &name.open().unwrap().device);
        for ((ours, theirs), what) in found.iter().zip(&expected).zip(names) {
            assert_close(&format!("{what} on {name}"), ours, theirs);
        }
    }
}

#[test]
fn convolutions() {
    let strided = ConvolutionOptions {
        stride: [2, 2],
        padding: [[0, 1], [0, 1]],
        ..Default::default()
    };
    let padded = ConvolutionOptions {
        padding: [[1; 2]; 2],
        ..Default::default()
    };
    let depthwise = ConvolutionOptions {
        depthwise: true,
        ..padded
    };
    for (inputs, filters, options) in [
        (5, [7, 5, 3, 3], strided),
        (16, [20, 16, 3, 3], padded),
        (6, [6, 1, 3, 3], depthwise),
        (9, [4, 9, 1, 1], ConvolutionOptions::default()),
    ] {
        compare(
            [2, 11, 10, inputs],
            filters,
            filters[0],
            |images, filters, bias| convolution(images, filters, Some(bias), options),
            |images, filters, bias| composed_convolution(images, filters, Some(bias), options),
        );
        compare(
            [2, 11, 10, inputs],
            filters,
            1,
            |images, filters, _| convolution(images, filters, None, options),
            |images, filters, _| composed_convolution(images, filters, None, options),
        );
    }
}

#[test]
fn activated_convolutions() {
    let options = ConvolutionOptions::centred(3);
    let given = |device: &Device| {
        let images = random(1, [2, 9, 7, 17], device).inner();
        let filters = random(2, [18, 17, 3, 3], device).inner();
        let bias = random(3, [18], device).inner();
        (images, filters, bias)
    };
    let (images, filters, bias) = given(&Device::flex());
    let sums = values(composed_convolution(images, filters, Some(bias), options));
    for (activation, [least, most]) in [
        (Activation::Identity, [f32::NEG_INFINITY, f32::INFINITY]),
        (Activation::Relu, [0.0, f32::INFINITY]),
        (Activation::Relu6, [0.0, 6.0]),
    ] {
        let expected: Vec<f32> = sums.iter().map(|sum| sum.clamp(least, most)).collect();
        for name in DeviceName::of_build() {
            let (images, filters, bias) = given(&name.open().unwrap().device);
            let found = activated_convolution(images, filters, bias, options, activation);
            assert_close(
                &format!("{activation:?} on {name}"),
                &values(found),
                &expected,
            );
        }
    }
}

#[test]
fn transposed_convolutions() {
    for size in [2, 3] {
        compare(
            [2, 5, 6, 8],
            [8, 5, size, size],
            5,
            |images, filters, bias| transposed_convolution(images, filters, Some(bias), [2, 2]),
            |images, filters, bias| {
                composed_transposed_convolution(images, filters, Some(bias), [2, 2])
            },
        );
    }
}

#[test]
fn normalisations() {
    for activation in [Activation::Identity, Activation::Relu, Activation::Relu6] {
        for own_moments in [true, false] {
            let by = |[mean, variance]: [Tensor<1>; 2]| Normalization {
                mean,
                variance,
                own_moments,
                epsilon: 1e-5,
                activation,
            };
            let given = |device: &Device| {
                [
                    random(5, [21], device),
                    random(6, [21], device).add_scalar(1.5),
                ]
            };
            compare(
                [3, 20, 11, 21],
                [21],
                21,
                |images, scale, shift| {
                    let found = if own_moments {
                        moments(images.clone())
                    } else {
                        given(&images.device())
                    };
                    normalize(images, scale, shift, by(found))
                },
                |images, scale, shift| {
                    let found = if own_moments {
                        composed_moments(images.clone())
                    } else {
                        given(&images.device())
                    };
                    composed_normalize(images, scale, shift, by(found))
                },
            );
        }
    }
}

#[test]
fn poolings() {
    let overlapping = PoolingOptions {
        kernel: [3, 3],
        stride: [2, 2],
        padding: [1, 1],
    };
    for options in [PoolingOptions::side_by_side(2), overlapping] {
        compare(
            [2, 9, 12, 19],
            [1],
            1,
            |images, _, _| max_pooling(images, options),
            |images, _, _| pooling::composed(images, options),
        );
    }
}

#[test]
fn average_poolings() {
    for windows in [[1, 1], [3, 4], [2, 6], [5, 7], [12, 13]] {
        compare(
            [2, 9, 12, 19],
            [1],
            1,
            |images, _, _| adaptive_average_pooling(images, windows),
            |images, _, _| super::average_pooling::composed(images, windows),
        );
    }
}

/// Compares results and gradients of a function of rows, a matrix and a row.
fn compare_rows(
    rows: [usize; 2],
    second: [usize; 2],
    third: usize,
    ours: impl Fn(Tensor<2>, Tensor<2>, Tensor<1>) -> Tensor<2>,
    theirs: impl Fn(Tensor<2>, Tensor<2>, Tensor<1>) -> Tensor<2>,
) {
    let flat = |result: Tensor<2>| -> Tensor<4> { result.unsqueeze_dims(&[0, 0]) };
    compare(
        [1, 1, rows[0], rows[1]],
        second,
        third,
        |images, second, third| flat(ours(images.reshape(rows), second, third)),
        |images, second, third| flat(theirs(images.reshape(rows), second, third)),
    );
}

#[test]
fn rows() {
    compare_rows(
        [13, 7],
        [5, 7],
        5,
        |rows, weight, bias| linear(rows, weight, Some(bias)),
        |rows, weight, bias| super::linear::composed(rows, weight, Some(bias)),
    );
    compare_rows(
        [13, 7],
        [5, 7],
        1,
        |rows, weight, _| linear(rows, weight, None),
        |rows, weight, _| super::linear::composed(rows, weight, None),
    );
    compare_rows(
        [70, 33],
        [1, 33],
        33,
        |rows, scale, shift| layer_norm(rows, scale.reshape([33]), shift, 1e-5),
        |rows, scale, shift| super::layer_norm::composed(rows, scale.reshape([33]), shift, 1e-5),
    );
    compare_rows(
        [9, 30],
        [1, 1],
        1,
        |rows, _, _| gelu(rows),
        |rows, _, _| super::gelu::composed(rows),
    );
}

#[test]
fn rows_with_gelu_at_once() {
    // Enough for several threads.
    let rows = random(1, [300, 33], &Device::flex()).inner();
    let weight = random(2, [20, 33], &Device::flex()).inner();
    let bias = random(3, [20], &Device::flex()).inner();
    let ours = linear_gelu(rows.clone(), weight.clone(), bias.clone());
    let apart = super::linear::composed(rows, weight, Some(bias));
    let theirs = super::gelu::composed(apart);
    assert_close("rows", &values(ours), &values(theirs));
}

#[test]
fn attentions() {
    let sizes = Attention {
        images: 2,
        tokens: 21,
        heads: 3,
        width: 5,
    };
    compare(
        [2, 21, 1, 45],
        [1],
        1,
        |inputs, _, _| attention(inputs.reshape([2, 21, 45]), 3).unsqueeze_dim(2),
        |inputs, _, _| {
            super::attention::composed(inputs.reshape([2, 21, 45]), sizes).unsqueeze_dim(2)
        },
    );
}

#[test]
fn sums() {
    for activation in [Activation::Identity, Activation::Relu, Activation::Relu6] {
        compare(
            [2, 5, 6, 7],
            [2, 5, 6, 7],
            1,
            |first, second, _| add(first, second, activation),
            |first, second, _| super::addition::composed(first, second, activation),
        );
    }
}

#[test]
fn group_normalizations() {
    for (activation, groups) in [
        (Activation::Identity, 1),
        (Activation::Relu, 6),
        (Activation::Relu6, 18),
    ] {
        let by = GroupNormalization {
            groups,
            epsilon: 1e-5,
            activation,
        };
        compare(
            [3, 25, 31, 18],
            [18],
            18,
            |images, scale, shift| group_normalize(images, scale, shift, by),
            |images, scale, shift| super::group_norm::composed(images, scale, shift, by),
        );
    }
}

#[test]
fn enlarged_images() {
    for factor in [1, 2, 3, 8] {
        compare(
            [2, 5, 6, 7],
            [1],
            1,
            |images, _, _| enlarge(images, factor),
            |images, _, _| super::enlarging::composed(images, factor),
        );
    }
}

#[test]
fn joined_channels() {
    compare(
        [2, 31, 40, 5],
        [2, 31, 40, 3],
        1,
        |first, second, _| join(first, second),
        |first, second, _| Tensor::cat(vec![first, second], 3),
    );
    let all = |first: Tensor<4>, second| vec![first.clone(), second, first];
    compare(
        [2, 31, 40, 5],
        [2, 31, 40, 3],
        1,
        |first, second, _| join_all(all(first, second)),
        |first, second, _| Tensor::cat(all(first, second), 3),
    );
}

#[test]
fn resizes() {
    for (size, align_corners) in [
        ([14, 23], false),
        ([14, 23], true),
        ([3, 4], false),
        ([1, 1], true),
        ([7, 9], true),
        ([7, 9], false),
    ] {
        let sizes = Resize {
            images: 2,
            size: [7, 9],
            result_size: size,
            channels: 18,
            align_corners,
        };
        compare(
            [2, 7, 9, 18],
            [1],
            1,
            |images, _, _| resize(images, size, align_corners),
            |images, _, _| super::resize::composed(images, sizes),
        );
    }
}

#[test]
fn regions_of_images() {
    // The second image has none, and the third one beside it.
    let regions = [
        (0, [3.0, 5.0, 40.0, 31.0]),
        (0, [-9.0, 20.0, 12.0, 52.0]),
        (2, [60.0, 60.0, 90.0, 90.0]),
    ]
    .map(|(image, [left, top, right, bottom])| Region {
        image,
        left,
        top,
        right,
        bottom,
    });
    let options = RoiAlignOptions {
        bins: [3, 4],
        samples: 2,
    };
    let sizes = RoiAlign {
        images: 3,
        size: [11, 9],
        channels: 18,
        scale: 0.25,
        bins: options.bins,
        samples: options.samples,
    };
    compare(
        [3, 11, 9, 18],
        [1],
        1,
        |features, _, _| roi_align(features, &regions, 0.25, options),
        |features, _, _| super::roi_align::composed(features, &regions, sizes),
    );
}

#[test]
fn what_is_no_number_is_not_hidden() {
    let mut pixels = vec![0.5f32; 2 * 2 * 3];
    pixels[4] = f32::NAN;
    let device = Device::flex();
    let images = || Tensor::<4>::from_data(TensorData::new(pixels.clone(), [1, 2, 2, 3]), &device);
    let pooled = values(max_pooling(images(), PoolingOptions::side_by_side(2)));
    assert!(pooled[1].is_nan() && pooled[0] == 0.5);
    let ones = || Tensor::<1>::ones([3], &device);
    let by = Normalization {
        mean: ones(),
        variance: ones(),
        own_moments: false,
        epsilon: 0.0,
        activation: Activation::Relu,
    };
    let normalized = values(normalize(images(), ones(), ones(), by));
    assert!(normalized[4].is_nan() && normalized[0] == 0.5);
}
