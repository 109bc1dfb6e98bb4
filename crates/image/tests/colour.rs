//! Colour spaces, grey and the roughness map against OpenCV and scikit-image.

#![allow(clippy::unwrap_used)]

use cleanslide_image::Error;
use cleanslide_image::colour::{
    Grey, grey, hsv_to_rgb, hsv_to_rgb_u8, lab_to_rgb, optical_density, rgb_to_hsv, rgb_to_hsv_u8,
    rgb_to_lab,
};
use cleanslide_image::roughness::{Roughness, roughness};
use ndarray::{Array3, s};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    image: Vec<u8>,
    hsv_byte: Vec<u8>,
    hsv_single: Vec<f32>,
    from_hsv: Vec<u8>,
    from_hsv_byte: Vec<u8>,
    lab: Vec<f32>,
    wild: Vec<f32>,
    wild_rgb: Vec<f32>,
    grey_601: Vec<u8>,
    grey_601_word: Vec<u16>,
    grey_601_single: Vec<f32>,
    grey_709: Vec<f32>,
    texture: Vec<u8>,
    roughness: Vec<f32>,
    roughness_row: Vec<f32>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("goldens/colour.json")).unwrap()
}

fn row<T: Clone>(values: &[T]) -> Array3<T> {
    Array3::from_shape_vec((1, values.len() / 3, 3), values.to_vec()).unwrap()
}

#[track_caller]
fn near<'a>(ours: impl IntoIterator<Item = &'a f32>, expected: &[f32], tolerance: f32) {
    let ours: Vec<f32> = ours.into_iter().copied().collect();
    assert_eq!(ours.len(), expected.len());
    for (at, (ours, expected)) in ours.iter().zip(expected).enumerate() {
        assert!(
            (ours - expected).abs() <= tolerance,
            "{at}: {ours}, not {expected}"
        );
    }
}

#[test]
fn hsv_is_opencvs() {
    let golden = golden();
    let image = row(&golden.image);
    let ours = rgb_to_hsv_u8(image.view()).unwrap();
    assert_eq!(ours.as_slice().unwrap(), golden.hsv_byte);
    // OpenCV adds 2⁻²³ to denominators of at least 1/255 and computes in 32 bits: an error of up to
    // 3e-5 of the hue.
    let ours = rgb_to_hsv(image.view()).unwrap();
    near(
        ours.slice(s![.., .., 0]),
        &every_third(&golden.hsv_single, 0),
        0.012,
    );
    near(
        ours.slice(s![.., .., 1]),
        &every_third(&golden.hsv_single, 1),
        4e-5,
    );
    near(
        ours.slice(s![.., .., 2]),
        &every_third(&golden.hsv_single, 2),
        6e-6,
    );
    let ours = hsv_to_rgb_u8(row(&golden.from_hsv).view()).unwrap();
    for (ours, opencv) in ours.iter().zip(&golden.from_hsv_byte) {
        assert!(ours.abs_diff(*opencv) <= 1);
    }
}

fn every_third(values: &[f32], channel: usize) -> Vec<f32> {
    values.iter().skip(channel).step_by(3).copied().collect()
}

#[test]
fn lab_is_scikit_images() {
    let golden = golden();
    let image = row(&golden.image);
    // Goldens are rounded to 1e-5, values below 128 have 32-bit errors below 8e-6.
    near(&rgb_to_lab(image.view()).unwrap(), &golden.lab, 2e-5);
    let ours: Array3<f32> = lab_to_rgb(row(&golden.wild).view()).unwrap();
    near(&ours, &golden.wild_rgb, 1e-6);
    let back: Array3<u8> = lab_to_rgb(rgb_to_lab(image.view()).unwrap().view()).unwrap();
    assert_eq!(back, image);
}

#[test]
fn grey_is_opencvs_and_scikit_images() {
    let golden = golden();
    let image = row(&golden.image);
    let ours = grey(image.view(), Grey::Rec601).unwrap();
    assert_eq!(ours.as_slice().unwrap(), golden.grey_601);
    let word = image.mapv(|value| u16::from(value) * 257 - 7 * u16::from(value > 99));
    let ours = grey(word.view(), Grey::Rec601).unwrap();
    assert_eq!(ours.as_slice().unwrap(), golden.grey_601_word);
    let single = image.mapv(|value| f32::from(value) / 255.0);
    near(
        &grey(single.view(), Grey::Rec601).unwrap(),
        &golden.grey_601_single,
        1e-6,
    );
    near(
        &grey(single.view(), Grey::Rec709).unwrap(),
        &golden.grey_709,
        1e-6,
    );
}

#[test]
fn roughness_is_opencvs_gaussian_taken_away() {
    let golden = golden();
    let texture = Array3::from_shape_vec((13, 17, 3), golden.texture).unwrap();
    // 32-bit sums of 121 values of at most 1, times 50; goldens are rounded to 1e-5.
    let ours = roughness(texture.view(), Roughness::default()).unwrap();
    near(&ours, &golden.roughness, 5e-5);
    let ours = roughness(texture.slice(s![..1, ..4, ..]), Roughness::default()).unwrap();
    near(&ours, &golden.roughness_row, 5e-5);
    let flat = Array3::from_elem((3, 4, 3), 200_u8);
    near(
        &roughness(flat.view(), Roughness::default()).unwrap(),
        &[1.0; 12],
        2e-5,
    );
    let none = Roughness {
        radius: 0,
        ..Roughness::default()
    };
    near(
        &roughness(texture.slice(s![..2, ..2, ..]), none).unwrap(),
        &[1.0; 4],
        0.0,
    );
}

#[test]
fn density_is_a_logarithm() {
    let image = row(&[0_u8, 239, 255]);
    let ours = optical_density(image.view(), 240.0).unwrap();
    near(
        &ours,
        &[240.0_f32.ln(), 0.0, (240.0_f32 / 256.0).ln()],
        1e-6,
    );
    let decadic = row(&[0.0_f32, 23.0 / 255.0, 1.0]);
    near(
        optical_density(decadic.view(), 240.0)
            .unwrap()
            .slice(s![0, 0, 1..2]),
        &[10.0_f32.ln()],
        1e-6,
    );
}

#[test]
fn refuses_what_is_no_colour_image() {
    let grey_image = Array3::<u8>::zeros((2, 2, 1));
    assert!(matches!(
        rgb_to_hsv_u8(grey_image.view()),
        Err(Error::Setting { .. })
    ));
    assert!(matches!(
        grey(grey_image.view(), Grey::Rec601),
        Err(Error::Setting { .. })
    ));
    assert!(matches!(
        optical_density(row(&[1_u8, 2, 3]).view(), 0.0),
        Err(Error::Setting { .. })
    ));
    let nothing = Array3::<u8>::zeros((0, 2, 3));
    assert!(matches!(
        roughness(nothing.view(), Roughness::default()),
        Err(Error::Empty { .. })
    ));
    let sharp = Roughness {
        sigma: 0.0,
        ..Roughness::default()
    };
    let pixel = row(&[1_u8, 2, 3]);
    assert!(matches!(
        roughness(pixel.view(), sharp),
        Err(Error::Setting { name: "sigma", .. })
    ));
}

proptest! {
    #[test]
    fn hsv_and_lab_lead_back(pixel in prop::array::uniform3(any::<u8>())) {
        let image = row(&pixel);
        let hsv = rgb_to_hsv(image.view()).unwrap();
        prop_assert!((0.0..360.0).contains(&hsv[[0, 0, 0]]));
        let back = hsv_to_rgb(hsv.view()).unwrap();
        for (back, value) in back.iter().zip(pixel) {
            prop_assert!((255.0 * back - f32::from(value)).abs() < 1e-3);
        }
        let back: Array3<u8> = lab_to_rgb(rgb_to_lab(image.view()).unwrap().view()).unwrap();
        prop_assert_eq!(back, image);
    }

    #[test]
    fn roughness_mirrors_with_the_image(seed in prop::collection::vec(any::<u8>(), 3 * 6 * 7)) {
        let image = Array3::from_shape_vec((6, 7, 3), seed).unwrap();
        let plain = roughness(image.view(), Roughness::default()).unwrap();
        let flipped = roughness(image.slice(s![..;-1, ..;-1, ..]), Roughness::default()).unwrap();
        for (a, b) in plain.iter().zip(flipped.slice(s![..;-1, ..;-1])) {
            prop_assert!((a - b).abs() < 2e-5 && *a >= 1.0);
        }
    }
}
