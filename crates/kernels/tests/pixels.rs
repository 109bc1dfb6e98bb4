//! Normalisation, pooling and resizing on every instruction set of this machine, against their definitions in
//! f64.

mod common;

use cleanslide_kernels::normalization::{
    Affine, GradientAffine, gradient_sums, moments, normalize, sums, values_gradient,
};
use cleanslide_kernels::{Activation, AveragePooling, Pooling, Resize};
use common::instruction_sets;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn random(seed: u64, length: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..length).map(|_| rng.random_range(-2.0..8.0)).collect()
}

/// `scale` is the sum of the absolute values that went into a result; sums of up to a thousand values in
/// f32 lose a few dozen roundings of 6e-8 of it.
fn assert_close(what: &str, ours: f32, expected: f64, scale: f64) {
    let error = (f64::from(ours) - expected).abs();
    assert!(
        error <= 2e-6 * scale + 1e-9,
        "{what}: {ours} instead of {expected}"
    );
}

fn activated(activation: Activation, value: f64) -> f64 {
    match activation {
        Activation::Identity => value,
        Activation::Relu => value.max(0.0),
        Activation::Relu6 => value.clamp(0.0, 6.0),
    }
}

fn passes(activation: Activation, value: f64) -> bool {
    match activation {
        Activation::Identity => true,
        Activation::Relu => value > 0.0,
        Activation::Relu6 => value > 0.0 && value < 6.0,
    }
}

fn activations() -> impl Strategy<Value = Activation> {
    prop_oneof![
        Just(Activation::Identity),
        Just(Activation::Relu),
        Just(Activation::Relu6)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn moments_and_sums(rows in 1usize..1100, channels in 1usize..40, seed in any::<u64>()) {
        // A mean far from 0, where the naive formula loses the variance.
        let values: Vec<f32> =
            random(seed, rows * channels).iter().map(|value| value + 1000.0).collect();
        let column = |channel: usize| {
            values.iter().skip(channel).step_by(channels).map(|&value| f64::from(value))
        };
        for instructions in instruction_sets() {
            let (mut mean, mut variance) = (vec![f32::NAN; channels], vec![f32::NAN; channels]);
            moments(instructions, &values, &mut mean, &mut variance);
            let mut totals = vec![f32::NAN; channels];
            sums(instructions, &values, &mut totals);
            for channel in 0..channels {
                let total: f64 = column(channel).sum();
                let centre = total / rows as f64;
                let spread = column(channel).map(|value| (value - centre).powi(2)).sum::<f64>();
                assert_close("sum", totals[channel], total, total);
                assert_close("mean", mean[channel], centre, centre);
                // Each distance is a difference of f32 around 1000, whose rounding is 6e-5.
                let expected = spread / rows as f64;
                let error = (f64::from(variance[channel]) - expected).abs();
                prop_assert!(error <= 1e-3, "variance {} instead of {expected}", variance[channel]);
            }
        }
    }

    #[test]
    fn normalisation(
        rows in 1usize..700,
        channels in 1usize..40,
        activation in activations(),
        seed in any::<u64>(),
    ) {
        let values = random(seed, rows * channels);
        let gradient = random(seed ^ 1, rows * channels);
        let mut by_channel = (2..).map(|salt| random(seed ^ salt, channels));
        let mut next = || by_channel.next().unwrap();
        let (factor, summand, mean) = (next(), next(), next());
        let (gradient_factor, value_factor, last) = (next(), next(), next());
        let affine = Affine { factor: &factor, summand: &summand, activation };
        let by = GradientAffine {
            gradient_factor: &gradient_factor,
            value_factor: &value_factor,
            summand: &last,
        };
        for instructions in instruction_sets() {
            let mut result = vec![f32::NAN; values.len()];
            normalize(instructions, &values, affine, &mut result);
            let mut images_gradient = vec![f32::NAN; values.len()];
            values_gradient(instructions, &values, affine, &gradient, by, &mut images_gradient);
            let (mut plain, mut distances) = (vec![f32::NAN; channels], vec![f32::NAN; channels]);
            gradient_sums(
                instructions, &values, affine, &gradient, &mean, &mut plain, &mut distances,
            );
            let mut expected = vec![[0.0f64; 4]; channels];
            for (index, (&value, &gradient)) in values.iter().zip(&gradient).enumerate() {
                let channel = index % channels;
                let of = |values: &[f32]| f64::from(values[channel]);
                let (value, gradient) = (f64::from(value), f64::from(gradient));
                let before = value * of(&factor) + of(&summand);
                let scale = value.abs() * of(&factor).abs() + of(&summand).abs();
                assert_close("result", result[index], activated(activation, before), scale);
                // Where rounding decides on which side of a corner a value lies, both are right.
                let corner = before.abs().min((before - 6.0).abs()) < 1e-5;
                prop_assume!(!corner);
                let gradient = if passes(activation, before) { gradient } else { 0.0 };
                let distance = value - of(&mean);
                expected[channel][0] += gradient;
                expected[channel][1] += gradient.abs();
                expected[channel][2] += gradient * distance;
                expected[channel][3] += gradient.abs() * (value.abs() + of(&mean).abs());
                let terms = [gradient * of(&gradient_factor), value * of(&value_factor), of(&last)];
                let scale = terms.iter().map(|term| term.abs()).sum();
                assert_close("gradient", images_gradient[index], terms.iter().sum(), scale);
            }
            for (channel, [sum, scale, product, product_scale]) in expected.into_iter().enumerate() {
                assert_close("sum of gradients", plain[channel], sum, scale);
                assert_close("sum of products", distances[channel], product, product_scale);
            }
        }
    }

    #[test]
    fn pooling(
        images in 1usize..3,
        size in [3usize..12, 3usize..12],
        channels in 1usize..40,
        kernel in [1usize..4, 1usize..4],
        stride in [1usize..4, 1usize..4],
        padded in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let padding = if padded { kernel.map(|size| size / 2) } else { [0; 2] };
        let sizes = Pooling { images, size, channels, kernel, stride, padding };
        // Few different values, so that several are often the largest.
        let values: Vec<f32> =
            random(seed, sizes.images_length()).iter().map(|value| value.round()).collect();
        let gradient = random(seed ^ 1, sizes.result_length());
        let [rows, columns] = sizes.result_size();
        let mut expected = vec![f32::NEG_INFINITY; sizes.result_length()];
        let mut expected_gradient = vec![0.0f64; values.len()];
        for place in 0..images * rows * columns {
            let (image, y, x) = (place / (rows * columns), place / columns % rows, place % columns);
            for channel in 0..channels {
                let mut first = None;
                for (i, j) in (0..kernel[0]).flat_map(|i| (0..kernel[1]).map(move |j| (i, j))) {
                    let row = (y * stride[0] + i).checked_sub(padding[0]).filter(|&row| row < size[0]);
                    let column =
                        (x * stride[1] + j).checked_sub(padding[1]).filter(|&column| column < size[1]);
                    if let (Some(row), Some(column)) = (row, column) {
                        let pixel = (image * size[0] + row) * size[1] + column;
                        let index = pixel * channels + channel;
                        if values[index] > expected[place * channels + channel] {
                            expected[place * channels + channel] = values[index];
                            first = Some(index);
                        }
                    }
                }
                if let Some(first) = first {
                    expected_gradient[first] += f64::from(gradient[place * channels + channel]);
                }
            }
        }
        for instructions in instruction_sets() {
            let mut result = vec![f32::NAN; expected.len()];
            sizes.max(instructions, &values, &mut result);
            prop_assert_eq!(&result, &expected);
            let mut images_gradient = vec![f32::NAN; values.len()];
            sizes.max_backward(instructions, &values, &gradient, &mut images_gradient);
            for (&ours, &expected) in images_gradient.iter().zip(&expected_gradient) {
                assert_close("gradient", ours, expected, 9.0 * 8.0);
            }
        }
    }

    #[test]
    fn average_pooling(
        images in 1usize..3,
        size in [1usize..20, 1usize..20],
        result_size in [1usize..8, 1usize..8],
        channels in 1usize..40,
        seed in any::<u64>(),
    ) {
        let sizes = AveragePooling { images, size, channels, result_size };
        let values = random(seed, sizes.images_length());
        let gradient = random(seed ^ 1, sizes.result_length());
        // Whether a pixel is in a window, in whole numbers: no quotient is rounded.
        let inside = |axis: usize, window: usize, pixel: usize| {
            let (size, windows) = (size[axis], result_size[axis]);
            (pixel + 1) * windows > window * size && pixel * windows < (window + 1) * size
        };
        let mut expected = vec![[0.0f64; 2]; gradient.len()];
        let mut expected_gradient = vec![[0.0f64; 2]; values.len()];
        for place in 0..images * result_size[0] * result_size[1] {
            let image = place / (result_size[0] * result_size[1]);
            let (y, x) = (place / result_size[1] % result_size[0], place % result_size[1]);
            let pixels: Vec<usize> = (0..size[0])
                .flat_map(|row| (0..size[1]).map(move |column| (row, column)))
                .filter(|&(row, column)| inside(0, y, row) && inside(1, x, column))
                .map(|(row, column)| (image * size[0] + row) * size[1] + column)
                .collect();
            let share = 1.0 / pixels.len() as f64;
            for channel in 0..channels {
                let index = place * channels + channel;
                for pixel in &pixels {
                    let value = share * f64::from(values[pixel * channels + channel]);
                    expected[index][0] += value;
                    expected[index][1] += value.abs();
                    let given = share * f64::from(gradient[index]);
                    expected_gradient[pixel * channels + channel][0] += given;
                    expected_gradient[pixel * channels + channel][1] += given.abs();
                }
            }
        }
        for instructions in instruction_sets() {
            let mut result = vec![f32::NAN; gradient.len()];
            sizes.forward(instructions, &values, &mut result);
            for (&ours, &[expected, scale]) in result.iter().zip(&expected) {
                assert_close("result", ours, expected, scale);
            }
            let mut images_gradient = vec![f32::NAN; values.len()];
            sizes.backward(instructions, &gradient, &mut images_gradient);
            for (&ours, &[expected, scale]) in images_gradient.iter().zip(&expected_gradient) {
                assert_close("gradient", ours, expected, scale);
            }
        }
    }

    #[test]
    fn resizing(
        images in 1usize..3,
        size in [1usize..12, 1usize..12],
        result_size in [1usize..24, 1usize..24],
        channels in 1usize..40,
        align_corners in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let sizes = Resize { images, size, result_size, channels, align_corners };
        let values = random(seed, images * size[0] * size[1] * channels);
        let gradient = random(seed ^ 1, images * result_size[0] * result_size[1] * channels);
        // Where a result lies between the pixels, in f64.
        let at = |axis: usize, place: usize| {
            let (size, result) = (size[axis] as f64, result_size[axis] as f64);
            match align_corners {
                true if result_size[axis] == 1 => 0.0,
                true => place as f64 * (size - 1.0) / (result - 1.0),
                false => ((place as f64 + 0.5) * size / result - 0.5).clamp(0.0, size - 1.0),
            }
        };
        let mut expected = vec![0.0f64; gradient.len()];
        let mut expected_gradient = vec![[0.0f64; 2]; values.len()];
        for (place, expected) in expected.iter_mut().enumerate() {
            let (pixel, channel) = (place / channels, place % channels);
            let image = pixel / (result_size[0] * result_size[1]);
            let (y, x) = (pixel / result_size[1] % result_size[0], pixel % result_size[1]);
            for (row, column) in (0..size[0]).flat_map(|row| (0..size[1]).map(move |column| (row, column))) {
                let tent = |axis, place, pixel: usize| {
                    (1.0 - (at(axis, place) - pixel as f64).abs()).max(0.0)
                };
                let weight = tent(0, y, row) * tent(1, x, column);
                let index = ((image * size[0] + row) * size[1] + column) * channels + channel;
                *expected += weight * f64::from(values[index]);
                let share = weight * f64::from(gradient[place]);
                expected_gradient[index][0] += share;
                expected_gradient[index][1] += share.abs();
            }
        }
        for instructions in instruction_sets() {
            let mut result = vec![f32::NAN; gradient.len()];
            sizes.forward(instructions, &values, &mut result);
            for (&ours, &expected) in result.iter().zip(&expected) {
                assert_close("result", ours, expected, 8.0);
            }
            let mut images_gradient = vec![f32::NAN; values.len()];
            sizes.backward(instructions, &gradient, &mut images_gradient);
            for (&ours, &[expected, scale]) in images_gradient.iter().zip(&expected_gradient) {
                assert_close("gradient", ours, expected, scale + 1.0);
            }
        }
    }
}
