//! The classical encoder against scikit-image and SciPy, and its invariants.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use cleanslide_nn::encoders::{ClassicalEncoder, Encoder, open};
use image::{Rgb, RgbImage, imageops};
use proptest::prelude::*;
use safetensors::SafeTensors;

fn embed(image: &RgbImage) -> Vec<f32> {
    let embedding = ClassicalEncoder::new(None)
        .embed(std::slice::from_ref(image))
        .unwrap();
    embedding.into_raw_vec_and_offset().0
}

fn names() -> Vec<String> {
    ClassicalEncoder::new(None)
        .feature_names()
        .unwrap()
        .to_vec()
}

fn golden() -> (RgbImage, Vec<(&'static str, Vec<f32>)>) {
    let bytes = std::fs::read("tests/goldens/classical.safetensors").unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = file.tensor("image").unwrap();
    let [height, width, 3] = *tensor.shape() else {
        panic!("not an image")
    };
    let image = RgbImage::from_raw(width as u32, height as u32, tensor.data().to_vec()).unwrap();
    let groups = [
        "colour", "stain", "layout", "pattern", "texture", "scale", "nuclei", "vacuoles",
    ];
    let values = groups.map(|name| {
        let data = file.tensor(name).unwrap().data().to_vec();
        (
            name,
            data.as_chunks::<4>()
                .0
                .iter()
                .map(|b| f32::from_le_bytes(*b))
                .collect(),
        )
    });
    (image, values.to_vec())
}

/// |a − b|, relative where b is above 1.
fn error(ours: f32, expected: f32) -> f32 {
    (ours - expected).abs() / expected.abs().max(1.0)
}

#[test]
fn measurements_equal_scikit_image() {
    let (image, groups) = golden();
    let embedding = embed(&image);
    let names = names();
    assert_eq!(
        embedding.len(),
        groups.iter().map(|(_, values)| values.len()).sum::<usize>()
    );
    let mut position = 0;
    for (group, expected) in groups {
        // f32 against f64 stays near 1e-6 (1e-4 leaves room for a skewness, which divides by a
        // cubed deviation). Patterns compare interpolated values with the centre: ours are at
        // positions rounded to 1/2048 pixel, theirs rounded in binary, which turns a few ties, so
        // single pixels of the about 5,000 change their code.
        let tolerance = if group == "pattern" { 2e-3 } else { 1e-4 };
        for expected in expected {
            let (ours, name) = (embedding[position], &names[position]);
            assert!(
                error(ours, expected) < tolerance,
                "{name}: {ours}, expected {expected}"
            );
            position += 1;
        }
    }
}

#[test]
fn names_are_unique_and_the_dimension_is_fixed() {
    let names = names();
    let unique: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!((names.len(), unique.len()), (148, 148));
    assert_eq!(ClassicalEncoder::new(None).dimension(), 148);
}

#[test]
fn blank_tiny_and_constant_images_are_finite() {
    for (width, height) in [(1, 1), (1, 300), (2, 3), (7, 7), (128, 128), (600, 20)] {
        for colour in [[0; 3], [255; 3], [120, 40, 160], [255, 0, 0]] {
            let embedding = embed(&RgbImage::from_pixel(width, height, Rgb(colour)));
            for (value, name) in embedding.iter().zip(names()) {
                assert!(
                    value.is_finite(),
                    "{name} of {width}×{height} {colour:?}: {value}"
                );
            }
        }
    }
}

#[test]
fn large_images_are_reduced_before_measuring() {
    let (image, _) = golden();
    let large = imageops::resize(&image, 900, 720, imageops::FilterType::Triangle);
    let working = imageops::resize(&large, 256, 205, imageops::FilterType::Triangle);
    // Two antialiased resamplers differ by grey levels: compare the mean colours only.
    for (a, b) in embed(&large).iter().zip(embed(&working)).take(6) {
        assert!((a - b).abs() < 5e-3);
    }
}

#[test]
fn a_darker_stain_raises_the_densities() {
    let (image, _) = golden();
    let names = names();
    let of =
        |image: &RgbImage, name: &str| embed(image)[names.iter().position(|n| n == name).unwrap()];
    // Squaring transmittance doubles every density (up to rounding to 8 bits).
    let mut dark = image.clone();
    dark.iter_mut()
        .for_each(|v| *v = (f64::from(*v).powi(2) / 255.0).round() as u8);
    for name in [
        "haematoxylin mean",
        "eosin mean",
        "haematoxylin percentile 95",
    ] {
        let ratio = of(&dark, name) / of(&image, name);
        assert!((ratio - 2.0).abs() < 0.05, "{name}: {ratio}");
    }
    assert!(of(&dark, "red mean") < of(&image, "red mean"));
}

#[test]
fn the_identity_and_the_batch() {
    let identity = |crop| open("classical", crop).unwrap().identity();
    assert_eq!(identity(None), identity(None));
    assert_ne!(identity(None), identity(Some(32)));
    assert_eq!(identity(None).len(), 64);
    let (image, _) = golden();
    let other = RgbImage::from_pixel(40, 50, Rgb([10, 200, 30]));
    let encoder = open("classical", Some(32)).unwrap();
    let both = encoder.embed(&[other, image.clone()]).unwrap();
    assert_eq!(both.row(1), encoder.embed(&[image]).unwrap().row(0));
    let small = encoder.embed(&[RgbImage::new(64, 64), RgbImage::new(31, 64)]);
    assert_eq!(
        small.unwrap_err().to_string(),
        "image 1 is 31×64 pixels, smaller than the central crop of 32; choose a smaller crop"
    );
}

/// Blocks of colour with noise: edges, flat areas and ties.
fn picture(width: u32, height: u32, seed: u64) -> RgbImage {
    let mixed = |value: u64| {
        let value = (value ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (value ^ (value >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40
    };
    RgbImage::from_fn(width, height, |x, y| {
        let block = mixed(u64::from(x / 9) * 1000 + u64::from(y / 7));
        let noise = if block & 1 == 0 {
            mixed(1 << 40 | u64::from(x) << 20 | u64::from(y))
        } else {
            0
        };
        Rgb(std::array::from_fn(|c| {
            (block >> (8 * c)) as u8 & 0xe0 | (noise % 9) as u8
        }))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn turning_and_mirroring_change_nothing(
        (width, height, seed) in (3u32..50, 3u32..50, any::<u64>())
    ) {
        let image = picture(width, height, seed);
        let embedding = embed(&image);
        let names = names();
        for turned in [
            imageops::rotate90(&image),
            imageops::rotate180(&image),
            imageops::flip_horizontal(&image),
        ] {
            for ((a, b), name) in embed(&turned).iter().zip(&embedding).zip(&names) {
                // The same sums in another order.
                prop_assert!(error(*a, *b) < 1e-4, "{name}: {b} became {a}");
                if name.starts_with("pattern") || name.starts_with("texture") {
                    prop_assert_eq!(a, b);
                }
            }
        }
    }
}
