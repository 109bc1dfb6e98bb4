//! RoIAlign on every instruction set of this machine, against its definition in f64.

mod common;

use cleanslide_kernels::{Region, RoiAlign};
use common::instruction_sets;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn random(seed: u64, length: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..length).map(|_| rng.random_range(-2.0..8.0)).collect()
}

/// Boxes on and beside images of 40 × 40 pixels, some without an extent, in the order of the images.
fn regions(images: usize) -> impl Strategy<Value = Vec<Region>> {
    let region = (
        0..images,
        -15.0..50.0f32,
        -15.0..50.0f32,
        0.0..40.0f32,
        0.0..40.0f32,
    );
    let region = region.prop_map(|(image, left, top, width, height)| Region {
        image,
        left,
        top,
        right: left + width,
        bottom: top + height,
    });
    prop::collection::vec(region, 0..6).prop_map(|mut regions| {
        regions.sort_by_key(|region| region.image);
        regions
    })
}

/// Where the samples of the bin are along an axis.
fn places(sizes: &RoiAlign, axis: usize, region: &Region, bin: usize) -> Vec<f64> {
    let edges = [[region.top, region.bottom], [region.left, region.right]][axis];
    let [from, to] = edges.map(|edge| f64::from(edge) * f64::from(sizes.scale));
    let side = (to - from).max(1.0) / sizes.bins[axis] as f64;
    let place = |sample: usize| (sample as f64 + 0.5) / sizes.samples as f64;
    (0..sizes.samples)
        .map(|sample| from + (bin as f64 + place(sample)) * side)
        .collect()
}

/// How much of a feature is in a sample along an axis.
fn share(at: f64, size: usize, feature: usize) -> f64 {
    if at < -1.0 || at > size as f64 {
        return 0.0;
    }
    let at = at.clamp(0.0, (size - 1) as f64);
    (1.0 - (at - feature as f64).abs()).max(0.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn bins_are_means_of_samples_and_gradients_go_back(
        size in [1usize..14, 1usize..14],
        channels in 1usize..40,
        bins in [1usize..5, 1usize..5],
        samples in 1usize..4,
        scale in prop_oneof![Just(1.0f32), Just(0.25), Just(0.125)],
        regions in regions(3),
        seed in any::<u64>(),
    ) {
        let sizes = RoiAlign { images: 3, size, channels, scale, bins, samples };
        let features = random(seed, 3 * size[0] * size[1] * channels);
        let gradient = random(seed ^ 1, regions.len() * bins[0] * bins[1] * channels);
        let mut expected = vec![0.0f64; gradient.len()];
        let mut expected_gradient = vec![[0.0f64; 2]; features.len()];
        for (place, expected) in expected.iter_mut().enumerate() {
            let (bin, channel) = (place / channels, place % channels);
            let region = &regions[bin / (bins[0] * bins[1])];
            let (row, column) = (bin / bins[1] % bins[0], bin % bins[1]);
            let (down, across) = (places(&sizes, 0, region, row), places(&sizes, 1, region, column));
            for (axis, at) in down.iter().map(|at| (0, at)).chain(across.iter().map(|at| (1, at))) {
                // Samples appear and vanish there: where rounding decides, both are right.
                let jump = (at + 1.0).abs().min((at - size[axis] as f64).abs());
                prop_assume!(jump > 1e-4);
            }
            for (y, x) in (0..size[0]).flat_map(|y| (0..size[1]).map(move |x| (y, x))) {
                let mean = |places: &[f64], size, feature| {
                    let shares = places.iter().map(|&at| share(at, size, feature));
                    shares.sum::<f64>() / places.len() as f64
                };
                let weight = mean(&down, size[0], y) * mean(&across, size[1], x);
                let index = ((region.image * size[0] + y) * size[1] + x) * channels + channel;
                *expected += weight * f64::from(features[index]);
                expected_gradient[index][0] += weight * f64::from(gradient[place]);
                expected_gradient[index][1] += weight * f64::from(gradient[place]).abs();
            }
        }
        // A place of some 50 is off by 4e-6 in f32, and the value between two features that differ by up to 10 by ten
        // times that.
        const TOLERANCE: f64 = 1e-4;
        for instructions in instruction_sets() {
            let mut result = vec![f32::NAN; gradient.len()];
            sizes.forward(instructions, &features, &regions, &mut result);
            for (&ours, &expected) in result.iter().zip(&expected) {
                prop_assert!((f64::from(ours) - expected).abs() < TOLERANCE, "{ours} {expected}");
            }
            let mut features_gradient = vec![f32::NAN; features.len()];
            sizes.backward(instructions, &regions, &gradient, &mut features_gradient);
            for (&ours, &[expected, scale]) in features_gradient.iter().zip(&expected_gradient) {
                let error = (f64::from(ours) - expected).abs();
                prop_assert!(error < TOLERANCE * (1.0 + scale), "{ours} {expected}");
            }
        }
    }
}

#[test]
fn gradients_do_not_depend_on_threads() {
    let sizes = RoiAlign {
        images: 2,
        size: [24, 20],
        channels: 19,
        scale: 0.25,
        bins: [7, 7],
        samples: 2,
    };
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let regions: Vec<Region> = (0..60)
        .map(|index| {
            let [left, top] = [(); 2].map(|()| rng.random_range(-10.0..80.0));
            let [width, height] = [(); 2].map(|()| rng.random_range(1.0..60.0));
            Region {
                image: index / 30,
                left,
                top,
                right: left + width,
                bottom: top + height,
            }
        })
        .collect();
    let gradient = random(4, 60 * 49 * 19);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let mut found = vec![f32::NAN; 2 * 24 * 20 * 19];
        pool.build().unwrap().install(|| {
            let best = cleanslide_kernels::Instructions::new();
            sizes.backward(best, &regions, &gradient, &mut found);
        });
        found
    };
    assert_eq!(run(1), run(3));
}

#[test]
#[should_panic(expected = "in the order of the images")]
fn regions_are_in_the_order_of_their_images() {
    let sizes = RoiAlign {
        images: 2,
        size: [2, 2],
        channels: 1,
        scale: 1.0,
        bins: [1, 1],
        samples: 1,
    };
    let region = |image| Region {
        image,
        left: 0.0,
        top: 0.0,
        right: 2.0,
        bottom: 2.0,
    };
    let best = cleanslide_kernels::Instructions::new();
    sizes.forward(best, &[0.0; 8], &[region(1), region(0)], &mut [0.0; 2]);
}
