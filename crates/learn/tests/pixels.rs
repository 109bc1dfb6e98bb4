//! Pixels: measurements against SciPy, and predictions that are out of sample.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::sync::Mutex;

use cleanslide_learn::Error;
use cleanslide_learn::pixels::{PIXEL_FEATURES, PixelClassifier, PixelFeatures, PixelImages};
use image::{Rgb, RgbImage};
use ndarray::{Array2, Array3};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    height: u32,
    width: u32,
    pixels: Vec<Pixel>,
}

#[derive(Deserialize)]
struct Pixel {
    row: usize,
    column: usize,
    features: Vec<f64>,
}

#[test]
fn measurements_equal_scipy() {
    let golden: Golden = serde_json::from_str(include_str!("goldens/pixel_features.json")).unwrap();
    let image = RgbImage::from_fn(golden.width, golden.height, |x, y| {
        Rgb([1, 2, 3].map(|factor| ((y * y * 7 + x * 13 * factor + x * y * 5) % 256) as u8))
    });
    let features = PixelFeatures::of(&image).unwrap();
    for pixel in &golden.pixels {
        let found: Vec<f32> = features.pixel(pixel.row, pixel.column).collect();
        assert_eq!(found.len(), PIXEL_FEATURES);
        assert_eq!(pixel.features.len(), PIXEL_FEATURES);
        for (number, (&found, &expected)) in found.iter().zip(&pixel.features).enumerate() {
            // 32-bit sums of values up to 1, and second differences of them times σ² = 64 at most;
            // a square root of a difference of two such sums is good to the root of their error.
            let error = (f64::from(found) - expected).abs();
            assert!(
                error < 1e-4,
                "{number} at {}, {}: {found}, {expected}",
                pixel.row,
                pixel.column
            );
        }
    }
    let rows = features.rows(3..5);
    assert_eq!(rows.dim(), (2 * 17, PIXEL_FEATURES));
    let second: Vec<f32> = features.pixel(4, 0).collect();
    assert_eq!(rows.row(17).to_vec(), second);
}

/// Pictures of a dark square; the labels of picture 0 are the wrong way round.
struct Squares;

const SIZE: u32 = 32;

impl PixelImages for Squares {
    type Failure = Error;

    fn count(&self) -> usize {
        6
    }

    fn read(&self, image: usize) -> Result<(RgbImage, Array2<u8>), Error> {
        let first = 6 + image as u32;
        let inside = |x: u32, y: u32| (first..first + 12).contains(&x) && (8..22).contains(&y);
        let pixels = RgbImage::from_fn(SIZE, SIZE, |x, y| {
            let wave = ((x * 7 + y * 3) % 11) as u8;
            if inside(x, y) {
                Rgb([90 + wave, 60, 120])
            } else {
                Rgb([220 - wave, 210, 225])
            }
        });
        let size = (SIZE as usize, SIZE as usize);
        let labels = Array2::from_shape_fn(size, |(y, x)| match inside(x as u32, y as u32) {
            _ if y == 0 => 255,
            square => u8::from(square != (image == 0)),
        });
        Ok((pixels, labels))
    }
}

fn predict(threads: usize) -> Result<Vec<Array3<f32>>, Error> {
    let classifier = PixelClassifier {
        pixels: 3000,
        ..PixelClassifier::default()
    };
    let classes = ["background".to_owned(), "square".to_owned()];
    let found = Mutex::new(vec![Array3::zeros((0, 0, 0)); 6]);
    let write = |image: usize, probabilities: Array3<f32>| {
        found.lock().unwrap()[image] = probabilities;
        Ok(())
    };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap();
    pool.install(|| {
        classifier.out_of_sample(&Squares, &classes, &[0, 1, 2, 0, 1, 2], &write, &|| {})
    })?;
    Ok(found.into_inner().unwrap())
}

#[test]
fn pixels_are_predicted_by_models_that_did_not_see_them() {
    let found = predict(2).unwrap();
    let (_, truth) = Squares.read(3).unwrap();
    for (image, probabilities) in found.iter().enumerate() {
        assert_eq!(probabilities.dim(), (2, 32, 32));
        let sums = probabilities.sum_axis(ndarray::Axis(0));
        assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-5));
        // The wrong labels of picture 0 are in no model that predicts it, so it is predicted as it
        // is. Pictures 1, 2, 4 and 5 are predicted by models that have learned from it, too.
        let (_, labels) = Squares.read(image).unwrap();
        let right = |at: (usize, usize)| match image {
            0 => 1 - labels[at],
            _ => labels[at],
        };
        let known = truth.indexed_iter().filter(|(_, class)| **class != 255);
        let wrong = known
            .filter(|(at, _)| {
                let foreground = probabilities[[1, at.0, at.1]] > 0.5;
                u8::from(foreground) != right(*at)
            })
            .count();
        assert!(wrong < 30, "{wrong} of 992 pixels of picture {image}");
    }
    assert_eq!(found, predict(1).unwrap());
}

#[test]
fn what_does_not_fit_is_refused() {
    struct Wrong(u8, usize);
    impl PixelImages for Wrong {
        type Failure = Error;
        fn count(&self) -> usize {
            2
        }
        fn read(&self, _: usize) -> Result<(RgbImage, Array2<u8>), Error> {
            Ok((RgbImage::new(4, 4), Array2::from_elem((4, self.1), self.0)))
        }
    }
    let message = |class: u8, width: usize, folds: &[usize]| {
        let classes = ["a".to_owned(), "b".to_owned()];
        let classifier = PixelClassifier::default();
        let result = classifier.out_of_sample(
            &Wrong(class, width),
            &classes,
            folds,
            &|_, _| Ok(()),
            &|| {},
        );
        result.unwrap_err().to_string()
    };
    assert!(message(2, 4, &[0, 1]).ends_with("has a pixel of class 2, and there are 2 classes"));
    assert!(message(0, 3, &[0, 1]).ends_with("is 3 × 4 pixels, and its image 4 × 4"));
    assert!(message(0, 4, &[0]).contains("they are of 1 images, and there are 2"));
    assert!(message(0, 4, &[0, 1]).contains("all labels that count are of one class"));
    // Nothing labelled at all.
    assert!(message(255, 4, &[0, 1]).contains("nothing to learn from"));
}
