//! Products of matrices, layers made of them, GELU, normalisation of rows and attention on every instruction set of this machine,
//! against their definitions in f64.

mod common;

use cleanslide_kernels::layer_norm::{self, LayerNorm};
use cleanslide_kernels::linear::{self, Then};
use cleanslide_kernels::matrix::{Before, Matrix, product};
use cleanslide_kernels::{Attention, Instructions, gelu};
use common::instruction_sets;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn random(seed: u64, length: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..length).map(|_| rng.random_range(-2.0..2.0)).collect()
}

/// Sums of up to a hundred products of values up to 2 in f32 lose some dozen roundings of 6e-8 of the sum of
/// their sizes; functions add up to 2e-7.
#[track_caller]
fn assert_close(ours: &[f32], expected: &[f64], scale: f64) {
    assert_eq!(ours.len(), expected.len());
    for (place, (&ours, expected)) in ours.iter().zip(expected).enumerate() {
        let error = (f64::from(ours) - expected).abs();
        assert!(
            error <= 2e-6 * scale,
            "{place}: {ours} instead of {expected}"
        );
    }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

/// Central differences of `Σ weights · function(inputs)`.
fn differences(inputs: &[f32], weights: &[f64], function: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let mut inputs = wide(inputs);
    (0..inputs.len())
        .map(|place| {
            let mut at = |shift: f64| -> f64 {
                let kept = inputs[place];
                inputs[place] = kept + shift;
                let sum = function(&inputs)
                    .iter()
                    .zip(weights)
                    .map(|(a, b)| a * b)
                    .sum();
                inputs[place] = kept;
                sum
            };
            (at(STEP) - at(-STEP)) / (2.0 * STEP)
        })
        .collect()
}

/// Φ(x) by Simpson's rule, exact to some 1e-12.
fn distribution(x: f64) -> f64 {
    let density = |t: f64| (-t * t / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let steps = 400;
    let width = x / f64::from(steps);
    let sum: f64 = (0..=steps)
        .map(|step| {
            let factor = match step {
                0 => 1.0,
                step if step == steps => 1.0,
                step if step % 2 == 1 => 4.0,
                _ => 2.0,
            };
            factor * density(f64::from(step) * width)
        })
        .sum();
    0.5 + sum * width / 3.0
}

fn gelu_of(values: &[f64]) -> Vec<f64> {
    values.iter().map(|&x| x * distribution(x)).collect()
}

fn layer_norm_of(values: &[f64], scale: &[f64], shift: &[f64], epsilon: f64) -> Vec<f64> {
    let columns = scale.len();
    values
        .chunks_exact(columns)
        .flat_map(|row| {
            let mean = row.iter().sum::<f64>() / columns as f64;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / columns as f64;
            let deviation = (variance + epsilon).sqrt();
            (0..columns)
                .map(|at| (row[at] - mean) / deviation * scale[at] + shift[at])
                .collect::<Vec<_>>()
        })
        .collect()
}

fn attention_of(sizes: &Attention, inputs: &[f64]) -> Vec<f64> {
    let Attention {
        images,
        tokens,
        heads,
        width,
    } = *sizes;
    let at = |image: usize, token: usize, part: usize, head: usize, place: usize| {
        inputs[(((image * tokens + token) * 3 + part) * heads + head) * width + place]
    };
    let mut result = vec![0.0; images * tokens * heads * width];
    for image in 0..images {
        for head in 0..heads {
            for token in 0..tokens {
                let scores: Vec<f64> = (0..tokens)
                    .map(|other| {
                        let dot: f64 = (0..width)
                            .map(|place| {
                                at(image, token, 0, head, place) * at(image, other, 1, head, place)
                            })
                            .sum();
                        (dot / (width as f64).sqrt()).exp()
                    })
                    .collect();
                let sum: f64 = scores.iter().sum();
                for place in 0..width {
                    let value: f64 = (0..tokens)
                        .map(|other| scores[other] / sum * at(image, other, 2, head, place))
                        .sum();
                    result[((image * tokens + token) * heads + head) * width + place] = value;
                }
            }
        }
    }
    result
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn products(
        rows in 1usize..40,
        columns in 1usize..40,
        inner in 0usize..60,
        gap in 0usize..5,
        turned in any::<[bool; 2]>(),
        threads in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let make = |seed, [rows, columns]: [usize; 2], turned: bool| {
            let [r, c] = if turned { [columns, rows] } else { [rows, columns] };
            (random(seed, r * (c + gap)), [r, c], turned)
        };
        let left = make(seed, [rows, inner], turned[0]);
        let right = make(seed ^ 1, [inner, columns], turned[1]);
        let at = |(values, [_, c], turned): &(Vec<f32>, [usize; 2], bool), row: usize, column: usize| {
            let [row, column] = if *turned { [column, row] } else { [row, column] };
            f64::from(values[row * (c + gap) + column])
        };
        fn matrix(of: &(Vec<f32>, [usize; 2], bool), gap: usize) -> Matrix<'_> {
            let (values, size, turned) = of;
            let matrix = Matrix::new(values, *size, size[1] + gap);
            if *turned { matrix.transposed() } else { matrix }
        }
        let there = random(seed ^ 2, rows * (columns + gap));
        for before in [Before::Replaced, Before::Added] {
            let mut result = there.clone();
            let (l, r) = (matrix(&left, gap), matrix(&right, gap));
            product(&mut result, columns + gap, before, 0.5, l, r, threads);
            let expected: Vec<f64> = (0..there.len()).map(|place| {
                let (row, column) = (place / (columns + gap), place % (columns + gap));
                if column >= columns {
                    return f64::from(there[place]);
                }
                let sum: f64 = (0..inner).map(|k| at(&left, row, k) * at(&right, k, column)).sum();
                0.5 * sum + if before == Before::Added { f64::from(there[place]) } else { 0.0 }
            }).collect();
            assert_close(&result, &expected, 4.0 * inner as f64 + 2.0);
        }
    }

    #[test]
    fn rows_times_weights(
        // Enough for several threads, too.
        rows in 0usize..400,
        inputs in 1usize..40,
        outputs in 1usize..40,
        seed in any::<u64>(),
    ) {
        let values = random(seed, rows * inputs);
        let weight = random(seed ^ 1, outputs * inputs);
        let bias = random(seed ^ 2, outputs);
        let products: Vec<f64> = (0..rows * outputs).map(|place| {
            let (row, output) = (place / outputs, place % outputs);
            let product = |input: usize| {
                f64::from(values[row * inputs + input]) * f64::from(weight[output * inputs + input])
            };
            (0..inputs).map(product).sum::<f64>() + f64::from(bias[output])
        }).collect();
        for instructions in instruction_sets() {
            for (then, expected) in [(Then::Nothing, products.clone()), (Then::Gelu, gelu_of(&products))] {
                let mut ours = vec![f32::NAN; rows * outputs];
                linear::forward(instructions, &values, &weight, &bias, then, &mut ours);
                assert_close(&ours, &expected, 5.0 * inputs as f64 + 4.0);
            }
        }
    }

    #[test]
    fn gelus(length in 1usize..70, seed in any::<u64>()) {
        let values: Vec<f32> = random(seed, length).iter().map(|x| x * 3.0).collect();
        let weights = random(seed ^ 1, length);
        let expected = gelu_of(&wide(&values));
        let slopes = differences(&values, &wide(&weights), gelu_of);
        for instructions in instruction_sets() {
            let mut ours = values.clone();
            gelu::forward(instructions, &mut ours);
            assert_close(&ours, &expected, 6.0);
            let mut gradient = weights.clone();
            gelu::backward(instructions, &values, &mut gradient);
            assert_close(&gradient, &slopes, 10.0);
        }
    }

    #[test]
    fn normalised_rows(rows in 1usize..150, columns in 2usize..40, seed in any::<u64>()) {
        let values: Vec<f32> = random(seed, rows * columns).iter().map(|x| x + 20.0).collect();
        let (scale, shift) = (random(seed ^ 1, columns), random(seed ^ 2, columns));
        let weights = random(seed ^ 3, rows * columns);
        let epsilon = 1e-2;
        let of = |values: &[f64], scale: &[f64], shift: &[f64]| layer_norm_of(values, scale, shift, f64::from(epsilon));
        let (v, s, h, w) = (wide(&values), wide(&scale), wide(&shift), wide(&weights));
        let expected = of(&v, &s, &h);
        let few = rows.min(3) * columns;
        let slopes = differences(&values[..few], &w[..few], |v| of(v, &s, &h));
        let by_scale = differences(&scale, &w, |s| of(&v, s, &h));
        let by_shift = differences(&shift, &w, |h| of(&v, &s, h));
        for instructions in instruction_sets() {
            let by = LayerNorm { scale: &scale, shift: &shift, epsilon };
            let mut ours = vec![f32::NAN; values.len()];
            layer_norm::forward(instructions, by, &values, &mut ours);
            // A mean of 20 costs 20 / 2 roundings.
            assert_close(&ours, &expected, 100.0);
            let mut gradient = vec![f32::NAN; values.len()];
            let (mut scales, mut shifts) = (vec![f32::NAN; columns], vec![f32::NAN; columns]);
            layer_norm::backward(instructions, by, &values, &weights, &mut gradient, [&mut scales, &mut shifts]);
            assert_close(&gradient[..few], &slopes, 500.0);
            assert_close(&scales, &by_scale, 200.0 * rows as f64);
            assert_close(&shifts, &by_shift, 2.0 * rows as f64);
        }
    }

    #[test]
    fn attentions(
        images in 1usize..3,
        tokens in 1usize..20,
        heads in 1usize..4,
        width in 1usize..10,
        seed in any::<u64>(),
    ) {
        let sizes = Attention { images, tokens, heads, width };
        let inputs = random(seed, sizes.inputs_length());
        let weights = random(seed ^ 1, sizes.result_length());
        let expected = attention_of(&sizes, &wide(&inputs));
        let slopes = differences(&inputs, &wide(&weights), |inputs| attention_of(&sizes, inputs));
        for instructions in instruction_sets() {
            let mut ours = vec![f32::NAN; sizes.result_length()];
            sizes.forward(instructions, &inputs, &mut ours);
            assert_close(&ours, &expected, 20.0);
            let mut gradient = vec![f32::NAN; sizes.inputs_length()];
            sizes.backward(instructions, &inputs, &weights, &mut gradient);
            assert_close(&gradient, &slopes, 200.0);
        }
    }
}

#[test]
fn extreme_scores_stay_numbers_and_what_is_none_shows() {
    let sizes = Attention {
        images: 1,
        tokens: 20,
        heads: 1,
        width: 1,
    };
    let mut inputs = vec![0.0; sizes.inputs_length()];
    for (token, values) in inputs.chunks_exact_mut(3).enumerate() {
        values.copy_from_slice(&[1e3, token as f32 * 10.0 - 1e4, token as f32]);
    }
    let mut result = vec![0.0; 20];
    sizes.forward(Instructions::new(), &inputs, &mut result);
    // The last token has the highest score by far.
    assert!(result.iter().all(|&value| value == 19.0), "{result:?}");
    inputs[2] = f32::NAN;
    sizes.forward(Instructions::new(), &inputs, &mut result);
    assert!(result.iter().all(|value| value.is_nan()));
    let mut values = [f32::NAN, f32::INFINITY, -200.0, 200.0];
    gelu::forward(Instructions::new(), &mut values);
    assert!(values[0].is_nan());
    assert_eq!(values[2..], [0.0, 200.0]);
}

#[test]
#[should_panic(expected = "overlap")]
fn overlapping_rows_are_refused() {
    let values = [0.0; 8];
    let matrix = || Matrix::new(&values, [2, 2], 2);
    product(
        &mut [0.0; 8],
        1,
        Before::Replaced,
        1.0,
        matrix(),
        matrix(),
        false,
    );
}

#[test]
#[should_panic(expected = "in 3 values")]
fn short_slices_are_refused() {
    Matrix::new(&[0.0; 3], [2, 2], 2);
}
