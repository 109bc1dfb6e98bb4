//! Tiles cover slides, and keep their numbers.
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use cleanslide_image::stain::Macenko;
use cleanslide_slide::{
    OpenOptions, Slide, SlideStains, TilePlan, TileSettings, TissueMask, TissueSettings,
};
use common::{distance, open, own, picture, real_slides, whole};
use image::{RgbImage, imageops};

fn plan(slide: &Slide, side: u32, margin: u32, microns: Option<f64>) -> TilePlan {
    let settings = TileSettings {
        microns_per_pixel: microns,
        side,
        margin,
    };
    TilePlan::new(slide, &settings).unwrap()
}

#[test]
fn tiles_together_are_the_slide() {
    let slide = open("raw.tif");
    let all = whole(&slide, 0);
    for (side, margin) in [(32, 0), (40, 4), (256, 0)] {
        let plan = plan(&slide, side, margin, None);
        let inner = side - 2 * margin;
        assert_eq!(
            [plan.columns, plan.rows],
            [160, 110].map(|length: u64| length.div_ceil(inner.into()))
        );
        let mut together = RgbImage::new(160, 110);
        for number in 0..plan.count() {
            let tile = plan.tile(number);
            assert_eq!(number, tile.row * plan.columns + tile.column);
            let pixels = plan.read(&slide, &tile).unwrap();
            assert_eq!(pixels.dimensions(), (side, side));
            let pixels = imageops::crop_imm(&pixels, margin, margin, inner, inner).to_image();
            let at = [tile.column, tile.row].map(|place| place as i64 * i64::from(inner));
            imageops::replace(&mut together, &pixels, at[0], at[1]);
        }
        assert_eq!(together, all);
    }
}

#[test]
fn tiles_of_another_scale_are_read_at_that_scale() {
    // Half a micron a pixel at level 0.
    let slide = open("raw.tif");
    let plan = plan(&slide, 80, 0, Some(1.0));
    assert_eq!([plan.columns, plan.rows, plan.count()], [1, 1, 1]);
    let tile = plan.read(&slide, &plan.tile(0)).unwrap();
    let half = imageops::crop_imm(&tile, 0, 0, 80, 55).to_image();
    assert_eq!(distance(&half, &picture("picture-1")), 0);
    // The tile is larger than the slide.
    assert!(plan.covers([0.0, 0.0]) && plan.covers([159.9, 109.9]));
    assert!(!plan.covers([160.0, 50.0]) && !plan.covers([50.0, -0.1]));
}

#[test]
fn what_cannot_be_planned_is_said() {
    let slide = open("grey.tif");
    let settings = |microns, side, margin| TileSettings {
        microns_per_pixel: microns,
        side,
        margin,
    };
    let refused =
        |settings: TileSettings| TilePlan::new(&slide, &settings).unwrap_err().to_string();
    assert!(refused(settings(Some(0.5), 256, 0)).contains("does not say how large its pixels are"));
    assert!(refused(settings(Some(-1.0), 256, 0)).contains("microns_per_pixel = -1"));
    assert!(refused(settings(None, 256, 128)).contains("margin = 128"));
    assert!(refused(settings(None, 0, 0)).contains("margin = 0"));
}

#[test]
fn only_tiles_with_tissue_are_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slide.png");
    let pink = |x: u32, y: u32| (300..700).contains(&x) && (200..600).contains(&y);
    let image = RgbImage::from_fn(1000, 800, |x, y| match pink(x, y) {
        true => image::Rgb([220, 150, 190]),
        false => image::Rgb([242, 241, 243]),
    });
    image.save(&path).unwrap();
    let options = OpenOptions {
        microns_per_pixel: Some(2.0),
        ..own()
    };
    let slide = Slide::open(&path, &options).unwrap();
    let tissue = TissueMask::of(&slide, &TissueSettings::default()).unwrap();
    assert_eq!(tissue.downsample, 4.0);
    // A pixel of 100 more on each side at most, by the blur.
    let area = tissue.area(2.0);
    assert!((area - 640_000.0).abs() < 0.045 * 640_000.0, "{area}");
    let plan = plan(&slide, 100, 0, None);
    let places = |least: f64| -> Vec<[u64; 2]> {
        let tiles = plan.with_tissue(&tissue, least);
        tiles.iter().map(|tile| [tile.column, tile.row]).collect()
    };
    let inside: Vec<[u64; 2]> = (2..6)
        .flat_map(|row| (3..7).map(move |column| [column, row]))
        .collect();
    assert_eq!(places(0.5), inside);
    assert_eq!(places(0.0).len() as u64, plan.count());
}

#[test]
fn tissue_out_of_focus_is_left_out() {
    let Some(real) = real_slides() else { return };
    let path = real.join("cmu-1-small-region.svs");
    let sharp = Slide::open(&path, &own()).unwrap();
    let settings = TissueSettings::default();
    let all = TissueMask::of(&sharp, &settings).unwrap();
    assert!(!all.blurred.iter().any(|is| *is), "all of it is sharp");
    // The lower half is blurred by 3 microns, 6 pixels.
    let [width, height] = sharp.levels()[0].size.map(|side| side as u32);
    let mut pixels = whole(&sharp, 0);
    let half = height / 2;
    let lower = image::imageops::crop_imm(&pixels, 0, half, width, height - half).to_image();
    let lower = image::imageops::fast_blur(&lower, 6.0);
    image::imageops::replace(&mut pixels, &lower, 0, half.into());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slide.png");
    pixels.save(&path).unwrap();
    let options = OpenOptions {
        microns_per_pixel: Some(0.499),
        ..own()
    };
    let slide = Slide::open(&path, &options).unwrap();
    let found = TissueMask::of(&slide, &settings).unwrap();
    let with_blur = TissueSettings {
        without_blur: false,
        ..settings
    };
    let kept = TissueMask::of(&slide, &with_blur).unwrap();
    let part = |top: u32| [0.0, f64::from(top), f64::from(width), f64::from(half)];
    let (upper, lower) = (part(0), part(half));
    assert!(found.share(upper) > 0.97 * kept.share(upper));
    assert!(found.share(lower) < 0.05 * kept.share(lower));
    let areas = found.area(0.499) + found.blurred_area(0.499);
    assert_eq!(areas, kept.area(0.499));
}

/// Parts of haematoxylin, of eosin and of both on glass, in any colours of the two.
fn of_stains(densities: [[f64; 3]; 2]) -> RgbImage {
    RgbImage::from_fn(256, 256, |x, y| {
        let strength = 0.6 + f64::from((x * 7 + y * 3) % 16) / 16.0;
        let amounts = match (x / 64, y < 200) {
            (_, false) => [0.0; 2],
            (0, _) => [strength, 0.0],
            (1, _) => [0.0, strength],
            _ => [strength, 0.9 - 0.5 * strength],
        };
        image::Rgb([0, 1, 2].map(|channel| {
            let density = amounts[0] * densities[0][channel] + amounts[1] * densities[1][channel];
            (240.0 * (-density).exp()).round() as u8
        }))
    })
}

#[test]
fn a_slide_is_given_the_stains_of_a_reference() {
    let wanted = of_stains([[0.65, 0.70, 0.29], [0.17, 0.95, 0.26]]);
    let other = of_stains([[0.80, 0.55, 0.24], [0.25, 0.75, 0.61]]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slide.png");
    other.save(&path).unwrap();
    let slide = Slide::open(&path, &own()).unwrap();
    let plan = plan(&slide, 64, 0, None);
    let tiles: Vec<_> = (0..plan.count()).map(|number| plan.tile(number)).collect();
    let shape = (256, 256, 3);
    let pixels = ndarray::Array3::from_shape_vec(shape, wanted.as_raw().clone()).unwrap();
    let reference = Macenko::default().estimate(pixels.view()).unwrap();
    let stains = SlideStains::new(&slide, &plan, &tiles, &reference).unwrap();
    for tile in &tiles {
        let found = stains.apply(&plan.read(&slide, tile).unwrap()).unwrap();
        let (left, top) = (tile.left as u32, tile.top as u32);
        let expected = image::imageops::crop_imm(&wanted, left, top, 64, 64).to_image();
        // Both images were rounded to whole levels, from which stains were estimated: the darkest levels, of 50, are 2 % off.
        let distance = distance(&found, &expected);
        assert!(distance <= 3, "tile {}: {distance}", tile.number);
    }
    let glass: Vec<_> = (12..16).map(|number| plan.tile(number)).collect();
    let failed = SlideStains::new(&slide, &plan, &glass[..0], &reference).unwrap_err();
    assert!(
        failed
            .to_string()
            .contains("its stains cannot be estimated"),
        "{failed}"
    );
}

#[test]
fn tissue_of_real_slides_is_found() {
    let Some(real) = real_slides() else { return };
    let slide = Slide::open(&real.join("cmu-1-small-region.svs"), &own()).unwrap();
    let tissue = TissueMask::of(&slide, &TissueSettings::default()).unwrap();
    // By eye: two fifths of it, and of these places.
    let share = tissue.share([0.0, 0.0, 2220.0, 2967.0]);
    assert!((0.33..0.45).contains(&share), "{share}");
    for ([left, top], is) in [
        ([900.0, 1500.0], 1.0),
        ([1000.0, 2700.0], 1.0),
        ([200.0, 200.0], 0.0),
        ([100.0, 2000.0], 0.0),
    ] {
        let share = tissue.share([left, top, 100.0, 100.0]);
        assert!((share - is).abs() < 0.05, "{left}, {top}: {share}");
    }
}
