//! What tests of networks for objects share.

use image::{Rgb, RgbImage};
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Width and height of an image, and how many discs it has.
pub const SIDE: usize = 64;
pub const DISCS: usize = 5;

/// Dark discs on grey, by numbers from 1, of a radius from 5 to this and so far from the edge of the image.
pub fn discs(image: usize, most: f64, margin: f64) -> (RgbImage, Array2<u32>) {
    let mut rng = ChaCha8Rng::seed_from_u64(image as u64);
    let mut mask = Array2::zeros((SIDE, SIDE));
    let mut discs: Vec<[f64; 3]> = Vec::new();
    while discs.len() < DISCS {
        let radius = rng.random_range(5.0..most);
        let within = radius + margin..SIDE as f64 - radius - margin;
        let [x, y] = [(); 2].map(|()| rng.random_range(within.clone()));
        let apart = |[other_x, other_y, other]: &[f64; 3]| {
            (other_x - x).hypot(other_y - y) > radius + other + 2.0
        };
        if discs.iter().all(apart) {
            discs.push([x, y, radius]);
        }
    }
    for ((row, column), object) in mask.indexed_iter_mut() {
        let inside = |[x, y, radius]: &[f64; 3]| {
            (column as f64 + 0.5 - x).hypot(row as f64 + 0.5 - y) < *radius
        };
        *object = (discs.iter().position(inside)).map_or(0, |disc| disc as u32 + 1);
    }
    let picture = RgbImage::from_fn(SIDE as u32, SIDE as u32, |x, y| {
        let level = if mask[[y as usize, x as usize]] > 0 {
            40
        } else {
            150
        };
        Rgb([level + rng.random_range(0..40); 3])
    });
    (picture, mask)
}
