//! Every algorithm, on every instruction set of this machine, against sums by definition in f64.

mod common;

use cleanslide_kernels::{Activation, Algorithm, Convolution, Finish, Instructions};
use common::instruction_sets;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Seen against the largest sum of absolute products, a sum of n products in f32 is off by about √n
/// roundings of 6e-8: below 4e-6 for the thousands of products here. Winograd's transforms grow
/// values first and shrink them again: at worst by 10 (rows of |Bᵀ|) times 19 (rows of |Aᵀ|) along
/// each of two axes. Roundings are independent, so their errors grow as the root of that, 190
/// roundings or 1.1e-5.
const TOLERANCE: f64 = 1.1e-5;

fn random(rng: &mut ChaCha8Rng, length: usize) -> Vec<f32> {
    (0..length).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Calls `add(image value, filter value, result value)` for every product of the definition.
fn each_product(sizes: &Convolution, mut add: impl FnMut(usize, usize, usize)) {
    let [height, width] = sizes.result_size();
    let [rows, columns] = sizes.kernel;
    let filter_inputs = if sizes.depthwise { 1 } else { sizes.inputs };
    for image in 0..sizes.images {
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            for (i, j) in (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))) {
                let row = (y * sizes.stride[0] + i * sizes.dilation[0])
                    .checked_sub(sizes.padding[0][0])
                    .filter(|&row| row < sizes.size[0]);
                let column = (x * sizes.stride[1] + j * sizes.dilation[1])
                    .checked_sub(sizes.padding[1][0])
                    .filter(|&column| column < sizes.size[1]);
                let (Some(row), Some(column)) = (row, column) else {
                    continue;
                };
                let pixel = (image * sizes.size[0] + row) * sizes.size[1] + column;
                let place = (image * height + y) * width + x;
                for output in 0..sizes.outputs {
                    for input in 0..filter_inputs {
                        let channel = if sizes.depthwise { output } else { input };
                        let filter = (output * filter_inputs + input) * rows * columns;
                        add(
                            pixel * sizes.inputs + channel,
                            filter + i * columns + j,
                            place * sizes.outputs + output,
                        );
                    }
                }
            }
        }
    }
}

/// A sum of products, and of their absolute values.
#[derive(Clone, Copy, Default)]
struct Sum {
    value: f64,
    absolute: f64,
}

impl Sum {
    fn of(value: f32) -> Self {
        let value = f64::from(value);
        Self {
            value,
            absolute: value.abs(),
        }
    }

    fn add(&mut self, left: f32, right: f32) {
        let product = f64::from(left) * f64::from(right);
        self.value += product;
        self.absolute += product.abs();
    }
}

fn assert_close(what: &str, ours: &[f32], expected: &[Sum]) {
    let largest = expected
        .iter()
        .fold(0.0, |most: f64, sum| most.max(sum.absolute));
    for (index, (&ours, expected)) in ours.iter().zip(expected).enumerate() {
        let expected = expected.value;
        let error = (f64::from(ours) - expected).abs();
        assert!(
            error <= TOLERANCE * largest,
            "{what} {index}: {ours} instead of {expected}"
        );
    }
}

fn check(sizes: &Convolution, seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let images = random(&mut rng, sizes.images_length());
    let filters = random(&mut rng, sizes.filters_length());
    let gradient = random(&mut rng, sizes.result_length());
    let bias = random(&mut rng, sizes.outputs);
    let image_bias = random(&mut rng, sizes.inputs);

    let mut result: Vec<Sum> = (0..sizes.result_length())
        .map(|index| Sum::of(bias[index % sizes.outputs]))
        .collect();
    let mut images_gradient: Vec<Sum> = (0..sizes.images_length())
        .map(|index| Sum::of(image_bias[index % sizes.inputs]))
        .collect();
    let mut filters_gradient = vec![Sum::default(); sizes.filters_length()];
    each_product(sizes, |image, filter, place| {
        result[place].add(images[image], filters[filter]);
        images_gradient[image].add(gradient[place], filters[filter]);
        filters_gradient[filter].add(gradient[place], images[image]);
    });

    for instructions in instruction_sets() {
        // What was in the memory before must not matter.
        let mut ours = vec![f32::NAN; result.len()];
        let forward = |activation, ours: &mut [f32]| {
            let finish = Finish {
                bias: Some(&bias),
                activation,
            };
            sizes.forward(instructions, &images, &filters, finish, ours);
        };
        forward(Activation::Identity, &mut ours);
        assert_close(
            &format!("result of {sizes:?} on {instructions:?}"),
            &ours,
            &result,
        );
        for (activation, most) in [(Activation::Relu, f32::INFINITY), (Activation::Relu6, 6.0)] {
            let mut activated = vec![f32::NAN; result.len()];
            forward(activation, &mut activated);
            // The same sums, so the same values.
            let expected: Vec<f32> = ours.iter().map(|sum| sum.clamp(0.0, most)).collect();
            assert_eq!(activated, expected, "{activation:?} of {sizes:?}");
        }

        let mut ours = vec![f32::NAN; images_gradient.len()];
        sizes.backward_images(
            instructions,
            &gradient,
            &filters,
            Some(&image_bias),
            &mut ours,
        );
        assert_close(
            &format!("gradient of images of {sizes:?} on {instructions:?}"),
            &ours,
            &images_gradient,
        );

        let mut ours = vec![f32::NAN; filters_gradient.len()];
        sizes.backward_filters(instructions, &images, &gradient, &mut ours);
        assert_close(
            &format!("gradient of filters of {sizes:?} on {instructions:?}"),
            &ours,
            &filters_gradient,
        );
    }
}

/// Sizes with results: the padded image holds the filter.
fn sizes() -> impl Strategy<Value = Convolution> {
    let axis = || {
        (
            1usize..15,
            1usize..6,
            1usize..4,
            (0usize..4, 0usize..4),
            1usize..4,
        )
    };
    (
        1usize..4,
        axis(),
        axis(),
        1usize..40,
        1usize..40,
        any::<bool>(),
    )
        .prop_map(
            |(images, rows, columns, inputs, outputs, depthwise)| Convolution {
                images,
                size: [rows.0, columns.0],
                inputs,
                outputs: if depthwise { inputs } else { outputs },
                kernel: [rows.1, columns.1],
                stride: [rows.2, columns.2],
                padding: [[rows.3.0, rows.3.1], [columns.3.0, columns.3.1]],
                dilation: [rows.4, columns.4],
                depthwise,
            },
        )
}

fn winograd_sizes() -> impl Strategy<Value = Convolution> {
    let padding = || (0usize..3, 0usize..3).prop_map(|(before, behind)| [before, behind]);
    (
        1usize..4,
        3usize..23,
        3usize..23,
        16usize..70,
        16usize..70,
        padding(),
        padding(),
    )
        .prop_map(
            |(images, height, width, inputs, outputs, above, left)| Convolution {
                images,
                size: [height, width],
                inputs,
                outputs,
                kernel: [3, 3],
                stride: [1, 1],
                padding: [above, left],
                dilation: [1, 1],
                depthwise: false,
            },
        )
        .prop_filter("more results than channels", |sizes| !are_few(sizes))
}

/// Whether there are fewer results than channels.
fn are_few(sizes: &Convolution) -> bool {
    let [height, width] = sizes.result_size();
    sizes.images * height * width <= sizes.inputs.min(sizes.outputs)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn direct_and_depthwise_are_the_definition(sizes in sizes(), seed in any::<u64>()) {
        prop_assume!(sizes.algorithm() != Algorithm::Winograd);
        check(&sizes, seed);
    }

    #[test]
    fn few_inputs_are_the_definition(
        sizes in sizes(),
        inputs in 1usize..5,
        seed in any::<u64>(),
    ) {
        let sizes = Convolution { inputs, depthwise: false, ..sizes };
        prop_assert_eq!(sizes.algorithm(), Algorithm::FewInputs);
        check(&sizes, seed);
    }
}

fn unfolded_sizes() -> impl Strategy<Value = Convolution> {
    let axis = || (1usize..5, 1usize..4, 1usize..3, 0usize..3, 1usize..3);
    (1usize..3, axis(), axis(), 30usize..70, 30usize..70)
        .prop_map(|(images, rows, columns, inputs, outputs)| Convolution {
            images,
            size: [rows.0, columns.0],
            inputs,
            outputs,
            kernel: [rows.1, columns.1],
            stride: [rows.2, columns.2],
            padding: [[rows.3, 1], [columns.3, 0]],
            dilation: [rows.4, columns.4],
            depthwise: false,
        })
        .prop_filter("fewer results than channels, but some", |sizes| {
            sizes.result_length() > 0 && are_few(sizes)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn unfolded_is_the_definition(sizes in unfolded_sizes(), seed in any::<u64>()) {
        prop_assert_eq!(sizes.algorithm(), Algorithm::Unfolded);
        check(&sizes, seed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn winograd_is_the_definition(sizes in winograd_sizes(), seed in any::<u64>()) {
        prop_assert_eq!(sizes.algorithm(), Algorithm::Winograd);
        check(&sizes, seed);
    }
}

fn typical(size: usize, channels: [usize; 2], kernel: usize, stride: usize) -> Convolution {
    Convolution {
        images: 2,
        size: [size; 2],
        inputs: channels[0],
        outputs: channels[1],
        kernel: [kernel; 2],
        stride: [stride; 2],
        padding: [[kernel / 2; 2]; 2],
        dilation: [1, 1],
        depthwise: false,
    }
}

#[test]
fn typical_layers_are_the_definition() {
    check(&typical(40, [3, 64], 7, 2), 1);
    check(&typical(9, [130, 70], 1, 1), 2);
    check(&typical(33, [20, 96], 3, 2), 3);
    check(&typical(70, [16, 16], 3, 1), 4);
    let depthwise = Convolution {
        depthwise: true,
        ..typical(29, [50, 50], 5, 2)
    };
    check(&depthwise, 5);
    let atrous = Convolution {
        dilation: [6, 6],
        padding: [[6; 2]; 2],
        ..typical(17, [24, 40], 3, 1)
    };
    check(&atrous, 6);
}

#[test]
fn same_bytes_each_time() {
    let sizes = typical(37, [24, 40], 3, 1);
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let images = random(&mut rng, sizes.images_length());
    let gradient = random(&mut rng, sizes.result_length());
    let instructions = Instructions::new();
    let filters = || {
        let mut filters = vec![0.0; sizes.filters_length()];
        sizes.backward_filters(instructions, &images, &gradient, &mut filters);
        filters
    };
    assert_eq!(filters(), filters());
}

#[test]
fn no_images_have_no_gradient() {
    let sizes = Convolution {
        images: 0,
        ..typical(8, [16, 16], 3, 1)
    };
    let mut filters = vec![f32::NAN; sizes.filters_length()];
    sizes.backward_filters(Instructions::new(), &[], &[], &mut filters);
    assert!(filters.iter().all(|&value| value == 0.0));
}

#[test]
#[should_panic(expected = "length of the images")]
fn wrong_lengths_are_named() {
    let sizes = typical(8, [3, 4], 3, 1);
    sizes.forward(
        Instructions::new(),
        &[0.0; 10],
        &vec![0.0; sizes.filters_length()],
        Finish::bias(None),
        &mut vec![0.0; sizes.result_length()],
    );
}
